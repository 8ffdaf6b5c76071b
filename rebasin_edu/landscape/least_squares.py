"""A linear layer or convolution as a system of linear equations for its weights, and their ridge
regression.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import DataError, RebasinError

Layer = nn.Linear | nn.modules.conv._ConvNd
CHUNK = 2**22  # entries of a design matrix that are in memory at a time: 16 MB in single precision
ENOUGH = 32  # equations for each column of a design matrix; more of an image's pixels add little


def matrix_of(module: Layer) -> Tensor:
    """Return the weights of a layer, and its bias as the last row, ``(columns, units)``."""
    weight, bias = module.weight.flatten(1), module.bias
    return weight.T if bias is None else torch.cat([weight, bias[:, None]], 1).T


def equations(
    module: Layer, x: Tensor, *outputs: Tensor, strides: Sequence[int] = ()
) -> Iterator[tuple[Tensor, ...]]:
    """Yield a layer's design matrix ``(columns, rows)`` and outputs ``(rows, units)``.

    Some examples at a time. For any weights, the layer's outputs are the transposed design matrix
    times ``matrix_of`` the layer: a row is an example, or a position of one.

    Args:
        strides: how far apart the positions are that are taken, on each axis of a convolution;
            they begin elsewhere in each chunk of examples. ``()`` takes all.
    """
    units, columns = len(module.weight), module.weight[0].numel() + (module.bias is not None)
    dtype = torch.promote_types(x.dtype, torch.float32)
    if isinstance(module, nn.Linear):
        x = x.reshape(-1, x.shape[-1])  # (rows, columns)
        outputs = tuple(y.reshape(-1, units) for y in outputs)
    elif x.ndim < module.weight.ndim:  # a single image, without an axis of examples
        x, outputs = x[None], tuple(y[None] for y in outputs)
    shape = outputs[0].shape[2:]
    strides = strides or [1] * len(shape)
    starts = list(itertools.product(*map(range, strides)))
    positions = max(1, math.prod(shape) // len(starts))
    step = max(1, min(CHUNK // (columns * positions), -(-len(x) // len(starts))))
    for k, begin in enumerate(range(0, len(x), step)):
        grid = [range(*each) for each in zip(starts[k % len(starts)], shape, strides)]
        taken = (slice(None), *(slice(each.start, None, each.step) for each in grid))
        rows = (y[begin : begin + step].movedim(1, -1)[taken].to(dtype) for y in outputs)
        design = _design(module, x[begin : begin + step].to(dtype), columns, grid)
        yield design, *(y.reshape(-1, units) for y in rows)


def thinned(module: Layer, x: Tensor, output: Tensor, examples: int) -> list[int]:
    """Return strides that leave ``ENOUGH`` equations for each column of a layer's design matrix.

    Args:
        x, output: of the layer, for some of the examples.
        examples: how many there are in all.
    """
    if isinstance(module, nn.Linear) or x.ndim < module.weight.ndim:
        return []
    shape = output.shape[2:]
    spare = examples * math.prod(shape) / (ENOUGH * module.weight[0].numel())
    strides = [1] * len(shape)
    while True:
        axis = min(range(len(shape)), key=lambda k: strides[k] / shape[k])
        strides[axis] += 1
        if math.prod(strides) > spare or strides[axis] > shape[axis]:
            strides[axis] -= 1
            return strides


def _design(module: Layer, x: Tensor, columns: int, grid: Sequence[range]) -> Tensor:
    """The design matrix of some examples, at these positions of their outputs."""
    shape = [len(each) for each in grid]
    design = torch.ones(columns, len(x) * math.prod(shape), dtype=x.dtype, device=x.device)
    if isinstance(module, nn.Linear):
        design[: x.shape[1]] = x.T
        return design
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = F.pad(x, module._reversed_padding_repeated_twice, mode).transpose(0, 1)  # (channels, n, …)
    channels, n = x.shape[:2]
    patches = design[: channels * math.prod(module.kernel_size)].view(channels, -1, n, *shape)
    for k, place in enumerate(itertools.product(*map(range, module.kernel_size))):
        window = [slice(None), slice(None)]
        for p, dilation, stride, at in zip(place, module.dilation, module.stride, grid):
            first, step = p * dilation + at.start * stride, at.step * stride
            window.append(slice(first, first + (len(at) - 1) * step + 1, step))
        patches[:, k] = x[tuple(window)]
    return design


class RidgeRegression:
    """The sums that a ridge regression needs, gathered from equations a chunk at a time.

    It finds the change of a layer's matrix that brings its outputs nearest to targets. Products are
    taken in the precision of the equations, and added up in double.

    Args:
        matrix: the layer's own, ``(columns, units)`` in double.
    """

    def __init__(self, matrix: Tensor):
        columns, units = matrix.shape
        self.matrix = matrix
        self.gram, self.cross = matrix.new_zeros(columns, columns), torch.zeros_like(matrix)
        self.sum = matrix.new_zeros(units)
        self.rows, self.error, self.square = 0, 0.0, 0.0

    def add(self, design: Tensor, targets: Tensor) -> None:
        """Count equations: ``(columns, rows)``, and the outputs as they should be
        ``(rows, units)``.
        """
        residual = targets - design.T @ self.matrix.to(design.dtype)
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
                raise RebasinError(f"ridge={ridge} is too small: inputs of {name} are dependent")
            change = torch.cholesky_solve(cross, factor)
        # ⟨change, 2 cross − gram · change⟩, where (gram + shift) · change = cross
        gain = float((change * cross).sum()) + shift * float(change.square().sum())
        variance = self.square - float(self.sum.square().sum()) / self.rows
        variance = max(variance, 1e-12 * self.square, 1e-300)
        return change, self.error / variance, max(0.0, self.error - self.rows * gain) / variance
