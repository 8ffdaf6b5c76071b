"""Checks of 14: What about attention?"""

from __future__ import annotations

import math
from typing import Any

import torch

from ...matching import assign
from ..check import NotYet, exercise, function_of, near, plain


def _orders(units: int) -> float:
    return math.lgamma(units + 1) / math.log(10)


@exercise("14-1", numbers=lambda draw: (draw.choice((2, 4, 6, 8)), draw.choice((8, 16, 24, 32))))
def _(answer: Any, sizes: tuple[int, int]) -> str:
    """How many orders of one attention layer leave its function as it is, as a power of ten."""
    heads, width = sizes
    inside = heads * _orders(width)
    wanted = _orders(heads) + 2 * inside
    if near(answer, _orders(heads * width), 0.05) or near(answer, 2 * _orders(heads * width), 0.05):
        raise NotYet("14-1: a unit never leaves its head: not all of them share one order")
    if near(answer, 2 * inside, 0.05):
        raise NotYet("14-1: the heads may change places too")
    if near(answer, _orders(heads) + inside, 0.05):
        raise NotYet("14-1: Q with K has an order in each head, and V with O has another one")
    if near(answer, _orders(heads) + 4 * inside, 0.05):
        raise NotYet("14-1: Q and K share an order, and V and O share one: two a head, not four")
    if near(answer, _orders(heads) + 2 * _orders(width), 0.05):
        raise NotYet("14-1: each head has orders of its own: the factor is a power")
    if near(answer, wanted * math.log(10), 0.1):
        raise NotYet("14-1: that is the natural logarithm; divide it by math.log(10)")
    if not near(answer, wanted, 0.05):
        raise NotYet("14-1: log10 of heads! · (width!)^heads · (width!)^heads")
    return "And these are only the permutations: inside a head any invertible map will do."


@exercise("14-2")
def _(answer: Any) -> str:
    """The weights of a layer that writes to the stream, so that what it writes has mean zero."""
    centred = function_of("14-2", "centred", answer)
    weights = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    kept = weights.clone()
    found = centred(weights)
    if not torch.equal(weights, kept):
        raise NotYet("14-2: the weights that were given have changed: return new ones")
    if not isinstance(found, torch.Tensor) or found.shape != kept.shape:
        raise NotYet("14-2: return weights of the same shape, (stream, inputs)")
    if torch.allclose(found, kept - kept.mean(1, keepdim=True), atol=1e-5):
        raise NotYet("14-2: the mean over the stream, axis 0, is taken away, not that over inputs")
    if torch.allclose(found, kept - kept.mean(), atol=1e-5):
        raise NotYet("14-2: each column has a mean of its own")
    if not torch.allclose(found, kept - kept.mean(0), atol=1e-5):
        raise NotYet("14-2: whatever the input, the numbers that are written must add up to zero")
    return "A stream of mean zero: now LayerNorm divides by the root mean square, as RMSNorm does."


@exercise("14-3")
def _(answer: Any) -> str:
    """Which head of B goes where, if the inside of a head may be turned by any orthogonal map."""
    pair_heads = function_of("14-3", "pair_heads", answer)
    generator = torch.Generator().manual_seed(1)
    b = torch.randn(5, 3, 12, generator=generator)  # (heads, width of a head, stream)
    order = torch.tensor([3, 0, 4, 1, 2])
    turns = torch.linalg.qr(torch.randn(5, 3, 3, generator=generator))[0]
    a = turns @ b[order] + 0.6 * torch.randn(5, 3, 12, generator=generator)
    result = pair_heads(a, b)
    found = [int(plain(k)) for k in result] if hasattr(result, "__len__") else []
    products = torch.einsum("iwd,jvd->ijwv", a, b)
    if sorted(found) != list(range(5)):
        raise NotYet("14-3: return an order of the five heads: each index once")
    if found == order.argsort().tolist():
        raise NotYet("14-3: that is the inverse: place i gets head order[i] of B")
    if found == assign(products.diagonal(dim1=2, dim2=3).sum(-1)).tolist():
        raise NotYet(
            "14-3: that adds the products of unit k with unit k, which a turn hides. Take the "
            "largest trace that any turn can reach: the sum of the singular values"
        )
    if found != order.tolist():
        raise NotYet(
            "14-3: entry (i, j) of the table: the sum of the singular values of a[i] @ b[j].T; "
            "then one assignment"
        )
    return "The sum of the singular values is the trace after the best turn: Procrustes again."
