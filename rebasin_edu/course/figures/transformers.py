"""Two transformers on one line: the barriers that each group of symmetries leaves, and what a mixed
language model writes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.curves import value_at
from ...show.style import (
    MATCHED,
    NAIVE,
    REPAIRED,
    Look,
    describe,
    finish_alpha_axis,
    new_figure,
    write,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...landscape.curve import Curve

LINES, COLUMNS = 12, 44  # of the text beside a curve


def draw_symmetries(
    rows: Mapping[str, Sequence[float]], *, changed: Sequence[str] = (), title: str = ""
) -> Figure:
    """The loss barriers of several pairs, a line for each way to bring B to A.

    Args:
        rows: way → the loss barrier of each pair; the first moves nothing, and is grey.
        changed: ways that compute another function than B: purple, and below a dashed line. The
            others are exact symmetries, in green.
        title: names the networks and the data.
    """
    figure, axes = new_figure((9.6, 1.3 + 0.46 * len(rows)))
    panel = axes[0, 0]
    words, furthest = [], max(max(heights) for heights in rows.values())
    for place, (name, heights) in enumerate(rows.items()):
        colour, marker = (MATCHED, "D") if place else (NAIVE, "X")
        colour, marker = (REPAIRED, "^") if name in changed else (colour, marker)
        panel.plot([min(heights), max(heights)], [place, place], color=colour, linewidth=3)
        panel.plot(heights, [place] * len(heights), marker, color=colour, ms=8, mec="white")
        look: Look = {"va": "center", "fontsize": 10, "color": colour}
        write(panel, f"mean {np.mean(heights):.2f}", (max(heights), place), (12, 0), **look)
        words.append(f"{name}: {min(heights):.2f} to {max(heights):.2f}")
    if changed:
        border = len(rows) - len(changed) - 0.5
        panel.axhline(border, color="0.4", linewidth=1, linestyle="--")
        look = {"ha": "right", "fontsize": 9, "color": "0.35"}
        write(panel, "B's own function", (1.3 * furthest, border), (-2, 4), va="bottom", **look)
        write(panel, "other weights", (1.3 * furthest, border), (-2, -4), va="top", **look)
    panel.axvline(0, color="0.4", linewidth=1)
    panel.set(yticks=range(len(rows)), yticklabels=list(rows), xlabel="loss barrier")
    panel.set(xlim=(min(-0.02 * furthest, *map(min, rows.values())), 1.3 * furthest))
    panel.set(ylim=(len(rows) - 0.5, -0.5))
    panel.set_title(title, loc="left", fontsize=11)
    return describe(figure, f"{title}. Loss barriers of the pairs: {'; '.join(words)}.")


def draw_writing(
    curves: Mapping[str, Curve], name: str, alpha: float, written: str, *, title: str = ""
) -> Figure:
    """The loss along each line, and what the network at one place of one line writes.

    Args:
        curves: way → the curve; ``name`` is drawn green, the others grey.
        name, alpha: the place.
        written: the text of the network there.
        title: stands over the curves.
    """
    figure, axes = new_figure("wide", 1, 2, width_ratios=(1, 1.2))
    left, right = axes[0]
    for other, curve in curves.items():
        look: Look = {"color": "0.8"} if other != name else {"color": MATCHED, "linewidth": 2.5}
        left.plot(curve.alphas, curve.loss, marker="o", ms=4, **look)
    loss = value_at(curves[name], "loss", alpha)
    left.plot(alpha, loss, "o", ms=12, mfc="none", color="k")
    finish_alpha_axis(left)
    left.set(ylabel="test loss")
    left.set_title(title, loc="left", fontsize=11)
    lines = [part for line in written.split("\n") for part in textwrap.wrap(line, COLUMNS) or [""]]
    right.axis("off")
    look = {"family": "monospace", "fontsize": 10, "va": "top", "parse_math": False}
    right.text(0, 1, "\n".join(lines[:LINES]), transform=right.transAxes, **look)
    right.set_title(f"{name}, alpha {alpha:g}", loc="left", fontsize=11)
    said = " ".join(written.split())
    return describe(figure, f"{name}, alpha {alpha:g}: test loss {loss:.2f}. It writes: {said}")
