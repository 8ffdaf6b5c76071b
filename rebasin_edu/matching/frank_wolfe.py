"""Frank-Wolfe matching: all groups of units at once, over doubly stochastic matrices."""

from __future__ import annotations

import time

from ..errors import MatchingInterrupted
from ..symmetry import Permutation, PermutationSpec
from ..weights import Weights
from .coordinate_descent import Descent
from .initialization import begin
from .objective import Problem
from .relaxation import Relaxation
from .result import Matching, Step


def frank_wolfe_matching(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    *,
    start: str | Permutation = "barycentre",
    seed: int = 0,
    max_steps: int = 100,
    tolerance: float = 1e-6,
    polish: bool = True,
) -> Matching:
    """Return the permutation of ``b`` nearest to ``a``, with every group undecided at first.

    Permutations are relaxed to doubly stochastic matrices. From the barycentre, where every unit is
    matched with every other a little, each step moves all groups together towards the best vertex,
    as far as the objective rises (an exact parabola). The end is rounded to a permutation and, with
    ``polish``, improved group by group.

    Args:
        spec: the symmetries of the architecture.
        a, b: modules or state dicts of it.
        start: as in ``weight_matching``; all but ``"barycentre"`` are permutations, vertices.
        seed: of the start ``"random"``; nothing else is random.
        max_steps: of Frank-Wolfe, at most.
        tolerance: stop when a step can gain no more than this share of ``‖a‖ ‖b‖``.
        polish: descend to a point that no single group can improve.

    Returns:
        A ``Matching``. Its history has a row for each step (group ``"all"``, relaxed objective),
        one for the rounding, and one for each group improved after it.

    Raises:
        SpecError, WeightsError, RebasinError: as ``weight_matching``.
        MatchingInterrupted: Ctrl-C; its ``.matching`` is the point reached, rounded.

    Ref: Crisostomi et al., "C²M³: Cycle-Consistent Multi-Model Merging" (2024), for the relaxation;
        here with free line search.
    """
    began = time.perf_counter()
    problem = Problem(spec, a, b)
    base = problem.value(dict(spec.identity()))
    relaxed = isinstance(start, str) and start == "barycentre"
    relaxation = Relaxation(problem, None if relaxed else begin(problem, start, seed).tables)
    name = start if isinstance(start, str) else "given"
    history = [Step(0, f"start: {name}", relaxation.value - base, time.perf_counter() - began)]

    def rounded() -> Descent:
        descent = Descent(problem, relaxation.vertex(relaxation.matrices), began=began)
        late = history[0].seconds
        steps = [step._replace(seconds=step.seconds + late) for step in relaxation.history]
        reached = base + sum(step.gain for step in (*history, *steps))
        gain = problem.value(descent.tables) - reached
        rounding = Step(len(steps), "rounding", gain, descent.seconds)
        descent.history.extend([*history, *steps, rounding])
        return descent

    def result(descent: Descent, converged: bool) -> Matching:
        tables, seconds = descent.tables, time.perf_counter() - began
        return Matching.of(
            spec, tables, problem.value(tables), base, "Frank-Wolfe", descent.history,
            converged=converged, seconds=seconds,
        )  # fmt: skip

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
