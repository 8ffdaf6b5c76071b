"""One curve, three barriers: what each definition in use measures, drawn as a height."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...show.curves import figure, finish_alpha_axis, values
from ...show.style import OTHERS, colour_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...landscape.curve import Curve


def draw_barriers(curve: Curve, *, name: str = "matched", title: str = "") -> Figure:
    """The loss on the line from A to B, and the heights that are called its barrier.

    ``paper``: the highest point over the mean of both ends. ``line``: the largest height over the
    straight line between the ends. ``midpoint``: what stands at alpha = 1/2 over the mean of both
    ends (it points down where the middle is better).

    Args:
        curve: measured at alpha = 0, 1/2 and 1 at least.
        name: what B was, "naive" or "matched": gives the curve its colour.
        title: stands over the panel.
    """
    made, axes = figure("one")
    panel = axes[0, 0]
    alphas, loss = np.asarray(curve.alphas, dtype=float), values(curve, "loss")
    inside = (alphas >= 0) & (alphas <= 1)
    alphas, loss = alphas[inside], loss[inside]
    start, stop = np.interp([0, 1], alphas, loss)
    ends, line = 0.5 * (start + stop), start + alphas * (stop - start)
    panel.plot(alphas, loss, color=colour_of(name)[0], linewidth=2.5, zorder=3)
    panel.axhline(ends, color="0.35", linewidth=1, linestyle="--", zorder=1)
    panel.plot([0, 1], [start, stop], color="0.35", linewidth=1, linestyle=":", zorder=1)
    top, above = int(loss.argmax()), int((loss - line).argmax())
    spread = (
        0.015 if abs(alphas[top] - alphas[above]) < 0.03 else 0.0
    )  # two arrows at one alpha stand side by side
    arrows = {
        "paper": (alphas[top] + spread, ends, loss[top], OTHERS[1], "left"),
        "line": (alphas[above] - spread, line[above], loss[above], OTHERS[0], "below"),
        "midpoint": (0.5, ends, float(np.interp(0.5, alphas, loss)), OTHERS[3], "right"),
    }
    for label, (at, low, high, colour, side) in arrows.items():
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        panel.annotate("", (at, high), (at, low), arrowprops=arrow, zorder=4)
        panel.annotate(
            f"{label} {high - low:+.2f}".replace("-", "−"),
            (at, low if side == "below" else 0.5 * (low + high)),
            {"left": (6, 0), "right": (-6, 0), "below": (-4, -14)}[side],
            textcoords="offset points",
            ha="right" if side == "below" else side,
            va="top" if side == "below" else "center",
            color=colour,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1},
            zorder=5,
        )
    panel.annotate(
        "mean of both ends",
        (0.0, ends),
        (2, 3),
        textcoords="offset points",
        color="0.35",
        fontsize=9,
    )
    finish_alpha_axis(panel, {name: curve}, "loss")
    panel.set_title(title, loc="left")
    return made
