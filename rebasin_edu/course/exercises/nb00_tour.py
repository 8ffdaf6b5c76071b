"""Checks of 00: What happens when you average two networks?"""

from __future__ import annotations

import math
from random import Random
from typing import Any

import torch

from ..check import NotYet, exercise, function_of, near


def _losses(draw: Random) -> list[float]:
    """Five losses: two low ends, a hump that is highest off the middle."""
    first = draw.randint(5, 12)
    ends = first, first + draw.randint(8, 18)
    top, low = draw.randint(70, 99), draw.randint(40, 60)
    inner = draw.choice([(top, low + 3, low - 5), (low - 5, low + 3, top)])
    return [hundredths / 100 for hundredths in (ends[0], *inner, ends[1])]


@exercise("00-1", _losses)
def _(answer: Any, losses: list[float]) -> str:
    """The barrier of a path with the losses given."""
    top, ends = max(losses), (losses[0], losses[-1])
    if near(answer, top - sum(ends) / 2, 1e-6):
        return "The highest loss on the way, less the mean of the two ends."
    if near(answer, top - ends[0], 1e-6) or near(answer, top - ends[1], 1e-6):
        raise NotYet("00-1: that subtracts one end; the paper subtracts the mean of both")
    if near(answer, losses[2] - sum(ends) / 2, 1e-6):
        raise NotYet("00-1: that is the middle of the path; its highest point lies elsewhere")
    if near(answer, top, 1e-6):
        raise NotYet("00-1: that is the height of the hump above zero; the ends are not at zero")
    raise NotYet(
        "00-1: take the largest of the five losses and subtract the mean of the first and the last"
    )


@exercise("00-2", lambda draw: draw.sample([3, 4, 5, 6], 3))
def _(answer: Any, sizes: list[int]) -> str:
    """How many ways there are to order the units of three hidden layers of the sizes given."""
    ways = [math.factorial(size) for size in sizes]
    if near(answer, math.prod(ways), 1e-9):
        product = " · ".join(f"{size}!" for size in sizes)
        return f"{product}: each layer may be ordered in its own way, so the numbers multiply."
    if near(answer, sum(ways), 1e-9):
        raise NotYet(
            "00-2: each choice for one layer goes with every choice for the others: multiply, "
            "do not add"
        )
    if near(answer, math.factorial(sum(sizes)), 1e-9):
        raise NotYet("00-2: that lets units wander from layer to layer; each must stay in its own")
    if near(answer, math.prod(sizes), 1e-9):
        raise NotYet("00-2: that is the number of ways to choose one unit a layer; order them all")
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
