"""Who is paired with whom: similarity matrices with their assignments, and how many planted pairs
are found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.curves import figure
from ...show.style import MATCHED, OTHERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST = 10  # up to this many units the numbers are written into the squares


def draw_assignments(
    matrices: Mapping[str, np.ndarray],
    chosen: Mapping[str, Sequence[int]] | None = None,
    *,
    title: str = "",
    labels: tuple[str, str] = ("unit of B", "unit of A"),
) -> Figure:
    """Matrices of similarity as squares of grey, each with the pairs that were chosen in it marked
    green.

    Args:
        matrices: name → ``(n, n)``; rows are units of A, columns units of B; dark is similar.
        chosen: name → the column chosen in each row.
        title: stands over the picture.
        labels: of the columns and the rows.
    """
    made, axes = figure("wide" if len(matrices) > 1 else "one", 1, len(matrices))
    for panel, (name, matrix) in zip(axes[0], matrices.items()):
        matrix = np.asarray(matrix, dtype=float)
        small = len(matrix) <= LARGEST
        low, high = float(matrix.min()), float(matrix.max())
        panel.imshow(
            matrix,
            cmap="Greys",
            aspect="equal",
            interpolation="nearest",
            vmin=low,
            vmax=high + 0.35 * (high - low),
        )
        if small:
            for row, column in np.ndindex(*matrix.shape):
                value = matrix[row, column]
                shade = "white" if value > low + 0.75 * (high - low) else "0.2"
                number = (
                    f"{value:.0f}"
                    if max(-low, high) >= 2
                    else f"{value:.1f}".replace("-0.0", "0.0")
                )
                size = 14 if len(matrix) < 5 else 8
                panel.annotate(
                    number,
                    (column, row),
                    ha="center",
                    va="center",
                    fontsize=size,
                    color=shade,
                    zorder=3,
                )
        if chosen and name in chosen:
            for row, column in enumerate(chosen[name]):
                panel.add_patch(_square(int(column), row, small))
        panel.set(
            xlabel=labels[0],
            xticks=range(len(matrix)) if small else [],
            yticks=range(len(matrix)) if small else [],
        )
        panel.tick_params(labelsize=8, length=0)
        panel.set_title(name, fontsize=11, loc="left")
    axes[0, 0].set_ylabel(labels[1])
    if title:
        made.suptitle(title, x=0.01, ha="left")
    return made


def _square(column: int, row: int, small: bool):
    from matplotlib.patches import Rectangle

    gap, width = (0.07, 3) if small else (0, 0.8)
    corner = (column - 0.5 + gap, row - 0.5 + gap)
    return Rectangle(
        corner, 1 - 2 * gap, 1 - 2 * gap, fill=False, edgecolor=MATCHED, linewidth=width, zorder=4
    )


def draw_recovery(
    found: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str = "planted pairs found (%)",
    log: bool = False,
    title: str = "",
) -> Figure:
    """How much of a planted shuffle each way of looking finds again.

    Args:
        found: name of the way → positions, and shares found (0 to 1) at each.
        xlabel, ylabel: of the axes.
        log: the positions on a logarithmic axis.
        title: stands over the panel.
    """
    made, axes = figure("one")
    panel = axes[0, 0]
    ways = [
        (MATCHED, "D", "-"),
        (OTHERS[1], "v", "--"),
        (OTHERS[0], "s", ":"),
        (OTHERS[3], "x", "-."),
    ]
    for (name, (at, shares)), (colour, marker, line) in zip(found.items(), ways):
        panel.plot(
            at,
            100 * np.asarray(shares, dtype=float),
            color=colour,
            marker=marker,
            linestyle=line,
            label=name,
        )
    panel.set(xlabel=xlabel, ylabel=ylabel, ylim=(-4, 106))
    if log:
        panel.set_xscale("log")
    panel.legend(frameon=False)
    panel.set_title(title, loc="left")
    return made
