"""What the benchmarks keep of a curve: few digits, plain lists."""

from __future__ import annotations

from collections.abc import Iterable

from rebasin_edu import Curve


def digits(numbers: Iterable[float], places: int = 4) -> list[float]:
    """The numbers, rounded."""
    return [round(number, places) for number in numbers]


def curve_row(curve: Curve) -> dict:
    """Loss and accuracy along a path, and the paper's barrier of both."""
    return {
        "loss": digits(curve.loss),
        "accuracy": digits(curve.accuracy),
        "loss_barrier": round(curve.barrier.loss, 5),
        "accuracy_barrier": round(curve.barrier.accuracy, 5),
    }
