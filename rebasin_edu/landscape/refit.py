"""Fit the layers of a merged network to its parents' outputs, each in closed form."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import nn

from ..batches import Data, batches, count
from ..errors import DataError, RebasinError, RebasinWarning
from ..weights import (
    State,
    Weights,
    architecture,
    compatible,
    device_and_dtype,
    restored,
    state_for,
)
from .fittable_layers import fittable_layers
from .interpolation import combine, weighted
from .least_squares import ENOUGH, Layer, RidgeRegression, equations, matrix_of, thinned
from .lockstep import SteppedNetwork
from .unit_statistics import UnitMoments, at_least_single

SINGLE = 1e-5  # a smaller ridge needs equations in double precision
TOGETHER = 250  # examples in a forward pass
# A pass begins where those before it leave a layer fewer than SPARE × ENOUGH equations for each
# column: of large images, the large maps of early layers are then in memory for 250 examples only.
SPARE = 4


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
        left_alone = {name or "the model itself": why for name, why in self.left_alone.items()}
        lines += [f"left alone: {name}: {why}" for name, why in left_alone.items()]
        return "\n".join([*lines, *self.notes])


@torch.no_grad()
def refit(
    a: Weights | Sequence[Weights],
    b: Weights | None = None,
    train_data: Data | None = None,
    *,
    model: nn.Module | None = None,
    merged: Weights | None = None,
    alpha: float = 0.5,
    num_samples: int = 1000,
    ridge: float = 1e-3,
) -> RefitReport:
    """Return a merged network whose layers are fitted, by least squares, to its parents' outputs.

    In the order of the forward pass each linear layer and convolution is set to the weights that
    bring its raw outputs nearest to the mean of its parents' outputs of that layer. Its inputs are
    what the merged network itself feeds it, with all earlier layers fitted already, so that a layer
    also makes good what the layers before it could not. A BatchNorm layer keeps its averaged scale
    and shift and takes its statistics anew on the way. No gradient and no labels are needed.

    With inputs ``X`` (a row for each example and position, a column of ones for the bias), merged
    weights ``W₀`` and targets ``T`` the fit is ridge regression towards the merged weights,
    ``W = W₀ + (T − X W₀ᵀ)ᵀ X/n (XᵀX/n + ridge · mean(diag(XᵀX/n)) · I)⁻¹``, added up and solved in
    double precision. Of an image's positions only as many are rows as a layer of its size needs.

    This is *merging*: the result lies off the line between A and B, and says nothing about a
    common basin. It can hide a bad match, so show the barrier without it too.

    Args:
        a, b: a module or state dict each, with the units of B matched to A's already. Or ``a``
            alone: a list of them, at equal parts.
        train_data: examples to fit on; labels are ignored. Not the images that scores come from.
        model: the architecture; may be omitted where a network is a module.
        merged: the network to start from; ``None`` for the parents' weighted mean.
        alpha: the weight of B in the target. 0 returns A and 1 returns B, bit for bit.
        num_samples: how many examples are used. Early layers of large images find equations enough
            in the first 250.
        ridge: how strongly a layer is drawn to its merged weights, in units of its inputs' mean
            square.

    Returns:
        A report with the ``weights``, the error of each layer and the layers that were left alone.

    Raises:
        WeightsError: the networks do not fit each other or the model, or hold NaN.
        DataError: no examples, a single one, or values that are not finite.

    Warns:
        RebasinWarning: no layer of this model can be fitted.

    Ref: layer-wise least squares for networks fine-tuned or trained apart: PLeaS (CVPR 2025),
        Chain of Merges (arXiv 2508.21421), FeatCal (arXiv 2605.13030).
    """
    if ridge <= 0:
        raise RebasinError(f"ridge={ridge}: a positive number is needed, 1e-3 by default")
    if train_data is None:
        raise DataError("refit needs train_data=: examples of what the networks were trained on")
    networks: list[Weights] = list(a) if isinstance(a, (list, tuple)) else [a]  # type: ignore[list-item]
    networks += [] if b is None else [b]
    if len(networks) < 2 or (len(networks) > 2 and alpha != 0.5):
        raise RebasinError("two networks are refitted at alpha, more than two at equal parts")
    shares = [1 - alpha, alpha] if len(networks) == 2 else [1 / len(networks)] * len(networks)
    model = architecture(model, *networks, merged)
    names = [f"network {k + 1}" for k in range(len(networks))]
    states = [state_for(model, x, name=name) for x, name in zip(networks, names)]
    states = compatible(*states, names=names)
    if 1 in shares:
        kept = {name: x.clone() for name, x in states[shares.index(1)].items()}
        note = f"alpha = {alpha:g} is a parent: nothing to fit"
        return RefitReport(restored(kept, networks[0]), (), {}, 0, (note,))
    merged = combine(states, shares) if merged is None else merged
    merged = compatible(states[0], state_for(model, merged, name="the merged network"))[1]
    device, dtype = device_and_dtype(merged)
    data = batches(
        train_data, TOGETHER, device=device, dtype=dtype, num_samples=num_samples, targets=False
    )
    inputs = [batch.inputs for batch in data]
    counts = [count(each) for each in inputs]
    total = sum(counts)
    if total < 2:
        raise DataError("a single example is too few to fit layers to: about 1000 are needed")
    state = {name: x.clone() for name, x in merged.items()}
    layers, left_alone = fittable_layers(model, merged, inputs[0])
    fitted, fits = [name for name, is_norm in layers.items() if not is_norm], []
    if not fitted:
        told = "; ".join(f"{name} is {why}" for name, why in left_alone.items())
        text = f"no layer of this model can be fitted: {told or 'it has none with weights'}"
        warnings.warn(text, RebasinWarning, stacklevel=3)
    with ExitStack() as stack:
        parents = [stack.enter_context(SteppedNetwork(model, x, fitted, inputs)) for x in states]
        network = SteppedNetwork(model, state, layers, inputs, before=True)
        stack.enter_context(network)
        for name, is_norm in layers.items():
            if is_norm:
                _take_statistics(name, network, state)
            else:
                fits.append(_fit(name, parents, network, state, shares, ridge, counts))
    return RefitReport(restored(state, networks[0]), tuple(fits), left_alone, total)


def _fit(
    name: str,
    parents: Sequence[SteppedNetwork],
    network: SteppedNetwork,
    state: State,
    shares: Sequence[float],
    ridge: float,
    counts: Sequence[int],
) -> LayerFit:
    """Advance all networks to a layer, and write its fitted weights into ``state``."""
    module = network.modules[name]
    assert isinstance(module, Layer)
    matrix = matrix_of(module).double()  # (columns, units)
    regression = RidgeRegression(matrix)
    index, used = 0, 1
    while index < used:
        x = network.advance(index, name)
        outputs = [parent.advance(index, name) for parent in parents]
        if ridge < SINGLE:
            x = x.double()
        if index == 0:
            positions = outputs[0].numel() / (len(matrix.T) * counts[0])
            needed = SPARE * ENOUGH * len(matrix) / positions  # examples
            enough = 1 + sum(number < needed for number in accumulate(counts[:-1]))
            used = max(network.started, enough)
        strides = thinned(module, x, outputs[0], sum(counts[:used]))
        for design, *rows in equations(module, x, *outputs, strides=strides):
            regression.add(design, weighted(rows, shares))
        index += 1
    change, before, after = regression.solve(ridge, name)
    columns = (matrix + change).T  # (units, columns)
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    weight.copy_(columns[:, : weight[0].numel()].reshape(weight.shape))
    if bias is not None:
        bias.copy_(columns[:, -1])
    return LayerFit(name, len(change), regression.rows, before, after)


def _take_statistics(name: str, network: SteppedNetwork, state: State) -> None:
    """Advance the merged network to a BatchNorm, and write its new statistics into ``state``."""
    moments = UnitMoments()
    for index in range(network.started or len(network.passes)):
        x = at_least_single(network.advance(index, name))
        var, mean = torch.var_mean(x, [dim for dim in range(x.ndim) if dim != 1], correction=0)
        moments.update(x.numel() // len(mean), mean.double()[None], var.double()[None])
    state[f"{name}.running_mean"].copy_(moments.mean[0])
    state[f"{name}.running_var"].copy_(moments.var[0] * moments.count / max(1, moments.count - 1))
    if (batches_seen := state.get(f"{name}.num_batches_tracked")) is not None:
        batches_seen.fill_(network.started)
