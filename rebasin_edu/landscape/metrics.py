"""Running sums of loss, accuracy and calibration, for one network or a stack of them.

Sums are taken on the device of the outputs, so that a stack of networks is scored in one go and
nothing is copied; the tests hold them against scikit-learn's ``log_loss``, ``accuracy_score`` and
``calibration_curve``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import DataError

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """How often a network is right, given its confidence, in equal bins of the confidence in the
    class that it names.

    Attributes:
        count: predictions in each bin; bin ``i`` of ``n`` is the interval ``(i/n, (i+1)/n]``.
        confidence, correct: sums over each bin of the confidence, and of right answers.
    """

    count: tuple[float, ...]
    confidence: tuple[float, ...]
    correct: tuple[float, ...]

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean gap between confidence and accuracy, each bin
        weighted by its share of the predictions.
        """
        gaps = sum(abs(sure - right) for sure, right in zip(self.confidence, self.correct))
        return gaps / max(1.0, sum(self.count))


@dataclass(frozen=True)
class Score:
    """How well one network does on one data set.

    Attributes:
        loss: mean softmax cross-entropy; the mean squared error where targets are regressed on.
        accuracy: share of right answers, 0 to 1; nan in a regression.
        ece: expected calibration error (15 equal bins of the top class's probability).
        samples: how many predictions were counted.
        reliability: the bins behind ``ece``.
    """

    loss: float
    accuracy: float
    ece: float
    samples: int
    reliability: Reliability = field(repr=False)


class MetricSums:
    """Sums over batches for ``rows`` networks at a time."""

    def __init__(self, rows: int, device: torch.device, bins: int = BINS):
        self.rows, self.bins, self.samples, self.regression = rows, bins, 0, False
        # Apple's GPUs have no double precision
        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self.loss = torch.zeros(rows, dtype=self.wide, device=device)
        # count, confidence, correct
        self.sums = torch.zeros(3, rows, bins, dtype=self.wide, device=device)
        self.edges = torch.linspace(0, 1, bins + 1, device=device)[1:-1]

    def add(self, outputs: Tensor, targets: Tensor, start: int = 0) -> None:
        """Count a batch.

        Args:
            outputs: ``(rows, …, classes)`` of networks ``start …``.
            targets: ``(…)`` classes, or ``(…, classes)`` values to regress on.
        """
        rows, classes = outputs.shape[0], outputs.shape[-1]
        outputs = outputs.reshape(rows, -1, classes)
        if start == 0:
            self.samples += outputs.shape[1]
        if targets.is_floating_point():
            self.regression = True
            squares = (outputs.to(self.wide) - targets.reshape(-1, classes)).square()
            self.loss[start : start + rows] += squares.mean(-1).sum(-1)
            return
        targets, half = targets.reshape(-1), outputs.dtype in (torch.half, torch.bfloat16)
        log_p = (outputs.float() if half else outputs).log_softmax(-1)
        picked = log_p.gather(-1, targets.expand(rows, -1).unsqueeze(-1))
        self.loss[start : start + rows] -= picked.sum((1, 2), dtype=self.wide)
        top, named = log_p.max(-1)  # (rows, samples)
        confidence = top.exp()
        # bins are (lower, upper], as scikit-learn has it
        where = torch.bucketize(confidence, self.edges.to(confidence.dtype))
        where += torch.arange(rows, device=where.device).unsqueeze(-1) * self.bins
        correct = (named == targets).to(confidence.dtype)
        for k, weight in enumerate((torch.ones_like(confidence), confidence, correct)):
            weights = weight.flatten().to(self.wide)
            summed = torch.bincount(where.flatten(), weights, rows * self.bins)
            self.sums[k, start : start + rows] += summed.view(rows, self.bins)

    def scores(self) -> list[Score]:
        """Return the score of each row."""
        rows = []
        for loss, count, confidence, correct in zip(self.loss.tolist(), *self.sums.tolist()):
            bins = Reliability(tuple(count), tuple(confidence), tuple(correct))
            accuracy, ece = sum(correct) / self.samples, bins.ece
            if self.regression:
                accuracy = ece = math.nan
            rows.append(Score(loss / self.samples, accuracy, ece, self.samples, bins))
        return rows


def check_targets(outputs: Tensor, targets: Tensor) -> None:
    """Raise a ``DataError`` unless ``targets`` are classes of ``outputs`` ``(…, classes)``, one for
    each prediction, or floating numbers of the outputs' own shape.
    """
    if targets.is_floating_point() and targets.shape == outputs.shape:
        return
    if outputs.ndim < 2 or outputs.shape[:-1] != targets.shape:
        raise DataError(
            f"the network gives {tuple(outputs.shape)} and the targets are {tuple(targets.shape)}: "
            "one class for each prediction is needed (the last axis of the output holds the "
            "classes)"
        )
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise DataError(f"the targets are {targets.dtype}; classes are whole numbers")
    low, high = targets.aminmax()
    if low < 0 or high >= outputs.shape[-1]:
        classes = outputs.shape[-1]
        raise DataError(
            f"the targets go from {int(low)} to {int(high)}, the network has {classes} classes "
            f"(0 … {classes - 1})"
        )
