"""How similar the units of two networks are, from activations that pass by once."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 2**17  # entries of one network taken at a time on a CPU: what stays in a core's cache


class PairMoments:
    """Running first and second moments of the units of A and of B at one place; the memory does not
    grow with the samples.

    Everything is taken relative to the mean of the first batch, so that a large common offset costs
    no digits; products of a batch are made in the activations' dtype and summed in float64.
    """

    def __init__(self):
        self.count = 0

    def add(self, a: Tensor, b: Tensor) -> None:
        """Count more samples: ``(units, samples)`` of A and of B for the same inputs; neither is
        changed.
        """
        if not self.count:
            self.shift = [x.mean(1, keepdim=True) for x in (a, b)]
            n = len(a)
            self.sums = [torch.zeros(n, dtype=torch.float64, device=a.device) for _ in range(4)]
            self.cross = torch.zeros(n, n, dtype=torch.float64, device=a.device)
        self.count += a.shape[1]
        columns = (
            max(len(a), CHUNK // len(a)) if a.device.type == "cpu" else a.shape[1]
        )  # fewer would only sum up cross
        for x, y in zip(a.split(columns, 1), b.split(columns, 1)):
            x, y = x - self.shift[0], y - self.shift[1]
            self.cross += x @ y.T
            for total, found in zip(self.sums, (x.sum(1), y.sum(1), _squares(x), _squares(y))):
                total += found

    def product(self) -> Tensor:
        """The uncentred ``E[a bᵀ]``, ``(units, units)``: the paper's."""
        mean_a, mean_b = (total / self.count for total in self.sums[:2])
        shift_a, shift_b = (shift.squeeze(1).double() for shift in self.shift)
        return (
            self.cross / self.count
            + torch.outer(shift_a, mean_b)
            + torch.outer(mean_a, shift_b)
            + torch.outer(shift_a, shift_b)
        )

    def correlation(self) -> Tensor:
        """The centred correlation, ``(units, units)``; 0 for a unit that never changes."""
        mean_a, mean_b, square_a, square_b = (total / self.count for total in self.sums)
        deviations = []
        for mean, square, shift in (
            (mean_a, square_a, self.shift[0]),
            (mean_b, square_b, self.shift[1]),
        ):
            variance = square - mean.square()
            floor = 1e-10 * (square + shift.squeeze(1).double().square())  # rounding, not variance
            deviations.append(torch.where(variance > floor, variance, torch.inf).sqrt())
        covariance = self.cross / self.count - torch.outer(mean_a, mean_b)
        return covariance / torch.outer(*deviations)


def _squares(x: Tensor) -> Tensor:
    """Sum of squares of each row, in float64, by what is fast where rows lie in one piece (norm)
    and where columns do.
    """
    if x.stride(1) == 1:
        return torch.linalg.vector_norm(x, dim=1).double().square()
    return torch.linalg.vecdot(x, x).double()
