"""Where a descent begins: it decides more of how good the end is than anything that follows."""

from __future__ import annotations

import time
from functools import partial

from torch import Tensor

from ..errors import SpecError, choose
from ..symmetry import Permutation, PermutationSpec
from .block_assignment import solve
from .coordinate_descent import Descent
from .gain_matrices import GainMatrices
from .group_steps import GroupStep, group_steps
from .objective import Key, Problem
from .relaxation import Relaxation

STARTS = ("output_first", "input_first", "barycentre", "identity", "random")
# Steps of Frank-Wolfe in the start "barycentre", and where they stop: later steps change little
# that the descent after them would not change as well.
STEPS, TOLERANCE = 12, 1e-5


def given(spec: PermutationSpec, start: str | Permutation, seed: int) -> dict[str, Tensor] | None:
    """Return the orders that a start names; ``None`` if they must be computed from the weights.

    Raises:
        RebasinError: the name is not known.
        SpecError: a permutation of other groups.
    """
    if isinstance(start, Permutation):
        for group, shape in spec.shapes.items():
            if group not in start or tuple(start[group].shape) != shape:
                has = f"one of {tuple(start[group].shape)}" if group in start else "none"
                raise SpecError(f"group {group!r} needs a table of shape {shape}, start has {has}")
        return {group: start[group] for group in spec.groups}
    choose("start", start, (*STARTS, "a Permutation"))
    if start in ("identity", "random"):
        return dict(spec.identity() if start == "identity" else spec.random(seed))
    return None


def begin(problem: Problem, start: str | Permutation, seed: int) -> Descent:
    """Return a descent at its start; see ``weight_matching`` for the names."""
    began = time.perf_counter()
    tables = given(problem.spec, start, seed)
    if tables is not None:
        return Descent(problem, tables)
    if start == "barycentre":
        relaxation = Relaxation(problem)
        relaxation.run(STEPS, TOLERANCE)
        return relaxation.rounded(began)
    products = GainMatrices(problem, dict(problem.spec.identity()))
    tables = layer_by_layer(problem, products, from_output=start == "output_first")
    return Descent(problem, tables, products, began)


def layer_by_layer(
    problem: Problem, products: GainMatrices, *, from_output: bool
) -> dict[str, Tensor]:
    """Return an order for each group, chosen greedily once, from a fixed end of the network on.

    A weight says nothing about one of its axes while the order of its other axis is still
    arbitrary. So only those places count whose other groups have been matched, and the next group
    is the one with the largest share of such entries; ``from_output``, with the largest share of
    such entries among the weights that take it in.
    """
    remaining, known = list(group_steps(problem.spec)), set[Key]()
    decided: set[str] = set()

    def share(step: GroupStep) -> float:
        sizes = {True: 1e-9, False: 1e-9}  # entries with known other groups, and without
        for p in {p for group in step.groups for p in problem.parts_of[group]}:
            part = problem.parts[p]
            slots = [slot for slot in part.slots if slot.key[-1] in step.groups]
            if from_output and all(slot.output for slot in slots):
                continue
            others = {
                name for slot in part.slots for name in slot.key if name in problem.spec.groups
            } - set(step.groups)
            sizes[others <= decided] += part.a.numel()
        return sizes[True] / (sizes[True] + sizes[False])

    while remaining:
        step = max(reversed(remaining) if from_output else remaining, key=share)
        remaining.remove(step)
        products.set(solve(problem, step, partial(products.gains, known=known), products.tables))
        decided |= set(step.groups)
        known |= {
            key
            for key in problem.keys
            if all(name in decided or name not in problem.spec.groups for name in key)
        }
    return dict(products.tables)
