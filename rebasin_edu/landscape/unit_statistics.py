"""Means, deviations and correlations of a network's units, for several networks side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .batches import Batch, count, first
from .interpolation import State
from .running import call, evaluating, untied, watched

BATCHNORM = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Point:
    """A layer whose output can be rescaled, unit by unit, by its own parameters.

    Attributes:
        name: of the module.
        kind: ``"linear"`` (linear or convolution), ``"norm"`` or ``"batchnorm"``.
        axis: the axis of the output that holds the units.
        shift: whether there is a bias to take up a shift.
        normalised: the output goes straight into a norm.
        last: the output is the model's.
    """

    name: str
    kind: str
    axis: int
    shift: bool
    normalised: bool = False
    last: bool = False


@dataclass(frozen=True)
class Statistics:
    """Per unit: mean and deviation ``(networks, units)``, and the correlation of the first two
    networks' ``(units,)``.
    """

    mean: Tensor
    std: Tensor
    correlation: Tensor


class Moments:
    """Streaming mean, variance and covariance of several networks' units (Chan, Golub and LeVeque's
    update, in double).
    """

    def __init__(self):
        self.count = 0

    def add(self, outputs: Sequence[Tensor], axis: int) -> None:
        """Count one batch: outputs of each network, units on ``axis``."""
        dims = [dim for dim in range(outputs[0].ndim) if dim != axis % outputs[0].ndim]
        n = outputs[0].numel() // outputs[0].shape[axis]
        var, mean = zip(*(torch.var_mean(y, dims, correction=0, keepdim=True) for y in outputs))
        other = min(1, len(outputs) - 1)
        cross = ((outputs[0] - mean[0]) * (outputs[other] - mean[other])).mean(dims)
        mean = torch.stack([m.flatten() for m in mean]).cpu().double()
        self.update(
            n, mean, torch.stack([v.flatten() for v in var]).cpu().double(), cross.cpu().double()
        )

    def update(self, n: int, mean: Tensor, var: Tensor, cross: Tensor | None = None) -> None:
        """Join the moments of ``n`` more values: ``mean`` and ``var`` ``(networks, units)``."""
        if not self.count:
            self.mean, self.var, self.cross, self.count = mean, var, cross, n
            return
        new, old = n / (n + self.count), self.count / (n + self.count)
        step = mean - self.mean
        if cross is not None:
            self.cross = (
                old * self.cross + new * cross + old * new * step[0] * step[min(1, len(step) - 1)]
            )
        self.mean = self.mean + new * step
        self.var = old * self.var + new * var + old * new * step.square()
        self.count += n

    def statistics(self) -> Statistics:
        std = self.var.clamp_min(0).sqrt()
        both = std[0] * std[min(1, len(std) - 1)]
        return Statistics(
            self.mean,
            std,
            torch.where(both > 0, self.cross / both.clamp_min(1e-300), torch.nan).clamp(-1, 1),
        )


@torch.no_grad()
def find_points(model: nn.Module, state: State, inputs: object) -> list[Point]:
    """The layers that take up a scale and a shift per unit, in the order of the forward pass, each
    proved by trying it.

    A candidate is a module called once whose only parameters are a ``weight`` and perhaps a
    ``bias`` of one entry per unit: linear, convolution, and every kind of norm, also those written
    by hand.
    """
    small, seen = first(inputs, min(4, count(inputs))), []
    names = {module: name for name, module in model.named_modules()}
    own = {module: dict(module.named_parameters()) for module in names}
    candidates = [
        m
        for m in names
        if own[m].keys() in ({"weight"}, {"weight", "bias"}) and own[m]["weight"].ndim
    ]

    def look(module: nn.Module, args: tuple, output: object) -> None:
        if len(args) == 1 and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            x, y = args[0].clone(), output.clone()  # an operation in place may come next
            own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            seen.append(
                _Seen(
                    module,
                    args[0],
                    output,
                    x,
                    y,
                    {name: value.clone() for name, value in own.items()},
                )
            )

    with evaluating(model), watched(dict.fromkeys(candidates, look)):
        logits = call(model, untied(model, state), small)
    norms = [entry.taken for entry in seen if entry.own["weight"].ndim == 1]
    points = []
    for entry in seen:
        module, weight = entry.module, entry.own["weight"]
        axis = _axis(entry) if sum(other.module is module for other in seen) == 1 else None
        if axis is not None:
            kind = (
                "linear"
                if weight.ndim > 1
                else "batchnorm"
                if isinstance(module, BATCHNORM)
                else "norm"
            )
            into = any(taken is entry.given for taken in norms)
            points.append(
                Point(names[module], kind, axis, "bias" in entry.own, into, entry.given is logits)
            )
    return points


class _Seen(NamedTuple):
    """One call of a module: the very tensors, copies of them, and copies of its parameters and
    buffers.
    """

    module: nn.Module
    taken: Tensor
    given: Tensor
    x: Tensor
    y: Tensor
    own: dict[str, Tensor]


def _axis(seen: _Seen) -> int | None:
    """The axis on which scaling the parameters scales the output; ``None`` where it does not."""
    module, y, weight, bias = seen.module, seen.y, seen.own["weight"], seen.own.get("bias")
    units = len(weight)
    if bias is not None and bias.shape != (units,):
        return None
    scale = torch.linspace(0.5, 2, units, dtype=y.dtype, device=y.device)
    shift = torch.linspace(-1, 1, units, dtype=y.dtype, device=y.device) * (bias is not None)
    changed = {"weight": weight * scale.view(-1, *[1] * (weight.ndim - 1))}
    if bias is not None:
        changed["bias"] = bias * scale + shift
    with evaluating(module):
        found = functional_call(module, {**seen.own, **changed}, (seen.x,))
    tolerance = {"rtol": 1e-3, "atol": 1e-4 * float(y.abs().max() + 1)}
    for axis in (-1, 1) if isinstance(module, (nn.Linear, nn.LayerNorm)) else (1, -1):
        if y.ndim > 1 and y.shape[axis] == units:
            shape = [1] * y.ndim
            shape[axis] = units
            if torch.allclose(found, y * scale.view(shape) + shift.view(shape), **tolerance):
                return axis
    return None


@torch.no_grad()
def measure(
    model: nn.Module, states: Sequence[State], points: Sequence[Point], data: Iterable[Batch]
) -> dict[str, Statistics]:
    """Statistics of the outputs of each point, for several networks on the same examples.

    Args:
        states: of the model's architecture; the correlation is between the units of the first two.
        data: batches on the device of the states; used once.
    """
    moments = {point.name: Moments() for point in points}
    modules = dict(model.named_modules())
    states = [untied(model, state) for state in states]
    with evaluating(model):
        for inputs, _ in data:
            outputs: list[dict[str, Tensor]] = []
            for state in states:
                found: dict[str, Tensor] = {}
                with watched({modules[p.name]: _keep(found, p.name) for p in points}):
                    call(model, state, inputs)
                outputs.append(found)
            for point in points:
                moments[point.name].add([found[point.name] for found in outputs], point.axis)
    return {name: m.statistics() for name, m in moments.items()}


def _keep(found: Mapping[str, Tensor], name: str):
    def keep(module: nn.Module, args: tuple, output: Tensor) -> None:
        found[name] = output.clone()  # a ReLU in place comes next

    return keep
