"""What is wrong with a merge, layer by layer: one call, one table, one figure
(``rebasin_edu.show``).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import Batch, Data, batches, count
from ..errors import RebasinError, RebasinWarning
from ..matching import Matching
from ..symmetry import Permutation, PermutationSpec
from ..weights import State, Weights, architecture, device_and_dtype, eval_copy, run, untied
from .batchnorm import reestimate_batchnorm
from .causes import Evidence, cause_of
from .criteria import Criterion, Metrics
from .evaluate import evaluate, fitting_states
from .interpolation import lerp
from .metrics import Score
from .report import list_html, score_rows, table_html, table_text
from .scalable_layers import ScalableLayer, scalable_layers
from .similarity import best_correlations, prediction_gap
from .temperature import soft_targets
from .unit_statistics import Statistics, closed_form, keeps_statistics, measure


@dataclass(frozen=True)
class LayerDiagnosis:
    """One layer's units before their nonlinearity (or norm), in A, B and their average.

    Attributes:
        name: of the layer; ``group`` is the spec's, where one was given.
        std_a, std_b, std_merged, std_predicted: standard deviation of each unit ``(units,)``;
            predicted by the closed form.
        correlation: of each unit of A with the unit of B that it was matched to ``(units,)``; nan
            where one is constant.
    """

    name: str
    group: str
    std_a: Tensor
    std_b: Tensor
    std_merged: Tensor
    std_predicted: Tensor
    correlation: Tensor
    alpha: float

    @property
    def mean_correlation(self) -> float:
        """The mean over the units that are not constant."""
        return float(self.correlation.nanmean())

    @property
    def measured(self) -> float:
        """The standard deviation of the merged units over the interpolated one of the parents
        (root of summed variances); 1 is healthy.
        """
        return self._against_parents(self.std_merged)

    @property
    def predicted(self) -> float:
        """The same by the closed form: what this layer's averaging alone takes away."""
        return self._against_parents(self.std_predicted)

    def _against_parents(self, std: Tensor) -> float:
        goal = (1 - self.alpha) * self.std_a + self.alpha * self.std_b
        return float((std.square().sum() / goal.square().sum()).sqrt())


@dataclass(frozen=True)
class Diagnosis:
    """What ``diagnose`` measured, and what it comes to.

    Attributes:
        cause: what is wrong, one of ``rebasin_edu.landscape.CAUSES``; ``"healthy"`` is nothing.
        layers: in the order of the forward pass; the last one is usually the output.
        scores: of ``"A"``, ``"B"``, ``"merged"``, and ``"re-estimated"`` where there is BatchNorm,
            on the same examples.
        equivalence: largest relative difference of π(B)'s outputs from B's; ``None`` when no
            permutation was given.
        groups: the spec's groups (or layers) → mean correlation of their matched units, worst
            first.
        best: the same groups → mean correlation under the permutation that is best for it.
        batchnorm: BatchNorm layer of the merge → measured over stored standard deviation, median
            over channels; 1 is right.
        verdict: what it comes to, in sentences; the first names the cause and a remedy.
    """

    alpha: float
    samples: int
    layers: tuple[LayerDiagnosis, ...]
    scores: dict[str, Score]
    equivalence: float | None
    groups: dict[str, float]
    batchnorm: dict[str, float]
    best: dict[str, float] = field(default_factory=dict)
    cause: str = "healthy"
    verdict: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, ...]]:
        """The table of layers, heading first."""
        head = ("layer", "group", "units", "correlation", "merged / parents", "closed form")
        numbers = ((x.mean_correlation, x.measured, x.predicted) for x in self.layers)
        rows = [
            (x.name, x.group, str(len(x.std_a)), *(f"{value:.3f}" for value in row))
            for x, row in zip(self.layers, numbers)
        ]
        return [head, *rows]

    def __str__(self) -> str:
        tables = table_text(self.rows(), left=2), table_text(score_rows(self.scores))
        return "\n".join([*self.verdict[:1], "", tables[0], "", tables[1], "", *self.verdict[1:]])

    def _repr_html_(self) -> str:
        tables = table_html(self.rows()) + table_html(score_rows(self.scores))
        return list_html(self.verdict) + tables


