"""Pictures of coordinate descent: one step of it, all orders of two layers as a landscape, and
tours that hide in weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.curves import figure
from ...show.style import MATCHED, NAIVE, OTHERS, rainbow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_step(
    gains: np.ndarray,
    before: Sequence[int],
    after: Sequence[int],
    units: Mapping[str, Sequence[int]],
    values: Sequence[float],
    step: int,
    *,
    layer: str,
) -> Figure:
    """One visit of coordinate descent: one layer's gains and the assignment chosen, all layers
    after it, the objective so far.

    Args:
        gains: ``(n, n)``: what place ``i`` gains from unit ``j``; dark is much.
        before, after: the unit that stood at each place, and the one that stands there now.
        units: layer → which unit of A each place's unit truly is (a planted answer): in place, they
            make a rainbow.
        values: the objective at the start and after each visit of the whole descent.
        step: which visit this is; 0 is the start, of which only the strips and the first value are
            known.
        layer: the name of the layer that is visited, as in ``units``.
    """
    made, axes = figure("wide", 1, 3, width_ratios=(1.15, 1.1, 1.15))
    _gains(axes[0, 0], np.asarray(gains), before, after)
    axes[0, 0].set_title(f"gains in layer {layer}", fontsize=11)
    _strips(axes[0, 1], units, layer)
    panel = axes[0, 2]
    panel.plot(range(len(values)), values, color="0.85", marker="o", zorder=1)
    panel.plot(range(step + 1), values[: step + 1], color=MATCHED, marker="D", zorder=2)
    panel.set(
        xlabel="visit",
        ylabel="objective",
        xlim=(-0.5, len(values) - 0.5),
        ylim=(min(0, min(values)), 1.1 * max(values)),
    )
    panel.set_title(f"objective {values[step]:.1f}", fontsize=11)
    panel.xaxis.get_major_locator().set_params(integer=True)
    return made


def _gains(panel: Axes, gains: np.ndarray, before: Sequence[int], after: Sequence[int]) -> None:
    panel.imshow(gains, cmap="Greys", aspect="equal")
    places = np.arange(len(gains))
    panel.scatter(
        before, places, s=95, facecolor="none", edgecolor=OTHERS[1], linewidth=1.8, zorder=2
    )
    panel.scatter(after, places, s=28, color=MATCHED, edgecolor="white", linewidth=0.6, zorder=3)
    panel.set(xlabel="unit of B", ylabel="place (unit of A)", xticks=places, yticks=places)
    panel.tick_params(labelsize=8)
    panel.annotate(
        "ring: before   dot: chosen", (0, -0.27), xycoords="axes fraction", fontsize=9, color="0.25"
    )


def _strips(panel: Axes, units: Mapping[str, Sequence[int]], layer: str) -> None:
    count = max(len(row) for row in units.values())
    hues = np.array(rainbow(count))
    panel.imshow(hues[np.array([list(row) for row in units.values()])], aspect="auto")
    for row, (name, standing) in enumerate(units.items()):
        for place, unit in enumerate(standing):
            panel.annotate(
                str(unit), (place, row), ha="center", va="center", fontsize=9, fontweight="bold"
            )
        if name == layer:
            panel.add_patch(_frame(row, count))
        if row:
            panel.axhline(row - 0.5, color="white", linewidth=6)
    right = sum(int(unit == place) for row in units.values() for place, unit in enumerate(row))
    panel.set(
        xticks=[],
        yticks=range(len(units)),
        yticklabels=[f"layer {name}" for name in units],
        xlabel="place",
    )
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_title(f"{right} of {count * len(units)} units in place", fontsize=11)


def _frame(row: int, count: int):
    from matplotlib.patches import Rectangle

    return Rectangle(
        (-0.5, row - 0.42), count, 0.84, fill=False, edgecolor="black", linewidth=2.5, zorder=4
    )


def draw_landscape(
    values: np.ndarray, paths: Mapping[str, Sequence[tuple[int, int]]], *, title: str = ""
) -> Figure:
    """The objective for every pair of orders of two layers, and the corners that descents turned in
    it.

    Args:
        values: ``(orders of layer 1, orders of layer 2)``; dark is a large objective.
        paths: name → the (row, column) of each state of a descent, its start first.
        title: stands over the picture.
    """
    made, axes = figure("one")
    panel = axes[0, 0]
    shown = panel.imshow(values, cmap="Greys", origin="lower", aspect="auto")
    stuck = (values >= values.max(0, keepdims=True)) & (values >= values.max(1, keepdims=True))
    rows, columns = stuck.nonzero()
    panel.scatter(
        columns,
        rows,
        s=110,
        marker="s",
        facecolor="none",
        edgecolor=OTHERS[1],
        linewidth=2.2,
        label="neither can improve",
    )
    top = np.unravel_index(values.argmax(), values.shape)
    panel.scatter(
        top[1],
        top[0],
        s=260,
        facecolor="none",
        edgecolor=OTHERS[1],
        linewidth=2.2,
        label="best of all",
    )
    for number, (name, path) in enumerate(paths.items()):
        line = np.array(path)
        colour = (MATCHED, OTHERS[0])[number % 2]
        panel.plot(
            line[:, 1], line[:, 0], color=colour, linewidth=2.5, marker=".", label=name, zorder=3
        )
        panel.scatter(
            line[-1, 1],
            line[-1, 0],
            s=110,
            color=colour,
            marker="*",
            edgecolor="black",
            linewidth=0.5,
            zorder=4,
        )
    panel.set(
        xlabel="order of layer 2 (24 of them)", ylabel="order of layer 1 (24)", xticks=[], yticks=[]
    )
    made.colorbar(shown, ax=panel, label="objective")
    made.legend(
        loc="outside lower center", ncols=4, fontsize=9, columnspacing=1.0, handletextpad=0.3
    )
    panel.set_title(title, loc="left")
    return made


def draw_tours(cities: np.ndarray, tours: Mapping[str, Sequence[int]]) -> Figure:
    """Round trips through the same cities side by side, the last one (the shortest) green.

    Args:
        cities: ``(count, 2)`` where they lie.
        tours: name → the cities in the order of the visit.
    """
    made, axes = figure("wide", 1, len(tours))
    for number, (panel, (name, tour)) in enumerate(zip(axes[0], tours.items())):
        walk = np.asarray(cities)[[*tour, tour[0]]]
        length = np.linalg.norm(np.diff(walk, axis=0), axis=1).sum()
        panel.plot(
            walk[:, 0],
            walk[:, 1],
            color=MATCHED if number == len(tours) - 1 else NAIVE,
            linewidth=2.5,
            zorder=1,
        )
        panel.scatter(cities[:, 0], cities[:, 1], s=260, color="white", edgecolor="black", zorder=2)
        for city, (x, y) in enumerate(np.asarray(cities)):
            panel.annotate(str(city), (x, y), ha="center", va="center", fontweight="bold", zorder=3)
        panel.set_title(f"{name}: length {length:.2f}", fontsize=12)
        panel.set(aspect="equal", xticks=[], yticks=[])
        panel.margins(0.12)
        panel.spines[:].set_visible(False)
    return made


def draw_steps(
    strips: Sequence[Sequence[Sequence[int]]], names: Sequence[str], values: Sequence[float]
) -> Figure:
    """The strips of several steps side by side: the contact sheet of ``draw_step``.

    Args:
        strips: for each step, for each layer, which unit of A each place's unit truly is.
        names: what was done, one for each step.
        values: the objective after each.
    """
    made, axes = figure("wide", 1, len(strips))
    for panel, rows, name, value in zip(axes[0], strips, names, values):
        table = np.array([list(row) for row in rows])
        panel.imshow(np.array(rainbow(table.shape[1]))[table].transpose(1, 0, 2), aspect="auto")
        for layer in range(1, len(table)):
            panel.axvline(layer - 0.5, color="white", linewidth=4)
        panel.set(
            yticks=[],
            xticks=range(len(table)),
            xticklabels=[str(layer + 1) for layer in range(len(table))],
        )
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_title(f"{name}\n({value:.1f})", fontsize=10, loc="center")
    axes[0, 0].set_ylabel("place, top to bottom")
    made.supxlabel(
        "hidden layer   (above: number of the visit, layer visited, objective after it)",
        fontsize=11,
    )
    return made


def draw_progress(values: Sequence[float], losses: Sequence[float], *, sweep: int) -> Figure:
    """Objective and midpoint loss after each visit of a descent.

    Args:
        values, losses: at the start and after each visit.
        sweep: how many visits make a sweep; the end of the first two is marked.
    """
    made, axes = figure("wide", 1, 2)
    for panel, numbers, what in zip(
        axes[0], (values, losses), ("objective", "loss half-way between A and B")
    ):
        panel.plot(range(len(numbers)), numbers, color=MATCHED, marker="D", markersize=4)
        for end in (sweep, 2 * sweep):
            panel.axvline(end, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
        panel.set(xlabel="visits (dashed: end of sweeps 1 and 2)", ylabel=what)
        panel.set_ylim(0, 1.08 * max(numbers))
    return made
