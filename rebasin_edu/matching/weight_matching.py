"""Weight matching: the permutation of B's hidden units that brings its weights closest to A's."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from ..errors import MatchingInterrupted, RebasinError
from ..symmetry import Permutation, PermutationSpec
from ..weights import Weights
from .coordinate_descent import Descent
from .initialization import begin
from .objective import Problem
from .result import Matching, Step


def weight_matching(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    *,
    start: str | Permutation = "output_first",
    restarts: int = 1,
    seed: int = 0,
    max_sweeps: int = 100,
    tolerance: float = 0.0,
    loss: Callable[[Permutation], float] | None = None,
) -> Matching:
    """Return the permutation of ``b`` that brings its weights closest to ``a``.

    Coordinate descent over the groups of ``spec`` in random order: with all others fixed, one group
    is a linear assignment problem, solved exactly. The objective never falls; it stops at a point
    no single group can improve. Heads, and what else moves in blocks, are matched with their
    insides: within each pair first, then the pairs.

    Args:
        spec: the symmetries of the architecture.
        a, b: modules or state dicts of it, floating tensors of equal shapes, on one device; neither
            is changed.
        start: where the descent begins. ``"output_first"``: greedy, each group once, from the last
            layer back, by what is known already (as fast as any, and a lower barrier between
            trained networks than the identity); ``"input_first"``: the same from the first layer on
            (the fastest, and the largest objective between networks that share nothing);
            ``"barycentre"``: Frank-Wolfe on all groups at once (up to three times slower; the
            lowest barriers, and the best under noise); ``"identity"`` (the paper's); ``"random"``;
            or a ``Permutation``.
        restarts: keep the best of this many; the first begins at ``start``, the others at the
            identity (or at random), each with another order of the groups.
        seed: of the first order; the others follow from it.
        max_sweeps: at most this many sweeps over the groups.
        tolerance: stop after a sweep that raises the objective by less than this share of the
            largest value it could have, ``‖a‖ ‖b‖``: 1e-3 takes 0.4 to 0.9 of the time, for 98 to
            100 % of the gain. 0 goes on to the end.
        loss: judge the restarts by this number (the least wins), for example the midpoint's loss,
            instead of the objective.

    Returns:
        The best ``Matching``; ``objective`` is ``⟨a, permutation(b)⟩``, in the units of the weights
        squared.

    Raises:
        SpecError: a parameter is missing, an axis has not its group's size, or the spec has no
            groups.
        WeightsError: weights that cannot be compared; the tensor is named.
        RebasinError: ``start`` is none of these.
        MatchingInterrupted: Ctrl-C; its ``.matching`` is the best so far.

    Ref: Git Re-Basin, Algorithm 1.
    """
    if restarts < 1 or max_sweeps < 1 or not 0 <= tolerance < 1:
        raise RebasinError(
            f"restarts={restarts} and max_sweeps={max_sweeps} must be at least 1, "
            f"tolerance={tolerance} at least 0 and below 1"
        )
    began = time.perf_counter()
    problem = Problem(spec, a, b)
    base = problem.value(dict(spec.identity()))

    def result(descent: Descent, first: Step, converged: bool) -> Matching:
        tables, history = descent.tables, (first, *descent.history)
        objective = problem.value(tables)
        return Matching.of(
            spec, tables, objective, base, "weight matching", history, converged=converged
        )

    best: Matching | None = None
    scores: list[float] = []
    descent = Descent(problem, dict(spec.identity()))
    first = Step(0, "start: identity", math.nan, 0.0)
    try:
        for attempt in range(restarts):
            here = start if attempt == 0 or start == "random" else "identity"
            descent = begin(problem, here, seed + attempt)
            name = here if isinstance(here, str) else "given"
            first = Step(0, f"start: {name}", math.nan, descent.seconds)
            converged = descent.run(seed + attempt, max_sweeps, tolerance=tolerance)
            matching = result(descent, first, converged)
            value = -matching.objective if loss is None else float(loss(matching.permutation))
            scores.append(value)
            if best is None or value < min(scores[:-1]):
                best = matching
    except KeyboardInterrupt:
        best = replace(best or result(descent, first, False), converged=False)
        raise MatchingInterrupted(replace(best, seconds=time.perf_counter() - began)) from None
    assert best is not None
    kept = tuple(scores) if restarts > 1 else ()
    return replace(best, seconds=time.perf_counter() - began, scores=kept)
