"""Weight matching: the permutation of one network's hidden units that brings its weights closest to another's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from ..symmetry import Permutation, PermutationSpec, Weights
from .problem import Problem
from .result import Matching, MatchingInterrupted
from .starts import begin


def weight_matching(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    *,
    start: str | Permutation = "outward",
    restarts: int = 1,
    seed: int = 0,
    max_sweeps: int = 100,
    loss: Callable[[Permutation], float] | None = None,
) -> Matching:
    """Find the permutation of ``b`` that brings its weights closest to ``a``.

    Coordinate descent over the groups of ``spec`` in random order: with all others held, one group is a linear
    assignment problem, solved exactly. The objective never falls; it stops at a point no single group can improve.

    Args:
        spec: the symmetries of the architecture.
        a, b: modules or state dicts of it, floating tensors of equal shapes, on one device; neither is changed.
        start: where the descent begins. ``"outward"``: each group once, from the network's fixed ends on, by what is known
            already (fast, and the best on most pairs); ``"barycentre"``: Frank-Wolfe on all groups at once (slower; the best
            where the two networks share little); ``"forward"`` or ``"backward"``: sweeps in which the weights into a layer,
            or out of it, count more; ``"identity"`` (the paper's); ``"random"``; or a permutation of your own.
        restarts: keep the best of this many random orders of the groups.
        seed: of the first order; the others follow from it.
        max_sweeps: at most this many sweeps over the groups.
        loss: judge the restarts by this number (the least wins), for example the midpoint's loss, instead of the objective.

    Returns:
        The best ``Matching``; ``objective`` is ``⟨a, permutation(b)⟩``, in the units of the weights squared.

    Raises:
        SpecMismatch: a parameter is missing, an axis has not its group's size, or the spec has no groups.
        NonFiniteWeights, UnsuitableWeights: weights that cannot be compared; the tensor is named.
        MatchingInterrupted: Ctrl-C; its ``.matching`` is the best so far.

    Ref: Git Re-Basin, Algorithm 1.
    """
    began = time.perf_counter()
    problem = Problem(spec, a, b)
    base = problem.value(dict(spec.identity()))
    best, scores = None, []
    try:
        for attempt in range(restarts):
            descent = begin(problem, start, seed + attempt)
            converged = descent.run(seed + attempt, max_sweeps)
            permutation = Permutation(descent.tables, spec.rulers)
            objective = problem.value(descent.tables)
            score = loss(permutation) if loss else -objective
            scores.append(score)
            if best is None or score < min(scores[:-1]):
                best = Matching(permutation, objective, objective - base, "weight matching", tuple(descent.history), converged)
    except KeyboardInterrupt:
        permutation = Permutation(descent.tables, spec.rulers)
        objective = problem.value(descent.tables)
        found = Matching(permutation, objective, objective - base, "weight matching", tuple(descent.history), False)
        raise MatchingInterrupted(best or found) from None
    return replace(best, seconds=time.perf_counter() - began, scores=tuple(scores) if restarts > 1 else ())
