"""Loss, accuracy and calibration of one network on one data set."""

from __future__ import annotations

from torch import nn

from ..symmetry import Weights
from .batches import Data
from .combinations import scores
from .metrics import Score
from .running import state_for


def evaluate(
    model: nn.Module,
    weights: Weights | None,
    data: Data,
    *,
    batch_size: int = 500,
    progress: bool = False,
) -> Score:
    """Score a network on a data set, in eval mode (no dropout, stored statistics), on the device of
    its weights.

    Args:
        model: the architecture; it is given back as it was, weights and modes.
        weights: a module or state dict of it; ``None`` for the model's own.
        data: a pair of tensors ``(inputs, targets)``, or a loader, dataset or list of such batches.
            Targets are classes.
        batch_size: how many examples at a time.

    Returns:
        The mean softmax cross-entropy, the accuracy (0 to 1) and the expected calibration error.

    Raises:
        WeightsError: the weights do not fit the model.
        DataError: there are no data, or they are no pairs; ``DataError`` when the targets are
            not classes of the model.
    """
    return scores(
        model, [state_for(model, weights)], [[1.0]], data, batch_size=batch_size, progress=progress
    )[0]
