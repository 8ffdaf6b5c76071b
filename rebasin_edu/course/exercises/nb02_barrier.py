"""Checks of 02: Why does naive averaging fail?"""

from __future__ import annotations

from typing import Any

import torch

from ..check import NotYet, exercise, near


@exercise("02-1")
def _(answer: Any) -> str:
    """The paper's, the line's and the midpoint's barrier of losses 0.2, 0.9, 0.7, 0.5, 0.4."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        raise NotYet("02-1: give three numbers in a tuple: (paper, line, midpoint)")
    paper, line, midpoint = answer
    if near(paper, 0.7, 1e-9) or near(paper, 0.5, 1e-9):
        raise NotYet("02-1: the paper subtracts the mean of both ends, not one of them")
    if not near(paper, 0.6, 1e-9):
        raise NotYet(
            "02-1: paper: the largest of the five losses, less the mean of the first and the last"
        )
    if near(line, 0.4, 1e-9):
        raise NotYet(
            "02-1: line: look at every alpha, not only at the middle: where is the curve highest above the line?"
        )
    if not near(line, 0.65, 1e-9):
        raise NotYet(
            "02-1: line: subtract the straight line's value at the same alpha, then take the largest"
        )
    if near(midpoint, 0.7, 1e-9):
        raise NotYet(
            "02-1: midpoint: that is the loss at alpha = 1/2; the mean of the ends is still to be taken off"
        )
    if not near(midpoint, 0.4, 1e-9):
        raise NotYet("02-1: midpoint: the loss at alpha = 1/2, less the mean of the ends")
    return "0.60, 0.65 and 0.40: one curve, three numbers."


@exercise("02-2")
def _(answer: Any) -> str:
    """The share of variance lost half-way between two units of one deviation and correlation 0.4."""
    answer = answer.item() if isinstance(answer, torch.Tensor) and answer.numel() == 1 else answer
    if near(answer, 0.3, 1e-6):
        return "Three tenths, in every layer, and the layers add to each other: that is what REPAIR mends."
    if near(answer, 0.7, 1e-6):
        raise NotYet("02-2: that is what is left; how much is lost?")
    if near(answer, 1 - 0.7**0.5, 1e-3) or near(answer, 0.7**0.5, 1e-3):
        raise NotYet("02-2: that is about the deviation; the variance is its square")
    if near(answer, 0.5, 1e-6):
        raise NotYet("02-2: that is for unrelated units; a correlation of 0.4 keeps more")
    raise NotYet(
        "02-2: with both variances 1 and alpha = 1/2, the variance of the mix is 1/4 + 1/4 + 1/2 times the correlation"
    )


@exercise("02-3")
def _(answer: Any) -> str:
    """A function (a, b, c) → coordinates of c in the plane through three vectors."""
    if not callable(answer):
        raise NotYet("02-3: give the function itself: check('02-3', coordinates)")
    a, b, c = (
        torch.tensor(v, dtype=torch.float64)
        for v in ([1.0, 0, 2, 0], [1.0, 4, 2, 0], [1.0, 1, 2, 2])
    )
    got = answer(a, b, c)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise NotYet("02-3: return a pair of numbers")
    x, y = (float(value) for value in got)
    if abs(x - 1) < 1e-9 or abs(y - 2) < 1e-9:
        raise NotYet(
            "02-3: those are lengths in weight space; the unit is |b - a|, so that b comes to (1, 0)"
        )
    if abs(y - 5**0.5 / 4) < 1e-9:
        raise NotYet(
            "02-3: the second coordinate is of what is left of c - a once its part along b - a is gone"
        )
    if abs(x - 0.25) > 1e-9 or abs(y - 0.5) > 1e-9:
        raise NotYet(
            "02-3: for a = (0, 0), b = (4, 0), c = (1, 2) (moved away from the origin) it should be (0.25, 0.5)"
        )
    return "Gram and Schmidt: two axes at right angles, with A at the origin."


@exercise("02-4")
def _(answer: Any) -> str:
    """A function (x, y, alpha) → deviation of the mix, by the law."""
    if not callable(answer):
        raise NotYet("02-4: give the function itself: check('02-4', deviation)")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, generator=generator, dtype=torch.float64) + 1
    y = 0.6 * x + 2 * torch.randn(500, generator=generator, dtype=torch.float64) - 3
    got, wanted = float(answer(x, y, 0.3)), float((0.7 * x + 0.3 * y).std(correction=0))
    s0, s1 = float(x.std(correction=0)), float(y.std(correction=0))
    if abs(got - float((0.3 * x + 0.7 * y).std(correction=0))) < 1e-6:
        raise NotYet("02-4: alpha is the share of y: at alpha = 0 it must be the deviation of x")
    if abs(got - (0.7 * s0 + 0.3 * s1)) < 1e-6:
        raise NotYet(
            "02-4: that is the mean of the deviations; it would be right only for a correlation of 1"
        )
    if abs(got - wanted**2) < 1e-6:
        raise NotYet("02-4: that is the variance: the square root is missing")
    if abs(got - ((0.7 * s0) ** 2 + (0.3 * s1) ** 2) ** 0.5) < 1e-6:
        raise NotYet(
            "02-4: that is for unrelated quantities: the term with the correlation is missing"
        )
    if abs(got - wanted) > 0.01:
        raise NotYet(
            f"02-4: on a test pair at alpha = 0.3 it should be {wanted:.3f}, yours is {got:.3f}"
        )
    return "The law of cosines, for quantities that vary."
