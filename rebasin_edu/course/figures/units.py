"""Pictures of hidden units: a small network drawn whole, and units as a rainbow that a shuffle
breaks and a match restores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.curves import figure
from ...show.style import rainbow

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_network(
    weights: Sequence[np.ndarray], *, order: Sequence[int] | None = None, title: str = ""
) -> Figure:
    """A small network with one hidden layer: units as discs, weights as lines (dark positive,
    orange negative, thick large).

    Args:
        weights: the two weight matrices (hidden, inputs) and (outputs, hidden).
        order: which unit of the first drawing each hidden unit is: units carry their colour with
            them.
        title: stands over the drawing.
    """
    first, second = (np.asarray(matrix, dtype=float) for matrix in weights)
    sizes = [first.shape[1], first.shape[0], second.shape[0]]
    order = list(range(sizes[1])) if order is None else [int(unit) for unit in order]
    hues = rainbow(sizes[1])
    made, axes = figure("one")
    panel = axes[0, 0]
    places = [np.linspace(1, -1, size + 2)[1:-1] for size in sizes]
    for layer, matrix in enumerate((first, second)):
        largest = max(1e-12, float(np.abs(matrix).max()))
        for target, source in np.ndindex(*matrix.shape):
            strength = matrix[target, source] / largest
            panel.plot(
                [layer, layer + 1],
                [places[layer][source], places[layer + 1][target]],
                color="#1b3a57" if strength > 0 else "#D55E00",
                linewidth=0.3 + 3.2 * abs(strength),
                alpha=0.25 + 0.7 * abs(strength),
                zorder=1,
            )
    for layer, (size, name) in enumerate(zip(sizes, ("input", "hidden", "output"))):
        for unit in range(size):
            colour = hues[order[unit]] if layer == 1 else "white"
            panel.scatter(
                layer, places[layer][unit], s=420, color=colour, edgecolor="black", zorder=2
            )
            if layer == 1:
                panel.annotate(
                    str(order[unit]),
                    (layer, places[layer][unit]),
                    ha="center",
                    va="center",
                    zorder=3,
                    fontweight="bold",
                )
        panel.annotate(name, (layer, -0.95), ha="center", va="bottom")
    panel.set(xlim=(-0.25, 2.25), ylim=(-1.0, 1.0))
    panel.set_title(title, loc="left")
    panel.axis("off")
    return made


def draw_rainbow(orders: Mapping[str, Sequence[int]], *, title: str = "") -> Figure:
    """Hidden units as strips of colour, one strip per network: the same colour is the same unit.

    Args:
        orders: name of the strip → for each place, which unit of the first network stands there.
        title: stands over the strips.
    """
    made, axes = figure("one", len(orders), 1)
    for panel, (name, order) in zip(axes[:, 0], orders.items()):
        order = np.asarray(order)
        hues = np.array(rainbow(len(order)))
        panel.imshow(hues[order][None], aspect="auto", interpolation="nearest")
        in_place = int((order == np.arange(len(order))).sum())
        panel.set_title(
            f"{name}: {in_place} of {len(order)} units in place", fontsize=10, loc="left"
        )
        panel.set_yticks([])
        panel.set_xticks([])
        panel.spines[:].set_visible(False)
    axes[-1, 0].set_xlabel("place in the hidden layer")
    made.suptitle(title, x=0.01, ha="left")
    return made
