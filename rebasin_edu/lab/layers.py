"""What the paper's networks have in common: normalisation, first weights, whole widths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import RebasinError

NORMS = ("layer", "batch", None)


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels at every pixel, as flax does it on NHWC images.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # In channels-last memory both permutes are free, and the reduction runs over neighbours.
        y = F.layer_norm(
            x.permute(0, 2, 3, 1), (self.channels,), self.weight, self.bias, self.eps
        )  # (N, H, W, C)
        return y.permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}"


def whole_units(base: int, width: float) -> int:
    """Return ``base · width``, if it is a whole number of channels."""
    units = base * width
    if not 1 <= round(units, 6) < float("inf") or abs(units - round(units)) > 1e-6:
        raise RebasinError(
            f"width {width} makes {units:g} channels of {base}: choose one that gives whole numbers"
        )
    return round(units)


def norm2d(norm: str | None, channels: int) -> nn.Module:
    """Return the normalisation of this name for images."""
    if norm is None:
        return nn.Identity()
    return LayerNorm2d(channels) if norm == "layer" else nn.BatchNorm2d(channels)


def initialise(model: nn.Module, gain: float) -> None:
    """Draw normal weights of variance gain / fan-in (He: 2, LeCun and the head: 1), zero biases."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=((1.0 if name == "head" else gain) / fan_in) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw from ``seed`` for a while and leave torch's global generator alone; ``None`` uses it."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
