"""Matchers compared: near in weights or low in loss, a permutation in training, the best of N,
three methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...show.style import (
    MATCHED,
    NAIVE,
    OTHERS,
    PAPER,
    Look,
    describe,
    finish_alpha_axis,
    new_figure,
    write,
)
from .units import rainbow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHODS = {
    "naive": (NAIVE, "x"),
    "activation matching": (OTHERS[0], "o"),
    "weight matching": (MATCHED, "D"),
    "straight-through": (OTHERS[1], "^"),
}
OBJECTIVE, MIDPOINT = "objective ⟨A, π(B)⟩", "midpoint loss"


def draw_cloud(
    objectives: np.ndarray, losses: np.ndarray, marked: Mapping[str, int], *, title: str = ""
) -> Figure:
    """Permutations as points: how near in weights, and the loss at the midpoint.

    Args:
        objectives, losses: of each permutation.
        marked: name → which permutation to point out.
        title: stands over the picture.
    """
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    panel.scatter(objectives, losses, s=6, color="0.75", linewidth=0)
    for number, (name, index) in enumerate(marked.items()):
        colour = METHODS.get(name, (OTHERS[1 + number % 3], ""))[0]
        at = (objectives[index], losses[index])
        panel.scatter(*at, s=110, color=colour, edgecolor="black", zorder=3)
        right = at[0] < 0.5 * (objectives.min() + objectives.max())
        look = {"va": "center", "color": colour, "fontweight": "bold", "bbox": PAPER}
        write(panel, name, at, (11 if right else -11, 0), ha="left" if right else "right", **look)
    panel.set(xlabel=f"{OBJECTIVE}: how near in weights", ylabel=MIDPOINT)
    panel.set_title(title, loc="left")
    words = "; ".join(f"{name}: loss {losses[k]:.3f}" for name, k in marked.items())
    return describe(figure, f"{len(losses)} permutations, objective against midpoint loss. {words}")


def draw_trace(
    losses: Sequence[float], permutations: Sequence[Sequence[int]], step: int, *, ends: float
) -> Figure:
    """A permutation in training: which units have moved since the start, and the midpoint loss.

    Args:
        losses: of each step's permutation.
        permutations: each step's permutation; that of step 0 is drawn as a rainbow.
        step: the step to look at; nothing later is drawn but a pale line.
        ends: mean loss of A and B.
    """
    figure, axes = new_figure("wide", 1, 2, width_ratios=(1, 1.25))
    panel, table = axes[0, 0], np.asarray(permutations)
    place = np.argsort(table[0])
    best = int(np.argmin(losses[: step + 1]))
    strips = place[table[[0, step, best]]]
    hues = np.array(rainbow(len(place)))
    panel.imshow(hues[strips], aspect="auto", interpolation="nearest")
    for line in (0.5, 1.5):
        panel.axhline(line, color="white", linewidth=8)
    panel.set_yticks(range(3), ["step 0", f"step {step}", f"best so far\n(step {best})"])
    panel.set(xticks=[], xlabel="place in the hidden layer")
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    moved = f"{int((table[step] != table[0]).sum())} of {len(place)} units moved since the start"
    panel.set_title(moved, loc="left", fontsize=11)
    _trace(axes[0, 1], losses, step, ends)
    return describe(figure, f"Step {step}: {moved}; midpoint loss {losses[step]:.3f}.")


def _trace(panel: Axes, losses: Sequence[float], step: int, ends: float) -> None:
    steps = np.arange(len(losses))
    known, colour = slice(step + 1), METHODS["straight-through"][0]
    panel.plot(steps, losses, color="0.8", linewidth=1)
    panel.plot(steps[known], losses[known], color=colour, linewidth=1, label="this step")
    best = np.minimum.accumulate(losses[known])
    panel.plot(steps[known], best, color="black", linewidth=1.5, label="best so far")
    panel.scatter([step], [losses[step]], s=70, color=colour, edgecolor="black", zorder=3)
    for height, name, shade, line in (
        (losses[0], "weight matching", MATCHED, "--"),
        (ends, "mean of A and B", NAIVE, ":"),
    ):
        panel.axhline(height, color=shade, linestyle=line, linewidth=1.2)
        look = {"ha": "right", "va": "bottom", "color": shade, "fontsize": 10}
        write(panel, name, (steps[-1], height), (0, 3), **look)
    panel.legend(frameon=False, loc="upper right", fontsize=10)
    room = max(losses) - ends
    limits = (ends - 0.1 * room, max(losses) + 0.35 * room)
    panel.set(xlabel="step", ylabel=MIDPOINT, ylim=limits)


def draw_best_of(objectives: Sequence[float], losses: Sequence[float], count: int) -> Figure:
    """The first ``count`` of many descents: objective against midpoint loss, and "the best" of them
    by either.

    Args:
        objectives, losses: of every descent, in the order in which they were run.
        count: how many of them are known.
    """
    figure, axes = new_figure("wide", 1, 2, width_ratios=(1.15, 1))
    heights, middles = np.asarray(objectives), np.asarray(losses)
    left, right = axes[0]
    left.scatter(heights[count:], middles[count:], s=30, facecolor="none", edgecolor="0.85")
    left.scatter(heights[:count], middles[:count], s=30, color="0.45")
    numbers = np.arange(1, len(middles) + 1)
    by_objective = [middles[heights[: int(n)].argmax()] for n in numbers]
    rows = (
        ("by objective", int(heights[:count].argmax()), OTHERS[0], by_objective, 190),
        ("by loss", int(middles[:count].argmin()), MATCHED, np.minimum.accumulate(middles), 340),
    )
    for name, index, colour, line, size in rows:
        ring: Look = {"facecolor": "none", "edgecolor": colour, "linewidth": 2.5}
        left.scatter(heights[index], middles[index], s=size, **ring, label=f"best {name}")
        right.plot(numbers, line, color=colour, drawstyle="steps-post", alpha=0.35)
        right.plot(numbers[:count], line[:count], color=colour, drawstyle="steps-post")
        look: Look = {"ha": "left", "va": "center", "color": colour, "fontweight": "bold"}
        write(right, name, (numbers[-1], line[-1]), (5, 0), **look)
    left.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 1.16), ncols=2, fontsize=10)
    left.set(xlabel=OBJECTIVE, ylabel=MIDPOINT)
    limits = {"ylim": left.get_ylim(), "xlim": (0, 1.4 * len(middles))}
    right.set(xlabel="descents: the best of N", ylabel=MIDPOINT, **limits)
    right.xaxis.get_major_locator().set_params(integer=True)
    words = "; ".join(f"best {name}: loss {middles[index]:.3f}" for name, index, *_ in rows)
    return describe(figure, f"The first {count} descents. {words}")


def draw_methods(run: Mapping[str, Any]) -> Figure:
    """The lines of each method (thin: a pair, thick: the mean), and the midpoint loss against time
    for each pair.

    Args:
        run: a stored run, ``load_run("mnist-mlp-three-methods")``.
    """
    figure, axes = new_figure("wide", 1, 2)
    left, right = axes[0]
    names = [name for name in run["pairs"][0]["methods"] if name != "naive"]
    highest, words = 0.0, []
    for name in names:
        colour, marker = METHODS[name]
        rows = [pair["methods"][name] for pair in run["pairs"]]
        losses = np.array([row["loss"] for row in rows])
        left.plot(run["alphas"], losses.T, color=colour, linewidth=0.7, alpha=0.5)
        left.plot(run["alphas"], losses.mean(0), color=colour)
        middles = [row["middle_loss"] for row in rows]
        seconds = [row["cpu_seconds"] for row in rows]
        right.scatter(seconds, middles, color=colour, marker=marker, s=60, label=name)
        highest = max(highest, *middles)
        words.append(f"{name}: midpoint loss {np.mean(middles):.4f}, {np.mean(seconds):.1f} s")
    finish_alpha_axis(left, ticks=3)
    left.set(ylabel="test loss", ylim=(0, None))
    right.set(xscale="log", xlabel="CPU seconds (log scale)", ylabel="test loss at the midpoint")
    right.set_ylim(0, 1.25 * highest)
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return describe(figure, "Three methods of matching, means of the pairs. " + "; ".join(words))
