"""Checks of 12: Where does the single basin end?"""

from __future__ import annotations

from typing import Any

import torch

from ...matching import assign
from ..check import NotYet, exercise, function_of, near, plain


@exercise("12-1")
def _(answer: Any) -> str:
    """The share of the distance that is left after matching."""
    kept = function_of("12-1", "kept", answer)
    a, b, moved = torch.zeros(3), torch.tensor([3.0, 4.0, 0.0]), torch.tensor([0.0, 0.0, 4.0])
    found = plain(kept(a, b, moved))
    if near(found, 5 / 4, 1e-5):
        raise NotYet("12-1: the quotient is upside down: the matched distance stands above")
    if near(found, 16 / 25, 1e-5):
        raise NotYet("12-1: those are squared distances; take their roots")
    if near(found, 0.2, 1e-5):
        raise NotYet("12-1: that is what was lost; asked for is what is left")
    if near(found, torch.dist(b, moved).item() / 5, 1e-5):
        raise NotYet("12-1: both distances start at A")
    if not near(found, 0.8, 1e-5):
        raise NotYet("12-1: the distance from A to the matched B, divided by that from A to B")
    return "For the stored MNIST pairs it is 0.86 to 0.87: matched is not equal."


@exercise("12-2")
def _(answer: Any) -> str:
    """The counterexample's networks with the units of a layer swapped."""
    swap_first = function_of("12-2", "swap_first", answer)
    generator = torch.Generator().manual_seed(0)
    w1, b1, w2 = (
        torch.randn(n, generator=generator).reshape(s)
        for n, s in ((4, (2, 2)), (2, (2,)), (4, (2, 2)))
    )
    kept = [x.clone() for x in (w1, b1, w2)]
    try:
        v1, c1, v2 = swap_first(w1, b1, w2)
    except (TypeError, ValueError):
        raise NotYet("12-2: return three tensors: w1, b1 and w2 after the swap") from None
    if not all(torch.equal(x, y) for x, y in zip((w1, b1, w2), kept)):
        raise NotYet("12-2: the tensors that were given have changed: return new ones")
    wanted = (w1[[1, 0]], b1[[1, 0]], w2[:, [1, 0]])
    if torch.equal(v1, w1[:, [1, 0]]):
        raise NotYet("12-2: the columns of w1 are the inputs x1 and x2: its rows are the units")
    if not torch.equal(v1, wanted[0]):
        raise NotYet("12-2: the two rows of w1 change places")
    if not torch.equal(c1, wanted[1]):
        raise NotYet("12-2: the bias belongs to the unit: it moves too")
    if torch.equal(v2, w2):
        raise NotYet("12-2: w2 still reads the units in their old places")
    if torch.equal(v2, w2[[1, 0]]):
        raise NotYet("12-2: the rows of w2 are the units of the second layer: take its columns")
    if not torch.equal(v2, wanted[2]):
        raise NotYet("12-2: the two columns of w2 change places")
    return "The function is the same, and so is the barrier's height half-way."


@exercise("12-3")
def _(answer: Any) -> str:
    """The permutation that leaves A most steeply."""
    steepest = function_of("12-3", "steepest", answer)
    generator = torch.Generator().manual_seed(2)
    gradient, b = (torch.randn(6, 4, generator=generator) for _ in range(2))
    found = steepest(gradient, b)
    wanted = assign(-gradient @ b.T)
    order = [int(plain(k)) for k in found] if hasattr(found, "__len__") else []
    if sorted(order) != list(range(6)):
        raise NotYet("12-3: return an order of the six rows: each index once")
    if order == assign(gradient @ b.T).tolist():
        raise NotYet("12-3: that goes uphill most steeply: mind the sign")
    if order == assign(-b @ gradient.T).tolist():
        raise NotYet("12-3: that is the inverse: rows of the table are places, columns units of B")
    if order != wanted.tolist():
        raise NotYet("12-3: one assignment: place i gains the product of -gradient[i] and b[j]")
    return "The best first step. Where it leads is another matter."
