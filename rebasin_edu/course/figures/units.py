"""Hidden units: a small network drawn whole, units as a rainbow, and units as images of what they
look for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.style import describe, new_figure, rainbow

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_network(
    weights: Sequence[np.ndarray], *, permutation: Sequence[int] | None = None, title: str = ""
) -> Figure:
    """A small network with one hidden layer: units as discs, weights as lines (dark positive,
    orange negative, thick large).

    Args:
        weights: the two weight matrices (hidden, inputs) and (outputs, hidden).
        permutation: which unit of the first drawing each hidden unit is: units carry their colour
            with them.
        title: stands over the drawing.
    """
    matrices = [np.asarray(matrix, dtype=float) for matrix in weights]
    sizes = [matrices[0].shape[1], *(len(matrix) for matrix in matrices)]
    units = list(range(sizes[1])) if permutation is None else [int(unit) for unit in permutation]
    hues = rainbow(sizes[1])
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    heights = [np.linspace(1, -1, size + 2)[1:-1] for size in sizes]
    for layer, matrix in enumerate(matrices):
        largest = max(1e-12, float(np.abs(matrix).max()))
        for target, source in np.ndindex(*matrix.shape):
            strength = matrix[target, source] / largest
            panel.plot(
                [layer, layer + 1],
                [heights[layer][source], heights[layer + 1][target]],
                color="#1b3a57" if strength > 0 else "#D55E00",
                linewidth=0.3 + 3.2 * abs(strength),
                alpha=0.25 + 0.7 * abs(strength),
                zorder=1,
            )
    for layer, name in enumerate(("input", "hidden", "output")):
        colours = [hues[unit] for unit in units] if layer == 1 else "white"
        x = [layer] * sizes[layer]
        panel.scatter(x, heights[layer], s=420, color=colours, edgecolor="black", zorder=2)
        panel.annotate(name, (layer, -0.95), ha="center", va="bottom")
    for unit, height in zip(units, heights[1]):
        panel.annotate(
            str(unit), (1, height), ha="center", va="center", zorder=3, fontweight="bold"
        )
    panel.set(xlim=(-0.25, 2.25), ylim=(-1.0, 1.0))
    panel.set_title(title, loc="left")
    panel.axis("off")
    return describe(figure, f"A network of {sizes} units; hidden units from top to bottom: {units}")


def draw_rainbow(permutations: Mapping[str, Sequence[int]], *, title: str = "") -> Figure:
    """Hidden units as strips of colour, one strip per network: the same colour is the same unit.

    Args:
        permutations: name of the strip → for each place, which unit of the first network stands
            there.
        title: stands over the strips.
    """
    figure, axes = new_figure("one", len(permutations), 1)
    titles = []
    for panel, (name, permutation) in zip(axes[:, 0], permutations.items()):
        units = np.asarray(permutation)
        panel.imshow(np.array(rainbow(len(units)))[units][None], aspect="auto")
        in_place = int((units == np.arange(len(units))).sum())
        titles.append(f"{name}: {in_place} of {len(units)} units in place")
        panel.set_title(titles[-1], fontsize=10, loc="left")
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    axes[-1, 0].set_xlabel("place in the hidden layer")
    figure.suptitle(title, x=0.01, ha="left")
    return describe(figure, "Units as coloured strips. " + "; ".join(titles))


def draw_units(
    rows: Mapping[str, np.ndarray], units: Sequence[int], *, groups: Sequence[str] = (), title=""
) -> Figure:
    """The incoming weights of units of a first layer as images, a row for each network.

    Args:
        rows: name of the row → the weights ``(units, height × width)`` in the order of the network;
            orange is positive, blue negative.
        units: which units, a column each.
        groups: names of equally large groups of columns, from left to right.
        title: stands over the picture.
    """
    figure, axes = new_figure((9.6, 0.8 + 0.72 * len(rows)), len(rows), len(units))
    for line, (name, weights) in zip(axes, rows.items()):
        for panel, unit in zip(line, units):
            weight = np.asarray(weights[unit], dtype=float)
            side = round(len(weight) ** 0.5)
            limit = 3 * float(weight.std()) + 1e-12
            image = weight.reshape(side, side)
            panel.imshow(image, cmap="PuOr_r", vmin=-limit, vmax=limit)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    for number, name in enumerate(groups):
        first = number * len(units) // len(groups)
        axes[0, first].set_title(name, loc="left", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left")
    return describe(
        figure,
        f"Incoming weights of {len(units)} units ({', '.join(groups) or 'in order'}) as images, "
        f"one row each for {', '.join(rows)}. {title}",
    )


def draw_answers(
    rows: Mapping[str, np.ndarray], images: np.ndarray, labels: Sequence[int], *, title: str = ""
) -> Figure:
    """Some images, and below each how sure networks are of each of the ten digits.

    Args:
        rows: name of a network → its probabilities ``(images, 10)``.
        images: ``(images, height, width)``; labels: the digit on each.
        title: stands over the picture.
    """
    size = (9.6, 1.2 + 0.85 * len(rows))
    figure, axes = new_figure(size, 1 + len(rows), len(labels))
    for panel, image in zip(axes[0], np.asarray(images, dtype=float)):
        panel.imshow(image, cmap="Greys")
        panel.axis("off")
    right = {}
    for line, (name, shares) in zip(axes[1:], rows.items()):
        shares = np.asarray(shares, dtype=float)
        right[name] = int((shares.argmax(1) == np.asarray(labels)).sum())
        for panel, share, label in zip(line, shares, labels):
            colours = ["#009E73" if digit == label else "0.6" for digit in range(10)]
            panel.bar(range(10), share, color=colours)
            panel.set(xticks=[int(share.argmax())], yticks=[], ylim=(0, 1))
            panel.tick_params(length=0, labelsize=9)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left")
    words = ", ".join(f"{name} names {count} right" for name, count in right.items())
    return describe(figure, f"Answers to {len(labels)} images: {words}. {title}")
