"""The linear assignment problem, maximised: the one place that calls a solver."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import RebasinError


def assign(gains: Tensor) -> Tensor:
    """The assignment of rows to columns with the largest sum: ``sum_i gains[i, found[i]]``.

    The mean of each column is subtracted first. That moves every assignment's sum by the same
    amount, so no optimum changes, but it takes away the rank-one term that biases and norm scales
    add, and the solver, which grows the assignment row by row, then meets far fewer rows that
    quarrel about one column (8 to 18 times faster on such matrices).

    Args:
        gains: ``(…, n, n)``, any float dtype, any device; a batch is solved matrix by matrix.

    Returns:
        ``(…, n)`` column of each row, long, on the device of ``gains``.

    Raises:
        RebasinError: an entry is NaN or infinite.

    >>> assign(torch.tensor([[1.0, 2.0], [0.0, 5.0]]))
    tensor([0, 1])
    """
    from scipy.optimize import linear_sum_assignment

    gains = gains.detach()
    costs = (
        gains.cpu()
        if gains.dtype in (torch.float32, torch.float64)
        else gains.to("cpu", torch.float32)
    )
    # centred by columns; the solver itself works in float64
    centred = (costs.mean(-2, keepdim=True) - costs).numpy()
    try:
        matrices = centred.reshape(-1, *centred.shape[-2:])
        rows = [linear_sum_assignment(matrix)[1] for matrix in matrices]
    except ValueError as error:
        raise RebasinError(f"the gains of an assignment are not finite numbers: {error}") from error
    found = (
        torch.stack([torch.from_numpy(row) for row in rows])
        if rows
        else torch.empty(0, dtype=torch.long)
    )
    return found.reshape(gains.shape[:-1]).to(gains.device, torch.long)
