"""Coordinate descent: one update of it, all permutations of two layers as a landscape, and tours
that hide in weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...show.style import MATCHED, NAIVE, OTHERS, Look, describe, new_figure
from .units import rainbow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OBJECTIVE = "objective ⟨A, π(B)⟩"


class Descent:
    """A coordinate descent to a planted answer, for the figures of its updates.

    Args:
        updates: for each update its layer (0, 1, …), the similarity matrix ``(n, n)`` and the
            orders of all layers after it.
        planted: layer → the permutation that was planted.
        objective: of the orders of all layers.

    Attributes:
        orders, heights: at the start and after each update.
        units: for each of these, for each layer, which unit of A each place's unit truly is: in
            place, they make a rainbow.
    """

    def __init__(
        self,
        updates: Sequence[tuple[int, torch.Tensor, list[torch.Tensor]]],
        planted: Mapping[str, torch.Tensor],
        objective: Callable[[list[torch.Tensor]], float],
    ) -> None:
        self.updates = updates
        truths = list(planted.values())
        start = [torch.arange(len(truth)) for truth in truths]
        self.orders = [start, *(orders for _, _, orders in updates)]
        self.heights = [objective(orders) for orders in self.orders]
        self.units = [
            [truth[order].tolist() for truth, order in zip(truths, orders)]
            for orders in self.orders
        ]

    def name(self, step: int) -> str:
        """What was done in an update, in words."""
        return f"{step}: layer {self.updates[step - 1][0] + 1}" if step else "start"


def draw_update(descent: Descent, step: int) -> Figure:
    """One update of coordinate descent: one layer's similarity matrix and the assignment chosen,
    all layers after it, the objective so far; 0 is the start.
    """
    layer, matrix, _ = descent.updates[max(step, 1) - 1]
    before = descent.orders[max(step, 1) - 1][layer].tolist()
    after = descent.orders[step][layer].tolist()
    gains, values = np.asarray(matrix), descent.heights
    units = {str(number): row for number, row in enumerate(descent.units[step], 1)}
    figure, axes = new_figure("wide", 1, 3, width_ratios=(1.15, 1.1, 1.15))
    panel, places = axes[0, 0], np.arange(len(gains))
    panel.imshow(gains, cmap="Greys", aspect="equal")
    if step:
        ring: Look = {"facecolor": "none", "edgecolor": OTHERS[1], "linewidth": 1.8, "zorder": 2}
        panel.scatter(before, places, s=95, **ring)
    dot = {"color": MATCHED, "edgecolor": "white", "linewidth": 0.6, "zorder": 3}
    panel.scatter(after, places, s=28, **dot)
    panel.set(xlabel="unit of B", ylabel="place (unit of A)", xticks=places, yticks=places)
    panel.tick_params(labelsize=8)
    legend = "ring: before   dot: chosen" if step else "dot: the start"
    panel.annotate(legend, (0, -0.27), xycoords="axes fraction", fontsize=9, color="0.25")
    panel.set_title(f"similarity, layer {layer + 1}", fontsize=11)
    _strips(axes[0, 1], units, str(layer + 1) if step else "")
    panel = axes[0, 2]
    panel.plot(range(len(values)), values, color="0.85", marker="o", zorder=1)
    panel.plot(range(step + 1), values[: step + 1], color=MATCHED, marker="D", zorder=2)
    limits = (min(0, min(values)), 1.1 * max(values))
    panel.set(xlabel="update", ylabel=OBJECTIVE, xlim=(-0.5, len(values) - 0.5), ylim=limits)
    panel.set_title(f"objective {values[step]:.1f}", fontsize=11)
    panel.xaxis.get_major_locator().set_params(integer=True)
    right = axes[0, 1].get_title()
    rise = values[step] - values[max(step, 1) - 1]
    text = f"Update {descent.name(step)}: objective {values[step]:.2f} ({rise:+.2f}), {right}."
    return describe(figure, text)


def _strips(panel: Axes, units: Mapping[str, Sequence[int]], layer: str) -> None:
    from matplotlib.patches import Rectangle

    table = np.array([list(row) for row in units.values()])
    count = table.shape[1]
    panel.imshow(np.array(rainbow(count))[table], aspect="auto")
    for (row, place), unit in np.ndenumerate(table):
        look: Look = {"ha": "center", "va": "center", "fontsize": 9, "fontweight": "bold"}
        panel.annotate(str(unit), (place, row), **look)
    for row, name in enumerate(units):
        if name == layer:
            frame: Look = {"fill": False, "edgecolor": "black", "linewidth": 2.5, "zorder": 4}
            panel.add_patch(Rectangle((-0.5, row - 0.42), count, 0.84, **frame))
        if row:
            panel.axhline(row - 0.5, color="white", linewidth=6)
    panel.set_yticks(range(len(units)), [f"layer {name}" for name in units])
    panel.set(xticks=[], xlabel="place")
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    right = int((table == np.arange(count)).sum())
    panel.set_title(f"{right} of {table.size} units in place", fontsize=11)


def draw_landscape(
    values: np.ndarray, paths: Mapping[str, Sequence[tuple[int, int]]], *, title: str = ""
) -> Figure:
    """The objective for every pair of permutations of two layers, and the paths of descents in it.

    Args:
        values: ``(permutations of layer 1, of layer 2)``; dark is a large objective.
        paths: name → the (row, column) of each state of a descent, its start first.
        title: stands over the picture.
    """
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    shown = panel.imshow(values, cmap="Greys", origin="lower", aspect="auto")
    local = (values >= values.max(0, keepdims=True)) & (values >= values.max(1, keepdims=True))
    rows, columns = local.nonzero()
    ring: Look = {"facecolor": "none", "edgecolor": OTHERS[1], "linewidth": 2.2}
    panel.scatter(columns, rows, s=110, marker="s", **ring, label="neither can improve")
    top = np.unravel_index(values.argmax(), values.shape)
    panel.scatter(top[1], top[0], s=260, **ring, label="best of all")
    for colour, (name, path) in zip((MATCHED, OTHERS[0]), paths.items()):
        y, x = np.array(path).T
        panel.plot(x, y, color=colour, linewidth=2.5, marker=".", label=name, zorder=3)
        star = {"marker": "*", "edgecolor": "black", "linewidth": 0.5, "zorder": 4}
        panel.scatter(x[-1], y[-1], s=110, color=colour, **star)
    panel.plot(x[0], y[0], "ok", markersize=6, label="start", zorder=5)
    counts = values.shape
    panel.set_xlabel(f"permutation of layer 2 (0 to {counts[1] - 1})")
    panel.set_ylabel(f"permutation of layer 1 (0 to {counts[0] - 1})")
    figure.colorbar(shown, ax=panel, label=OBJECTIVE)
    spacing = {"columnspacing": 1.0, "handletextpad": 0.3, "fontsize": 9}
    figure.legend(frameon=False, loc="outside lower center", ncols=5, **spacing)
    panel.set_title(title, loc="left")
    words = "; ".join(f"{name} ends at {path[-1]}" for name, path in paths.items())
    best = tuple(int(k) for k in top)
    return describe(figure, f"{len(rows)} local optima, the best at {best}; {words}.")


def draw_tours(cities: np.ndarray, tours: Mapping[str, Sequence[int]]) -> Figure:
    """Round trips through the same cities side by side, the last one (the shortest) green.

    Args:
        cities: ``(count, 2)`` where they lie.
        tours: name → the cities in the order in which they are visited.
    """
    figure, axes = new_figure("wide", 1, len(tours))
    cities, titles = np.asarray(cities), []
    colours = [NAIVE] * (len(tours) - 1) + [MATCHED]
    for panel, colour, (name, tour) in zip(axes[0], colours, tours.items()):
        walk = cities[[*tour, tour[0]]]
        length = np.linalg.norm(np.diff(walk, axis=0), axis=1).sum()
        panel.plot(*walk.T, color=colour, linewidth=2.5, zorder=1)
        panel.scatter(*cities.T, s=260, color="white", edgecolor="black", zorder=2)
        for city, place in enumerate(cities):
            look: Look = {"ha": "center", "va": "center", "fontweight": "bold", "zorder": 3}
            panel.annotate(str(city), place, **look)
        titles.append(f"{name}: length {length:.2f}")
        panel.set_title(titles[-1], fontsize=12)
        panel.set(aspect="equal", xticks=[], yticks=[])
        panel.margins(0.12)
        panel.spines[:].set_visible(False)
    return describe(figure, "Round trips. " + "; ".join(titles))


def draw_updates(descent: Descent, chosen: Sequence[int]) -> Figure:
    """The strips of several updates side by side: the contact sheet of ``draw_update``."""
    strips = [descent.units[step] for step in chosen]
    names = [descent.name(step).replace(": ", "\n") for step in chosen]
    values = [descent.heights[step] for step in chosen]
    figure, axes = new_figure("wide", 1, len(strips))
    words = []
    for panel, rows, name, value in zip(axes[0], strips, names, values):
        table = np.array([list(row) for row in rows])
        layers, count = table.shape
        panel.imshow(np.array(rainbow(count))[table].transpose(1, 0, 2), aspect="auto")
        for layer in range(1, layers):
            panel.axvline(layer - 0.5, color="white", linewidth=4)
        panel.set_xticks(range(layers), [str(layer + 1) for layer in range(layers)])
        panel.set_yticks([])
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_title(f"{name}\n({value:.1f})", fontsize=10, loc="center")
        words.append(f"{name} ".replace("\n", " ") + f"{int((table == np.arange(count)).sum())}")
    axes[0, 0].set_ylabel("place, top to bottom")
    text = "hidden layer   (above: number of the update, its layer, objective after it)"
    figure.supxlabel(text, fontsize=11)
    return describe(figure, f"Units in place of {table.size}, update by update: {', '.join(words)}")


def draw_progress(values: Sequence[float], losses: Sequence[float], *, sweep: int) -> Figure:
    """Objective and midpoint loss after each update of a descent.

    Args:
        values, losses: at the start and after each update.
        sweep: how many updates make a sweep; the end of the first two is marked.
    """
    figure, axes = new_figure("wide", 1, 2)
    for panel, numbers, label in zip(axes[0], (values, losses), (OBJECTIVE, "midpoint loss")):
        panel.plot(range(len(numbers)), numbers, color=MATCHED, marker="D", markersize=4)
        for end in (sweep, 2 * sweep):
            panel.axvline(end, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
        panel.set(xlabel="updates (dashed: end of sweeps 1 and 2)", ylabel=label)
        panel.set_ylim(0, 1.08 * max(numbers))
    return describe(
        figure,
        f"Over {len(values) - 1} updates the objective goes from {values[0]:.1f} to "
        f"{values[-1]:.1f} and the midpoint loss from {losses[0]:.3f} to {losses[-1]:.3f}.",
    )
