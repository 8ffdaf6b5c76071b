"""Reliability diagrams: is a network as often right as it says?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .curves import figure
from .style import OTHERS, colour_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..landscape.metrics import Score


def draw_reliability(scores: Score | Mapping[str, Score], *, title: str = "") -> Figure:
    """Accuracy against confidence, in equal bins; on the diagonal a network knows how sure it may
    be.

    Args:
        scores: one ``Score``, or name → score. "A", "B", "naive", "matched" have their colours. The
            size of a marker is the share of the predictions in its bin; bins with fewer than five
            are left out.
        title: stands over the panel.
    """
    named = dict(scores) if isinstance(scores, Mapping) else {"": scores}
    made, axes = figure("one")
    panel = axes[0, 0]
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    panel.fill_between([0, 1], [0, 1], 0, color="0.94", zorder=0)
    panel.annotate("too sure", (0.97, 0.05), ha="right", color="0.4")
    panel.annotate("too modest", (0.03, 0.93), color="0.4")
    for position, (name, score) in enumerate(named.items()):
        colour, marker = colour_of(name, position) if name else (OTHERS[3], "o")
        columns = (score.reliability.count, score.reliability.confidence, score.reliability.correct)
        bins = [each for each in zip(*columns) if each[0] >= 5]
        x, y = [sure / n for n, sure, _ in bins], [right / n for n, _, right in bins]
        sizes = [12 + 160 * (n / sum(score.reliability.count)) ** 0.5 for n, *_ in bins]
        panel.plot(x, y, color=colour, linewidth=1.2)
        panel.scatter(x, y, s=sizes, color=colour, marker=marker, zorder=3)
        label = f"{name or 'network'}: calibration error {100 * score.ece:.1f} points"
        panel.plot([], [], color=colour, marker=marker, label=label)
    columns = 1 if len(named) < 2 else 2
    panel.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize=9, frameon=False
    )
    panel.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="confidence in the class named",
        ylabel="share that was right",
    )
    if title:
        panel.set_title(title, pad=10 + 14 * ((len(named) + 1) // 2))
    return made
