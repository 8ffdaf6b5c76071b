"""Fit the layers of a merged network to its parents' outputs, each in closed form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from ..batches import Data, Inputs, batches, call_arguments, count, first
from ..errors import DataError
from ..weights import (
    State,
    Weights,
    architecture,
    compatible,
    device_and_dtype,
    eval_copy,
    state_for,
    untied,
    watched,
)
from .interpolation import lerp
from .least_squares import Layer, RidgeRegression, equations, matrix_of, reason_not_linear
from .lockstep import SteppedNetwork

BATCHNORM = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class LayerFit:
    """One layer before and after its fit, on the examples that were used.

    Attributes:
        name: of the module.
        columns: numbers that feed one of its outputs, with one for the bias.
        rows: equations: examples times positions.
        before, after: squared error of its outputs as a share of their variance in the target, with
            the merged weights and with the fitted ones, on the same inputs.
    """

    name: str
    columns: int
    rows: int
    before: float
    after: float


@dataclass(frozen=True)
class RefitReport:
    """A refitted network, and how well each layer could be fitted.

    Attributes:
        weights: a state dict of the same architecture.
        layers: the fitted layers in the order of the forward pass.
        left_alone: the name of each layer with weights that keep their merged value → why.
        num_samples: how many examples were used.
        notes: what else the reader should know.
    """

    weights: State = field(repr=False)
    layers: tuple[LayerFit, ...]
    left_alone: Mapping[str, str]
    num_samples: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        width = max([5, *(len(layer.name) for layer in self.layers)])
        lines = [
            f"{len(self.layers)} layers fitted to their parents' outputs on {self.num_samples} "
            "examples",
            f"{'layer':{width}s}{'columns':>9s}{'rows':>10s}  error / variance, before → after",
        ]
        lines += [
            f"{layer.name:{width}s}{layer.columns:9d}{layer.rows:10d}  "
            f"{layer.before:.4f} → {layer.after:.4f}"
            for layer in self.layers
        ]
        lines += [f"left alone: {name}: {why}" for name, why in self.left_alone.items()]
        return "\n".join([*lines, *self.notes])


@torch.no_grad()
def refit(
    a: Weights,
    b: Weights,
    train_data: Data,
    *,
    model: nn.Module | None = None,
    merged: Weights | None = None,
    alpha: float = 0.5,
    num_samples: int = 1000,
    ridge: float = 1e-3,
    batch_size: int = 500,
) -> RefitReport:
    """Return a merged network whose layers are fitted, by least squares, to its parents' outputs.

    In the order of the forward pass each linear layer and convolution is set to the weights that
    bring its raw outputs nearest to the mean of A's and B's outputs of that layer. Its inputs are
    what the merged network itself feeds it, with all earlier layers fitted already, so that a layer
    also makes good what the layers before it could not. A BatchNorm layer keeps its averaged scale
    and shift and takes its statistics anew on the way. No gradient and no labels are needed.

    With inputs ``X`` (a row for each example and position, a column of ones for the bias), merged
    weights ``W₀`` and targets ``T`` the fit is ridge regression towards the merged weights,
    ``W = W₀ + (T − X W₀ᵀ)ᵀ X/n (XᵀX/n + ridge · mean(diag(XᵀX/n)) · I)⁻¹``, in double precision.

    This is *merging*: the result lies off the line between A and B, and says nothing about a
    common basin. It can hide a bad match, so show the barrier without it too.

    Args:
        a, b: a module or state dict each, with the units of B matched to A's already.
        train_data: examples to fit on; labels are ignored. Not the images that scores come from.
        model: the architecture; may be omitted where ``a`` or ``b`` is a module.
        merged: the network to start from; ``None`` for ``lerp(a, b, alpha)``.
        alpha: the weight of B in the target. 0 returns A and 1 returns B, bit for bit.
        num_samples: how many examples are used; all of them are kept in memory.
        ridge: how strongly a layer is drawn to its merged weights, in units of its inputs' mean
            square.
        batch_size: how many examples pass through a layer at a time.

    Returns:
        A report with the ``weights``, the error of each layer and the layers that were left alone.

    Raises:
        WeightsError: the networks do not fit each other or the model, or hold NaN.
        DataError: no examples, a single one, or values that are not finite.

    Ref: layer-wise least squares for networks fine-tuned or trained apart: PLeaS (CVPR 2025),
        Chain of Merges (arXiv 2508.21421), FeatCal (arXiv 2605.13030).
    """
    if ridge <= 0:
        raise ValueError(f"ridge={ridge}: a positive number is needed, 1e-3 by default")
    model = architecture(model, a, b, merged)
    names = ("the first network", "the second network", "the merged network")
    merged = lerp(a, b, alpha) if merged is None else merged
    states = [state_for(model, x, name=name) for x, name in zip((a, b, merged), names)]
    a, b, merged = compatible(*states, names=names)
    if alpha in (0, 1):
        kept = {name: x.clone() for name, x in (b if alpha else a).items()}
        return RefitReport(kept, (), {}, 0, (f"alpha = {alpha:g} is a parent: nothing to fit",))
    device, dtype = device_and_dtype(merged)
    data = batches(
        train_data, batch_size, device=device, dtype=dtype, num_samples=num_samples, targets=False
    )
    inputs = [batch.inputs for batch in data]
    total = sum(count(each) for each in inputs)
    if total < 2:
        raise DataError("a single example is too few to fit layers to: about 1000 are needed")
    state = {name: x.clone() for name, x in merged.items()}
    layers, left_alone = _find_layers(model, merged, inputs[0])
    fitted, fits = [name for name, is_norm in layers.items() if not is_norm], []
    with ExitStack() as stack:
        parents = [stack.enter_context(SteppedNetwork(model, x, fitted, inputs)) for x in (a, b)]
        network = SteppedNetwork(model, state, layers, inputs, before=True)
        stack.enter_context(network)
        for name, is_norm in layers.items():
            if is_norm:
                _take_statistics(name, network, state)
            else:
                fits.append(_fit(name, parents, network, state, alpha, ridge))
    return RefitReport(state, tuple(fits), left_alone, total)


def _fit(
    name: str,
    parents: Sequence[SteppedNetwork],
    network: SteppedNetwork,
    state: State,
    alpha: float,
    ridge: float,
) -> LayerFit:
    """Advance all networks to a layer, and write its fitted weights into ``state``."""
    module = network.modules[name]
    assert isinstance(module, Layer)
    matrix = matrix_of(module).double()  # (columns, units)
    regression = RidgeRegression(matrix)
    for index in range(len(network.passes)):
        x = network.advance(index, name)
        both = [parent.advance(index, name) for parent in parents]
        for design, outputs, target, other in equations(module, x, module.forward(x), *both):
            regression.add(design, outputs, torch.lerp(target, other, alpha))
    change, before, after = regression.solve(ridge, name)
    columns = (matrix + change).T  # (units, columns)
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    weight.copy_(columns[:, : weight[0].numel()].reshape(weight.shape))
    if bias is not None:
        bias.copy_(columns[:, -1])
    return LayerFit(name, len(change), regression.rows, before, after)


def _take_statistics(name: str, network: SteppedNetwork, state: State) -> None:
    """Advance the merged network to a BatchNorm, and write its new statistics into ``state``."""
    rows, total, square = 0, torch.tensor(0.0), torch.tensor(0.0)
    for index in range(len(network.passes)):
        x = network.advance(index, name).double()
        dims = [dim for dim in range(x.ndim) if dim != 1]
        rows += x.numel() // x.shape[1]
        total, square = x.sum(dims) + total, x.square().sum(dims) + square
    mean = total / rows
    variance = (square - rows * mean.square()).clamp_min(0) / max(1, rows - 1)
    state[f"{name}.running_mean"].copy_(mean)
    state[f"{name}.running_var"].copy_(variance)
    if (batches_seen := state.get(f"{name}.num_batches_tracked")) is not None:
        batches_seen.fill_(len(network.passes))


def _find_layers(
    model: nn.Module, state: State, inputs: Inputs
) -> tuple[dict[str, bool], dict[str, str]]:
    """The layers to stop at in the order of their calls → whether it is a BatchNorm; and the
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