@torch.no_grad()
def diagnose(
    a: Weights,
    b: Weights,
    data: Data,
    *,
    model: nn.Module | None = None,
    spec: PermutationSpec | None = None,
    permutation: Permutation | Matching | None = None,
    alpha: float = 0.5,
    num_samples: int = 2000,
    loss: Criterion | None = None,
    metrics: Metrics | None = None,
    batch_size: int = 500,
) -> Diagnosis:
    """Return what is wrong with the average of two networks: a cause, a remedy, and the evidence.

    Args:
        a, b: the two networks, a module or state dict each. With ``spec`` and ``permutation`` (or a
            whole ``Matching``), B as it was trained, and it is verified that the permuted one is
            the same function; without them, B as it is to be averaged.
        data: examples in any form; without targets, the scores are against the classes that the
            parents name together.
        model: the architecture, where neither ``a`` nor ``b`` is a module; given back as it was.
        spec, permutation: both or neither.
        alpha: which mix of the two.
        num_samples: how many examples are looked at.
        loss, metrics: what the networks are scored by, as in ``evaluate``.
        batch_size: how many examples at a time.

    Raises:
        RebasinError: a permutation without its spec.
        DataError: no data.
        WeightsError, SpecError: the networks do not fit each other, the model or the spec.
    """
    if permutation is not None and spec is None:
        raise RebasinError(
            "a permutation without its spec says nothing: give spec= too, or apply it to b first"
        )
    model = eval_copy(architecture(model, a, b))
    a, original = fitting_states(model, a, b)
    permutation = permutation.permutation if isinstance(permutation, Matching) else permutation
    applied = spec is not None and permutation is not None
    b = spec.apply(original, permutation) if spec and permutation is not None else original
    merged = lerp(a, b, alpha)
    device, dtype = device_and_dtype(a)
    options: dict[str, Any] = {"device": device, "dtype": dtype, "num_samples": num_samples}
    examples = list(batches(data, batch_size, **options, targets=None if loss is None else True))
    if examples[0].targets is None:
        examples = soft_targets(model, [a, original], examples)
    found = scalable_layers(model, merged, examples[0].inputs)
    points = [layer for layer in found if layer.kind == "linear"]
    statistics = measure(model, [a, b, merged], points, examples)
    layers = tuple(_layer(point, statistics[point.name], spec, alpha) for point in points)
    named = {"A": a, "B": b, "merged": merged}
    batchnorm = {}
    if keeps_statistics(model):
        named["re-estimated"] = _reestimated(model, merged, examples)
        for name in (name for name in merged if name.endswith("running_var")):
            ratio = (named["re-estimated"][name] / merged[name].clamp_min(1e-12)).sqrt()
            batchnorm[name.removesuffix(".running_var")] = float(ratio.median())
    members: dict[str, list[int]] = {}
    hidden = layers[:-1] or layers
    for k, layer in enumerate(hidden):
        members.setdefault(layer.group, []).append(k)
    groups = {g: sum(hidden[k].mean_correlation for k in m) / len(m) for g, m in members.items()}
    best = best_correlations(
        model, a, b, {g: [points[k] for k in m] for g, m in members.items()}, examples
    )
    difference = _difference(model, original, b, examples[0]) if applied else None
    criteria: dict[str, Any] = {"model": model, "loss": loss, "metrics": metrics}
    scores = {n: evaluate(state, examples, **criteria) for n, state in named.items()}
    worst = dict(sorted(groups.items(), key=lambda item: item[1]))
    evidence = Evidence(
        scores=scores,
        equivalence=difference,
        correlations=groups,
        best=best,
        std_ratios={layer.name: layer.measured for layer in layers},
        batchnorm=batchnorm,
        moved=_moved(permutation) if applied else None,
        prediction_gap=prediction_gap(model, a, b, examples),
    )
    cause, verdict = cause_of(evidence)
    total = sum(count(batch.inputs) for batch in examples)
    return Diagnosis(
        alpha, total, layers, scores, difference, worst, batchnorm, best, cause, verdict
    )


def _layer(
    point: ScalableLayer, seen: Statistics, spec: PermutationSpec | None, alpha: float
) -> LayerDiagnosis:
    std_a, std_b, std_merged = seen.std
    place = (f"{point.name}.weight", 0)
    groups = {} if spec is None else spec.groups
    group = next((name for name, g in groups.items() if place in g.occurrences), point.name)
    predicted = closed_form(std_a, std_b, seen.correlation.nan_to_num(0.0), alpha)
    stds = std_a, std_b, std_merged, predicted
    return LayerDiagnosis(point.name, group, *stds, seen.correlation, alpha)


def _reestimated(model: nn.Module, merged: State, examples: Sequence[Batch]) -> State:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RebasinWarning)
        return reestimate_batchnorm(merged, examples, model=model, num_samples=None)


def _difference(model: nn.Module, first: State, second: State, batch: Batch) -> float:
    x, y = (run(model, untied(model, state), batch.inputs) for state in (first, second))
    return float((x - y).abs().max() / x.abs().max().clamp_min(1e-30))


def _moved(permutation: Permutation | None) -> int:
    """The number of units that a permutation puts somewhere else."""
    tables = [] if permutation is None else permutation.values()
    return sum(int((table != torch.arange(table.shape[-1])).sum()) for table in tables)
