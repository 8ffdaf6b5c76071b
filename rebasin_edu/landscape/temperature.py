"""Scores without labels, and the scale of the logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batches import Batch
from ..errors import DataError
from ..weights import State, eval_copy, run, untied
from .criteria import IGNORED, class_axis, class_targets

STEPS = 60  # of golden-section search over the logarithm: far below any digit that is printed


@torch.no_grad()
def soft_targets(
    model: nn.Module, parents: Sequence[State], examples: Sequence[Batch]
) -> list[Batch]:
    """Return the examples with the classes that the mean of the parents' softmax names."""
    model, labelled = eval_copy(model), []
    tensors = [untied(model, state) for state in parents]
    for batch in examples:
        outputs = [run(model, state, batch.inputs) for state in tensors]
        axis = 1 if outputs[0].ndim > 3 else -1  # images (N, C, H, W)
        if outputs[0].shape[axis] == 1:  # no classes: the mean is regressed on
            labelled.append(Batch(batch.inputs, torch.stack(outputs).mean(0)))
            continue
        answers = torch.stack([each.softmax(axis) for each in outputs])
        labelled.append(Batch(batch.inputs, answers.mean(0).argmax(axis)))
    return labelled


@torch.no_grad()
def fit_temperature(
    model: nn.Module, network: State, examples: Sequence[Batch]
) -> tuple[float, float, float]:
    """Return the temperature that lowers the cross-entropy most, and the loss before and after.

    It is fitted on one half of the examples and both losses are measured on the other.

    Raises:
        DataError: the targets are not classes.
    """
    model, state = eval_copy(model), untied(model, network)
    parts: list[tuple[Tensor, Tensor]] = []
    for inputs, targets in examples:
        logits = run(model, state, inputs).double()
        axis = None if targets is None else class_axis(logits, targets, IGNORED, -1, needed=False)
        if axis is None or targets is None:
            raise DataError("a temperature is fitted to classes; these targets are none")
        classes = logits.movedim(axis, -1)
        parts.append((classes.reshape(-1, classes.shape[-1]), class_targets(targets)))
    logits, targets = (torch.cat(each) for each in zip(*parts))

    def loss(log_t: float, part: slice) -> float:
        return float(F.cross_entropy(logits[part] / 2**log_t, targets[part]))

    fitted, scored = slice(0, None, 2), slice(1, None, 2)
    low, high, golden = -6.0, 6.0, (5**0.5 - 1) / 2
    for _ in range(STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left, fitted) < loss(right, fitted):
            high = right
        else:
            low = left
    middle = (low + high) / 2
    return 2**middle, loss(0.0, scored), loss(middle, scored)
