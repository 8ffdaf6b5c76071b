"""Means, variances and correlations of several networks' units, from activations seen once."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

CHUNK = 2**17  # entries of one network taken at a time on a CPU: what stays in a core's cache


class Moments:
    """Running first and second moments of units; the memory does not grow with the samples.

    Everything is taken relative to the mean of the first batch, so that a large common offset costs
    no digits; products of a batch are made in the activations' dtype and summed in float64.

    Attributes:
        count: samples so far.
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, *networks: Tensor) -> None:
        """Count more samples: ``(units, samples)`` of each network for the same inputs.

        No tensor is changed. Products are of the first two networks, or of the only one with
        itself.
        """
        units, samples = networks[0].shape
        if not self.count:
            self._shift = [x.mean(1, keepdim=True) for x in networks]
            zeros = functools.partial(torch.zeros, dtype=torch.float64, device=networks[0].device)
            self._sum = [zeros(units) for _ in networks]
            self._squares = [zeros(units) for _ in networks]
            self._product = zeros((units, units))
        self.count += samples
        on_cpu = networks[0].device.type == "cpu"
        columns = max(units, CHUNK // max(units, 1)) if on_cpu else samples
        for pieces in zip(*(x.split(max(columns, 1), 1) for x in networks)):
            parts = [x - shift for x, shift in zip(pieces, self._shift)]
            x, y = parts[0], parts[min(1, len(parts) - 1)]
            self._product += x @ y.T
            for k, part in enumerate(parts):
                self._sum[k] += part.sum(1)
                self._squares[k] += _squares(part)

    @property
    def mean(self) -> Tensor:
        """The mean of each unit, ``(networks, units)``, float64."""
        return torch.stack([
            total / self.count + shift.squeeze(1).double()
            for total, shift in zip(self._sum, self._shift)
        ])  # fmt: skip

    @property
    def var(self) -> Tensor:
        """The variance of each unit, ``(networks, units)``, not below 0."""
        pairs = zip(self._squares, self._sum)
        return torch.stack([q / self.count - (s / self.count).square() for q, s in pairs]).clamp(0)

    def product(self) -> Tensor:
        """The uncentred ``E[a bᵀ]``, ``(units, units)``: the paper's."""
        mean_a, mean_b = (total / self.count for total in self._pair(self._sum))
        shift_a, shift_b = (shift.squeeze(1).double() for shift in self._pair(self._shift))
        return (
            self._product / self.count
            + torch.outer(shift_a, mean_b)
            + torch.outer(mean_a, shift_b)
            + torch.outer(shift_a, shift_b)
        )

    def covariance(self) -> Tensor:
        """The covariance of the first network's units and the second's, ``(units, units)``."""
        means = (total / self.count for total in self._pair(self._sum))
        return self._product / self.count - torch.outer(*means)

    def correlation(self) -> Tensor:
        """The correlation, of the shape of ``covariance``; 0 for a unit that never changes."""
        deviations = []
        for total, squares, shift in zip(*map(self._pair, (self._sum, self._squares, self._shift))):
            mean, square = total / self.count, squares / self.count
            variance = square - mean.square()
            floor = 1e-10 * (square + shift.squeeze(1).double().square())  # rounding, not variance
            deviations.append(torch.where(variance > floor, variance, torch.inf).sqrt())
        return self.covariance() / torch.outer(*deviations)

    @staticmethod
    def _pair(of_networks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return of_networks[0], of_networks[min(1, len(of_networks) - 1)]


def _squares(x: Tensor) -> Tensor:
    """Sum of squares of each row, in float64.

    ``vector_norm`` is fast where rows lie in one piece, ``vecdot`` where columns do.
    """
    if x.stride(1) == 1:
        return torch.linalg.vector_norm(x, dim=1).double().square()
    return torch.linalg.vecdot(x, x).double()
