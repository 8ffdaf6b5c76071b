"""Checks of 02: Why does naive averaging fail?"""

from __future__ import annotations

from random import Random
from typing import Any

import torch

from ..check import NotYet, exercise, function_of, near, plain


def _losses(draw: Random) -> list[float]:
    """Five losses, highest a quarter of the way from the better end, where the line is lower."""
    first, rise = draw.randint(10, 25), draw.randint(12, 30)
    top = draw.randint(85, 99)
    inner = top, top - draw.randint(15, 22), draw.randint(45, 55)
    return [hundredths / 100 for hundredths in (first, *inner, first + rise)]


@exercise("02-1", _losses)
def _(answer: Any, losses: list[float]) -> str:
    """The paper's, the line's and the midpoint's barrier of the losses given."""
    first, last, top, middle = losses[0], losses[-1], max(losses), losses[2]
    mean, near_here = (first + last) / 2, lambda value, wanted: near(value, wanted, 1e-6)
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        raise NotYet("02-1: give three numbers in a tuple: (paper, line, midpoint)")
    paper, line, midpoint = answer
    if near_here(paper, top - first) or near_here(paper, top - last):
        raise NotYet("02-1: the paper subtracts the mean of both ends, not one of them")
    if not near_here(paper, top - mean):
        raise NotYet(
            "02-1: paper: the largest of the five losses, less the mean of the first and the last"
        )
    if near_here(line, middle - mean):
        raise NotYet(
            "02-1: line: look at every alpha, not only at the middle: where is the curve "
            "highest above the line?"
        )
    if not near_here(line, top - 0.75 * first - 0.25 * last):
        raise NotYet(
            "02-1: line: subtract the straight line's value at the same alpha, then take the "
            "largest"
        )
    if near_here(midpoint, middle):
        raise NotYet(
            "02-1: midpoint: that is the loss at alpha = 1/2; the mean of the ends is still to "
            "be taken off"
        )
    if not near_here(midpoint, middle - mean):
        raise NotYet("02-1: midpoint: the loss at alpha = 1/2, less the mean of the ends")
    return "One curve, three numbers, and here the line's is the largest."


@exercise("02-2", lambda draw: draw.choice([0.1, 0.15, 0.2, 0.3, 0.35, 0.4, 0.45, 0.6]))
def _(answer: Any, rho: float) -> str:
    """The share of variance lost midway between units of one variance and the correlation given."""
    kept = (1 + rho) / 2
    if near(answer, 1 - kept, 1e-6):
        return f"Each layer keeps {kept:.2f} of it, and what they keep multiplies; REPAIR helps."
    if near(answer, 100 * (1 - kept), 1e-4) or isinstance(answer, str):
        raise NotYet("02-2: give a share, a number between 0 and 1")
    if near(answer, kept, 1e-6):
        raise NotYet("02-2: that is the share that remains; how much is lost?")
    if near(answer, 1 - kept**0.5, 1e-3) or near(answer, kept**0.5, 1e-3):
        raise NotYet("02-2: that is about the standard deviation; the variance is its square")
    if near(answer, 0.5, 1e-6):
        raise NotYet("02-2: that is for unrelated units; correlated ones keep more")
    raise NotYet(
        "02-2: set both variances to 1 and alpha to 1/2 in the law, and compare the variances"
    )


@exercise("02-3")
def _(answer: Any) -> str:
    """A function (a, b, c) → coordinates of c in the plane through three vectors."""
    coordinates = function_of("02-3", "coordinates", answer)
    a, b, c = (
        torch.tensor(v, dtype=torch.float64)
        for v in ([1.0, 0, 2, 0], [1.0, 4, 2, 0], [1.0, 1, 2, 2])
    )
    got = coordinates(a, b, c)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise NotYet("02-3: return a pair of numbers")
    x, y = (float(plain(value)) for value in got)
    if abs(x - 1) < 1e-9 or abs(y - 2) < 1e-9:
        raise NotYet(
            "02-3: those are lengths in weight space; the unit is |b - a|, so that b comes to "
            "(1, 0)"
        )
    if abs(y - 5**0.5 / 4) < 1e-9:
        raise NotYet(
            "02-3: the second coordinate is of what is left of c - a once its part along b - a "
            "is gone"
        )
    if abs(x - 0.25) > 1e-9 or abs(y - 0.5) > 1e-9:
        raise NotYet(
            "02-3: project c - a on b - a; the second number is the length of what remains"
        )
    return "Gram and Schmidt: two axes at right angles, with A at the origin."


@exercise("02-4")
def _(answer: Any) -> str:
    """A function share → the correlation that two units of equal standard deviation need."""
    needed = function_of("02-4", "needed", answer)
    for share in (0.9, 0.75, 1.0):
        got, right = needed(share), 2 * share**2 - 1
        if near(got, share**2, 1e-6) and share < 1:
            raise NotYet("02-4: that is the share of the variance; which correlation gives it?")
        if near(got, 2 * share - 1, 1e-6) and share < 1:
            raise NotYet("02-4: that keeps this share of the variance, not of its square root")
        if near(got, ((1 + share) / 2) ** 0.5, 1e-6) and share < 1:
            raise NotYet("02-4: the wrong way round: that is the share which a correlation keeps")
        if not near(got, right, 1e-6):
            raise NotYet(
                "02-4: with equal standard deviations and alpha = 1/2 the law has one unknown; "
                "solve it for the correlation"
            )
    return "To keep 90 % of the standard deviation, units must correlate at 0.62 already."
