"""Similarity matrices with the chosen pairs, and how many planted pairs are recovered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.style import MATCHED, OTHERS, Look, describe, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST = 10  # up to this many units the numbers are written into the squares


def draw_assignments(
    matrices: Mapping[str, np.ndarray],
    chosen: Mapping[str, Sequence[int]] | None = None,
    *,
    title: str = "",
    labels: tuple[str, str] = ("unit of B", "unit of A"),
) -> Figure:
    """Matrices of similarity as squares of grey, each with its chosen pairs marked green.

    Args:
        matrices: name → ``(n, n)``; rows are units of A, columns units of B; dark is similar.
        chosen: name → the column chosen in each row.
        title: stands over the picture.
        labels: of the columns and the rows.
    """
    from matplotlib.patches import Rectangle

    chosen = chosen or {}
    size = "wide" if len(matrices) > 1 else "one"
    figure, axes = new_figure(size, 1, len(matrices))
    for panel, (name, matrix) in zip(axes[0], matrices.items()):
        matrix = np.asarray(matrix, dtype=float)
        low, high = float(matrix.min()), float(matrix.max())
        limits = {"vmin": low, "vmax": high + 0.35 * (high - low)}
        panel.imshow(matrix, cmap="Greys", aspect="equal", interpolation="nearest", **limits)
        small = len(matrix) <= LARGEST
        gap, width = (0.07, 3) if small else (0, 0.8)
        if small:
            _numbers(panel, matrix)
        for row, column in enumerate(chosen.get(name, ())):
            corner = (int(column) - 0.5 + gap, row - 0.5 + gap)
            look: Look = {"fill": False, "edgecolor": MATCHED, "linewidth": width, "zorder": 4}
            panel.add_patch(Rectangle(corner, 1 - 2 * gap, 1 - 2 * gap, **look))
        ticks = range(len(matrix)) if small else []
        panel.set(xlabel=labels[0], xticks=ticks, yticks=ticks)
        panel.tick_params(labelsize=8, length=0)
        panel.set_title(name, fontsize=11, loc="left")
    axes[0, 0].set_ylabel(labels[1])
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    pairs = "".join(
        f"; {name}: {[int(column) for column in columns]}"
        for name, columns in chosen.items()
        if len(columns) <= LARGEST
    )
    return describe(figure, f"Similarity of units: {', '.join(matrices)}. Columns chosen{pairs}")


def _numbers(panel: Axes, matrix: np.ndarray) -> None:
    low, high = float(matrix.min()), float(matrix.max())
    digits = 0 if max(-low, high) >= 2 else 1
    size = 14 if len(matrix) < 5 else 8
    for (row, column), value in np.ndenumerate(matrix):
        shade = "white" if value > low + 0.75 * (high - low) else "0.2"
        text = f"{value + 0.0:.{digits}f}".replace("-0.0", "0.0")
        look: Look = {"fontsize": size, "color": shade, "zorder": 3}
        panel.annotate(text, (column, row), ha="center", va="center", **look)


def draw_recovery(
    shares: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str = "planted pairs recovered (%)",
    log: bool = False,
    title: str = "",
) -> Figure:
    """How much of a planted permutation each way of matching recovers.

    Args:
        shares: name of the way → positions, and the share recovered (0 to 1) at each.
        xlabel, ylabel: of the axes.
        log: the positions on a logarithmic axis.
        title: stands over the panel.
    """
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    looks = zip((MATCHED, OTHERS[1], OTHERS[0], OTHERS[3]), "Dvsx", ("-", "--", ":", "-."))
    for (name, (at, numbers)), (colour, marker, line) in zip(shares.items(), looks):
        percent = 100 * np.asarray(numbers, dtype=float)
        panel.plot(at, percent, color=colour, marker=marker, linestyle=line, label=name)
    panel.set(xlabel=xlabel, ylabel=ylabel, ylim=(-4, 106))
    if log:
        panel.set_xscale("log")
    panel.legend(frameon=False)
    panel.set_title(title, loc="left")
    lines = (
        f"{name}: {', '.join(f'{n:.0%}' for n in numbers)}" for name, (_, numbers) in shares.items()
    )
    return describe(figure, f"{ylabel} against {xlabel}. " + "; ".join(lines))
