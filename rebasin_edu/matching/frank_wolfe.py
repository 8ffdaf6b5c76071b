"""Frank-Wolfe matching: all groups of units at once, over doubly stochastic matrices."""

from __future__ import annotations

import time
from dataclasses import replace

from ..errors import MatchingInterrupted
from ..symmetry import Permutation, PermutationSpec, Weights
from .coordinate_descent import Descent
from .objective import Problem
from .relaxation import Relaxation
from .result import Matching, Step


def frank_wolfe_matching(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    *,
    start: str | Permutation = "barycentre",
    max_steps: int = 100,
    tolerance: float = 1e-6,
    polish: bool = True,
) -> Matching:
    """Find the permutation of ``b`` nearest to ``a`` by letting every group be undecided at first.

    Permutations are relaxed to doubly stochastic matrices. From the barycentre, where every unit is
    matched with every other a little, each step moves all groups together towards the best vertex,
    as far as the objective rises (an exact parabola). The end is rounded to a permutation and, with
    ``polish``, improved group by group. Nothing is random.

    Args:
        spec: the symmetries of the architecture.
        a, b: modules or state dicts of it.
        start: ``"barycentre"``, ``"identity"``, or a permutation.
        max_steps: of Frank-Wolfe, at most.
        tolerance: stop when a step can gain no more than this share of ``‖a‖ ‖b‖``.
        polish: descend to a point that no single group can improve.

    Returns:
        A ``Matching``. Its history has a row for each step (group ``"all"``, relaxed objective),
        one for the rounding, and one for each group improved after it.

    Raises:
        SpecError, WeightsError, WeightsError: as ``weight_matching``.
        MatchingInterrupted: Ctrl-C; its ``.matching`` is the point reached, rounded.

    Ref: Crisostomi et al., "C²M³: Cycle-Consistent Multi-Model Merging" (2024), for the relaxation;
        here with free line search.
    """
    began = time.perf_counter()
    problem = Problem(spec, a, b)
    base = problem.value(dict(spec.identity()))
    tables = (
        None if start == "barycentre" else dict(spec.identity() if start == "identity" else start)
    )
    relaxation = Relaxation(problem, tables)
    name = start if isinstance(start, str) else "given"
    history = [Step(0, f"start: {name}", relaxation.value - base, time.perf_counter() - began)]

    def rounded() -> Descent:
        found = Descent(problem, relaxation.vertex(relaxation.matrices), began=began)
        steps = [
            step._replace(seconds=step.seconds + history[0].seconds) for step in relaxation.history
        ]
        reached = base + sum(step.gain for step in (*history, *steps))
        rounding = Step(
            len(steps), "rounding", problem.value(found.tables) - reached, found.seconds
        )
        found.history.extend([*history, *steps, rounding])
        return found

    def result(descent: Descent, converged: bool) -> Matching:
        objective = problem.value(descent.tables)
        permutation = Permutation(descent.tables, spec.parents)
        made = Matching(
            permutation,
            objective,
            objective - base,
            "Frank-Wolfe",
            tuple(descent.history),
            converged,
        )
        return replace(made, seconds=time.perf_counter() - began)

    descent = None
    try:
        relaxation.run(max_steps, tolerance)
        descent = rounded()
        converged = relaxation.converged
        if polish:
            converged = descent.run(seed=0, max_sweeps=100, first=len(relaxation.history) + 1)
    except KeyboardInterrupt:
        raise MatchingInterrupted(result(descent or rounded(), False)) from None
    return result(descent, converged)
