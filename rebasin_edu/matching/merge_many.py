"""Many networks in one basin: each is permuted towards the mean of the others until none moves."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import MatchingInterrupted, WeightsError
from ..symmetry import Permutation, PermutationSpec
from ..weights import Weights, as_state, restored
from .comparable import comparable
from .coordinate_descent import Descent
from .initialization import STEPS, TOLERANCE
from .objective import Problem
from .relaxation import Relaxation
from .result import Step


@dataclass(frozen=True)
class Merged:
    """Several networks, permuted into one common order of units.

    Attributes:
        weights: the mean of the permuted networks, a whole state dict (whole numbers are those of
            the first).
        permutations: for each network, the permutation into the common order.
        objective: the sum over all pairs of ``⟨permuted one, permuted other⟩``.
        gain: the objective less that of the networks as they came.
        history: one row for each network that moved: sweep, ``"network i"``, gain, seconds.
        converged: no network can be improved with all others fixed.
    """

    weights: dict[str, Tensor]
    permutations: tuple[Permutation, ...]
    objective: float
    gain: float
    method: str
    history: tuple[Step, ...]
    converged: bool
    seconds: float

    def between(self, i: int, j: int) -> Permutation:
        """The permutation of network ``j`` that brings it into the order of network ``i``; chains
        of these are consistent.
        """
        return self.permutations[i].inverse() @ self.permutations[j]

    def __repr__(self) -> str:
        return (
            f"Merged({self.method}: {len(self.permutations)} networks, "
            f"objective {self.objective:.6g}, gain {self.gain:.6g}, "
            f"{'converged' if self.converged else 'not converged'}, {self.seconds:.2g} s)"
        )


def merge_many(
    spec: PermutationSpec,
    networks: Sequence[Weights],
    *,
    universe: bool = False,
    seed: int = 0,
    max_sweeps: int = 100,
) -> Merged:
    """Permute several networks into one basin and average them.

    In random order, each network is matched to the mean of all others (weight matching from where
    it is), until none improves. No network is an anchor. The sum of all pairs' inner products rises
    with each accepted change, so it ends.

    Args:
        spec: the symmetries of the architecture.
        networks: two or more modules or state dicts of it.
        universe: the deterministic variant: each network in turn enters the common order through
            Frank-Wolfe from the barycentre against the sum of those that are in, and each later
            visit tries both that and a descent from where it is. No seed has any influence.
        seed: of the random orders.
        max_sweeps: at most this many rounds.

    Returns:
        ``Merged``. All networks share one order, so ``between(i, j)`` is consistent around any
        cycle in either variant.

    Raises:
        WeightsError: fewer than two.
        MatchingInterrupted: Ctrl-C; its ``.matching`` is a ``Merged`` of what was reached.
        SpecError, WeightsError: as ``weight_matching``.

    Ref: Git Re-Basin, Algorithm 3; Crisostomi et al. (2024) for the common universe.
    """
    if len(networks) < 2:
        raise WeightsError(f"merging needs at least two networks, there are {len(networks)}")
    merging = _Merging(spec, networks, universe)
    rng, converged = random.Random(seed), False
    try:
        if universe:
            merging.enter()
        for sweep in range(1, max_sweeps + 1):
            order = list(range(len(networks)))
            if not universe:
                rng.shuffle(order)
            moved = [merging.visit(i, sweep) for i in order]
            if not any(moved):
                converged = True
                break
    except KeyboardInterrupt:
        raise MatchingInterrupted(merging.result(False)) from None
    return merging.result(converged)


class _Merging:
    def __init__(self, spec: PermutationSpec, networks: Sequence[Weights], universe: bool):
        self.spec, self.universe = spec, universe
        self.began = time.perf_counter()
        self.states, self.first = [as_state(network) for network in networks], networks[0]
        called = [f"network {i}" for i in range(len(self.states))]
        self.parts = comparable(spec, *self.states, names=called)
        self.permutations = [spec.identity() for _ in networks]
        self.history: list[Step] = []
        self.base = self.objective()

    def visit(self, i: int, sweep: int) -> bool:
        """Match network ``i`` with the sum of the others; True if it improved."""
        others = [k for k in range(len(self.parts)) if k != i]
        problem = self._problem(i, others)
        before = problem.value(dict(self.permutations[i]))
        value, tables = self._descended(Descent(problem, dict(self.permutations[i])))
        if self.universe:
            candidates = ((value, tables), self._entered(problem))
            value, tables = max(candidates, key=lambda pair: pair[0])
        if value <= before + 1e-12 * problem.scale:  # less is rounding
            return False
        self.permutations[i] = Permutation(tables, self.spec.parents)
        seconds = time.perf_counter() - self.began
        self.history.append(Step(sweep, f"network {i}", value - before, seconds))
        return True

    def enter(self) -> None:
        """One network after another, each against the sum of those before it."""
        start = self.base
        for i in range(1, len(self.parts)):
            problem = self._problem(i, list(range(i)))
            self.permutations[i] = Permutation(self._entered(problem)[1], self.spec.parents)
            now = self.objective()
            self.history.append(
                Step(0, f"network {i}", now - start, time.perf_counter() - self.began)
            )
            start = now

    def _problem(self, i: int, others: list[int]) -> Problem:
        moving = self.parts[i]
        total = {
            name: torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
            for name, x in moving.items()
        }
        for k in others:
            for name, x in self.spec.apply(self.states[k], self.permutations[k]).items():
                if name in total:
                    total[name] += x
        return Problem(
            self.spec,
            total,
            {name: x.to(total[name].dtype) for name, x in moving.items()},
            known=True,
        )

    def _entered(self, problem: Problem) -> tuple[float, dict[str, Tensor]]:
        relaxation = Relaxation(problem)
        relaxation.run(STEPS, TOLERANCE)
        return self._descended(relaxation.rounded(time.perf_counter()))

    def _descended(self, descent: Descent) -> tuple[float, dict[str, Tensor]]:
        descent.run(seed=0, max_sweeps=100)
        return descent.problem.value(descent.tables), descent.tables

    def _moved(self) -> list[dict]:
        """The networks in their common order."""
        return [self.spec.apply(x, order) for x, order in zip(self.states, self.permutations)]

    def objective(self) -> float:
        """Return ``½(‖sum‖² − sum of ‖each‖²)`` over the permuted tensors, in float64."""
        moved = self._moved()
        total = 0.0
        for name in self.parts[0]:
            tensors = [state[name].double() for state in moved]
            total += float(sum(tensors).square().sum() - sum(x.square().sum() for x in tensors)) / 2
        return total

    def result(self, converged: bool) -> Merged:
        moved = self._moved()
        mean = {}
        for name, first in moved[0].items():
            mean[name] = first
            if isinstance(first, Tensor) and (first.is_floating_point() or first.is_complex()):
                wide = torch.promote_types(first.dtype, torch.float32)
                mean[name] = (sum(state[name].to(wide) for state in moved) / len(moved)).to(
                    first.dtype
                )
        objective = self.objective()
        return Merged(
            restored(mean, self.first),
            tuple(self.permutations),
            objective,
            objective - self.base,
            "common universe" if self.universe else "Algorithm 3",
            tuple(self.history),
            converged,
            time.perf_counter() - self.began,
        )
