"""Loss, accuracy and calibration from outputs and targets, of one network or a stack of them.

Sums are taken on the device of the outputs, so that a stack of networks is scored in one go and
nothing is copied; the tests hold them against scikit-learn's ``log_loss``, ``accuracy_score`` and
``calibration_curve``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .criteria import Criterion, Metrics, called, class_axis, class_targets, ignored_index

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
        loss: mean softmax cross-entropy; the mean squared error where targets are regressed on; the
            mean of ``loss=`` where one was given.
        accuracy: share of right answers, 0 to 1; nan where the targets are no classes.
        ece: expected calibration error (15 equal bins of the top class's probability).
        samples: how many predictions were counted.
        reliability: the bins behind ``ece``.
        metrics: name → mean, of those that were asked for.
    """

    loss: float
    accuracy: float
    ece: float
    samples: int
    reliability: Reliability = field(repr=False)
    metrics: Mapping[str, float] = field(default_factory=dict)


class MetricSums:
    """Sums over batches for ``rows`` networks at a time."""

    def __init__(
        self,
        rows: int,
        device: torch.device,
        bins: int = BINS,
        *,
        loss: Criterion | None = None,
        metrics: Metrics | None = None,
    ):
        self.rows, self.bins = rows, bins
        self.axis: int | None = None  # of the classes, once a batch has told it
        # Apple's GPUs have no double precision
        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self.criteria: dict[str, Criterion] = {f"metric {k}": f for k, f in (metrics or {}).items()}
        self.own_loss, self.ignore = loss is not None, ignored_index(loss)
        if loss is not None:
            self.criteria["loss"] = loss
        names = ("loss", *self.criteria)
        self.totals = {k: torch.zeros(rows, dtype=self.wide, device=device) for k in names}
        self.counts = dict.fromkeys(names, 0)
        self.classes = 0  # predictions whose targets are classes
        # count, confidence, correct
        self.sums = torch.zeros(3, rows, bins, dtype=self.wide, device=device)
        self.edges = torch.linspace(0, 1, bins + 1, device=device)[1:-1]

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """Raise a ``DataError`` unless a network's outputs can be scored against these targets."""
        needed = not self.own_loss
        self.axis = class_axis(outputs, targets, self.ignore, self.axis, needed=needed) or self.axis
        for name, function in self.criteria.items():
            called(name, function, outputs, targets, check=True)

    def add(self, outputs: Tensor, targets: Tensor, start: int = 0) -> None:
        """Count a batch.

        Args:
            outputs: ``(rows, examples, …)`` of networks ``start …``.
            targets: ``(examples, …)`` classes, or what the loss takes.
        """
        if outputs.dtype in (torch.half, torch.bfloat16):
            outputs = outputs.float()
        for name, function in self.criteria.items():
            for k, each in enumerate(outputs, start):
                value = called(name, function, each, targets)
                count = value.numel() if value.ndim else len(targets)
                self.totals[name][k] += value.to(self.wide).mean() * count
                self.counts[name] += count * (k == 0)
        axis = class_axis(outputs[0], targets, self.ignore, self.axis, needed=False)
        if axis is not None:
            self._add_classes(outputs.movedim(axis % outputs[0].ndim + 1, -1), targets, start)
        elif not self.own_loss:
            squares = (outputs.to(self.wide) - targets).square().flatten(2).mean(-1)
            self.totals["loss"][start : start + len(outputs)] += squares.sum(-1)
            self.counts["loss"] += squares.shape[1] * (start == 0)

    def _add_classes(self, outputs: Tensor, targets: Tensor, start: int) -> None:
        """Count outputs ``(rows, …, classes)`` and classes ``(…)``."""
        rows, classes = outputs.shape[0], outputs.shape[-1]
        outputs, targets = outputs.reshape(rows, -1, classes), class_targets(targets)
        counted = targets != self.ignore
        if not bool(counted.all()):
            outputs, targets = outputs[:, counted], targets[counted]
        self.classes += len(targets) * (start == 0)
        log_p = outputs.log_softmax(-1)
        if not self.own_loss:
            picked = log_p.gather(-1, targets.expand(rows, -1).unsqueeze(-1))
            self.totals["loss"][start : start + rows] -= picked.sum((1, 2), dtype=self.wide)
            self.counts["loss"] += len(targets) * (start == 0)
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
        means = {k: (x / max(1, self.counts[k])).tolist() for k, x in self.totals.items()}
        rows = []
        for k, (count, confidence, correct) in enumerate(zip(*self.sums.tolist())):
            bins = Reliability(tuple(count), tuple(confidence), tuple(correct))
            accuracy, ece = sum(correct) / max(1, self.classes), bins.ece
            if not self.classes:
                accuracy = ece = math.nan
            own = {n.removeprefix("metric "): means[n][k] for n in means if n != "loss"}
            rows.append(Score(means["loss"][k], accuracy, ece, self.counts["loss"], bins, own))
        return rows
