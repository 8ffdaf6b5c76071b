"""Means, standard deviations and correlations of the units of several networks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batches import Batch
from ..weights import State, run, untied, watched
from .scalable_layers import ScalableLayer

BATCHNORM = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Statistics:
    """Statistics of each unit of a layer, in double precision on the CPU.

    Attributes:
        mean, std: ``(networks, units)``.
        correlation: of the units of the first two networks ``(units,)``; nan where one is constant.
    """

    mean: Tensor
    std: Tensor
    correlation: Tensor


class UnitMoments:
    """Streaming mean, variance and covariance of several networks' units.

    Batches are joined by the update of Chan, Golub and LeVeque, in double precision.
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, outputs: Sequence[Tensor], axis: int) -> None:
        """Count one batch: outputs of each network, units on ``axis``."""
        outputs = [at_least_single(y) for y in outputs]
        dims = [dim for dim in range(outputs[0].ndim) if dim != axis % outputs[0].ndim]
        n = outputs[0].numel() // outputs[0].shape[axis]
        var, mean = zip(*(torch.var_mean(y, dims, correction=0, keepdim=True) for y in outputs))
        other = min(1, len(outputs) - 1)
        cross = ((outputs[0] - mean[0]) * (outputs[other] - mean[other])).mean(dims)
        means, variances = (torch.stack([x.flatten() for x in each]) for each in (mean, var))
        self.update(n, means.cpu().double(), variances.cpu().double(), cross.cpu().double())

    def update(self, n: int, mean: Tensor, var: Tensor, cross: Tensor | None = None) -> None:
        """Join the moments of ``n`` more values: ``mean`` and ``var`` ``(networks, units)``."""
        if not self.count:
            self.mean, self.var, self.cross, self.count = mean, var, cross, n
            return
        new, old = n / (n + self.count), self.count / (n + self.count)
        step = mean - self.mean
        if cross is not None and self.cross is not None:
            both = step[0] * step[min(1, len(step) - 1)]
            self.cross = old * self.cross + new * cross + old * new * both
        self.mean = self.mean + new * step
        self.var = old * self.var + new * var + old * new * step.square()
        self.count += n

    def statistics(self) -> Statistics:
        assert self.cross is not None
        std = self.var.clamp_min(0).sqrt()
        both = std[0] * std[min(1, len(std) - 1)]
        correlation = torch.where(both > 0, self.cross / both.clamp_min(1e-300), torch.nan)
        return Statistics(self.mean, std, correlation.clamp(-1, 1))


def at_least_single(x: Tensor) -> Tensor:
    """Return a tensor in single precision where it is in half, so that sums keep their digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def keeps_statistics(model: nn.Module) -> bool:
    """Whether the model has BatchNorm layers that keep running statistics."""
    return any(isinstance(m, BATCHNORM) and m.running_mean is not None for m in model.modules())


@torch.no_grad()
def measure(
    model: nn.Module,
    states: Sequence[State],
    layers: Sequence[ScalableLayer],
    data: Iterable[Batch],
) -> dict[str, Statistics]:
    """Return the statistics of the outputs of each layer, of several networks on the same examples.

    Args:
        model: an ``eval_copy``, which is hooked while it runs.
        states: of the model's architecture; the correlation is between the first two.
        data: batches on the device of the states; used once.
    """
    moments = {layer.name: UnitMoments() for layer in layers}
    modules = dict(model.named_modules())
    states = [untied(model, state) for state in states]
    for batch in data:
        outputs: list[dict[str, Tensor]] = []
        for state in states:
            kept: dict[str, Tensor] = {}
            with watched({modules[layer.name]: _keep(kept, layer.name) for layer in layers}):
                run(model, state, batch.inputs)
            outputs.append(kept)
        for layer in layers:
            moments[layer.name].add([kept[layer.name] for kept in outputs], layer.axis)
    return {name: m.statistics() for name, m in moments.items()}


def _keep(kept: dict[str, Tensor], name: str) -> Callable:
    def hook(module: nn.Module, args: tuple, output: Tensor) -> None:
        kept[name] = output.clone()  # a ReLU in place comes next

    return hook


def closed_form(std_a: Tensor, std_b: Tensor, correlation: Tensor, alpha: float) -> Tensor:
    """Return the standard deviation of ``(1-α) X + α Y`` for units of these statistics.

    ``sqrt((1-α)²σ₀² + α²σ₁² + 2α(1-α)σ₀σ₁ρ)``, all tensors of one shape: exact for a layer whose
    inputs are the same in both networks; further up the collapse of the layers below adds to it.

    Ref: Jordan et al., REPAIR (ICLR 2023), section 2.3.
    """
    beta = 1 - alpha
    product = 2 * alpha * beta * std_a * std_b * correlation
    return (beta**2 * std_a**2 + alpha**2 * std_b**2 + product).clamp_min(0).sqrt()
