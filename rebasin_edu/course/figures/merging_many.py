"""Many networks made one: the barriers of a triangle of networks, and what merges of more and more
networks reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.style import MATCHED, NAIVE, OTHERS, PAPER, A, B, Look, describe, new_figure, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CORNERS = {"A": (0.0, 0.0, A), "B": (1.0, 0.0, B), "C": (0.5, 0.82, OTHERS[1])}
WAYS = {
    "plain mean": (NAIVE, "x"),
    "matched to one": (OTHERS[0], "o"),
    "MergeMany": (MATCHED, "D"),
    "ensemble": (OTHERS[3], "s"),
    "one network": (A, "_"),
}


def draw_triangles(barriers: Mapping[str, Mapping[str, float]]) -> Figure:
    """Three networks as the corners of a triangle, and the barrier on each edge; a triangle for
    each way to match them.

    Args:
        barriers: title → {"AB": loss barrier, "AC": …, "BC": …}.
    """
    figure, axes = new_figure((9.6, 3.0), 1, len(barriers))
    highest = max(max(edges.values()) for edges in barriers.values())
    words = []
    for panel, (title, edges) in zip(axes[0], barriers.items()):
        for name, height in edges.items():
            (x0, y0, _), (x1, y1, _) = CORNERS[name[0]], CORNERS[name[1]]
            width = 1.5 + 14 * max(height, 0.0) / highest
            panel.plot([x0, x1], [y0, y1], color="0.75", linewidth=width, zorder=1)
            middle = (0.5 * (x0 + x1), 0.5 * (y0 + y1))
            look: Look = {"ha": "center", "va": "center", "fontsize": 12, "bbox": PAPER}
            write(panel, f"{height:.3f}", middle, **look)
        for name, (x, y, colour) in CORNERS.items():
            panel.scatter([x], [y], s=420, color=colour, zorder=3)
            label: Look = {"ha": "center", "va": "center", "color": "white", "fontweight": "bold"}
            write(panel, name, (x, y), zorder=4, **label)
        panel.set_title(title, fontsize=12)
        panel.set(xlim=(-0.25, 1.25), ylim=(-0.16, 0.98), aspect="equal")
        panel.axis("off")
        heights = ", ".join(f"{name} {height:.3f}" for name, height in edges.items())
        words.append(f"{title}: {heights}")
    return describe(figure, "Loss barriers between three networks. " + "; ".join(words))


def draw_growth(
    rows: Mapping[str, Sequence[Mapping[str, float]]], count: int, *, title: str = ""
) -> Figure:
    """Test loss and accuracy of one network made of 1, 2, 3 … networks, each way of merging a line;
    those of at most ``count`` networks are drawn full.

    Args:
        rows: way → for 1, 2, 3 … networks, {"loss": …, "accuracy": …}.
        count: how many networks are merged so far.
        title: stands over the picture.
    """
    figure, axes = new_figure("wide", 1, 2)
    for panel, metric in zip(axes[0], ("loss", "accuracy")):
        scale = 100 if metric == "accuracy" else 1
        for name, scores in rows.items():
            colour, marker = WAYS[name]
            values = np.array([scale * score[metric] for score in scores])
            numbers = np.arange(1, len(values) + 1)
            panel.plot(numbers, values, color=colour, alpha=0.25, linewidth=1)
            panel.plot(numbers[:count], values[:count], color=colour, marker=marker, label=name)
            panel.plot(numbers[count - 1], values[count - 1], marker="o", ms=12, mfc="none", c="k")
        panel.set(xlabel="networks merged into one", xticks=range(1, len(values) + 1))
        panel.set_ylabel("test loss (log scale)" if metric == "loss" else "test accuracy (%)")
    axes[0, 0].set_yscale("log")
    axes[0, 0].legend(frameon=False, fontsize=10)
    axes[0, 1].set_title(title, loc="right", fontsize=11)
    words = "; ".join(
        f"{name}: loss {scores[count - 1]['loss']:.3f}, accuracy "
        f"{scores[count - 1]['accuracy']:.1%}"
        for name, scores in rows.items()
    )
    return describe(figure, f"{count} networks made one. {words}")


def draw_scores(
    rows: Mapping[str, Mapping[str, float]],
    metrics: Mapping[str, str],
    *,
    marked: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """A dot for each network, one panel a metric, one line a network.

    Args:
        rows: network → {metric: value}.
        metrics: the metric's key → the words of its axis.
        marked: networks that are drawn in the colour of matched networks; the others are grey.
        title: stands over the picture.
    """
    from matplotlib.ticker import MaxNLocator

    height = 1.2 + 0.32 * len(rows)
    figure, axes = new_figure((9.6, height), 1, len(metrics), sharey=True)
    places = np.arange(len(rows))[::-1]
    for panel, (key, words) in zip(axes[0], metrics.items()):
        for place, (name, row) in zip(places, rows.items()):
            colour = MATCHED if name in marked else NAIVE
            panel.scatter([row[key]], [place], s=60, color=colour, zorder=3)
            write(panel, f"{row[key]:.4g}", (row[key], place), (6, 4), fontsize=9, color=colour)
        panel.set(yticks=places, yticklabels=list(rows), xlabel=words)
        panel.margins(x=0.25)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.grid(axis="y", color="0.93")
    axes[0, 0].set_title(title, loc="left", fontsize=11)
    told = "; ".join(
        f"{name}: " + ", ".join(f"{key} {row[key]:.4g}" for key in metrics)
        for name, row in rows.items()
    )
    return describe(figure, f"{title}. {told}" if title else told)
