"""The linear assignment problem, maximised: the one place that calls a solver, lap's or scipy's."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from ..errors import RebasinError

LARGE, SETTLED = 32, 0.6  # rows, and the share of columns that are some row's cheapest, for lap


def assign(gains: Tensor) -> Tensor:
    """The assignment of rows to columns with the largest sum: ``sum_i gains[i, found[i]]``.

    The mean of each column is subtracted first, then the cheapest entry of each row and of each
    column. That moves every assignment's sum by the same amount, so no optimum changes, but takes
    away the rank-one term that biases and norm scales add: the solver then meets far fewer rows
    that quarrel about one column (8 to 18 times faster on such matrices).

    Args:
        gains: ``(…, n, n)``, any float dtype, any device; a batch is solved matrix by matrix.

    Returns:
        ``(…, n)`` column of each row, long, on the device of ``gains``.

    Raises:
        RebasinError: an entry is NaN or infinite.

    >>> assign(torch.tensor([[1.0, 2.0], [0.0, 5.0]]))
    tensor([0, 1])
    """
    costs = gains.detach().to("cpu", torch.promote_types(gains.dtype, torch.float32))
    costs = costs.mean(-2, keepdim=True) - costs  # centred by columns
    lowest, cheapest = costs.min(-1)  # not finite where an entry of the matrix is not
    if not bool(lowest.isfinite().all()):
        raise RebasinError("the gains of an assignment are not finite numbers")
    costs -= lowest[..., None]
    costs -= costs.amin(-2, keepdim=True)
    pairs = costs.reshape(-1, *costs.shape[-2:]), cheapest.reshape(-1, costs.shape[-1])
    rows = [torch.from_numpy(_solve(*each)) for each in zip(*pairs)]
    found = torch.stack(rows) if rows else torch.empty(0, dtype=torch.long)
    return found.reshape(gains.shape[:-1]).to(gains.device, torch.long)


def _solve(costs: Tensor, cheapest: Tensor) -> np.ndarray:
    """The column of each row, whose lowest cost is known, by the faster solver; both are exact.

    lap's, where it is installed, is three times as fast as scipy's if most rows have a cheapest
    column to themselves, as late in a descent, and many times slower if they quarrel about few.
    Where several assignments are best, as among dead units, each takes its own.
    """
    size, wanted = len(costs), len(cheapest.unique())
    if size >= LARGE and wanted >= SETTLED * size and find_spec("lap"):
        from lap import lapjv

        return lapjv(costs.numpy(), return_cost=False)[0]
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(costs.numpy())[1]
