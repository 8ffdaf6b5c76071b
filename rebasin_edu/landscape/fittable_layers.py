"""Which layers of a network can be fitted to outputs, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..batches import Inputs, call_arguments, count, first
from ..weights import State, eval_copy, untied, watched
from .least_squares import equations, matrix_of

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCHNORM = nn.modules.batchnorm._BatchNorm


def fittable_layers(
    model: nn.Module, state: State, inputs: Inputs
) -> tuple[dict[str, bool], dict[str, str]]:
    """Return the layers to stop at in the order of their calls → whether it is a BatchNorm; and the
    layers that are left alone → why.
    """
    network = eval_copy(model)
    uses = Counter(id(x) for _, x in network.named_parameters(remove_duplicate=False))
    names: dict[nn.Module, str] = {}
    calls: dict[str, list[str]] = {}
    left_alone = {}
    for name, module in network.named_modules():
        parameters = list(module.parameters(recurse=False))
        if _keeps_statistics(module) or any(x.ndim > 1 for x in parameters):
            names[module] = name
            if any(uses[id(x)] > 1 for x in parameters):
                left_alone[name] = "it shares its weights with another layer"

    def look(module: nn.Module, args: tuple, output: Any) -> None:
        why = "" if _keeps_statistics(module) else reason_not_linear(module, args, output)
        calls.setdefault(names[module], []).append(why)

    with watched(dict.fromkeys(names, look)):
        positional, named = call_arguments(first(inputs, min(4, count(inputs))))
        functional_call(network, untied(network, state), positional, named)
    for name in names.values():
        reasons = calls.get(name, [])
        why = reasons[0] if len(reasons) == 1 else f"called {len(reasons)} times in a forward pass"
        if why:
            left_alone.setdefault(name, why)
    modules = dict(network.named_modules())
    stops = (name for name in calls if name not in left_alone)
    return {name: _keeps_statistics(modules[name]) for name in stops}, left_alone


def _keeps_statistics(module: nn.Module) -> bool:
    return isinstance(module, BATCHNORM) and module.running_mean is not None


def reason_not_linear(module: nn.Module, args: tuple, output: Any) -> str:
    """Return why a layer, called so, is not a product with its weights; ``""`` when it is."""
    name = type(module).__name__
    kind = f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
    if len(args) != 1 or not all(isinstance(x, Tensor) for x in (*args, output)):
        return f"{kind} that takes or gives something else than one tensor"
    if not isinstance(module, (nn.Linear, *CONVOLUTIONS)):
        return f"{kind}, not a linear layer or convolution"
    if getattr(module, "groups", 1) > 1:
        return f"{kind} with groups"
    if not {"weight"} <= dict(module.named_parameters()).keys() <= {"weight", "bias"}:
        return f"{kind} whose weights are computed from other parameters"
    solution, allowed = matrix_of(module).double(), 100 * torch.finfo(output.dtype).eps
    for design, y in equations(module, args[0].double(), output):
        if (design.T @ solution - y).abs().max() > allowed * y.abs().max():
            return f"{kind} that computes something else than a product with its weights"
    return ""
