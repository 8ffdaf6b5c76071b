"""Coordinate descent: one group at a time is matched exactly, all others fixed."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from .block_assignment import solve
from .gain_matrices import GainMatrices
from .group_steps import GroupStep, group_steps
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
        products: gain matrices at hand, if a start has computed some.
        began: ``time.perf_counter()`` when its start was begun.

    Attributes:
        history: one ``Step`` for each accepted change.
    """

    def __init__(
        self,
        problem: Problem,
        tables: Mapping[str, Tensor],
        products: GainMatrices | None = None,
        began: float | None = None,
    ):
        self.problem = problem
        self.products = products or GainMatrices(problem, tables)
        self.products.set(tables)
        self.history: list[Step] = []
        self.steps = [
            step
            for step in group_steps(problem.spec)
            if any(problem.parts_of[group] for group in step.groups)
        ]
        self._began = time.perf_counter() if began is None else began
        self._settled: set[GroupStep] = set()  # solved, and no neighbour has moved since

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._began

    @property
    def tables(self) -> dict[str, Tensor]:
        """The present permutation."""
        return dict(self.products.tables)

    def visit(self, step: GroupStep, sweep: int) -> bool:
        """Match the groups of one step, all others fixed; accept if the objective rises."""
        tables = self.products.tables
        estimate = None
        if step.kind == "plain":
            gains = self.products.gains((step.name,))
            proposed = {step.name: assign(gains).cpu()}
            rows = torch.arange(len(gains), device=gains.device)
            new, old = (t[step.name].to(gains.device) for t in (proposed, tables))
            estimate = float((gains[rows, new].double() - gains[rows, old].double()).sum())
        else:
            proposed = solve(self.problem, step, self.products.gains, tables)
        self._settled.add(step)
        changed = {g: t for g, t in proposed.items() if not torch.equal(t, tables[g])}
        if not changed:
            return False
        touched = sorted({p for group in changed for p in self.problem.parts_of[group]})
        exact = step.kind == "plain" and not self._on_two_axes(touched)
        gain = self._rise(changed, touched, estimate if exact else None)
        if gain is None:
            return False
        self._go(step, changed, touched, exact)
        self.history.append(Step(sweep, step.name, gain, self.seconds))
        return True

    def _rise(
        self, changed: dict[str, Tensor], touched: list[int], estimate: float | None
    ) -> float | None:
        """How much the true objective rises with these new orders; ``None`` if it does not.

        Args:
            touched: the parts that the changed groups occur in.
            estimate: the rise in working precision, where the groups' gains are exactly linear (one
                group that occurs once in each tensor). It is trusted where it is large.
        """
        before = self.products.tables
        scale = sum(self.problem.parts[p].scale for p in touched)
        if estimate is not None and estimate >= DOUBTFUL * scale:
            return estimate
        if estimate is not None:
            ((group, order),) = changed.items()
            gain = self.problem.difference(group, order, before)
        else:
            after = {**before, **changed}
            gain = self.problem.value(after, touched) - self.problem.value(before, touched)
        return gain if gain > ROUNDING * scale else None

    def _go(
        self, step: GroupStep, changed: dict[str, Tensor], touched: list[int], exact: bool
    ) -> None:
        """Take the new orders; steps that share a tensor with them are no longer settled."""
        self.products.set(changed)
        parts = [self.problem.parts[p] for p in touched]
        near = {name for part in parts for slot in part.slots for name in slot.key}
        self._settled = {
            other
            for other in self._settled
            if not near & set(other.groups) or (other == step and exact)
        }

    def _on_two_axes(self, touched: list[int]) -> bool:
        """Whether one key has several slots in a tensor: its step is then only a proposal."""
        slots = [self.problem.parts[p].slots for p in touched]
        return any(len({slot.key for slot in each}) < len(each) for each in slots)

    def run(self, seed: int, max_sweeps: int, first: int = 1, tolerance: float = 0.0) -> bool:
        """Sweep over the groups in random orders, till a sweep gains less than ``tolerance`` of
        ``‖a‖ ‖b‖``; return whether no step can improve any more.
        """
        rng = random.Random(seed)
        for sweep in range(first, first + max_sweeps):
            waiting = [step for step in self.steps if step not in self._settled]
            if not waiting:
                return True
            rng.shuffle(waiting)
            for step in waiting:
                if step not in self._settled:
                    self.visit(step, sweep)
            gained = sum(step.gain for step in self.history if step.sweep == sweep)
            if gained < tolerance * self.problem.scale:
                break
        return all(step in self._settled for step in self.steps)
