"""REPAIR: every unit of a merged network gets the mean and standard deviation of its parents'."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..batches import Batch, Data, batches, count
from ..errors import RebasinWarning
from ..weights import (
    State,
    Weights,
    architecture,
    compatible,
    device_and_dtype,
    eval_copy,
    replaced,
    restored,
    run,
    state_for,
    untied,
)
from .interpolation import lerp
from .report import table_text
from .scalable_layers import ScalableLayer, scalable_layers
from .unit_statistics import BATCHNORM, Statistics, UnitMoments, at_least_single, measure


@dataclass(frozen=True)
class LayerRepair:
    """One layer before and after, each ``(units,)`` in double precision on the CPU.

    Attributes:
        layer: which.
        goal_mean, goal_std: what the parents have, interpolated.
        before, after: of the merged network, as measured on the same examples.
        parents: of A and B, means and standard deviations ``(2, units)``, and the correlation of
            their units.
    """

    layer: ScalableLayer
    goal_mean: Tensor
    goal_std: Tensor
    before: Statistics
    after: Statistics
    parents: Statistics

    def std_ratio(self, when: str = "before") -> float:
        """The standard deviation of the merged units over their goal (root of the ratio of summed
        variances): 1 is healthy, below it variance has collapsed.
        """
        merged = getattr(self, when).std[0]
        return float((merged.square().sum() / self.goal_std.square().sum()).sqrt())


@dataclass(frozen=True)
class RepairReport:
    """A repaired network, and what was measured.

    Attributes:
        weights: an ordinary state dict of the same architecture.
        layers: the layers that were repaired, in the order of the forward pass.
        num_samples: how many examples were used.
        notes: what could not be folded, and why.
    """

    weights: State = field(repr=False)
    layers: tuple[LayerRepair, ...]
    num_samples: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("layer", "units", "std / goal before", "after")]
        for each in self.layers:
            ratios = (f"{each.std_ratio(when):.3f}" for when in ("before", "after"))
            rows.append((each.layer.name, str(len(each.goal_std)), *ratios))
        return "\n".join([table_text(rows), *self.notes])


@torch.no_grad()
def repair_statistics(
    a: Weights,
    b: Weights,
    train_data: Data,
    *,
    model: nn.Module | None = None,
    merged: Weights | None = None,
    alpha: float = 0.5,
    num_samples: int = 2000,
    batch_size: int = 500,
    last_layer: bool = False,
) -> RepairReport:
    """Return a merged network whose units have the mean and standard deviation of their parents',
    interpolated.

    Averaged units that are only partly correlated lose variance, layer after layer
    (``sqrt((1-α)²σ₀² + α²σ₁² + 2α(1-α)σ₀σ₁ρ)``). Layers are corrected in one forward pass, each on
    inputs that are corrected already, and the correction is folded into the layer's own weight and
    bias (for a layer that feeds a norm: into the norm's; for BatchNorm: its statistics too).

    Args:
        a, b: the parents, a module or state dict each, B with its units matched to A's.
        train_data: training data in any form (targets are not used).
        model: the architecture, where neither parent is a module.
        merged: their average; ``None`` for ``lerp(a, b, alpha)``.
        alpha: where between the parents the goal lies.
        num_samples: how many examples are kept in memory and measured.
        batch_size: how many examples at a time.
        last_layer: repair the model's last layer too.

    Returns:
        A report with the ``weights`` and the measured statistics of each layer.

    Raises:
        DataError: no data.
        WeightsError: the three do not fit each other or the model.

    Ref: Jordan et al., REPAIR (ICLR 2023), section 3.
    """
    model = eval_copy(architecture(model, a, b, merged))
    merged = lerp(a, b, alpha) if merged is None else merged
    names = ("the first network", "the second network", "the merged network")
    states = [state_for(model, x, name=name) for x, name in zip((a, b, merged), names)]
    states = compatible(*states, names=names)
    device, dtype = device_and_dtype(states[2])
    examples = list(
        batches(train_data, batch_size, device=device, dtype=dtype, num_samples=num_samples,
                targets=False)
    )  # fmt: skip
    every = scalable_layers(model, states[2], examples[0].inputs)
    layers = [x for x in every if not x.normalised and (last_layer or not x.last)]
    if not layers:
        text = "this model has no hidden layer that could take up a repair: nothing was done"
        warnings.warn(text, RebasinWarning, stacklevel=3)
    before = measure(model, states, layers, examples)
    goals = {}
    for name, seen in before.items():
        mean, std = ((1 - alpha) * x[0] + alpha * x[1] for x in (seen.mean, seen.std))
        goals[name] = mean, std
    copy = {name: x.clone() for name, x in states[2].items()}
    repaired = _corrected(model, copy, layers, goals, examples)
    after = measure(model, [repaired], layers, examples)
    reports = []
    for layer in layers:
        seen = before[layer.name]
        merged_before, parents = (
            Statistics(seen.mean[part], seen.std[part], seen.correlation)
            for part in (slice(2, 3), slice(0, 2))
        )
        reports.append(
            LayerRepair(layer, *goals[layer.name], merged_before, after[layer.name], parents)
        )
    total = sum(count(batch.inputs) for batch in examples)
    return RepairReport(restored(repaired, a), tuple(reports), total, _notes(model, layers))


def _notes(model: nn.Module, layers: Sequence[ScalableLayer]) -> tuple[str, ...]:
    """What a repair cannot do in this model: one sentence for each kind of thing."""
    notes = []
    if without := [layer.name for layer in layers if not layer.shift]:
        notes.append(f"without a bias the mean is only scaled: {_listed(without)}")
    modules = dict(model.named_modules()).items()
    norms = {name: m for name, m in modules if isinstance(m, BATCHNORM)}
    if plain := [n for n, m in norms.items() if m.running_mean is not None and m.weight is None]:
        notes.append(
            f"without a scale nothing takes up a repair, use reestimate_batchnorm: {_listed(plain)}"
        )
    return tuple(notes)


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _corrected(
    model: nn.Module,
    state: State,
    layers: Sequence[ScalableLayer],
    goals: dict[str, tuple[Tensor, Tensor]],
    examples: Sequence[Batch],
) -> State:
    """One forward pass that brings each layer to its goals with the statistics of the batch, then
    the weights into which that is folded.
    """
    modules = dict(model.named_modules())
    moments = {layer.name: UnitMoments() for layer in layers}

    def forward_of(layer: ScalableLayer) -> Callable:
        module = modules[layer.name]

        def forward(x: Tensor) -> Tensor:
            y = x if layer.kind == "batchnorm" else type(module).forward(module, x)
            dims = [dim for dim in range(y.ndim) if dim != layer.axis % y.ndim]
            var, mean = torch.var_mean(at_least_single(y), dims, correction=0)
            channels = mean.cpu().double()[None], var.cpu().double()[None]
            moments[layer.name].update(y.numel() // len(mean), *channels)
            scale, shift = _correction(layer, mean, var.sqrt(), *goals[layer.name], module.weight)
            shape = [1] * y.ndim
            shape[layer.axis] = len(mean)
            return y * scale.to(y).view(shape) + shift.to(y).view(shape)

        return forward

    tensors = untied(model, state)
    with replaced({modules[layer.name]: forward_of(layer) for layer in layers}):
        for batch in examples:
            run(model, tensors, batch.inputs)
    folded = dict(state)
    for layer in layers:
        mean, var = moments[layer.name].mean[0], moments[layer.name].var[0]
        weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
        old = state[weight]
        scale, shift = _correction(layer, mean, var.sqrt(), *goals[layer.name], old.cpu())
        if layer.kind == "batchnorm":
            folded[f"{layer.name}.running_mean"] = mean.to(old)
            folded[f"{layer.name}.running_var"] = var.to(old)
            folded[weight] = (scale * (var + modules[layer.name].eps).sqrt()).to(old)
            folded[bias] = (shift + scale * mean).to(old)
            continue
        folded[weight] = old * scale.to(old).view(-1, *[1] * (old.ndim - 1))
        if layer.shift:
            folded[bias] = state[bias] * scale.to(old) + shift.to(old)
    return folded


def _correction(
    layer: ScalableLayer,
    mean: Tensor,
    std: Tensor,
    goal_mean: Tensor,
    goal_std: Tensor,
    weight: Tensor,
) -> tuple[Tensor, Tensor]:
    """Scale and shift that bring units of this mean and standard deviation to their goals; a unit
    that is constant is only shifted.
    """
    goal_mean, goal_std = goal_mean.to(mean), goal_std.to(mean)
    scale = torch.where(std > 1e-6 * std.max(), goal_std / std, 1.0)
    if layer.kind == "batchnorm":  # its units keep their sign
        scale = scale * torch.where(weight < 0, -1.0, 1.0).to(scale)
    return scale, (goal_mean - scale * mean if layer.shift else torch.zeros_like(mean))
