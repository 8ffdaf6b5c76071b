"""The similarity of every unit of A to every unit of B, kept up to date instead of computed anew.

With all other groups fixed, the objective is ``sum_i C[i, p[i]]`` for one group's order ``p``;
``C`` is a sum of one matrix product for each place where the group occurs. A product changes only
when another group in the same tensor has moved, and then only by the rows that moved. So each
product remembers the order it was made for, and what is added is the product of the changed rows
alone: late in a descent, when few units still move, a visit costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

from .objective import Key, Problem


class GainMatrices:
    """Gain matrices ``C`` of a problem at a current permutation.

    Args:
        problem: the two networks.
        tables: where to begin: group → its order.
        without: numbers of parts that do not count.
    """

    def __init__(
        self, problem: Problem, tables: Mapping[str, Tensor], *, without: Collection[int] = ()
    ):
        self.problem = problem
        self.places = {
            key: [(p, s) for p, s in places if p not in without]
            for key, places in problem.places.items()
        }
        self.tables = dict(tables)
        self.flops = 0
        self._index = {key: problem.index(key, tables) for key in problem.keys}
        self._made_for: dict[tuple[int, int], list[Tensor]] = {}
        # (key, on the output side, alone in its tensor) → sum of products: kept apart, so that
        # ``fixed`` can be told, and so that sums are rounded in one order
        self._totals: dict[tuple[Key, bool, bool], Tensor] = {}
        self._operands: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def set(self, tables: Mapping[str, Tensor]) -> None:
        """Move to another permutation of some groups; nothing is computed yet."""
        self.tables.update(tables)
        for key in self._index:
            if any(name in tables for name in key):
                self._index[key] = self.problem.index(key, self.tables)

    def gains(self, key: Key, *, known: Collection[Key] | None = None) -> Tensor:
        """``C`` for one slot key, ``(n, n)``.

        It says what row ``i`` of A gains from being matched with unit ``j`` of B.

        Args:
            known: leave out the places that depend on the order of a key that is not among these.
        """
        for p, s in self.places[key]:
            neighbours = [slot.key for t, slot in enumerate(self.problem.parts[p].slots) if t != s]
            if known is None or all(other in known for other in neighbours):
                self._refresh(p, s)
        return self._sum(key, (True, False))

    def fixed(self, key: Key) -> Tensor:
        """The share of ``C`` that no other group's order changes.

        It comes from biases, norms, the first and the last layer.
        """
        for p, s in self.places[key]:
            if len(self.problem.parts[p].slots) == 1:
                self._refresh(p, s)
        return self._sum(key, (True,))

    def _sum(self, key: Key, kinds: Iterable[bool]) -> Tensor:
        """The sum of a key's products that are alone in their tensor, or not, as ``kinds`` says."""
        total = None
        for output in (True, False):
            for alone in kinds:
                part = self._totals.get((key, output, alone))
                if part is not None:
                    total = part if total is None else total + part
        if total is None:
            size = self.problem.keys[key]
            return torch.zeros(size, size, dtype=self.problem.dtype, device=self.problem.device)
        return total

    def _refresh(self, p: int, s: int) -> None:
        """Bring the product of one place up to the current orders of its neighbours."""
        part = self.problem.parts[p]
        now = [self._index[slot.key] for t, slot in enumerate(part.slots) if t != s]
        before = self._made_for.get((p, s))
        if before is not None and all(x is y for x, y in zip(before, now)):
            return
        self._made_for[p, s] = now
        a, b = self._operand(p, s)  # (neighbours …, rest, own): a neighbour moves whole rows
        if len(now) == 1 and before is not None:
            changed = (before[0] != now[0]).nonzero().squeeze(1)
            if len(changed) == 0:
                return
            a = a.index_select(0, changed)
            b = b.index_select(0, now[0][changed]).sub_(b.index_select(0, before[0][changed]))
        else:
            moved, old = b, b
            for dim, index in enumerate(now):
                moved = moved.index_select(dim, index)
                old = old.index_select(dim, before[dim]) if before is not None else old
            b = moved if before is None else moved - old
        a, b = a.flatten(0, -2), b.flatten(0, -2)
        self.flops += 2 * a.numel() * b.shape[1]
        where = (part.slots[s].key, part.slots[s].output, len(part.slots) == 1)
        if where in self._totals:
            self._totals[where].addmm_(a.T, b)
        else:
            self._totals[where] = a.T @ b

    def _operand(self, p: int, s: int) -> tuple[Tensor, Tensor]:
        """Both networks' part with the slot's own dimension last."""
        if (p, s) not in self._operands:
            part = self.problem.parts[p]
            self._operands[p, s] = (
                part.a.movedim(s, -1).contiguous(),
                part.b.movedim(s, -1).contiguous(),
            )
        return self._operands[p, s]
