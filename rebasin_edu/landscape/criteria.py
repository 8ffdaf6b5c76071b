"""What networks are scored by, and which axis of an output holds the classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError, RebasinError

Criterion = Callable[[Tensor, Tensor], Tensor]
Metrics = Mapping[str, Criterion]
IGNORED = -100  # the class that torch's cross-entropy leaves out


def check_criteria(loss: Any, metrics: Any) -> None:
    """Raise a ``RebasinError`` unless the loss and the metrics can be called."""
    if loss is not None and not callable(loss):
        raise RebasinError(
            f"loss={loss!r}: a function of outputs and targets is needed, such as "
            "torch.nn.functional.mse_loss"
        )
    if metrics is not None and not (
        isinstance(metrics, Mapping) and all(map(callable, metrics.values()))
    ):
        raise RebasinError(f"metrics={metrics!r}: name → function of outputs and targets is needed")


def ignored_index(loss: Any) -> int:
    """Return the class that a loss leaves out: its own ``ignore_index``, or torch's -100."""
    own = getattr(loss, "keywords", {}).get("ignore_index", getattr(loss, "ignore_index", IGNORED))
    return own if isinstance(own, int) else IGNORED


def called(
    name: str, function: Criterion, outputs: Tensor, targets: Tensor, *, check: bool = False
) -> Tensor:
    """Return a loss or metric: one number, or one for each example or prediction.

    Args:
        check: also find out whether it broadcasts targets of another shape.

    Raises:
        DataError: it does not take these outputs and targets.
    """
    try:
        if not check:
            return torch.as_tensor(function(outputs, targets))
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Using a target size")
            return torch.as_tensor(function(outputs, targets))
    except Exception as error:
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"the {name} does not take outputs of shape {tuple(outputs.shape)} and targets of "
            f"shape {tuple(targets.shape)} and {targets.dtype}: {words}"
        ) from error


def class_targets(targets: Tensor) -> Tensor:
    """Return classes as a flat tensor of the integers that torch's indices are."""
    return targets.reshape(-1).long()


def class_axis(
    outputs: Tensor, targets: Tensor, ignore: int, known: int | None, *, needed: bool
) -> int | None:
    """Return the axis of the outputs that holds the classes, 1 or -1, or ``None``.

    Outputs are ``(examples, classes, …)``, as torch's cross-entropy has it, or ``(examples, …,
    classes)``. Where both readings fit, images ``(N, C, H, W)`` are read as torch does; for
    sequences ``known`` decides, the axis of earlier batches.

    Args:
        ignore: the class that is left out.
        needed: whether it is an error that the targets are neither classes nor numbers of the
            outputs' own shape.

    Raises:
        DataError: ``needed``, and they are neither.
    """
    if targets.is_floating_point() or targets.dtype == torch.bool or targets.is_complex():
        if needed and (targets.shape != outputs.shape or not targets.is_floating_point()):
            raise DataError(_neither(outputs, targets))
        return None
    shape = tuple(targets.shape)
    last = outputs.ndim > 1 and tuple(outputs.shape[:-1]) == shape
    second = outputs.ndim > 1 and (outputs.shape[0], *outputs.shape[2:]) == shape
    if not (last or second):
        if needed:
            raise DataError(_neither(outputs, targets))
        return None
    axis = -1 if last else 1
    if last and second and outputs.ndim > 2:
        if outputs.ndim == 3 and known is None and needed:
            raise DataError(
                f"outputs of shape {tuple(outputs.shape)} may have their classes on axis 1 or on "
                "the last: say which by loss=, such as lambda y, t: "
                "torch.nn.functional.cross_entropy(y.movedim(-1, 1), t)"
            )
        axis = 1 if outputs.ndim > 3 else known or -1
    counted = targets[targets != ignore]
    if not counted.numel():
        return axis
    (low, high), classes = (int(x) for x in counted.aminmax()), outputs.shape[axis]
    if low < 0 or high >= classes:
        if needed:
            raise DataError(
                f"the targets go from {low} to {high}, the network has {classes} classes "
                f"(0 … {classes - 1})"
            )
        return None
    return axis


def _neither(outputs: Tensor, targets: Tensor) -> str:
    """What is wrong with targets that are neither classes nor numbers to regress on."""
    shapes = f"the network gives {tuple(outputs.shape)} and the targets are {tuple(targets.shape)}"
    if targets.is_floating_point() and targets.numel() == outputs.numel():
        return f"{shapes}: targets to regress on need the outputs' own shape, targets.view_as(…)"
    if targets.is_floating_point() or targets.dtype == torch.bool:
        return f"{shapes} of {targets.dtype}: classes are whole numbers; or give loss="
    return (
        f"{shapes}: one class for each prediction is needed (axis 1 of the output holds the "
        "classes, or the last); or give loss="
    )
