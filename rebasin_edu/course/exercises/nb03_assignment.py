"""Checks of 03: How do we find the shuffle?"""

from __future__ import annotations

from typing import Any

import torch

from ..check import NotYet, exercise, function_of


@exercise("03-1")
def _(answer: Any) -> str:
    """The best assignment of [[8, 7, 1], [7, 2, 1], [3, 6, 5]]."""
    order = [int(i) for i in answer] if hasattr(answer, "__len__") and len(answer) == 3 else []
    if order == [1, 0, 2]:
        return "7 + 7 + 5 = 19; greedy takes the 8, then the 6, then a 1, and gets 15."
    if sorted(order) != [0, 1, 2]:
        raise NotYet("03-1: each unit of B once: a list that holds 0, 1 and 2")
    if order == [0, 2, 1]:
        raise NotYet("03-1: that is the greedy choice, 8 + 6 + 1 = 15; give up the 8")
    if order == [0, 1, 2]:
        raise NotYet("03-1: that leaves everyone in place: 8 + 2 + 5 = 15; there is better")
    raise NotYet("03-1: add up your three entries; there is a better sum")


@exercise("03-2")
def _(answer: Any) -> str:
    """A function (x, y) → correlations between the columns of x and of y."""
    similarity = function_of("03-2", "similarity", answer)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(40, units, generator=generator, dtype=torch.float64) for units in (3, 4))
    x, y = x + 5, 3 * y - 2
    y[:, 0] += x[:, 1]
    y[:, 3] = 7.0
    got = similarity(x.clone(), y.clone())
    if not isinstance(got, torch.Tensor) or got.shape not in ((3, 4), (4, 3)):
        raise NotYet(
            "03-2: return a table with a row for each unit of x and a column for each unit of y"
        )
    if got.shape == (4, 3):
        raise NotYet("03-2: that is turned over: rows belong to x, columns to y")
    wanted = torch.corrcoef(torch.cat([x, y[:, :3]], 1).T)[:3, 3:]
    if not torch.isfinite(got).all():
        raise NotYet(
            "03-2: a unit that never changes divides by zero: its correlations should be 0"
        )
    if torch.allclose(got, x.T @ y) or torch.allclose(got, x.T @ y / len(x)):
        raise NotYet("03-2: those are raw products: centre each column first")
    if got.abs().max() > 1 + 1e-6:
        raise NotYet(
            "03-2: a correlation is never above 1: divide each centred column by its length"
        )
    if not torch.allclose(got[:, :3], wanted, atol=1e-6) or got[:, 3].abs().max() > 1e-6:
        raise NotYet(
            "03-2: centre each column, then divide it by its own length; is it the columns, "
            "not the rows?"
        )
    return "What two units have in common, whatever their means and scales."


@exercise("03-3")
def _(answer: Any) -> str:
    """A function (x, y) → the columns of y in the order of those of x."""
    unshuffle = function_of("03-3", "unshuffle", answer)
    generator = torch.Generator().manual_seed(1)
    x, noise = torch.randn(2, 60, 5, generator=generator, dtype=torch.float64)
    x[:, 2] = x[:, 0] + 0.3 * x[:, 2]  # two units alike: the most similar column is not one to one
    noise[:, 1] *= 10
    order = torch.tensor([3, 0, 4, 1, 2])
    y = 2 * x[:, order] + 1 + 0.2 * noise
    kept = y.clone()
    got, right = unshuffle(x.clone(), y), y[:, order.argsort()]
    if not torch.equal(y, kept):
        raise NotYet("03-3: y was changed on the way: return a new table")
    if not isinstance(got, torch.Tensor) or got.shape != y.shape:
        raise NotYet(
            "03-3: return the whole table y with its columns in another order, not the order itself"
        )
    if len({tuple(column.tolist()) for column in got.T}) < len(y.T):
        raise NotYet("03-3: one column of y stands at two places: the pairs must be one to one")
    if torch.equal(got, y):
        raise NotYet("03-3: the columns stand where they stood")
    if torch.equal(got, y[:, order]):
        raise NotYet(
            "03-3: that is the inverse: the rows of the table must stand for x, its columns for y"
        )
    if torch.equal(got, right):
        return "The rainbow is back."
    raise NotYet(
        "03-3: the pairs are not the best ones: assign maximises, so give it similarities, not "
        "distances"
    )
