"""What went wrong with a merge, layer by layer: one call, one table, one figure
(``rebasin_edu.show``).
"""

from __future__ import annotations

import html
import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import RebasinWarning
from ..symmetry import Permutation, PermutationSpec, Weights
from .batches import Batch, Data, batches
from .evaluate import evaluate
from .interpolation import State, compatible, lerp
from .metrics import Score
from .repair import reestimate_batchnorm
from .running import call, evaluating, home, state_for, untied
from .unit_statistics import BATCHNORM, Point, Statistics, find_points, measure


def closed_form(std_a: Tensor, std_b: Tensor, correlation: Tensor, alpha: float) -> Tensor:
    """The deviation of ``(1-α) X + α Y``: ``sqrt((1-α)²σ₀² + α²σ₁² + 2α(1-α)σ₀σ₁ρ)``; all tensors
    of one shape.

    Exact for a layer whose inputs are the same in both networks; further up the collapse of the
    layers below adds to it.

    Ref: Jordan et al., REPAIR (ICLR 2023), section 2.3.
    """
    beta = 1 - alpha
    return (
        (beta**2 * std_a**2 + alpha**2 * std_b**2 + 2 * alpha * beta * std_a * std_b * correlation)
        .clamp_min(0)
        .sqrt()
    )


@dataclass(frozen=True)
class LayerDiagnosis:
    """One layer's units before their nonlinearity (or norm), in A, B and their average.

    Attributes:
        name: of the layer; ``group`` is the spec's, where one was given.
        std_a, std_b, std_merged, std_predicted: deviation of each unit ``(units,)``; predicted by
            the closed form.
        correlation: of each unit of A with the unit of B that it was matched to ``(units,)``; nan
            where one never moves.
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
        return float(self.correlation.nanmean())

    @property
    def measured(self) -> float:
        """Deviation of the merged units over the interpolated one of the parents (root of summed
        variances); 1 is healthy.
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
    """Everything ``diagnose`` found out.

    Attributes:
        layers: in the order of the forward pass; the last one is usually the output.
        scores: of ``"A"``, ``"B"``, ``"merged"``, and ``"re-estimated"`` where there is BatchNorm,
            on the same examples.
        equivalence: largest relative difference of π(B)'s outputs from B's; ``None`` when no
            permutation was given.
        groups: the spec's groups (or layers) by mean correlation of their matched units, worst
            first.
        batchnorm: for each BatchNorm layer of the merge, how far its stored statistics are from
            measured ones: root of (measured variance / stored variance), median over channels; 1 is
            right.
    """

    alpha: float
    samples: int
    layers: tuple[LayerDiagnosis, ...]
    scores: dict[str, Score]
    equivalence: float | None
    groups: dict[str, float]
    batchnorm: dict[str, float]

    @property
    def verdict(self) -> list[str]:
        """What it comes to, in sentences."""
        said = []
        if self.equivalence is not None:
            same = (
                "computes the same function as B"
                if self.equivalence < 1e-3
                else "is NOT the same function: the spec is wrong"
            )
            said.append(
                f"The permuted B {same} (outputs differ by {self.equivalence:.1e}, relative)."
            )
        worst, correlation = next(iter(self.groups.items()))
        said.append(
            f"Matched worst: {worst!r}, mean correlation {correlation:.2f} of matched units."
        )
        low = min(self.layers, key=lambda layer: layer.measured)
        said.append(
            f"Variance: lowest at {low.name!r}, where merged units have {low.measured:.2f} of their parents' deviation."
        )
        merged, mended = self.scores["merged"], self.scores.get("re-estimated")
        if mended is None:
            said.append("It is not BatchNorm: there is none. Where variance is lost, try repair().")
        else:
            name, ratio = max(
                self.batchnorm.items(), key=lambda item: abs(math.log(max(item[1], 1e-12)))
            )
            said.append(
                f"BatchNorm: measured deviation is {ratio:.2f} of the stored one at {name!r}; re-estimating takes the loss "
                f"from {merged.loss:.3f} to {mended.loss:.3f}, accuracy {merged.accuracy:.2%} → {mended.accuracy:.2%}."
            )
        return said

    def rows(self) -> list[tuple[str, ...]]:
        """The table, heading first."""
        head = ("layer", "group", "units", "correlation", "merged / parents", "closed form")
        return [head] + [
            (
                x.name,
                x.group,
                str(len(x.std_a)),
                f"{x.mean_correlation:.3f}",
                f"{x.measured:.3f}",
                f"{x.predicted:.3f}",
            )
            for x in self.layers
        ]

    def __str__(self) -> str:
        rows = self.rows()
        width = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [
            "  ".join(
                c.ljust(w) if k < 2 else c.rjust(w) for k, (c, w) in enumerate(zip(row, width))
            )
            for row in rows
        ]
        scores = [
            f"{n:13s} loss {s.loss:.4f}  accuracy {s.accuracy:.2%}  ece {s.ece:.4f}"
            for n, s in self.scores.items()
        ]
        return "\n".join([*lines, "", *scores, "", *self.verdict])

    def _repr_html_(self) -> str:
        head, *rows = self.rows()
        cells = "".join(
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows
        )
        said = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.verdict)
        return f"<table><tr>{''.join(f'<th>{c}</th>' for c in head)}</tr>{cells}</table><ul>{said}</ul>"


