"""The colours of the course, each with one meaning, and the style they are used with."""

from __future__ import annotations

import colorsys
from contextlib import AbstractContextManager
from pathlib import Path

A = "#0072B2"  # blue: network A
B = "#E69F00"  # orange: network B
NAIVE = "#7F7F7F"  # grey: B as it is
MATCHED = "#009E73"  # green: B with its hidden units reordered
REPAIRED = "#CC79A7"  # purple: matched, and its statistics repaired
OTHERS = ("#56B4E9", "#D55E00", "#F0E442", "#000000")

MEANING = {
    "a": (A, "o"), "b": (B, "s"), "naive": (NAIVE, "x"), "matched": (MATCHED, "D"), "repaired": (REPAIRED, "^")
}  # fmt: skip
SIZES = {"one": (6.4, 3.8), "wide": (9.6, 3.8)}


def style() -> AbstractContextManager:
    """The package's matplotlib style, for the length of a ``with`` block; global settings stay as
    they are.
    """
    import matplotlib.pyplot as plt

    return plt.style.context(Path(__file__).with_name("rebasin.mplstyle"))


def colour_of(label: str, position: int = 0) -> tuple[str, str]:
    """The colour and marker that a curve of this name has everywhere; other names take the spare
    colours in turn.
    """
    return MEANING.get(label.lower(), (OTHERS[position % len(OTHERS)], "v"))


def rainbow(count: int) -> list[tuple[float, float, float]]:
    """``count`` hues from red to violet: the colours that hidden units carry so that the eye can
    follow a shuffle.
    """
    return [
        colorsys.hsv_to_rgb(0.83 * index / max(1, count - 1), 0.75, 0.92) for index in range(count)
    ]
