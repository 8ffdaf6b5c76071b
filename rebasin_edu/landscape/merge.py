"""The whole way for people with two checkpoints or more: match, average, repair, and a report of
what was done and what it cost.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from torch import nn

from ..batches import Data, Inputs
from ..errors import DataError, RebasinError, choose
from ..storage import save_tensors
from ..symmetry import PermutationSpec
from ..weights import State, Weights, architecture, restored
from .criteria import Criterion, Metrics, check_criteria
from .interpolation import finite
from .merging import MergeReport, Merging
from .path import REPAIRS

METHODS = ("weights", "activations", "none")


def merge(
    a: Weights | Sequence[Weights],
    b: Weights | None = None,
    train_data: Data | None = None,
    *,
    model: nn.Module | None = None,
    inputs: Inputs | None = None,
    alpha: float = 0.5,
    method: str = "weights",
    repair: str = "auto",
    spec: PermutationSpec | None = None,
    num_samples: int = 2000,
    seed: int = 0,
    temperature: bool = False,
    loss: Criterion | None = None,
    metrics: Metrics | None = None,
    fill: bool = False,
    save: str | os.PathLike | None = None,
) -> tuple[State, MergeReport]:
    """Return one network merged from two or more of one architecture, and a report.

    Derives the symmetries of the model, finds the permutation that brings B near A, averages, and
    repairs the result.

    Args:
        a, b: a module or state dict each; not changed. Or ``a`` alone: a list of them, which are
            merged by ``merge_many`` where there are three or more.
        train_data: training data in any form; needed for a repair and for
            ``method="activations"``. Half of the examples are repaired on, the other half are
            scored. Without targets the scores are against the classes
            that the parents name together.
        model: the architecture, where no network is a module; given back as it was.
        inputs: arguments of the forward pass to derive the symmetries with (a lone tensor is one, a
            mapping gives keyword arguments); ``None`` takes examples of ``train_data``.
        alpha: 0 gives A and 1 gives π(B), bit for bit.
        method: ``"weights"``, ``"activations"``, or ``"none"`` for the naive average.
        repair: ``"batchnorm"`` re-estimates its statistics, ``"rescale"`` sets every hidden unit's
            mean and standard deviation, ``"refit"`` fits the layers to the parents' outputs,
            ``"none"`` leaves the average; ``"auto"`` tries all that the model allows and keeps the
            one with the lowest loss.
        spec: the symmetries, where they are known already.
        num_samples: how many examples of ``train_data`` are used, both halves together.
        seed: of the matcher.
        temperature: also fit the factor by which the logits are best divided (most of a naive
            *loss* barrier is their scale); it is reported, the weights stay as they are.
        loss, metrics: what the networks are scored by, as in ``evaluate``.
        fill: BatchNorm statistics that a checkpoint lacks are the model's own.
        save: a file for the merged weights, in safetensors.

    Raises:
        RebasinError: an unknown method or repair, or one that needs data without them.
        WeightsError, SpecError, DataError: the networks or the data cannot be used.
    """
    choose("method", method, METHODS)
    choose("repair", repair, ("auto", "none", *REPAIRS))
    networks: list[Weights] = list(a) if isinstance(a, (list, tuple)) else [a]  # type: ignore[list-item]
    networks += [] if b is None else [b]
    if len(networks) < 2:
        raise RebasinError("one network alone cannot be merged: give b, or a list of networks")
    if train_data is None and (method == "activations" or repair in REPAIRS or temperature):
        raise DataError(
            f"method={method!r}, repair={repair!r} needs data: train_data= with examples of what "
            "the networks were trained on"
        )
    if len(networks) > 2 and (alpha != 0.5 or method == "activations"):
        raise RebasinError("more than two networks are merged at equal parts, method='weights'")
    if len(networks) > 2 and repair == "rescale":
        raise RebasinError("repair='rescale' is defined between two networks; 'refit' takes more")
    report = MergeReport(method, "none", finite(alpha))
    criteria = {"loss": loss, "metrics": metrics}
    check_criteria(loss, metrics)
    merging = Merging(architecture(model, *networks), networks, report, criteria, fill)
    merging.read(train_data, num_samples)
    merging.match(inputs, spec, seed)
    merging.repair(repair)
    if temperature:
        merging.report.temperature = merging.best_temperature()
    merging.merged = restored(merging.merged, networks[0])
    if save is not None:
        about = {"format": "rebasin_edu.merged", "report": str(merging.report)}
        save_tensors(save, merging.merged, about)
    return merging.merged, merging.report
