"""Where a descent begins: it decides more of how good the end is than anything that follows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from ..errors import SpecError
from ..symmetry import Permutation
from .block_assignment import Move, moves, solve
from .coordinate_descent import Descent
from .gain_matrices import Products
from .objective import Problem
from .relaxation import Relaxation

STARTS = ("outward", "inward", "barycentre", "forward", "backward", "identity", "random")


def begin(
    problem: Problem, start: str | Permutation, seed: int, *, weight: float = 8.0, steps: int = 12
) -> Descent:
    """A descent at its start; see ``weight_matching`` for the names.

    Args:
        weight: of a layer's incoming weights in ``"forward"``, of its outgoing ones in
            ``"backward"``.
        steps: of Frank-Wolfe, at most, in ``"barycentre"``.
    """
    began = time.perf_counter()
    identity = dict(problem.spec.identity())
    if isinstance(start, Permutation):
        for group, shape in problem.spec.shapes.items():
            if group not in start or tuple(start[group].shape) != shape:
                raise SpecError(
                    f"group {group!r} needs a table of shape {shape}, the start has another or none"
                )
        return Descent(problem, {group: start[group] for group in problem.spec.groups})
    if start == "identity":
        return Descent(problem, identity)
    if start == "random":
        return Descent(problem, dict(problem.spec.random(seed)))
    if start == "barycentre":
        relaxation = Relaxation(problem)
        relaxation.run(steps, tolerance=1e-5)
        tables = relaxation.vertex(relaxation.matrices)
        return Descent(problem, tables, None if relaxation.left_out else relaxation.products, began)
    products = Products(problem, identity)
    if start in ("outward", "inward"):
        tables = anchored(problem, products, backwards=start == "inward")
    elif start in ("forward", "backward"):
        tables = weighted(problem, products, forward=start == "forward", weight=weight)
    else:
        raise ValueError(
            f"start={start!r} is not known; choose one of {', '.join(STARTS)}, or give a Permutation"
        )
    return Descent(problem, tables, products, began)


def anchored(problem: Problem, products: Products, *, backwards: bool) -> dict[str, Tensor]:
    """Each group once, from a fixed end of the network on, judged by what is already known.

    A weight says nothing about one of its axes while the order of its other axis is still
    arbitrary. So only those places count whose other groups have been matched, and the next group
    is the one with the largest share of such entries; ``backwards``, with the largest share of such
    entries among the weights that take it in.
    """
    left, known = list(moves(problem.spec)), set()
    decided: set[str] = set()

    def share(move: Move) -> float:
        sizes = {True: 1e-9, False: 1e-9}
        for p in {p for group in move.groups for p in problem.parts_of[group]}:
            part = problem.parts[p]
            if backwards and all(
                slot.incoming for slot in part.slots if slot.key[-1] in move.groups
            ):
                continue
            others = {
                name for slot in part.slots for name in slot.key if name in problem.spec.groups
            } - set(move.groups)
            sizes[others <= decided] += part.a.numel()
        return sizes[True] / (sizes[True] + sizes[False])

    while left:
        move = max(reversed(left) if backwards else left, key=share)
        left.remove(move)
        products.set(solve(problem, move, partial(products.gains, known=known), products.tables))
        decided |= set(move.groups)
        known |= {
            key
            for key in problem.keys
            if all(name in decided or name not in problem.spec.groups for name in key)
        }
    return dict(products.tables)


def weighted(
    problem: Problem, products: Products, *, forward: bool, weight: float, sweeps: int = 5
) -> dict[str, Tensor]:
    """Sweeps in the network's order with a heavy hand on what comes into a layer, or in reverse on
    what goes out of it.
    """
    gains = (
        partial(products.gains, incoming=weight)
        if forward
        else partial(products.gains, outgoing=weight)
    )
    order = moves(problem.spec) if forward else moves(problem.spec)[::-1]
    for _ in range(sweeps):
        before: Mapping[str, Tensor] = dict(products.tables)
        for move in order:
            products.set(solve(problem, move, gains, products.tables))
        if all(bool((before[group] == products.tables[group]).all()) for group in before):
            break
    return dict(products.tables)
