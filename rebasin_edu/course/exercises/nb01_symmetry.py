"""Checks of 01: When are two networks the same function?"""

from __future__ import annotations

import math
from random import Random
from typing import Any

import torch

from ..check import NotYet, exercise, function_of, near


def _order(draw: Random) -> list[int]:
    """An order of five units that is not its own inverse."""
    order = list(range(5))
    while [order[i] for i in order] == list(range(5)):
        draw.shuffle(order)
    return order


@exercise("01-1", _order)
def _(answer: Any, order: list[int]) -> str:
    """The order that undoes the one given."""
    back = list(answer) if not isinstance(answer, (int, float, str)) else []
    back = [int(i) for i in back]
    if back == sorted(range(5), key=order.__getitem__):
        return f"Unit 0 came to place {order.index(0)}, so that is where it must be taken from."
    if back == order:
        raise NotYet("01-1: that is the same order again; doing it twice does not undo it")
    if sorted(back) != sorted(order):
        raise NotYet("01-1: give an order: a list that holds each of 0 to 4 once")
    raise NotYet("01-1: ask of each old place where its unit stands now")


@exercise("01-2")
def _(answer: Any) -> str:
    """A function (w1, b1, w2, order) → the three tensors with hidden units reordered."""
    generator = torch.Generator().manual_seed(0)
    w1, b1, w2, x = (
        torch.randn(shape, generator=generator) for shape in ((4, 4), (4,), (4, 4), (5, 4))
    )
    order = torch.tensor([2, 0, 3, 1])
    reorder = function_of("01-2", "reorder", answer)
    got = reorder(w1.clone(), b1.clone(), w2.clone(), order)
    right = (w1[order], b1[order], w2[:, order])
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        raise NotYet("01-2: return the three tensors w1, b1, w2")
    if torch.equal(got[0], w1[order.argsort()]):
        raise NotYet(
            "01-2: that is the inverse order: unit order[i] should stand at place i, the order "
            "asked for"
        )
    if torch.equal(got[2], w2[order]):
        raise NotYet("01-2: the rows of w2 belong to the next layer's units: move its columns")
    if torch.equal(got[2], w2):
        raise NotYet(
            "01-2: the next layer still reads the old order: its columns must move as the rows do"
        )
    if torch.equal(got[1], b1):
        raise NotYet("01-2: the biases belong to the units: move them along")
    if torch.equal(got[2], w2[:, order.argsort()]):
        raise NotYet(
            "01-2: the columns moved by the inverse: use the same order for rows and columns"
        )
    before = torch.relu(x @ w1.T + b1) @ w2.T
    after = torch.relu(x @ got[0].T + got[1]) @ got[2].T
    if not torch.allclose(before, after, atol=1e-5) or not torch.equal(got[0], right[0]):
        raise NotYet("01-2: the function changed, or the units are not in the order asked for")
    return "Rows, biases and the next columns: the same function in another order."


@exercise("01-3", lambda draw: draw.randint(60, 400))
def _(answer: Any, width: int) -> str:
    """log10 of the number of symmetries of an MLP with two hidden layers of the width given."""
    right = 2 * math.lgamma(width + 1) / math.log(10)
    if near(answer, right, 0.06):
        return f"About 10^{right:.0f}, from two layers of {width} units."
    if near(answer, math.lgamma(2 * width + 1) / math.log(10), 0.06):
        raise NotYet(f"01-3: {2 * width}! lets units change layers; it is {width}! twice")
    if near(answer, right * math.log(10), 0.1):
        raise NotYet("01-3: that is the natural logarithm; divide by log(10)")
    if near(answer, right / 2, 0.06):
        raise NotYet("01-3: that is one layer; there are two")
    if near(answer, round(right), 1e-9):
        raise NotYet("01-3: nearly; give one decimal at least")
    raise NotYet(
        f"01-3: each layer has {width}! permutations; how do the logarithms of factors combine?"
    )