@torch.no_grad()
def diagnose(
    model: nn.Module,
    a: Weights,
    b: Weights,
    data: Data,
    *,
    spec: PermutationSpec | None = None,
    permutation: Permutation | None = None,
    alpha: float = 0.5,
    samples: int = 2000,
    batch_size: int = 250,
) -> Diagnosis:
    """Look into the average of two networks: what is matched how well, what variance is lost where,
    and what would help.

    Args:
        model: the architecture; given back as it was.
        a, b: the two networks. With ``spec`` and ``permutation`` (or a whole ``Matching``), B as it
            was trained, and it is checked that the permuted one is the same function; without, B as
            it is to be averaged.
        data: a pair of tensors, a loader, …
        samples: how many examples are looked at.

    Raises:
        DataError: no data. WeightsError, SpecError: the networks do not fit each other,
            the model or the spec.
    """
    a, original = compatible(
        state_for(model, a, of="first network"), state_for(model, b, of="second network")
    )
    permutation = getattr(permutation, "permutation", permutation)
    b = original if permutation is None or spec is None else spec.apply(original, permutation)
    merged = lerp(a, b, alpha)
    device, dtype = home(a)
    held = list(batches(data, batch_size, device=device, dtype=dtype, samples=samples))
    points = [point for point in find_points(model, merged, held[0][0]) if point.kind == "linear"]
    statistics = measure(model, [a, b, merged], points, held)
    layers = tuple(_layer(point, statistics[point.name], spec, alpha) for point in points)
    named = {"A": a, "B": b, "merged": merged}
    batchnorm = {}
    if any(isinstance(m, BATCHNORM) and m.running_mean is not None for m in model.modules()):
        named["re-estimated"] = _quietly(model, merged, held, samples)
        for name in (name for name in merged if name.endswith("running_var")):
            ratio = (named["re-estimated"][name] / merged[name].clamp_min(1e-12)).sqrt()
            batchnorm[name.removesuffix(".running_var")] = float(ratio.median())
    correlations: dict[str, list[float]] = {}
    for layer in layers[:-1] or layers:
        correlations.setdefault(layer.group, []).append(layer.mean_correlation)
    groups = {name: sum(values) / len(values) for name, values in correlations.items()}
    return Diagnosis(
        alpha,
        sum(len(targets) for _, targets in held),
        layers,
        {name: evaluate(model, state, held) for name, state in named.items()},
        None if b is original else _difference(model, original, b, held[0]),
        dict(sorted(groups.items(), key=lambda item: item[1])),
        batchnorm,
    )


def _layer(
    point: Point, found: Statistics, spec: PermutationSpec | None, alpha: float
) -> LayerDiagnosis:
    std_a, std_b, std_merged = found.std
    place = (f"{point.name}.weight", 0)
    groups = (
        []
        if spec is None
        else [name for name, group in spec.groups.items() if place in group.occurrences]
    )
    predicted = closed_form(std_a, std_b, found.correlation.nan_to_num(0.0), alpha)
    return LayerDiagnosis(
        point.name,
        groups[0] if groups else point.name,
        std_a,
        std_b,
        std_merged,
        predicted,
        found.correlation,
        alpha,
    )


def _quietly(model: nn.Module, merged: State, held: list[Batch], samples: int) -> State:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RebasinWarning)
        return reestimate_batchnorm(model, merged, held, samples=samples)


def _difference(model: nn.Module, first: State, second: State, batch: Batch) -> float:
    with evaluating(model):
        x, y = (call(model, untied(model, state), batch[0]) for state in (first, second))
    return float((x - y).abs().max() / x.abs().max().clamp_min(1e-30))
