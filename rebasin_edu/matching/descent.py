"""Coordinate descent: one group at a time is matched exactly while all others are held."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from .assignment import assign
from .problem import Problem
from .products import Products
from .result import Step

ROUNDING = 1e-13  # of ‖a‖ ‖b‖: below it, a difference of two float64 objectives means nothing
DOUBTFUL = 1e-5  # of ‖a‖ ‖b‖: below it, a gain computed in float32 is computed again in float64


class Descent:
    """A permutation that is being improved.

    Args:
        problem: the two networks.
        tables: where to begin.

    Attributes:
        history: one ``Step`` for each accepted change.
    """

    def __init__(self, problem: Problem, tables: Mapping[str, Tensor]):
        self.problem = problem
        self.products = Products(problem, tables)
        self.history: list[Step] = []
        self._began = time.perf_counter()
        self._settled: set[str] = set()  # groups whose neighbours have not moved since they were matched

    @property
    def tables(self) -> dict[str, Tensor]:
        return dict(self.products.tables)

    def visit(self, group: str, sweep: int) -> bool:
        """Match one group with all others held; accept it only if the objective rises."""
        old = self.products.tables[group]
        gains = self.products.gains((group,))
        new = assign(gains).cpu()
        self._settled.add(group)
        if torch.equal(new, old):
            return False
        rows = torch.arange(len(new), device=gains.device)
        gain = float((gains[rows, new.to(gains.device)].double() - gains[rows, old.to(gains.device)].double()).sum())
        return self.accept({group: new}, gain, group, sweep)

    def accept(self, tables: dict[str, Tensor], gain: float, name: str, sweep: int) -> bool:
        """Move to these orders of some groups if the true objective rises; ``gain`` is what it is thought to rise by."""
        touched = sorted({p for group in tables for p in self.problem.parts_of[group]})
        scale = sum(self.problem.parts[p].scale for p in touched)
        twice = any(len({s.key for s in self.problem.parts[p].slots}) < len(self.problem.parts[p].slots) for p in touched)
        if gain < DOUBTFUL * scale or twice or len(tables) > 1:
            before = self.products.tables
            gain = self.problem.value({**before, **tables}, touched) - self.problem.value(before, touched)
            if gain <= ROUNDING * scale:
                return False
        self.products.set(tables)
        self.history.append(Step(sweep, name, gain, time.perf_counter() - self._began))
        for p in touched:
            self._settled -= {group for slot in self.problem.parts[p].slots for group in slot.key if group not in tables or twice}
        return True

    def run(self, seed: int, max_sweeps: int, first: int = 1) -> bool:
        """Sweep over the groups in random orders until no group can improve; True if that point was reached."""
        rng = random.Random(seed)
        groups = [group for group, parts in self.problem.parts_of.items() if parts]
        for sweep in range(first, first + max_sweeps):
            waiting = [group for group in groups if group not in self._settled]
            if not waiting:
                return True
            rng.shuffle(waiting)
            for group in waiting:
                if group not in self._settled:
                    self.visit(group, sweep)
        return all(group in self._settled for group in groups)
