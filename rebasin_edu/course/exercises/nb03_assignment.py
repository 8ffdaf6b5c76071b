"""Checks of 03: How do we find the permutation of one layer?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random
from typing import Any

import torch

from ..check import NotYet, exercise, function_of


def _table(draw: Random) -> list[list[int]]:
    """A 3 × 3 table with one best assignment, which greedy choice does not find."""
    while True:
        table = [[draw.randint(1, 9) for _ in range(3)] for _ in range(3)]
        entries = sorted(entry for row in table for entry in row)
        sums = sorted(_sum(table, order) for order in itertools.permutations(range(3)))
        one_best = sums[-1] > sums[-2] and entries[-1] > entries[-2]
        if one_best and _sum(table, _greedy(table)) < sums[-1] > _sum(table, (0, 1, 2)):
            return table


def _sum(table: list[list[int]], order: Sequence[int]) -> int:
    return sum(row[column] for row, column in zip(table, order))


def _greedy(table: list[list[int]]) -> list[int]:
    chosen: dict[int, int] = {}
    places = itertools.product(range(3), range(3))
    for row, column in sorted(places, key=lambda place: -table[place[0]][place[1]]):
        if row not in chosen and column not in chosen.values():
            chosen[row] = column
    return [chosen[row] for row in range(3)]


@exercise("03-1", _table)
def _(answer: Any, table: list[list[int]]) -> str:
    """The best assignment of the table given."""
    order = [int(i) for i in answer] if hasattr(answer, "__len__") and len(answer) == 3 else []
    greedy = _greedy(table)
    best = max(itertools.permutations(range(3)), key=lambda order: _sum(table, order))
    if tuple(order) == best:
        return f"Its sum is {_sum(table, best)}; greedy choice gets {_sum(table, greedy)}."
    if sorted(order) != [0, 1, 2]:
        raise NotYet("03-1: each unit of B once: a list that holds 0, 1 and 2")
    if order == greedy:
        raise NotYet("03-1: that is the greedy choice; give up the largest entry")
    if order == [0, 1, 2]:
        raise NotYet("03-1: that leaves everyone in place; there is a better sum")
    raise NotYet(f"03-1: your three entries add up to {_sum(table, order)}; there is a better sum")


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
