"""What the benchmarks keep of a curve and of how it was made: few digits, plain lists."""

from __future__ import annotations

from collections.abc import Iterable

from rebasin_edu import Curve
from rebasin_edu.landscape import Score


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


def score_row(score: Score, bins: bool = False) -> dict:
    """Loss, accuracy and calibration error of one network; ``bins`` keeps what its reliability
    diagram needs.
    """
    row = {
        "loss": round(score.loss, 5),
        "accuracy": round(score.accuracy, 5),
        "ece": round(score.ece, 5),
    }
    if bins:
        held = score.reliability
        row["bins"] = {
            name: digits(getattr(held, name), 2) for name in ("count", "confidence", "correct")
        }
    return row


def origins(made: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each origin, such as a machine, with the names of all that came from there."""
    found: dict[str, dict[str, None]] = {}
    for origin, name in made:
        found.setdefault(origin, {})[name] = None
    return [f"* {origin}: {'; '.join(names)}" for origin, names in sorted(found.items())]
