"""Networks of data that stay apart: what each half holds, what their merges reach, and the rounds
of federated averaging.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.style import (
    MATCHED,
    NAIVE,
    OTHERS,
    REPAIRED,
    A,
    B,
    Look,
    describe,
    new_figure,
    write,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = {
    "one start": (OTHERS[3], "s"),
    "different starts": (NAIVE, "x"),
    "matched": (MATCHED, "D"),
    "matched and refitted": (REPAIRED, "^"),
    "refitted, not matched": (OTHERS[0], "v"),
}
LOOKS = {"A": (A, "o"), "B": (B, "s"), "merged": (REPAIRED, "^")}
SEPARATE = 0.22  # between the marks of one class


def draw_by_class(
    rows: Mapping[str, Sequence[float]], *, ylabel: str, title: str = "", zero: bool = True
) -> Figure:
    """A value for each class, a mark for each network or data set.

    Args:
        rows: name, such as "A", "B" or "merged" → a value for each class.
        ylabel: what the values are.
        title: stands over the picture.
        zero: the axis begins at zero, and each value stands on a stem.
    """
    figure, axes = new_figure("wide")
    panel, words = axes[0, 0], []
    for position, (name, values) in enumerate(rows.items()):
        colour, marker = LOOKS.get(name, (OTHERS[position % len(OTHERS)], "v"))
        places = np.arange(len(values)) + SEPARATE * (position - (len(rows) - 1) / 2)
        if zero:
            panel.vlines(places, 0, values, color=colour, linewidth=5, alpha=0.45)
        panel.plot(places, values, color=colour, marker=marker, linestyle="none", label=name)
        words.append(f"{name}: " + ", ".join(f"{value:.3g}" for value in values))
    panel.set(xticks=range(len(values)), xlabel="class", ylabel=ylabel)
    if zero:
        panel.set_ylim(bottom=0)
    panel.set_title(title, loc="left", fontsize=11)
    figure.legend(frameon=False, loc="outside lower right", ncols=len(rows))
    return describe(figure, f"{title}. {ylabel} for each class: " + "; ".join(words))


def draw_halves(
    pairs: Sequence[Mapping[str, Mapping[str, float]]], names: Sequence[str], *, title: str = ""
) -> Figure:
    """Loss and accuracy of pairs of networks of two halves, and of what was made of each pair.

    Args:
        pairs: for each pair, name → {"loss": …, "accuracy": …}; "A" and "B" are the parents.
        names: which rows, from the top.
        title: names the data.
    """
    figure, axes = new_figure((9.6, 1.5 + 0.36 * len(names)), 1, 2, sharey=True)
    places, words = np.arange(len(names))[::-1], []
    marks = ("o", "s", "^", "v")
    for panel, (metric, scale) in zip(axes[0], (("loss", 1), ("accuracy", 100))):
        for position, pair in enumerate(pairs):
            parents = [scale * pair[parent][metric] for parent in "AB"]
            best = min(parents) if metric == "loss" else max(parents)
            for place, name in zip(places, names):
                value = scale * pair[name][metric]
                better = value < best if metric == "loss" else value > best
                colour = {"A": A, "B": B}.get(name, MATCHED if better else NAIVE)
                shift = 0.16 * ((len(pairs) - 1) / 2 - position)
                mark = marks[position % len(marks)]
                panel.plot(value, place + shift, color=colour, marker=mark, linestyle="none")
        panel.set(yticks=places, yticklabels=list(names))
        panel.grid(axis="y", color="0.93")
    axes[0, 0].set_xlabel("test loss")
    axes[0, 1].set_xlabel("test accuracy (%)")
    axes[0, 0].set_title(title, loc="left", fontsize=11)
    look: Look = {"loc": "right", "fontsize": 10, "color": MATCHED}
    axes[0, 1].set_title("green: better than both parents", **look)
    for name in names:
        means = {m: np.mean([pair[name][m] for pair in pairs]) for m in ("loss", "accuracy")}
        words.append(f"{name}: loss {means['loss']:.3f}, accuracy {means['accuracy']:.2%}")
    return describe(figure, f"{title}, means of {len(pairs)} pairs. " + "; ".join(words))


def draw_rounds(
    runs: Sequence[Mapping[str, Sequence[Mapping[str, float]]]],
    count: int,
    *,
    goal: float = 0.95,
    title: str = "",
) -> Figure:
    """The accuracy of the averaged network after each round of federated averaging; the rounds up
    to ``count`` are drawn full.

    Args:
        runs: for each seed, way → for each round {"accuracy": …}; the band is their range.
        count: how many rounds have passed.
        goal: an accuracy at which a line is drawn.
        title: names the data.
    """
    figure, axes = new_figure("wide", 1, 2, width_ratios=(1, 1.15))
    words = []
    for panel, low in zip(axes[0], (0, 88)):
        panel.axhline(100 * goal, color="0.5", linewidth=1, linestyle=":")
        for name in runs[0]:
            colour, marker = WAYS[name]
            table = 100 * np.array([[s["accuracy"] for s in run[name]] for run in runs])
            numbers = np.arange(1, table.shape[1] + 1)
            mean = table.mean(0)
            panel.plot(numbers, mean, color=colour, alpha=0.25, linewidth=1)
            panel.fill_between(
                numbers[:count], table.min(0)[:count], table.max(0)[:count], color=colour, alpha=0.2
            )
            panel.plot(numbers[:count], mean[:count], color=colour, marker=marker, label=name)
            if not low:
                words.append(f"{name}: {mean[count - 1]:.1f} %")
        panel.set(xticks=numbers, xlabel="rounds", ylim=(low, 100))
        panel.set_ylabel("test accuracy (%)" if not low else f"the same, above {low} %")
    write(axes[0, 1], f"{goal:.0%}", (numbers[-1], 100 * goal), (0, 4), color="0.4", ha="right")
    axes[0, 0].set_title(title, loc="left", fontsize=11)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=3, fontsize=10)
    return describe(figure, f"Federated averaging after {count} rounds. " + "; ".join(words))
