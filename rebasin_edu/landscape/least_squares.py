"""A linear layer or convolution as a system of linear equations for its weights, and their ridge
regression.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import DataError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Layer = nn.Linear | nn.modules.conv._ConvNd
CHUNK = 2**22  # entries of a design matrix that are in memory at a time: 32 MB in double


def reason_not_linear(module: nn.Module, args: tuple, output: Any) -> str:
    """Return why a layer, called so, is not a product with its weights; ``""`` when it is."""
    kind = type(module).__name__
    if len(args) != 1 or not all(isinstance(x, Tensor) for x in (*args, output)):
        return f"a {kind} that takes or gives something else than one tensor"
    if not isinstance(module, (nn.Linear, *CONVOLUTIONS)):
        return f"a {kind} is not a linear layer or convolution"
    if getattr(module, "groups", 1) > 1:
        return f"a {kind} with groups"
    if not {"weight"} <= dict(module.named_parameters()).keys() <= {"weight", "bias"}:
        return f"a {kind} whose weights are computed from other parameters"
    solution, allowed = matrix_of(module).double(), 100 * torch.finfo(output.dtype).eps
    for design, y in equations(module, args[0], output):
        if (design.T @ solution - y).abs().max() > allowed * y.abs().max():
            return f"a {kind} that computes something else than a product with its weights"
    return ""


def matrix_of(module: Layer) -> Tensor:
    """Return the weights of a layer, and its bias as the last row, ``(columns, units)``."""
    weight, bias = module.weight.flatten(1), module.bias
    return weight.T if bias is None else torch.cat([weight, bias[:, None]], 1).T


def equations(module: Layer, x: Tensor, *outputs: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield a layer's design matrix ``(columns, rows)`` and outputs ``(rows, units)``, in double.

    Some examples at a time. For any weights, the layer's outputs are the transposed design matrix
    times ``matrix_of`` the layer: a row is an example, or a position of one.
    """
    units, columns = len(module.weight), module.weight[0].numel() + (module.bias is not None)
    if isinstance(module, nn.Linear):
        x = x.reshape(-1, x.shape[-1])  # (rows, columns)
        outputs = tuple(y.reshape(-1, units) for y in outputs)
    elif x.ndim < module.weight.ndim:  # a single image, without an axis of examples
        x, outputs = x[None], tuple(y[None] for y in outputs)
    shape = outputs[0].shape[2:]
    step = max(1, CHUNK // (columns * math.prod(shape)))
    for start in range(0, len(x), step):
        rows = (y[start : start + step].double().movedim(1, -1) for y in outputs)
        design = _design(module, x[start : start + step], columns, shape)
        yield design, *(y.reshape(-1, units) for y in rows)


def _design(module: Layer, x: Tensor, columns: int, shape: Sequence[int]) -> Tensor:
    """The design matrix of some examples whose outputs have this shape in space."""
    n = len(x)
    design = torch.ones(columns, n * math.prod(shape), dtype=torch.float64, device=x.device)
    if isinstance(module, nn.Linear):
        design[: x.shape[1]] = x.T
        return design
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = F.pad(x, module._reversed_padding_repeated_twice, mode).transpose(0, 1)  # (channels, n, …)
    patches = design[: len(x) * math.prod(module.kernel_size)].view(len(x), -1, n, *shape)
    for k, place in enumerate(itertools.product(*map(range, module.kernel_size))):
        window = [slice(None), slice(None)]
        window += [
            slice(p * dilation, p * dilation + (length - 1) * stride + 1, stride)
            for p, dilation, stride, length in zip(place, module.dilation, module.stride, shape)
        ]
        patches[:, k] = x[tuple(window)]
    return design


class RidgeRegression:
    """The sums that a ridge regression needs, gathered from equations a chunk at a time.

    It finds the change of a layer's matrix that brings its outputs nearest to targets.

    Args:
        matrix: the layer's own, ``(columns, units)`` in double.
    """

    def __init__(self, matrix: Tensor):
        columns, units = matrix.shape
        self.gram, self.cross = matrix.new_zeros(columns, columns), torch.zeros_like(matrix)
        self.sum = matrix.new_zeros(units)
        self.rows, self.error, self.square = 0, 0.0, 0.0

    def add(self, design: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Count equations: ``(columns, rows)``, and the outputs now and as they should be
        ``(rows, units)``.
        """
        residual = targets - outputs
        size = -(-len(design) // 8)
        for start in range(0, len(design), size):  # blocks of the upper triangle: half of the work
            block = slice(start, start + size)
            self.gram[block, start:] += design[block] @ design[start:].T
        self.cross += design @ residual
        self.rows += len(targets)
        self.sum += targets.sum(0)
        self.square += float(targets.square().sum())
        self.error += float(residual.square().sum())

    def solve(self, ridge: float, name: str) -> tuple[Tensor, float, float]:
        """Return the change ``(columns, units)``, and the squared error before and after it as a
        share of the targets' variance. To be called once: the sums are used up, to save memory.

        Args:
            ridge: in units of the design's mean square.
            name: what errors call the layer.
        """
        gram, cross = self.gram.div_(self.rows).triu_(), self.cross.div_(self.rows)
        gram += gram.triu(1).T
        if not (gram.isfinite().all() and cross.isfinite().all()):
            raise DataError(f"inputs or outputs of {name} are NaN or infinite: are the data?")
        shift, change = ridge * float(gram.diagonal().mean()), torch.zeros_like(cross)
        if shift:  # else nothing ever feeds the layer
            gram.diagonal().add_(shift)
            factor, failed = torch.linalg.cholesky_ex(gram)
            if failed:
                raise ValueError(f"ridge={ridge} is too small: inputs of {name} are dependent")
            change = torch.cholesky_solve(cross, factor)
        # ⟨change, 2 cross − gram · change⟩, where (gram + shift) · change = cross
        gain = float((change * cross).sum()) + shift * float(change.square().sum())
        variance = self.square - float(self.sum.square().sum()) / self.rows
        variance = max(variance, 1e-12 * self.square, 1e-300)
        return change, self.error / variance, max(0.0, self.error - self.rows * gain) / variance
