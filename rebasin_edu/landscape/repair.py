"""Mend the statistics of a merged network: BatchNorm re-estimation, and REPAIR for any
normalisation or none.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import DataError, RebasinWarning
from ..symmetry import Weights
from .batches import Batch, Data, batches
from .interpolation import State, compatible, lerp
from .running import call, evaluating, home, replaced, state_for, untied
from .unit_statistics import BATCHNORM, Moments, Point, Statistics, find_points, measure


@dataclass(frozen=True)
class LayerRepair:
    """One layer before and after, each ``(units,)`` in double precision on the CPU.

    Attributes:
        point: the layer.
        goal_mean, goal_std: what the parents have, interpolated.
        before, after: of the merged network, as measured on the same examples.
        parents: of A and B, means and deviations ``(2, units)``, and the correlation of their
            units.
    """

    point: Point
    goal_mean: Tensor
    goal_std: Tensor
    before: Statistics
    after: Statistics
    parents: Statistics

    def collapse(self, when: str = "before") -> float:
        """Deviation of the merged units over their goal, root of the ratio of the summed variances;
        1 is none.
        """
        return float(
            (getattr(self, when).std[0].square().sum() / self.goal_std.square().sum()).sqrt()
        )


@dataclass(frozen=True)
class Repair:
    """A repaired network, and what was measured.

    Attributes:
        weights: an ordinary state dict of the same architecture.
        layers: the layers that were repaired, in the order of the forward pass.
        samples: how many examples were used.
        notes: what could not be folded, and why.
    """

    weights: State
    layers: tuple[LayerRepair, ...]
    samples: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [f"{'layer':24s}{'units':>7s}  deviation / goal, before → after"]
        rows += [
            f"{layer.point.name:24s}{len(layer.goal_std):7d}  {layer.collapse():.3f} → {layer.collapse('after'):.3f}"
            for layer in self.layers
        ]
        return "\n".join([*rows, *self.notes])


@torch.no_grad()
def reestimate_batchnorm(
    model: nn.Module,
    weights: Weights | None,
    data: Data,
    *,
    samples: int | None = 10_000,
    batch_size: int = 500,
) -> State:
    """Measure the running statistics of every BatchNorm anew: what an average of two networks needs
    first.

    Statistics are cumulative: each example counts the same, and the variance between batches is
    part of the variance. Every other layer is in eval mode (no dropout).

    Args:
        model: the architecture; given back as it was.
        weights: a module or state dict of it; not changed. ``None`` for the model's own.
        data: a pair of tensors, a loader, … (targets are not used): training data, without
            augmentation.
        samples: how many examples; ``None`` for all.

    Returns:
        A new state dict. Without BatchNorm (or with one that keeps no statistics) a copy, with a
        ``RebasinWarning`` warning.

    Raises:
        DataError: no data, or a single value per channel, which has no variance.

    Ref: Git Re-Basin, appendix A.4; REPAIR, section 3.
    """
    state = {name: x.clone() for name, x in state_for(model, weights).items()}
    norms = {
        name: m
        for name, m in model.named_modules()
        if isinstance(m, BATCHNORM) and m.running_mean is not None
    }
    if not norms:
        warnings.warn(
            "this model has no BatchNorm layer with running statistics: nothing was re-estimated",
            RebasinWarning,
            stacklevel=3,
        )
        return state
    moments = {name: Moments() for name in norms}
    device, dtype = home(state)
    steps = 0

    def forward_of(name: str, module: nn.Module):
        def forward(x: Tensor) -> Tensor:
            dims = [dim for dim in range(x.ndim) if dim != 1]
            var, mean = torch.var_mean(
                x.to(torch.promote_types(x.dtype, torch.float32)), dims, correction=0
            )
            moments[name].update(
                x.numel() // x.shape[1],
                mean.cpu().double().unsqueeze(0),
                var.cpu().double().unsqueeze(0),
            )
            held = (
                module.running_mean.dtype
            )  # under autocast x is in half precision and the layer's own tensors are not
            return F.batch_norm(
                x, mean.to(held), var.to(held), module.weight, module.bias, False, 0.0, module.eps
            )

        return forward

    with (
        evaluating(model),
        replaced({module: forward_of(name, module) for name, module in norms.items()}),
    ):
        kept = untied(model, state)
        for inputs, _ in batches(data, batch_size, device=device, dtype=dtype, samples=samples):
            call(model, kept, inputs)
            steps += 1
    for name, seen in moments.items():
        if not seen.count:
            continue
        if seen.count < 2:
            raise DataError(
                f"{name} saw a single value per channel, which has no variance: give more examples"
            )
        state[f"{name}.running_mean"].copy_(seen.mean[0])
        state[f"{name}.running_var"].copy_(seen.var[0] * seen.count / (seen.count - 1))
        state[f"{name}.num_batches_tracked"].fill_(steps)
    return state


@torch.no_grad()
def repair(
    model: nn.Module,
    a: Weights,
    b: Weights,
    merged: Weights | None,
    data: Data,
    *,
    alpha: float = 0.5,
    samples: int = 2000,
    batch_size: int = 250,
    outputs: bool = False,
) -> Repair:
    """Give every hidden unit of a merged network the mean and deviation that its parents have,
    interpolated.

    Averaged units that are only partly correlated lose variance, layer after layer
    (``sqrt((1-α)²σ₀² + α²σ₁² + 2α(1-α)σ₀σ₁ρ)``). Layers are corrected in one forward pass, each on
    inputs that are corrected already, and the correction is folded into the layer's own weight and
    bias (for a layer that feeds a norm: into the norm's; for BatchNorm: its statistics too).

    Args:
        model: the architecture; given back as it was.
        a, b: the parents, B with its units matched to A's.
        merged: their average; ``None`` for ``lerp(a, b, alpha)``.
        data: training data (targets are not used).
        alpha: where between the parents the goal lies.
        samples: how many examples of ``data`` are kept in memory and measured.
        outputs: repair the model's last layer too.

    Returns:
        The repaired state dict with the measured statistics of each layer.

    Raises:
        DataError: no data. WeightsError: the three do not fit each other or the model.

    Ref: Jordan et al., REPAIR (ICLR 2023), section 3.
    """
    merged = lerp(a, b, alpha) if merged is None else merged
    names = ("first network", "second network", "merged network")
    a, b, merged = compatible(
        *(state_for(model, weights, of=of) for weights, of in zip((a, b, merged), names))
    )
    device, dtype = home(merged)
    held = list(batches(data, batch_size, device=device, dtype=dtype, samples=samples))
    found = find_points(model, merged, held[0][0])
    points = [p for p in found if not p.normalised and (outputs or not p.last)]
    notes = [
        f"{p.name} has no bias: its deviation is repaired, its mean only scaled"
        for p in points
        if not p.shift
    ]
    stale = [
        n
        for n, m in model.named_modules()
        if isinstance(m, BATCHNORM) and m.running_mean is not None and m.weight is None
    ]
    notes += [
        f"{name} has no scale to take up a repair; its statistics need reestimate_batchnorm"
        for name in stale
    ]
    if not points:
        warnings.warn(
            "this model has no hidden layer that could take up a repair: nothing was done",
            RebasinWarning,
            stacklevel=3,
        )
    before = measure(model, [a, b, merged], points, held)
    goals = {}
    for point in points:
        mean, std = before[point.name].mean, before[point.name].std
        goals[point.name] = (
            (1 - alpha) * mean[0] + alpha * mean[1],
            (1 - alpha) * std[0] + alpha * std[1],
        )
    repaired = _corrected(
        model, {name: x.clone() for name, x in merged.items()}, points, goals, held
    )
    after = measure(model, [repaired], points, held)
    layers = []
    for point in points:
        mean, std, correlation = (
            before[point.name].mean,
            before[point.name].std,
            before[point.name].correlation,
        )
        parts = (
            Statistics(mean[2:], std[2:], correlation),
            after[point.name],
            Statistics(mean[:2], std[:2], correlation),
        )
        layers.append(LayerRepair(point, *goals[point.name], *parts))
    return Repair(repaired, tuple(layers), sum(len(targets) for _, targets in held), tuple(notes))


def _corrected(
    model: nn.Module,
    state: State,
    points: Sequence[Point],
    goals: dict[str, tuple[Tensor, Tensor]],
    held: Sequence[Batch],
) -> State:
    """One forward pass in which each layer is brought to its goals with the statistics of the
    batch, then the fold.
    """
    modules = dict(model.named_modules())
    moments = {point.name: Moments() for point in points}

    def forward_of(point: Point):
        module = modules[point.name]

        def forward(x: Tensor) -> Tensor:
            y = x if point.kind == "batchnorm" else type(module).forward(module, x)
            dims = [dim for dim in range(y.ndim) if dim != point.axis % y.ndim]
            var, mean = torch.var_mean(y, dims, correction=0)
            moments[point.name].update(
                y.numel() // len(mean), mean.cpu().double()[None], var.cpu().double()[None]
            )
            scale, shift = _correction(point, mean, var.sqrt(), *goals[point.name], module.weight)
            shape = [1] * y.ndim
            shape[point.axis] = len(mean)
            return y * scale.view(shape) + shift.view(shape)

        return forward

    with evaluating(model), replaced({modules[point.name]: forward_of(point) for point in points}):
        kept = untied(model, state)
        for inputs, _ in held:
            call(model, kept, inputs)
    made = dict(state)
    for point in points:
        mean, var = moments[point.name].mean[0], moments[point.name].var[0]
        weight, bias = f"{point.name}.weight", f"{point.name}.bias"
        scale, shift = _correction(point, mean, var.sqrt(), *goals[point.name], state[weight].cpu())
        if point.kind == "batchnorm":
            made[f"{point.name}.running_mean"] = mean.to(state[weight])
            made[f"{point.name}.running_var"] = var.to(state[weight])
            made[weight] = (scale * (var + modules[point.name].eps).sqrt()).to(state[weight])
            made[bias] = (shift + scale * mean).to(state[weight])
            continue
        scale, shift = scale.to(state[weight]), shift.to(state[weight])
        made[weight] = state[weight] * scale.view(-1, *[1] * (state[weight].ndim - 1))
        if point.shift:
            made[bias] = state[bias] * scale + shift
    return made


def _correction(
    point: Point, mean: Tensor, std: Tensor, goal_mean: Tensor, goal_std: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Scale and shift that bring units of this mean and deviation to their goals; a unit that never
    moves is only shifted.
    """
    goal_mean, goal_std = goal_mean.to(mean), goal_std.to(mean)
    scale = torch.where(std > 1e-6 * std.max(), goal_std / std, 1.0)
    if point.kind == "batchnorm":  # its units keep their sign
        scale = scale * torch.where(weight < 0, -1.0, 1.0).to(scale)
    return scale, (goal_mean - scale * mean if point.shift else torch.zeros_like(mean))
