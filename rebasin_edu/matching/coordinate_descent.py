"""Coordinate descent: one group at a time is matched exactly while all others are held."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from .block_assignment import Move, moves, solve
from .gain_matrices import Products
from .linear_assignment import assign
from .objective import Problem
from .result import Step

ROUNDING = 1e-13  # of ‖a‖ ‖b‖: below it, a difference of two float64 objectives means nothing
DOUBTFUL = 1e-5  # of ‖a‖ ‖b‖: below it, a gain computed in float32 is computed again in float64


class Descent:
    """A permutation that is being improved.

    Args:
        problem: the two networks.
        tables: where to begin.
        products: gain matrices at hand, if a start has made some.
        began: ``time.perf_counter()`` when its start was begun.

    Attributes:
        history: one ``Step`` for each accepted change.
    """

    def __init__(
        self,
        problem: Problem,
        tables: Mapping[str, Tensor],
        products: Products | None = None,
        began: float | None = None,
    ):
        self.problem = problem
        self.products = products or Products(problem, tables)
        self.products.set(tables)
        self.history: list[Step] = []
        self.moves = [
            move
            for move in moves(problem.spec)
            if any(problem.parts_of[group] for group in move.groups)
        ]
        self._began = time.perf_counter() if began is None else began
        self._settled: set[Move] = (
            set()
        )  # those whose neighbours have not moved since they were made

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._began

    @property
    def tables(self) -> dict[str, Tensor]:
        """The present permutation."""
        return dict(self.products.tables)

    def visit(self, move: Move, sweep: int) -> bool:
        """Match the groups of one move with all others held; accept it only if the objective rises."""
        tables = self.products.tables
        self._settled.add(move)
        if move.kind != "plain":
            return self._accept(
                solve(self.problem, move, self.products.gains, tables), None, move, sweep
            )
        gains = self.products.gains((move.name,))
        new, old = assign(gains).cpu(), tables[move.name]
        rows = torch.arange(len(new), device=gains.device)
        gain = float(
            (
                gains[rows, new.to(gains.device)].double()
                - gains[rows, old.to(gains.device)].double()
            ).sum()
        )
        return self._accept({move.name: new}, gain, move, sweep)

    def _accept(
        self, proposed: dict[str, Tensor], gain: float | None, move: Move, sweep: int
    ) -> bool:
        """Go to these orders if the true objective rises; ``gain`` is what it rises by in working
        precision, where known.
        """
        before = self.products.tables
        proposed = {
            group: table
            for group, table in proposed.items()
            if not torch.equal(table, before[group])
        }
        if not proposed:
            return False
        touched = sorted({p for group in proposed for p in self.problem.parts_of[group]})
        scale = sum(self.problem.parts[p].scale for p in touched)
        twice = any(
            len({s.key for s in self.problem.parts[p].slots}) < len(self.problem.parts[p].slots)
            for p in touched
        )
        exact = move.kind == "plain" and not twice
        if not exact or gain < DOUBTFUL * scale:
            if exact:
                gain = self.problem.difference(move.name, proposed[move.name], before)
            else:
                gain = self.problem.value({**before, **proposed}, touched) - self.problem.value(
                    before, touched
                )
            if gain <= ROUNDING * scale:
                return False
        self.products.set(proposed)
        self.history.append(Step(sweep, move.name, gain, self.seconds))
        moved = {name for p in touched for slot in self.problem.parts[p].slots for name in slot.key}
        self._settled = {
            other
            for other in self._settled
            if not moved & set(other.groups) or (other == move and exact)
        }
        return True

    def run(self, seed: int, max_sweeps: int, first: int = 1) -> bool:
        """Sweep over the groups in random orders until no move improves; True if that point was
        reached.
        """
        rng = random.Random(seed)
        for sweep in range(first, first + max_sweeps):
            waiting = [move for move in self.moves if move not in self._settled]
            if not waiting:
                return True
            rng.shuffle(waiting)
            for move in waiting:
                if move not in self._settled:
                    self.visit(move, sweep)
        return all(move in self._settled for move in self.moves)
