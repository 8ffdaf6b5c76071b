"""Frank-Wolfe over doubly stochastic matrices: all groups at once, from the point where nothing is
decided yet.

The objective is a polynomial of second degree in the matrices, so its gradient is linear in them,
and each step moves towards a vertex, which is a permutation. Hence the gradient at the new point is
a mean of the old gradient and the vertex's own, whose products are those of plain weight matching;
no product with a dense matrix is ever formed. Along a step the objective is a parabola, known from
what is at hand: the line search is exact and free.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from .block_assignment import vertex
from .coordinate_descent import Descent
from .gain_matrices import GainMatrices
from .group_steps import group_steps, keys_of
from .objective import Key, Problem, Slot
from .result import Step

Kinds = dict[str, Any]


class Relaxation:
    """Doubly stochastic matrices of all groups, improved together.

    Parameters in which more than two groups meet, or a grouped convolution's own weights, are not
    of second degree: they are left out here and counted in the descent that follows. Groups with
    more than one level of parents stay where they are.

    Args:
        problem: the two networks.
        tables: where to begin: ``None`` for the barycentre (all entries of a matrix equal), or a
            permutation.

    Attributes:
        matrices: key → ``(n, n)``; row ``i`` says which units of B are matched with unit ``i`` of
            A, and how much.
        value: the objective there (of the parts that are counted).
        history: one ``Step`` a step, of the group ``"all"``.
        converged: the last step could not gain.
    """

    def __init__(self, problem: Problem, tables: Mapping[str, Tensor] | None = None):
        self.problem = problem
        self.steps = [step for step in group_steps(problem.spec) if keys_of(problem, step)]
        self.keys = [key for step in self.steps for key in keys_of(problem, step)]
        self.left_out = [
            p
            for p, part in enumerate(problem.parts)
            if len(part.slots) > 2 or any(s.key not in self.keys for s in part.slots)
        ]
        start = dict(problem.spec.identity()) if tables is None else dict(tables)
        self.products = GainMatrices(problem, start, without=self.left_out)
        self.fixed = {key: self.products.fixed(key) for key in self.keys}
        if tables is None:
            self.matrices = {key: self._barycentre(key) for key in self.keys}
            self.gradient = self._gradient_at_barycentre()
        else:
            self.gradient = {key: self.products.gains(key).clone() for key in self.keys}
            kinds: Kinds = {"dtype": problem.dtype, "device": problem.device}
            self.matrices = {
                key: torch.eye(n, **kinds)[problem.index(key, start)]
                for key, n in problem.keys.items()
                if key in self.keys
            }
        self.linear = sum(_inner(self.fixed[key], self.matrices[key]) for key in self.keys)
        self.value = (
            self.linear + sum(_inner(self.gradient[key], self.matrices[key]) for key in self.keys)
        ) / 2
        self.history: list[Step] = []
        self.converged = False
        self._began = time.perf_counter()

    def run(self, max_steps: int, tolerance: float) -> None:
        """Step until a step could gain no more than ``tolerance`` of the bound ``‖a‖ ‖b‖``."""
        for _ in range(max_steps):
            self.converged = not self.step(tolerance)
            if self.converged:
                return

    def step(self, tolerance: float) -> bool:
        """Move towards the best vertex as far as the objective rises; False if it cannot."""
        target = self.vertex(self.gradient)
        index = {key: self.problem.index(key, target) for key in self.keys}
        slope = sum(_at(self.gradient[key], index[key]) for key in self.keys) - (
            2 * self.value - self.linear
        )
        if slope <= tolerance * self.problem.scale:
            return False
        self.products.set(target)
        gains = {key: self.products.gains(key) for key in self.keys}
        linear = sum(_at(self.fixed[key], index[key]) for key in self.keys)
        value = (linear + sum(_at(gains[key], index[key]) for key in self.keys)) / 2
        bend = value - self.value - slope
        t = 1.0 if bend >= 0 else min(1.0, -slope / (2 * bend))
        for key in self.keys:
            self.matrices[key].mul_(1 - t)
            self.matrices[key][
                torch.arange(len(index[key]), device=index[key].device), index[key]
            ] += t
            self.gradient[key].mul_(1 - t).add_(gains[key], alpha=t)
        self.linear += t * (linear - self.linear)
        gain = t * slope + t * t * bend
        self.value += gain
        self.history.append(
            Step(len(self.history) + 1, "all", gain, time.perf_counter() - self._began)
        )
        return True

    def vertex(self, gains: Mapping[Key, Tensor]) -> dict[str, Tensor]:
        """Return the permutation with the largest inner product with these matrices.

        Groups that are not relaxed keep their present order.
        """
        return vertex(self.problem, self.steps, gains, self.products.tables)

    def rounded(self, began: float) -> Descent:
        """Return a descent that begins at the vertex nearest to the matrices.

        Args:
            began: ``time.perf_counter()`` when the relaxation was begun.
        """
        products = None if self.left_out else self.products  # those without some parts do not do
        return Descent(self.problem, self.vertex(self.matrices), products, began)

    def _barycentre(self, key: Key) -> Tensor:
        leaves = [self.problem.spec.leaves[name] for name in key]
        kinds: Kinds = {"dtype": self.problem.dtype, "device": self.problem.device}
        factors = (
            torch.eye(x.size, **kinds)
            if x.fixed
            else torch.full((x.size, x.size), 1 / x.size, **kinds)
            for x in leaves
        )
        return reduce(torch.kron, factors)

    def _gradient_at_barycentre(self) -> dict[Key, Tensor]:
        gradient = {key: gains.clone() for key, gains in self.fixed.items()}
        for part in (part for p, part in enumerate(self.problem.parts) if p not in self.left_out):
            for own, other in ((0, 1), (1, 0)) if len(part.slots) == 2 else ():
                # (own, fixed parents and rest)
                a, b = (self._summed(x, other, part.slots[other]) for x in (part.a, part.b))
                free = part.slots[other].size * a.shape[1]
                gradient[part.slots[own].key].addmm_(a, b.T, alpha=part.a[0, 0].numel() / free)
        return gradient

    def _summed(self, x: Tensor, dim: int, slot: Slot) -> Tensor:
        """Sums over the units of a slot that may trade places."""
        x = x.movedim(dim, 0).reshape(*slot.sizes, x.shape[1 - dim], -1)
        free = [k for k, name in enumerate(slot.key) if not self.problem.spec.leaves[name].fixed]
        return x.sum(free).movedim(-2, 0).reshape(x.shape[-2], -1)


def _inner(x: Tensor, y: Tensor) -> float:
    return float((x * y).sum(dtype=torch.float64))


def _at(gains: Tensor, index: Tensor) -> float:
    return float(
        gains[torch.arange(len(index), device=index.device), index].sum(dtype=torch.float64)
    )
