"""The paper's straight-through estimator: free weights, projected by weight matching."""

from __future__ import annotations

import torch
from torch import Tensor

from ..batches import Batch
from ..symmetry import Permutation
from .coordinate_descent import Descent
from .initialization import begin
from .midpoint import Midpoint
from .objective import Problem

MOMENTUM = 0.9
MAX_SWEEPS = 100  # of a projection; it begins at the last permutation and needs a few


class FreeWeights:
    """Weights begun at A; the permutation is their projection onto the permutations of B.

    The gradient at the midpoint, half of which is the free weights', is passed straight to them.

    Ref: Git Re-Basin, Algorithm 2.
    """

    def __init__(
        self,
        middle: Midpoint,
        problem: Problem,
        start: str | Permutation,
        seed: int,
        rate: float,
    ):
        self.middle, self.rate, self.seed = middle, rate, seed
        self.spec = middle.spec
        descent = begin(problem, start, seed)
        descent.run(seed, MAX_SWEEPS)
        self.tables: dict[str, Tensor] = descent.tables
        names = list(dict.fromkeys(part.name for part in problem.parts))
        self.b = {name: middle.b[name] for name in names}
        self.free = {name: middle.a[name].clone() for name in names}
        self.momentum = {name: torch.zeros_like(x) for name, x in self.free.items()}

    def step(self, batch: Batch, number: int) -> None:
        """Train the free weights on one minibatch and project them."""
        gradient = self.middle.gradient(self.tables, batch, list(self.free))
        for name, g in gradient.items():
            self.momentum[name] = MOMENTUM * self.momentum[name] + g / 2
            self.free[name] = self.free[name] - self.rate * self.momentum[name]
        problem = Problem(self.spec, self.free, self.b, known=True)
        descent = Descent(problem, self.tables)
        descent.run(self.seed + number - 1, MAX_SWEEPS)
        self.tables = descent.tables
