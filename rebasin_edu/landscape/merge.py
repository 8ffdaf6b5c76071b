"""The whole way for people with two checkpoints: match, average, repair, and a report of what was
done and what it cost.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field

from torch import Tensor, nn

from ..errors import RebasinWarning
from ..symmetry import PermutationSpec, Weights
from .batches import Data, batches
from .evaluate import evaluate
from .interpolation import State, compatible, lerp
from .metrics import Score
from .repair import reestimate_batchnorm
from .repair import repair as repaired_by
from .running import home, state_for
from .unit_statistics import BATCHNORM

METHODS = ("weights", "activations", "none")
REPAIRS = ("auto", "batchnorm", "repair", "none")


@dataclass
class MergeReport:
    """What ``merge`` did.

    Attributes:
        method, repair: what was used in the end.
        alpha: 0 is A, 1 is B.
        seconds: step → how long it took.
        scores: ``"A"``, ``"B"``, ``"naive"``, ``"matched"`` and the repairs that were tried, on the
            same examples of ``data``; empty without data.
        notes: anything the reader should know.
        spec, matching: the symmetries and what was found, for those who want to look.
    """

    method: str
    repair: str
    alpha: float
    seconds: dict[str, float] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    spec: PermutationSpec | None = None
    matching: object | None = None

    def __str__(self) -> str:
        lines = [
            f"merged at alpha = {self.alpha:g}; matching: {self.method}; repair: {self.repair}"
        ]
        lines += [
            f"  {n:13s} loss {s.loss:.4f}  accuracy {s.accuracy:.2%}  ece {s.ece:.4f}"
            for n, s in self.scores.items()
        ]
        lines += [
            "  " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in self.seconds.items())
        ]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def merge(
    model: nn.Module,
    a: Weights,
    b: Weights,
    example_inputs: object,
    data: Data | None = None,
    *,
    alpha: float = 0.5,
    method: str = "weights",
    repair: str = "auto",
    spec: PermutationSpec | None = None,
    samples: int = 2000,
    seed: int = 0,
) -> tuple[State, MergeReport]:
    """Merge two networks of one architecture into one of the same size.

    Derives the symmetries of the model, finds the permutation that brings B near A, averages, and
    repairs the statistics.

    Args:
        model: the architecture; given back as it was.
        a, b: a module or state dict each; not changed.
        example_inputs: arguments of ``model.forward`` (a lone tensor is one), to derive its
            symmetries with.
        data: training data ``(inputs, targets)`` in any form; needed for repair and for
            ``method="activations"``.
        alpha: 0 gives A, 1 gives B.
        method: ``"weights"``, ``"activations"``, or ``"none"`` for the naive average.
        repair: ``"batchnorm"`` re-estimates its statistics, ``"repair"`` sets every hidden unit's
            mean and deviation, ``"none"`` leaves the average; ``"auto"`` re-estimates BatchNorm
            where there is any (stale statistics belong to no network), else tries ``"repair"`` and
            keeps it if the loss on ``data`` falls.
        spec: the symmetries, where they are known already.
        samples: how many examples of ``data`` are used.

    Returns:
        A state dict, and a report with the scores before and after each step.

    Raises:
        ValueError: an unknown method or repair, or one that needs data without them.
    """
    for value, known, what in ((method, METHODS, "method"), (repair, REPAIRS, "repair")):
        if value not in known:
            raise ValueError(
                f"{what}={value!r} is not known; choose one of {', '.join(map(repr, known))}"
            )
    if data is None and (method == "activations" or repair in ("batchnorm", "repair")):
        raise ValueError(
            f"method={method!r}, repair={repair!r} needs data: pairs of inputs and targets the networks were trained on"
        )
    a, b = compatible(
        state_for(model, a, of="first network"), state_for(model, b, of="second network")
    )
    report = MergeReport(method, "none", alpha)
    held = None
    if data is not None:
        device, dtype = home(a)
        held = list(batches(data, 250, device=device, dtype=dtype, samples=samples))
    b2 = _matched(model, a, b, example_inputs, held, spec, seed, report) if method != "none" else b
    best = made = lerp(a, b2, alpha)
    if held is None:
        if any(isinstance(module, BATCHNORM) for module in model.modules()):
            report.notes.append(
                "BatchNorm statistics of the average are stale: give data, or call reestimate_batchnorm later"
            )
        return made, report
    first = {"A": a, "B": b, "naive": lerp(a, b, alpha)} | (
        {"matched": made} if method != "none" else {}
    )
    report.scores |= {name: evaluate(model, state, held) for name, state in first.items()}
    kept = report.scores["matched" if method != "none" else "naive"]
    for name in _fitting(model) if repair == "auto" else () if repair == "none" else (repair,):
        started = time.perf_counter()
        mended = _repaired(name, model, a, b2, made, held, alpha, report)
        report.seconds[name] = time.perf_counter() - started
        if mended is None:
            continue
        report.scores[name] = score = evaluate(model, mended, held)
        if repair != "auto" or name == "batchnorm" or score.loss < kept.loss:
            best, kept, report.repair = mended, score, name
        else:
            report.notes.append(
                f"{name} was tried and did not help (loss {kept.loss:.4f} → {score.loss:.4f}); it was left out"
            )
    return best, report


def _matched(
    model: nn.Module,
    a: State,
    b: State,
    inputs: object,
    held: list | None,
    spec: PermutationSpec | None,
    seed: int,
    report: MergeReport,
) -> State:
    from .. import matching

    started = time.perf_counter()
    report.spec = spec or PermutationSpec.from_model(model, inputs)
    report.seconds["symmetries"] = time.perf_counter() - started
    started = time.perf_counter()
    if report.method == "weights":
        report.matching = matching.weight_matching(report.spec, a, b, seed=seed)
    else:
        report.matching = matching.activation_matching(report.spec, a, b, held, model=model)
    report.seconds["matching"] = time.perf_counter() - started
    return report.spec.apply(b, report.matching.permutation)


def _fitting(model: nn.Module) -> tuple[str, ...]:
    """The repairs worth trying: statistics first where there are any."""
    return (
        ("batchnorm",)
        if any(isinstance(module, BATCHNORM) for module in model.modules())
        else ("repair",)
    )


def _repaired(
    name: str,
    model: nn.Module,
    a: State,
    b: State,
    made: State,
    held: list,
    alpha: float,
    report: MergeReport,
) -> dict[str, Tensor] | None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RebasinWarning)
        if name == "batchnorm":
            state = reestimate_batchnorm(model, made, held, samples=None)
        else:
            found = repaired_by(model, a, b, made, held, alpha=alpha, samples=10**9)
            state, notes = found.weights, found.notes
            report.notes += notes
    report.notes += [str(warning.message) for warning in caught]
    return (
        None if any(issubclass(warning.category, RebasinWarning) for warning in caught) else state
    )
