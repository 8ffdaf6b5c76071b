"""The checks of the exercises: ``check("01-2", answer)`` says whether an answer is right, and if not, which mistake is likely."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

CHECKS: dict[str, Callable[[Any], str]] = {}


class UnknownExercise(KeyError):
    """There is no exercise of this number."""


class NotYet(AssertionError):
    """The answer is not right; the message names the likely mistake."""


def exercise(number: str) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    """Register the check of an exercise: it returns praise, or raises ``NotYet``."""

    def register(function: Callable[[Any], str]) -> Callable[[Any], str]:
        CHECKS[number] = function
        return function

    return register


def check(number: str, answer: Any) -> None:
    """Check an answer and say so in words.

    Raises:
        UnknownExercise: no exercise has this number.
        NotYet: the answer is not right.
    """
    if number not in CHECKS:
        raise UnknownExercise(f"no exercise {number!r}; there are {sorted(CHECKS)}")
    if answer is None or answer is ...:
        raise NotYet(f"{number}: there is no answer yet; put yours in place of the dots")
    print(f"{number}: right. {CHECKS[number](answer)}")


def _near(answer: Any, wanted: float, tolerance: float) -> bool:
    return isinstance(answer, (int, float)) and math.isfinite(answer) and abs(answer - wanted) <= tolerance


@exercise("00-1")
def _(answer: Any) -> str:
    """The barrier of a path with losses 0.1, 0.5, 0.7, 0.4, 0.3."""
    if _near(answer, 0.5, 1e-9):
        return "The highest loss on the way, less the mean of the two ends."
    if _near(answer, 0.6, 1e-9) or _near(answer, 0.4, 1e-9):
        raise NotYet("00-1: that subtracts one end; the paper subtracts the mean of both")
    if _near(answer, 0.7, 1e-9):
        raise NotYet("00-1: that is the height of the hump above zero; the ends are not at zero")
    raise NotYet("00-1: take the largest of the five losses and subtract the mean of the first and the last")


@exercise("00-2")
def _(answer: Any) -> str:
    """How many ways there are to order the units of three hidden layers of 4, 3 and 2 units."""
    if answer == 4 * 3 * 2 * (3 * 2) * 2:
        return "4! · 3! · 2!: each layer may be ordered in its own way, so the numbers multiply."
    if answer == 24 + 6 + 2:
        raise NotYet("00-2: each choice for one layer goes with every choice for the others: multiply, do not add")
    if answer == math.factorial(9):
        raise NotYet("00-2: that lets units wander from layer to layer; each must stay in its own")
    raise NotYet("00-2: n units can be ordered in n! ways; what are the three factors?")


@exercise("00-3")
def _(answer: Any) -> str:
    """A function that averages two state dicts."""
    a, b = {"w": torch.tensor([1.0, 3.0]), "b": torch.tensor([0.0])}, {"w": torch.tensor([3.0, 7.0]), "b": torch.tensor([4.0])}
    kept = {name: value.clone() for name, value in a.items()}
    if not callable(answer):
        raise NotYet("00-3: give the function itself, not what it returns: check('00-3', mix)")
    mixed = answer(a, b, 0.25)
    if any(not torch.equal(a[name], kept[name]) for name in a):
        raise NotYet("00-3: network A was changed on the way: build a new dictionary")
    if not isinstance(mixed, dict) or mixed.keys() != a.keys():
        raise NotYet("00-3: return a dictionary with the same names")
    if torch.allclose(mixed["w"], torch.tensor([2.5, 6.0])):
        raise NotYet("00-3: alpha is the share of B: at alpha = 0 the mix must be A")
    if not all(torch.allclose(mixed[name], 0.75 * a[name] + 0.25 * b[name]) for name in a):
        raise NotYet("00-3: at alpha = 0.25 each number should be 0.75 of A's and 0.25 of B's")
    return "A straight line between two networks, name by name."


@exercise("01-1")
def _(answer: Any) -> str:
    """Rows (2, 0, 1) of a weight matrix: the order that undoes it."""
    order = list(answer) if not isinstance(answer, (int, float, str)) else []
    if [int(i) for i in order] == [1, 2, 0]:
        return "Unit 0 came to place 1, unit 1 to place 2, unit 2 to place 0."
    if [int(i) for i in order] == [2, 0, 1]:
        raise NotYet("01-1: that is the shuffle again; doing it twice does not undo it (three times would)")
    raise NotYet("01-1: ask of each old place where its unit stands now")


@exercise("01-2")
def _(answer: Any) -> str:
    """A function (w1, b1, w2, order) → the three tensors with hidden units reordered."""
    generator = torch.Generator().manual_seed(0)
    w1, b1, w2, x = (torch.randn(shape, generator=generator) for shape in ((4, 3), (4,), (2, 4), (5, 3)))
    order = torch.tensor([2, 0, 3, 1])
    if not callable(answer):
        raise NotYet("01-2: give the function itself: check('01-2', reorder)")
    got = answer(w1.clone(), b1.clone(), w2.clone(), order)
    right = (w1[order], b1[order], w2[:, order])
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        raise NotYet("01-2: return the three tensors w1, b1, w2")
    if torch.equal(got[2], w2):
        raise NotYet("01-2: the next layer still reads the old order: its columns must move as the rows do")
    if torch.equal(got[1], b1):
        raise NotYet("01-2: the biases belong to the units: move them along")
    if torch.equal(got[2], w2[:, order.argsort()]):
        raise NotYet("01-2: the columns moved by the inverse: use the same order for rows and columns")
    before = torch.relu(x @ w1.T + b1) @ w2.T
    after = torch.relu(x @ got[0].T + got[1]) @ got[2].T
    if not torch.allclose(before, after, atol=1e-5) or not torch.equal(got[0], right[0]):
        raise NotYet("01-2: the function changed, or the units are not in the order asked for")
    return "Rows, biases and the next columns: the same function in another order."


@exercise("01-3")
def _(answer: Any) -> str:
    """log10 of the number of symmetries of an MLP with two hidden layers of 100 units."""
    right = 2 * math.lgamma(101) / math.log(10)
    if _near(answer, right, 0.05):
        return "10^316, from two layers of a hundred units."
    if _near(answer, math.lgamma(201) / math.log(10), 0.05):
        raise NotYet("01-3: 200! lets units change layers; it is 100! twice")
    if _near(answer, right * math.log(10), 0.1):
        raise NotYet("01-3: that is the natural logarithm; divide by log(10)")
    if _near(answer, right / 2, 0.05):
        raise NotYet("01-3: that is one layer; there are two")
    raise NotYet("01-3: math.lgamma(n + 1) is the logarithm of n!")
