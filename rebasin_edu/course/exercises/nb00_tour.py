"""Checks of 00: What happens when you average two networks?"""

from __future__ import annotations

import math
from typing import Any

import torch

from ..check import NotYet, exercise, function_of, near


@exercise("00-1")
def _(answer: Any) -> str:
    """The barrier of a path with losses 0.1, 0.5, 0.7, 0.4, 0.3."""
    if near(answer, 0.5, 1e-9):
        return "The highest loss on the way, less the mean of the two ends."
    if near(answer, 0.6, 1e-9) or near(answer, 0.4, 1e-9):
        raise NotYet("00-1: that subtracts one end; the paper subtracts the mean of both")
    if near(answer, 0.7, 1e-9):
        raise NotYet("00-1: that is the height of the hump above zero; the ends are not at zero")
    raise NotYet(
        "00-1: take the largest of the five losses and subtract the mean of the first and the last"
    )


@exercise("00-2")
def _(answer: Any) -> str:
    """How many ways there are to order the units of three hidden layers of 4, 3 and 2 units."""
    if near(answer, 4 * 3 * 2 * (3 * 2) * 2, 1e-9):
        return "4! · 3! · 2!: each layer may be ordered in its own way, so the numbers multiply."
    if near(answer, 24 + 6 + 2, 1e-9):
        raise NotYet(
            "00-2: each choice for one layer goes with every choice for the others: multiply, "
            "do not add"
        )
    if near(answer, math.factorial(9), 1e-9):
        raise NotYet("00-2: that lets units wander from layer to layer; each must stay in its own")
    raise NotYet("00-2: n units can be ordered in n! ways; what are the three factors?")


@exercise("00-3")
def _(answer: Any) -> str:
    """A function that averages two state dicts."""
    a, b = (
        {"w": torch.tensor([1.0, 3.0]), "b": torch.tensor([0.0])},
        {"w": torch.tensor([3.0, 7.0]), "b": torch.tensor([4.0])},
    )
    kept = {name: value.clone() for name, value in a.items()}
    mix = function_of("00-3", "mix", answer)
    mixed = mix(a, b, 0.25)
    if any(not torch.equal(a[name], kept[name]) for name in a):
        raise NotYet("00-3: network A was changed on the way: build a new dictionary")
    if not isinstance(mixed, dict) or mixed.keys() != a.keys():
        raise NotYet("00-3: return a dictionary with the same names")
    if torch.allclose(mixed["w"], torch.tensor([2.5, 6.0])):
        raise NotYet("00-3: alpha is the share of B: at alpha = 0 the mix must be A")
    if not all(torch.allclose(mixed[name], 0.75 * a[name] + 0.25 * b[name]) for name in a):
        raise NotYet(
            "00-3: at alpha = 0.25 the mix must be nearer to A than to B, on the straight line"
        )
    return "A straight line between two networks, name by name."
