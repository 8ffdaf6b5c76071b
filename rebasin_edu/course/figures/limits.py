"""Where the single basin ends: the paper's counterexample, and conditions under which matching does
not remove the barrier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.style import MATCHED, NAIVE, OTHERS, describe, finish_alpha_axis, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_counterexample(
    alphas: Sequence[float], errors: Mapping[str, Sequence[float]], name: str, middle: np.ndarray
) -> Figure:
    """The error along the line for each permutation, one of them drawn full, and what the network
    half-way answers.

    Args:
        alphas: where the line was measured.
        errors: permutation → share of wrong answers at each alpha.
        name: the permutation to look at.
        middle: ``(n, n)`` of 0 and 1, rows from x2 = -1 upwards: where the midpoint of this
            permutation answers "positive".
    """
    figure, axes = new_figure("wide", 1, 2, width_ratios=(1.4, 1))
    left, right = axes[0]
    for other, values in errors.items():
        look = (
            {"color": MATCHED, "linewidth": 2.5, "zorder": 3} if other == name else {"color": "0.8"}
        )
        left.plot(alphas, values, marker="o", ms=4, **look)
    left.axhline(0.25, color="0.5", linewidth=1, linestyle=":")
    left.annotate(
        "a quarter is wrong",
        (0.5, 0.25),
        (0, 5),
        textcoords="offset points",
        ha="center",
        color="0.4",
    )
    left.set(ylim=(-0.01, 0.3), ylabel="share of wrong answers")
    finish_alpha_axis(left)
    left.set_title(name, loc="left")
    right.imshow(middle, origin="lower", extent=(-1, 1, -1, 1), cmap="Greens", vmin=0, vmax=1.4)
    right.plot([-1, 0, 0, -1, -1], [0, 0, 1, 1, 0], color=OTHERS[1], linewidth=2.5)
    right.set(xlabel="x1", ylabel="x2", xticks=[-1, 0, 1], yticks=[-1, 0, 1], aspect="equal")
    right.set_title("midpoint: green = 'positive'", loc="left", fontsize=11)
    highest = max(errors[name])
    share = float(np.mean(middle))
    return describe(
        figure,
        f"{name}: the error rises to {highest:.2f}; half-way the network answers 'positive' on "
        f"{share:.0%} of the square, where the upper left quarter would be right.",
    )


def draw_conditions(
    rows: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str = ""
) -> Figure:
    """Naive and matched barriers under several conditions, a dot a pair.

    Args:
        rows: condition → (loss barriers as trained, loss barriers after matching), a value a pair.
        title: names the data.
    """
    figure, axes = new_figure((9.6, 1.3 + 0.42 * len(rows)))
    panel = axes[0, 0]
    places = np.arange(len(rows))[::-1]
    words = []
    for place, (name, (naive, matched)) in zip(places, rows.items()):
        panel.scatter(naive, [place + 0.12] * len(naive), color=NAIVE, marker="x", s=45)
        panel.scatter(matched, [place - 0.12] * len(matched), color=MATCHED, marker="D", s=35)
        mean = (float(np.mean(naive)), float(np.mean(matched)))
        words.append(f"{name}: {mean[0]:.3f} as trained, {mean[1]:.3f} matched")
    panel.scatter([], [], color=NAIVE, marker="x", label="as trained")
    panel.scatter([], [], color=MATCHED, marker="D", label="matched by weights")
    panel.set(
        yticks=places, yticklabels=list(rows), xlabel="loss barrier (log scale)", xscale="log"
    )
    panel.grid(axis="y", color="0.93")
    panel.set_title(title, loc="left", fontsize=11)
    figure.legend(frameon=False, loc="outside lower right", ncols=2)
    return describe(figure, f"{title}. " + "; ".join(words))
