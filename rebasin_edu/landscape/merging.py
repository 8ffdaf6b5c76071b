"""The steps of a merge, and the report of what they did."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..batches import Batch, Data, Inputs, batches, count, cut, first
from ..errors import DataError, RebasinWarning
from ..inputs import divisible
from ..matching import Matching, activation_matching, merge_many, weight_matching
from ..symmetry import PermutationSpec
from ..weights import State, Weights, compatible, device_and_dtype, state_for
from .evaluate import evaluate
from .interpolation import combine
from .metrics import Score
from .path import repair_for, repaired
from .report import score_rows, table_text
from .temperature import fit_temperature, soft_targets
from .unit_statistics import keeps_statistics

# From here on the report says what to try next: accuracy below the parents'; of a regression, loss
# above theirs, relatively.
POINTS_BELOW, LOSS_ABOVE = 0.03, 0.1


@dataclass
class MergeReport:
    """What ``merge`` did.

    Attributes:
        method, repair: what was used in the end.
        alpha: 0 is A, 1 is B.
        seconds: step → how long it took.
        scores: of the parents, ``"naive"``, ``"matched"`` and the repairs that were tried, on the
            same examples, none of which a repair was fitted on; empty without data.
        temperature: by which the logits of the merged network are best divided; ``None`` where it
            was not asked for.
        notes: anything the reader should know.
        spec, matching: the symmetries, and what the matcher returned.
    """

    method: str
    repair: str
    alpha: float
    seconds: dict[str, float] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    temperature: float | None = None
    notes: list[str] = field(default_factory=list)
    spec: PermutationSpec | None = None
    matching: Any = None

    def __str__(self) -> str:
        kind = f"merged at alpha = {self.alpha:g}; matching: {self.method}; repair: {self.repair}"
        times = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in self.seconds.items())
        table = [table_text(score_rows(self.scores))] if self.scores else []
        return "\n".join([kind, *table, times, *self.notes])


class Merging:
    """The steps of ``merge``, and what they hand on: ``read``, ``match``, ``repair``."""

    def __init__(
        self,
        model: nn.Module,
        networks: Sequence[Weights],
        report: MergeReport,
        criteria: dict[str, Any],
        fill: bool = False,
    ):
        self.model, self.report, self.criteria = model, report, criteria
        count = len(networks)
        names = ["A", "B"] if count == 2 else [f"network {k + 1}" for k in range(count)]
        states = [state_for(model, x, name=n, fill=fill) for x, n in zip(networks, names)]
        self.parents = dict(zip(names, compatible(*states, names=names)))
        self.fit: list[Batch] = []  # what repairs are measured on
        self.held_out: list[Batch] = []  # what networks are scored on
        share = report.alpha if count == 2 else 0.5
        self.shares = (1 - share, share) if count == 2 else [1 / count] * count

    def read(self, train_data: Data | None, num_samples: int) -> None:
        """Cut the examples into those to fit on and those to score on."""
        if train_data is None:
            return
        device, dtype = device_and_dtype(next(iter(self.parents.values())))
        options: dict[str, Any] = {"device": device, "dtype": dtype, "num_samples": num_samples}
        needed = None if self.criteria["loss"] is None else True  # a loss needs its targets
        examples = list(batches(train_data, **options, targets=needed))
        for k, batch in enumerate(examples):
            if not divisible(batch.inputs):  # a graph: whole batches in turn
                (self.fit if k % 2 else self.held_out).append(batch)
                continue
            half, total = count(batch.inputs) // 2, count(batch.inputs)
            for part, where in ((slice(half, total), self.fit), (slice(0, half), self.held_out)):
                if part.stop > part.start:
                    where.append(_part(batch, part))
        if self.held_out and not self.fit:
            self.fit = self.held_out
            self.report.notes.append("a single batch that cannot be cut is fitted and scored on")
        if not self.held_out:
            raise DataError("one example is too few to repair on and to score on")
        if self.held_out[0].targets is None:
            self.held_out = soft_targets(self.model, list(self.parents.values()), self.held_out)
            self.report.notes.append(
                "there are no targets: scores are against the classes that the parents name "
                "together"
            )
        self._score(self.parents)  # before the matching: problems of the data are found here

    def match(self, inputs: Inputs | None, spec: PermutationSpec | None, seed: int) -> None:
        """Bring the networks near each other, and average."""
        states = list(self.parents.values())
        self.near = states
        naive = combine(states, self.shares)
        if self.report.method != "none":
            started = time.perf_counter()
            self.report.spec = spec = spec or self._derived(inputs)
            self._lap("symmetries", started)
            started = time.perf_counter()
            permutations = self._permutations(spec, states, seed)
            self.near = [spec.apply(x, p) for x, p in zip(states, permutations)]
            self._lap("matching", started)
        self.merged = combine(self.near, self.shares) if self.report.method != "none" else naive
        self._score({"naive": naive})
        if self.report.method != "none":
            self._score({"matched": self.merged})

    def _derived(self, inputs: Inputs | None) -> PermutationSpec:
        if inputs is None:
            if not self.fit:
                raise DataError("inputs= is needed: arguments to run the model on, or a spec=")
            inputs = first(self.fit[0].inputs, 2)
        return PermutationSpec.from_model(self.model, inputs)

    def _permutations(self, spec: PermutationSpec, states: list[State], seed: int) -> list[Any]:
        if len(states) > 2:
            self.report.matching = merge_many(spec, states, seed=seed)
            return list(self.report.matching.permutations)
        a, b = states
        matching: Matching
        if self.report.method == "weights":
            matching = weight_matching(spec, a, b, seed=seed)
        else:
            matching = activation_matching(spec, a, b, self.fit, model=self.model)
        self.report.matching = matching
        return [spec.identity(), matching.permutation]

    def repair(self, repair: str) -> None:
        """Try repairs on the one half of the examples, and keep the best by the other half."""
        plain, stale = self.merged, keeps_statistics(self.model)
        if self.report.alpha in (0, 1) and len(self.near) == 2:  # a parent, whole numbers and all
            parent = self.near[int(self.report.alpha)]
            self.merged = {name: x.clone() for name, x in parent.items()}
            return
        if not self.fit:
            if stale:
                self.report.notes.append(
                    "BatchNorm statistics of the average are stale: give train_data, or call "
                    "reestimate_batchnorm later"
                )
            return
        unrepaired = "matched" if self.report.method != "none" else "naive"
        tried = {
            "auto": [repair_for(self.model), "refit"],
            "none": [],
        }.get(repair, [repair])
        tried += ["rescale"] if repair == "auto" and stale else []
        if len(self.near) > 2 and repair == "auto":  # rescaling is defined between two parents
            tried = ["batchnorm"] * stale + ["refit"]
        states = {unrepaired: plain}
        for name in tried:
            started = time.perf_counter()
            state = self._repaired(name, plain)
            self._lap(name, started)
            if state is not None:
                states[name] = state
                self._score({name: state})
        if repair != "auto" and len(states) > 1:
            chosen = tried[-1]
        else:
            chosen = min(states, key=lambda name: self.report.scores[name].loss)
        self.merged, self.report.repair = states[chosen], chosen if chosen in tried else "none"
        self._advise(chosen, unrepaired)

    def _repaired(self, name: str, plain: State) -> State | None:
        """The network repaired by the method of that name, or ``None`` where it does nothing."""
        alpha = self.report.alpha
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RebasinWarning)
            state = repaired(name, self.model, self.near, plain, self.fit, alpha)
        self.report.notes += [str(warning.message) for warning in caught]
        useless = any(issubclass(warning.category, RebasinWarning) for warning in caught)
        return None if useless else state

    def _advise(self, chosen: str, unrepaired: str) -> None:
        """Compare with the parents, and say what to try next."""
        scores, notes = self.report.scores, self.report.notes
        best = scores[chosen]
        parents = [scores[name] for name in self.parents]
        if chosen == "refit":
            loss = scores[unrepaired].loss - sum(p.loss for p in parents) / len(parents)
            notes.append(
                f"refit leaves the line between the parents; without it the loss half-way is "
                f"{loss:.3f} above theirs, so this says nothing about one basin"
            )
        below = sum(p.accuracy for p in parents) / len(parents) - best.accuracy
        above = best.loss / max(1e-12, sum(p.loss for p in parents) / len(parents)) - 1
        far = f"it is {100 * below:.1f} points below its parents" if below > POINTS_BELOW else ""
        if math.isnan(below) and above > LOSS_ABOVE:  # a regression
            far = f"its loss is {above:.0%} above its parents'"
        if far:
            after = {"weights": "method='activations'", "none": "method='weights'"}
            steps = [after[self.report.method]] if self.report.method in after else []
            steps += ["repair='refit'"] if "refit" not in scores else []
            steps += ["straight_through_matching", "more num_samples", "diagnose(a, b, data)"]
            notes.append(f"{far}; next try {', '.join(steps)}")

    def best_temperature(self) -> float:
        """The temperature of the merged network; its effect goes into the notes."""
        temperature, before, after = fit_temperature(self.model, self.merged, self.held_out)
        self.report.notes.append(
            f"temperature {temperature:.3f}: logits divided by it have a loss of {after:.4f} "
            f"instead of {before:.4f}, at the same accuracy (half of the held-out examples each)"
        )
        return temperature

    def _score(self, states: dict[str, State]) -> None:
        if self.held_out:
            for name, state in states.items():
                self.report.scores[name] = evaluate(
                    state, self.held_out, model=self.model, **self.criteria
                )

    def _lap(self, step: str, started: float) -> None:
        self.report.seconds[step] = time.perf_counter() - started


def _part(batch: Batch, part: slice) -> Batch:
    """Some examples of a batch: those of the slice."""
    targets = None if batch.targets is None else batch.targets[part]
    return Batch(cut(batch.inputs, part.start, part.stop), targets)
