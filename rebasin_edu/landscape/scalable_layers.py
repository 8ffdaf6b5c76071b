"""Layers whose own parameters can take up a scale and a shift of each of their units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..batches import Inputs, count, first
from ..weights import State, run, untied, watched


@dataclass(frozen=True)
class ScalableLayer:
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


class _Call(NamedTuple):
    """One call of a module: the tensors themselves, copies of them, and copies of its parameters
    and buffers.
    """

    module: nn.Module
    input: Tensor
    output: Tensor
    x: Tensor
    y: Tensor
    tensors: dict[str, Tensor]


@torch.no_grad()
def scalable_layers(model: nn.Module, state: State, inputs: Inputs) -> list[ScalableLayer]:
    """Return the layers that take up a scale and a shift per unit, in the order of their calls.

    A candidate is a module called once whose only parameters are a ``weight`` and perhaps a
    ``bias`` of one entry per unit: linear, convolution, and every kind of norm, also those written
    by hand. Each is verified by scaling its parameters and looking at its output.

    Args:
        model: an ``eval_copy``, which is hooked while it runs.
        inputs: a batch of inputs, of which the first four examples are used.
    """
    calls: list[_Call] = []
    names = {module: name for name, module in model.named_modules()}
    parameters = {module: dict(module.named_parameters()) for module in names}
    with_weight = ({"weight"}, {"weight", "bias"})
    candidates = [
        module
        for module, own in parameters.items()
        if own.keys() in with_weight and own["weight"].ndim
    ]
    with watched(dict.fromkeys(candidates, _recorder(calls))):
        outputs = run(model, untied(model, state), first(inputs, min(4, count(inputs))))
    norm_inputs = [call.input for call in calls if call.tensors["weight"].ndim == 1]
    layers = []
    for call in calls:
        weight, called_once = call.tensors["weight"], sum(c.module is call.module for c in calls)
        axis = _unit_axis(call) if called_once == 1 else None
        if axis is None:
            continue
        is_batchnorm = isinstance(call.module, nn.modules.batchnorm._BatchNorm)
        kind = "linear" if weight.ndim > 1 else "batchnorm" if is_batchnorm else "norm"
        normalised = any(x is call.output for x in norm_inputs)
        shift, last = "bias" in call.tensors, call.output is outputs
        layers.append(ScalableLayer(names[call.module], kind, axis, shift, normalised, last))
    return layers


def _recorder(calls: list[_Call]) -> Callable:
    def hook(module: nn.Module, args: tuple, output: object) -> None:
        if len(args) == 1 and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            copies = {name: value.clone() for name, value in tensors.items()}
            x, y = args[0].clone(), output.clone()  # an operation in place may come next
            calls.append(_Call(module, args[0], output, x, y, copies))

    return hook


def _unit_axis(call: _Call) -> int | None:
    """The axis on which scaling the parameters scales the output; ``None`` where it does not."""
    module, y, weight, bias = call.module, call.y, call.tensors["weight"], call.tensors.get("bias")
    units = len(weight)
    if bias is not None and bias.shape != (units,):
        return None
    scale = torch.linspace(0.5, 2, units, dtype=y.dtype, device=y.device)
    shift = torch.linspace(-1, 1, units, dtype=y.dtype, device=y.device) * (bias is not None)
    changed = {"weight": weight * scale.view(-1, *[1] * (weight.ndim - 1))}
    if bias is not None:
        changed["bias"] = bias * scale + shift
    scaled = functional_call(module, {**call.tensors, **changed}, (call.x,))
    relative = max(1e-3, 4 * torch.finfo(y.dtype).eps)  # half precision rounds more than that
    absolute = relative / 10 * float(y.abs().max() + 1)
    for axis in (-1, 1) if isinstance(module, (nn.Linear, nn.LayerNorm)) else (1, -1):
        if y.ndim > 1 and y.shape[axis] == units:
            shape = [1] * y.ndim
            shape[axis] = units
            wanted = y * scale.view(shape) + shift.view(shape)
            if torch.allclose(scaled, wanted, relative, absolute):
                return axis
    return None
