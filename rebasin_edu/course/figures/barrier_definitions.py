"""One curve, three barriers: what each definition in use measures, drawn as a height."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...show.curves import values
from ...show.style import OTHERS, PAPER, colour_of, describe, finish_alpha_axis, new_figure, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...landscape.curve import Curve


def draw_barriers(curve: Curve, *, name: str = "matched", title: str = "") -> Figure:
    """The loss on the line from A to B, and the heights that are called its barrier.

    ``paper``: the highest point over the mean of both ends. ``line``: the largest height over the
    straight line between the ends. ``midpoint``: the loss at alpha = 1/2 over the mean of both ends
    (the arrow points down where the midpoint is better).

    Args:
        curve: measured at alpha = 0, 1/2 and 1 at least.
        name: what B was, "naive" or "matched": gives the curve its colour.
        title: stands over the panel.
    """
    figure, axes = new_figure("one")
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
    # Two arrows at one alpha stand side by side.
    spread = 0.015 if abs(alphas[top] - alphas[above]) < 0.03 else 0.0
    middle = float(np.interp(0.5, alphas, loss))
    arrows = {
        "paper": (alphas[top] + spread, ends, loss[top], OTHERS[1], (6, 0), "left"),
        "line": (alphas[above] - spread, line[above], loss[above], OTHERS[0], (-4, -14), "right"),
        "midpoint": (0.5, ends, middle, OTHERS[3], (-6, 0), "right"),
    }
    texts = []
    for label, (at, low, high, colour, shift, side) in arrows.items():
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        panel.annotate("", (at, high), (at, low), arrowprops=arrow, zorder=4)
        texts.append(f"{label} {high - low:+.2f}".replace("-", "−"))
        below = label == "line"
        place = (at, low if below else 0.5 * (low + high))
        look = {"color": colour, "fontweight": "bold", "bbox": PAPER, "zorder": 5}
        write(panel, texts[-1], place, shift, ha=side, va="top" if below else "center", **look)
    write(panel, "mean of both ends", (0.0, ends), (2, 3), color="0.35", fontsize=9)
    finish_alpha_axis(panel)
    panel.set_ylabel("loss")
    panel.set_title(title, loc="left")
    return describe(figure, f"One loss curve and its barriers: {', '.join(texts)}.")
