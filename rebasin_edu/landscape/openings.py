"""Layers that act on the data themselves, before any other weight has had a say: their outputs are
linear in alpha.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .batches import count, first
from .interpolation import State, weighted
from .running import call, watched

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
WORTH = 0.1  # share of the multiplications from which sharing pays


@dataclass(frozen=True)
class Openings:
    """What one traced call tells.

    Attributes:
        layers: the layers that act on the data, with their names in the model.
        share: their part of the multiplications in linear and convolution layers.
        bytes: of their outputs, for one example.
        largest: bytes of the largest output of any layer, for one example.
    """

    layers: dict[nn.Module, str]
    share: float
    bytes: int
    largest: int

    @property
    def pays(self) -> bool:
        return bool(self.layers) and self.share >= WORTH

    @classmethod
    def find(cls, model: nn.Module, state: State, inputs: object) -> Openings:
        """Call the model once on two examples with gradients on: an input that needs none comes
        from the data alone.
        """
        n = min(2, count(inputs))
        calls: dict[nn.Module, list[bool]] = {}
        work: dict[nn.Module, int] = {}
        sizes: dict[nn.Module, int] = {}

        def look(module: nn.Module, args: tuple, output: object) -> None:
            if isinstance(output, Tensor):
                sizes[module] = output.numel() * output.element_size() // n
            if isinstance(module, LINEAR) and isinstance(output, Tensor):
                free = len(args) == 1 and isinstance(args[0], Tensor) and not args[0].requires_grad
                calls.setdefault(module, []).append(free)
                work[module] = work.get(module, 0) + output.numel() * module.weight[0].numel()

        own = {name for name, _ in model.named_parameters()}
        plain = {
            m
            for m in model.modules()
            if type(m) in LINEAR and not (m._forward_hooks or m._forward_pre_hooks)
        }
        leaves = {m: look for m in model.modules() if not any(True for _ in m.children())}
        traced = {
            k: x.detach().requires_grad_() if k in own and x.is_floating_point() else x
            for k, x in state.items()
        }
        try:
            with torch.enable_grad(), watched(leaves):
                call(model, traced, first(inputs, n))
        except RuntimeError:  # some models cannot be called with gradients on
            return cls({}, 0.0, 0, max(sizes.values(), default=0))
        names = {module: name for name, module in model.named_modules()}
        layers = {m: names[m] for m, free in calls.items() if free == [True] and m in plain}
        share = sum(work[m] for m in layers) / max(1, sum(work.values()))
        return cls(layers, share, sum(sizes[m] for m in layers), max(sizes.values(), default=0))


class Ends:
    """Outputs of the opening layers for each given network, kept for every batch of a chunk.

    The first call on a batch brings the layer's input, and each later one compares: a layer whose
    input does depend on the weights (a trace cannot see through ``detach``) is computed as always.
    """

    def __init__(self, layers: Mapping[nn.Module, str], states: Sequence[State]):
        self.clones = {
            module: [_with(module, name, state) for state in states]
            for module, name in layers.items()
        }
        self.known: dict[tuple[nn.Module, int], tuple[Tensor, list[Tensor]]] = {}

    def forwards(self, index: int, coefficients: Sequence[float]) -> dict[nn.Module, Callable]:
        """What each opening layer computes on batch ``index`` for these coefficients."""
        return {module: self._forward(module, index, coefficients) for module in self.clones}

    def _forward(
        self, module: nn.Module, index: int, coefficients: Sequence[float]
    ) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            if module not in self.clones:
                return type(module).forward(module, x)
            if (module, index) not in self.known:
                self.known[module, index] = x, [clone(x) for clone in self.clones[module]]
            seen, outputs = self.known[module, index]
            if not _same(x, seen):
                del self.clones[module]
                return type(module).forward(module, x)
            return weighted(outputs, coefficients)

        return forward

    def summing(self, index: int, row: Tensor) -> dict[nn.Module, Callable]:
        """The same under ``vmap``, for coefficients ``row`` ``(states,)`` and layers that
        ``forwards`` has met.
        """

        def summed(outputs: list[Tensor]) -> Callable[[Tensor], Tensor]:
            if len(outputs) == 2:  # on a straight line equal ends give equal points
                slack = row[0] + row[1] - 1
                return lambda x: torch.lerp(outputs[0], outputs[1], row[1]) + slack * outputs[0]
            return lambda x: sum(c * output for c, output in zip(row, outputs))

        return {module: summed(self.known[module, index][1]) for module in self.clones}


def _with(module: nn.Module, name: str, state: State) -> nn.Module:
    clone = copy.copy(module)
    prefix = f"{name}." if name else ""
    clone._parameters = {
        key: None if x is None else state[prefix + key] for key, x in module._parameters.items()
    }
    return clone


def _same(x: Tensor, y: Tensor) -> bool:
    view = x.data_ptr() == y.data_ptr() and x.shape == y.shape and x.stride() == y.stride()
    return view or (x.shape == y.shape and torch.equal(x, y))
