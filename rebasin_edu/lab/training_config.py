"""How a network is trained: the settings of ``train``, checked where they enter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import RebasinError, choose
from .augmentation import AUGMENTATIONS

OPTIMISERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine", "one-cycle")
PRECISIONS = ("float32", "bfloat16", "auto")


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of one training.

    Attributes:
        optimiser: ``"adam"`` (AdamW when there is weight decay) or ``"sgd"`` with Nesterov
            momentum.
        lr: the highest learning rate.
        momentum: of ``"sgd"``.
        schedule: ``"constant"``, ``"cosine"`` (to zero) or ``"one-cycle"`` (up for 30 %, then
            down).
        warmup: epochs in which the rate rises from 1e-6; ``"one-cycle"`` has its own rise.
        augment: ``None``, ``"crop-flip"`` or ``"paper"``; see ``augmentation``.
        precision: ``"float32"``, ``"bfloat16"`` (autocast) or ``"auto"``: bfloat16 where the
            device computes in it.
        seed: of the batch order and the augmentation.
    """

    optimiser: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.0
    augment: str | None = None
    batch_size: int = 500
    epochs: int = 25
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        choose("optimiser", self.optimiser, OPTIMISERS)
        choose("schedule", self.schedule, SCHEDULES)
        choose("augment", self.augment, tuple(AUGMENTATIONS))
        choose("precision", self.precision, PRECISIONS)
        for name, least in (("batch_size", 1), ("epochs", 1), ("seed", 0)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        object.__setattr__(self, "lr", real_number("lr", self.lr, above=0))
        for name, highest in (("momentum", 1.0), ("weight_decay", None), ("warmup", self.epochs)):
            value = real_number(name, getattr(self, name), least=0, highest=highest)
            object.__setattr__(self, name, value)


def learning_rate(schedule: str, peak: float, progress: float, warmup: float = 0.0) -> float:
    """Return the rate when a fraction ``progress`` of all steps is done; ``warmup`` is a fraction
    too.
    """
    if schedule == "one-cycle":
        low, warmup = peak / 25, 0.3
        if progress < warmup:
            return low + (peak - low) * (1 - math.cos(math.pi * progress / warmup)) / 2
        return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2
    if progress < warmup:
        return 1e-6 + (peak - 1e-6) * progress / warmup
    if schedule == "constant":
        return peak
    return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


def whole_number(name: str, value: Any, least: int) -> int:
    """Return ``value`` as an ``int``, so that 2 and 2.0 are one setting.

    Raises:
        RebasinError: it is not a whole number, or is below ``least``.
    """
    number = _number(value)
    if number is None or number != math.floor(number) or number < least:
        raise RebasinError(f"{name}={value!r} must be a whole number, at least {least}")
    return int(value)


def real_number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    highest: float | None = None,
) -> float:
    """Return ``value`` as a ``float``.

    Raises:
        RebasinError: it is not a finite number, or is outside its range.
    """
    number = _number(value)
    low = number is not None and (
        (least is not None and number < least) or (above is not None and number <= above)
    )
    if number is None or low or (highest is not None and number > highest):
        bounds = f"above {above}" if above is not None else f"at least {least}"
        bounds += f" and at most {highest}" if highest is not None else ""
        raise RebasinError(f"{name}={value!r} must be a number {bounds}")
    return number


def _number(value: Any) -> float | None:
    """The value as a finite float, or ``None`` for all else (``True`` is no number)."""
    if isinstance(value, (bool, str, bytes)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
