"""Pictures that compare matchers: near in weights or low in loss, a permutation in training, the
best of N, three methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...show.curves import figure
from ...show.style import MATCHED, NAIVE, OTHERS, A, B, rainbow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHODS = {
    "naive": (NAIVE, "x"),
    "activation matching": (OTHERS[0], "o"),
    "weight matching": (MATCHED, "D"),
    "straight-through": (OTHERS[1], "^"),
}
MIDDLE = "loss half-way between A and B"


def draw_cloud(
    objectives: np.ndarray, losses: np.ndarray, marked: Mapping[str, int], *, title: str = ""
) -> Figure:
    """Permutations as points: how near in weights, and how good half-way.

    Args:
        objectives, losses: of each permutation.
        marked: name → which permutation to point out.
        title: stands over the picture.
    """
    made, axes = figure("one")
    panel = axes[0, 0]
    panel.scatter(objectives, losses, s=6, color="0.75", linewidth=0)
    for number, (name, index) in enumerate(marked.items()):
        colour = METHODS.get(name, (OTHERS[1 + number % 3], ""))[0]
        panel.scatter(
            objectives[index], losses[index], s=110, color=colour, edgecolor="black", zorder=3
        )
        right = objectives[index] < 0.5 * (objectives.min() + objectives.max())
        panel.annotate(
            name,
            (objectives[index], losses[index]),
            (11 if right else -11, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            color=colour,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    panel.set(xlabel="objective: how near in weights", ylabel=MIDDLE)
    panel.set_title(title, loc="left")
    return made


def draw_trace(
    losses: Sequence[float], orders: Sequence[Sequence[int]], step: int, *, ends: float
) -> Figure:
    """A permutation in training: which units have moved since the start, and the loss half-way.

    Args:
        losses: of each step's permutation.
        orders: each step's order; that of step 0 is drawn as a rainbow.
        step: the step to look at.
        ends: mean loss of A and B.
    """
    made, axes = figure("wide", 1, 2, width_ratios=(1, 1.25))
    panel = axes[0, 0]
    place = np.argsort(np.asarray(orders[0]))
    hues = np.array(rainbow(len(place)))
    best = int(np.argmin(losses[: step + 1]))
    rows, names = (0, step, best), ("step 0", f"step {step}", f"best so far\n(step {best})")
    panel.imshow(
        hues[np.array([place[np.asarray(orders[each])] for each in rows])],
        aspect="auto",
        interpolation="nearest",
    )
    for line in (0.5, 1.5):
        panel.axhline(line, color="white", linewidth=8)
    panel.set(yticks=range(3), yticklabels=names, xticks=[], xlabel="place in the hidden layer")
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    moved = int((np.asarray(orders[step]) != np.asarray(orders[0])).sum())
    panel.set_title(f"{moved} of {len(place)} units moved since the start", loc="left", fontsize=11)
    _trace(axes[0, 1], losses, step, ends)
    return made


def _trace(panel: Axes, losses: Sequence[float], step: int, ends: float) -> None:
    steps = np.arange(len(losses))
    colour = METHODS["straight-through"][0]
    panel.plot(steps, losses, color="0.8", linewidth=1)
    panel.plot(steps[: step + 1], losses[: step + 1], color=colour, linewidth=1)
    panel.plot(steps, np.minimum.accumulate(losses), color="black", linewidth=1.5)
    panel.scatter([step], [losses[step]], s=70, color=colour, edgecolor="black", zorder=3)
    panel.axhline(losses[0], color=MATCHED, linestyle="--", linewidth=1.2)
    panel.axhline(ends, color=NAIVE, linestyle=":", linewidth=1.2)
    for height, name, shade in (
        (losses[0], "weight matching", MATCHED),
        (ends, "mean of A and B", NAIVE),
    ):
        panel.annotate(
            name,
            (steps[-1], height),
            (0, 3),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color=shade,
            fontsize=10,
        )
    panel.annotate(
        "black: best so far",
        (0.98, 0.97),
        xycoords="axes fraction",
        ha="right",
        va="top",
        fontsize=10,
    )
    top = max(losses)
    panel.set(
        xlabel="step", ylabel=MIDDLE, ylim=(ends - 0.1 * (top - ends), top + 0.25 * (top - ends))
    )


def draw_best_of(objectives: Sequence[float], losses: Sequence[float], count: int) -> Figure:
    """The first ``count`` of many descents: objective against midpoint loss, and what "the best" of
    them is by either.

    Args:
        objectives, losses: of every descent, in the order they were made.
        count: how many of them are known.
    """
    made, axes = figure("wide", 1, 2, width_ratios=(1.15, 1))
    objectives, losses = np.asarray(objectives), np.asarray(losses)
    by = {
        "by objective": (objectives[:count].argmax(), OTHERS[0]),
        "by loss": (losses[:count].argmin(), MATCHED),
    }
    panel = axes[0, 0]
    panel.scatter(objectives[count:], losses[count:], s=30, facecolor="none", edgecolor="0.85")
    panel.scatter(objectives[:count], losses[:count], s=30, color="0.45")
    for number, (name, (index, colour)) in enumerate(by.items()):
        size = 190 + 150 * number
        panel.scatter(
            objectives[index],
            losses[index],
            s=size,
            facecolor="none",
            edgecolor=colour,
            linewidth=2.5,
            label=f"best {name}",
        )
    panel.legend(loc="upper left", bbox_to_anchor=(0.0, 1.16), ncols=2, fontsize=10)
    panel.set(xlabel="objective", ylabel=MIDDLE)
    panel = axes[0, 1]
    numbers = np.arange(1, len(losses) + 1)
    chosen = [losses[objectives[:n].argmax()] for n in numbers]
    for (name, (_, colour)), line in zip(by.items(), (chosen, np.minimum.accumulate(losses))):
        panel.plot(numbers, line, color=colour, drawstyle="steps-post", alpha=0.35)
        panel.plot(numbers[:count], line[:count], color=colour, drawstyle="steps-post")
        place = {
            "textcoords": "offset points",
            "ha": "left",
            "va": "center",
            "color": colour,
            "fontweight": "bold",
        }
        panel.annotate(name, (numbers[-1], line[-1]), (5, 0), **place)
    panel.set(
        xlabel="descents: the best of N",
        ylabel=MIDDLE,
        ylim=axes[0, 0].get_ylim(),
        xlim=(0, 1.4 * len(losses)),
    )
    panel.xaxis.get_major_locator().set_params(integer=True)
    return made


def draw_methods(run: Mapping[str, Any]) -> Figure:
    """The lines of each method (thin: a pair, thick: the mean), and the loss half-way against time
    for each pair.

    Args:
        run: what ``benchmarks/three_methods.py`` stored.
    """
    made, axes = figure("wide", 1, 2)
    left, right = axes[0]
    for name in [
        name for name in METHODS if name in run["pairs"][0]["methods"] and name != "naive"
    ]:
        colour, marker = METHODS[name]
        rows = [pair["methods"][name] for pair in run["pairs"]]
        losses = np.array([row["loss"] for row in rows])
        left.plot(run["alphas"], losses.T, color=colour, linewidth=0.7, alpha=0.5)
        left.plot(run["alphas"], losses.mean(0), color=colour)
        seconds, middles = (
            [row["cpu_seconds"] for row in rows],
            [row["middle_loss"] for row in rows],
        )
        right.scatter(seconds, middles, color=colour, marker=marker, s=60, label=name)
    ticks = left.set_xticks([0, 0.5, 1], ["A\n(0)", "0.5", "B\n(1)"])
    ticks[0].label1.set(color=A, fontweight="bold")
    ticks[-1].label1.set(color=B, fontweight="bold")
    left.set(xlabel="alpha: share of B in the mix", ylabel="test loss")
    left.set_ylim(bottom=0)
    right.set(xscale="log", xlabel="CPU seconds (log scale)", ylabel="test loss half-way")
    right.set_ylim(
        0,
        1.25
        * max(
            pair["methods"][name]["middle_loss"]
            for pair in run["pairs"]
            for name in pair["methods"]
            if name != "naive"
        ),
    )
    made.legend(loc="outside upper center", ncols=3)
    return made
