"""Running sums of loss, accuracy and calibration, for one network or a stack of them.

A dozen lines of sums on the device of the logits, so that a stack of networks is scored in one go
and nothing is copied; the tests hold them against scikit-learn's ``log_loss``, ``accuracy_score``
and ``calibration_curve``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import DataError

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """How right a network is, given how sure it is: equal bins of its confidence in the class it
    names.

    Attributes:
        count: predictions in each bin; bin ``i`` of ``n`` is the interval ``(i/n, (i+1)/n]``.
        confidence, correct: their sums of confidence, and how many of them were right.
    """

    count: tuple[float, ...]
    confidence: tuple[float, ...]
    correct: tuple[float, ...]

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean gap between confidence and accuracy, each bin by its
        share of predictions.
        """
        return sum(abs(sure - right) for sure, right in zip(self.confidence, self.correct)) / max(
            1.0, sum(self.count)
        )


@dataclass(frozen=True)
class Score:
    """How well one network does on one data set.

    Attributes:
        loss: mean softmax cross-entropy.
        accuracy: share of right answers, 0 to 1.
        ece: expected calibration error (15 equal bins of the top class's probability).
        samples: how many predictions were counted.
        reliability: the bins behind ``ece``.
    """

    loss: float
    accuracy: float
    ece: float
    samples: int
    reliability: Reliability = field(repr=False)


class Tally:
    """Sums over batches for ``rows`` networks at a time."""

    def __init__(self, rows: int, device: torch.device, bins: int = BINS):
        self.rows, self.bins, self.samples = rows, bins, 0
        self.wide = (
            torch.float32 if device.type == "mps" else torch.float64
        )  # Apple's GPUs have no double
        self.loss = torch.zeros(rows, dtype=self.wide, device=device)
        self.sums = torch.zeros(
            3, rows, bins, dtype=self.wide, device=device
        )  # count, confidence, correct
        self.edges = torch.linspace(0, 1, bins + 1, device=device)[1:-1]

    def add(self, logits: Tensor, targets: Tensor, start: int = 0) -> None:
        """Count a batch.

        Args:
            logits: ``(rows, …, classes)`` of networks ``start …``.
            targets: ``(…)`` classes.
        """
        rows, classes = logits.shape[0], logits.shape[-1]
        logits, targets = logits.reshape(rows, -1, classes), targets.reshape(-1)
        log_p = (
            logits.float().log_softmax(-1)
            if logits.dtype in (torch.half, torch.bfloat16)
            else logits.log_softmax(-1)
        )
        picked = log_p.gather(-1, targets.expand(rows, -1).unsqueeze(-1))
        self.loss[start : start + rows] -= picked.sum((1, 2), dtype=self.wide)
        top, named = log_p.max(-1)  # (rows, samples)
        confidence = top.exp()
        where = torch.bucketize(
            confidence, self.edges.to(confidence.dtype)
        )  # (lower, upper], as scikit-learn has it
        where += torch.arange(rows, device=where.device).unsqueeze(-1) * self.bins
        for k, weight in enumerate(
            (torch.ones_like(confidence), confidence, (named == targets).to(confidence.dtype))
        ):
            summed = torch.bincount(
                where.flatten(), weight.flatten().to(self.wide), rows * self.bins
            )
            self.sums[k, start : start + rows] += summed.view(rows, self.bins)
        if start == 0:
            self.samples += targets.numel()

    def scores(self) -> list[Score]:
        """The score of each row."""
        found = []
        for loss, count, confidence, correct in zip(self.loss.tolist(), *self.sums.tolist()):
            reliability = Reliability(tuple(count), tuple(confidence), tuple(correct))
            found.append(
                Score(
                    loss / self.samples,
                    sum(correct) / self.samples,
                    reliability.ece,
                    self.samples,
                    reliability,
                )
            )
        return found


def check_targets(logits: Tensor, targets: Tensor) -> None:
    """Raise ``DataError`` unless ``targets`` are classes of ``logits`` ``(…, classes)``, one for
    each prediction.
    """
    if logits.ndim < 2 or logits.shape[:-1] != targets.shape:
        raise DataError(
            f"the network gives {tuple(logits.shape)} and the targets are {tuple(targets.shape)}: "
            "one class for each prediction is needed (the last axis of the output holds the classes)"
        )
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise DataError(f"the targets are {targets.dtype}; classes are whole numbers")
    low, high = targets.aminmax()
    if low < 0 or high >= logits.shape[-1]:
        classes = logits.shape[-1]
        raise DataError(
            f"the targets go from {int(low)} to {int(high)}, the network has {classes} classes (0 … {classes - 1})"
        )
