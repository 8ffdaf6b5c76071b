"""The paper's networks in plain PyTorch: MLP, VGG16 and ResNet20, at any width, normalised or not.

Shapes and parameter counts are the paper's (Git Re-Basin, section 5 and appendix A.4). Its
``LayerNorm`` normalises over the channels *at every pixel*; ``nn.GroupNorm(1, C)``, which many
ports use, also mixes the pixels and is another network.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import RebasinError, choose
from .layers import NORMS, LayerNorm2d, initialise, norm2d, seeded, whole_units

# Channels of VGG's convolutions in units of 64 · width; a pool ends each stage.
VGG_STAGES = {
    11: ((1,), (2,), (4, 4), (8, 8), (8, 8)),
    16: ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8)),
}


class MLP(nn.Sequential):
    """Fully connected ReLU network with layers ``linear1 … linearN`` and ``head``; an image is
    flattened first. The paper's is 784-512-512-512-10 with biases and no normalisation.

    Args:
        inputs: numbers in one input, channels times height times width.
        hidden: units of each hidden layer.
        classes: outputs.
        norm: ``"layer"``, ``"batch"`` or ``None``, between each linear map and its ReLU.
        seed: draw the first weights from this seed and leave torch's global generator alone;
            ``None`` uses the latter.
    """

    def __init__(
        self,
        inputs: int = 784,
        hidden: Sequence[int] = (512, 512, 512),
        classes: int = 10,
        norm: str | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        choose("norm", norm, NORMS)
        sizes = [inputs, *hidden]
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        with seeded(seed):
            for i, (fan_in, units) in enumerate(pairwise(sizes), start=1):
                layers[f"linear{i}"] = nn.Linear(fan_in, units)
                if norm is not None:
                    layers[f"norm{i}"] = (
                        nn.LayerNorm(units, eps=1e-6) if norm == "layer" else nn.BatchNorm1d(units)
                    )
                layers[f"relu{i}"] = nn.ReLU()
            layers["head"] = nn.Linear(sizes[-1], classes)
            super().__init__(layers)
            initialise(self, gain=1.0)  # flax's default (LeCun), which the paper's code uses


class VGG(nn.Sequential):
    """VGG with the paper's small head: layers ``conv1 …`` of 3×3 with bias, ``norm1 …``, then
    ``linear1`` and ``linear2`` of 512 · width, and ``head``.

    Args:
        width: multiplies every layer; the paper runs 1/8, 1/4, 1/2, 1, 2, 4.
        classes: outputs.
        norm: ``"layer"`` (the paper's), ``"batch"`` or ``None``, after each convolution.
        depth: 16, or 11 for the shallower sibling.
        channels, size: of the images. Below 32 pixels the pools that no longer fit are left out.
        seed: as in ``MLP``.
    """

    def __init__(
        self,
        width: float = 1.0,
        classes: int = 10,
        norm: str | None = "layer",
        depth: int = 16,
        *,
        channels: int = 3,
        size: int = 32,
        seed: int | None = None,
    ) -> None:
        choose("norm", norm, NORMS)
        choose("depth", depth, tuple(VGG_STAGES))
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        base, count = whole_units(64, width), 0
        with seeded(seed):
            for stage, factors in enumerate(VGG_STAGES[depth], start=1):
                for factor in factors:
                    count += 1
                    layers[f"conv{count}"] = nn.Conv2d(channels, factor * base, 3, padding=1)
                    if norm is not None:
                        layers[f"norm{count}"] = norm2d(norm, factor * base)
                    layers[f"relu{count}"] = nn.ReLU()
                    channels = factor * base
                if size >= 2:
                    layers[f"pool{stage}"] = nn.MaxPool2d(2)
                    size //= 2
            head = 8 * base
            layers.update(
                flatten=nn.Flatten(),
                linear1=nn.Linear(channels * size * size, head),
                head_relu1=nn.ReLU(),
                linear2=nn.Linear(head, head),
                head_relu2=nn.ReLU(),
                head=nn.Linear(head, classes),
            )
            super().__init__(layers)
            initialise(self, gain=2.0)


def VGG16(width: float = 1.0, classes: int = 10, norm: str | None = "layer", **kwargs) -> VGG:
    """VGG16 as the paper trains it; see ``VGG``."""
    return VGG(width, classes, norm, **kwargs)


def VGG11(width: float = 1.0, classes: int = 10, norm: str | None = None, **kwargs) -> VGG:
    """VGG11 with the same head: without normalisation the classic hard case of matching."""
    return VGG(width, classes, norm, depth=11, **kwargs)


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut, which at stride 2 is a 3×3 convolution too."""

    def __init__(self, fan_in: int, units: int, stride: int, norm: str | None) -> None:
        super().__init__()
        bias = norm is None
        self.conv1 = nn.Conv2d(fan_in, units, 3, stride, padding=1, bias=bias)
        self.norm1 = norm2d(norm, units)
        self.conv2 = nn.Conv2d(units, units, 3, padding=1, bias=bias)
        self.norm2 = norm2d(norm, units)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            conv = nn.Conv2d(fan_in, units, 3, stride, padding=1, bias=bias)
            self.shortcut = nn.Sequential(OrderedDict(conv=conv, norm=norm2d(norm, units)))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet20(nn.Module):
    """The paper's CIFAR ResNet20: a stem of 16 · width channels, three stages of three blocks, mean
    pool, linear head; 0.29, 1.17, 4.66, 18.6 million parameters at widths 1, 2, 4, 8.

    Args:
        width: multiplies 16, 32 and 64; the paper runs 1 … 32.
        classes: outputs.
        norm: ``"layer"`` (the paper's), ``"batch"`` (REPAIR's) or ``None``; convolutions have a
            bias only without one.
        channels: of the images, whose size is free.
        seed: as in ``MLP``.
    """

    def __init__(
        self,
        width: float = 1,
        classes: int = 10,
        norm: str | None = "layer",
        *,
        channels: int = 3,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        choose("norm", norm, NORMS)
        units = whole_units(16, width)
        with seeded(seed):
            self.stem = nn.Conv2d(channels, units, 3, padding=1, bias=norm is None)
            self.stem_norm = norm2d(norm, units)
            self.stage1 = self._stage(units, units, 1, norm)
            self.stage2 = self._stage(units, 2 * units, 2, norm)
            self.stage3 = self._stage(2 * units, 4 * units, 2, norm)
            self.head = nn.Linear(4 * units, classes)
            initialise(self, gain=2.0)
        if norm is None:  # nine blocks would double the variance nine times
            with torch.no_grad():
                for block in self.modules():
                    if isinstance(block, Block):
                        block.conv2.weight.mul_(1 / 3)

    @staticmethod
    def _stage(fan_in: int, units: int, stride: int, norm: str | None) -> nn.Sequential:
        first = Block(fan_in, units, stride, norm)
        return nn.Sequential(first, *(Block(units, units, 1, norm) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(x)))
        x = self.stage3(self.stage2(self.stage1(x)))  # (N, 64 · width, H / 4, W / 4)
        return self.head(x.mean((2, 3)))


class Ensemble(nn.Module):
    """Several networks that answer together, by the mean of their logits: what a merged network is
    compared with. Shape: that of its members.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise RebasinError("an ensemble needs at least one network")
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x) for member in self.members]).mean(0)


__all__ = ["MLP", "NORMS", "VGG", "VGG11", "VGG16", "Block", "Ensemble", "LayerNorm2d", "ResNet20"]
