"""Hidden units: a small network drawn whole, units as a rainbow, and units as images of what they
look for.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...landscape import lerp
from ...show.style import describe, new_figure, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import nn

    from ...weights import Weights


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
    rows: Mapping[str, np.ndarray], *, groups: Sequence[str] = (), title: str = ""
) -> Figure:
    """The incoming weights of units of a first layer as images, a row for each network.

    Args:
        rows: name of the row → weights ``(columns, height × width)``, the same unit in each column;
            orange is positive, purple negative.
        groups: names of equally large groups of columns, from left to right.
        title: stands over the picture.
    """
    count = len(next(iter(rows.values())))
    figure, axes = new_figure((9.6, 0.6 + 8.8 / count * len(rows)))
    _draw_tiles(axes[0, 0], rows)
    side = round(next(iter(rows.values())).shape[1] ** 0.5) + 2
    for number, name in enumerate(groups):
        write(axes[0, 0], name, (number * count // len(groups) * side, 0), (0, 4), fontsize=10)
    figure.suptitle(title, x=0.01, ha="left")
    names = f"{count} units ({', '.join(groups) or 'in order'})"
    text = f"Incoming weights of {names} as images; rows: {', '.join(rows)}. {title}"
    return describe(figure, text)


def draw_mix(
    model: nn.Module,
    ends: Mapping[str, Weights],
    alpha: float,
    units: Sequence[int],
    images: torch.Tensor,
) -> Figure:
    """Averaged units, and how sure the averaged networks are of each digit on some images.

    Args:
        model: network A, an MLP; the other ends are weights of it.
        ends: name → what A is mixed with.
        alpha: the share of the other end in the mix.
        units: numbers of the first layer's units to draw.
        images: ``(images, height × width)``.
    """
    states = {name: lerp(model, end, alpha) for name, end in ends.items()}
    with torch.no_grad():
        logits = {name: torch.func.functional_call(model, s, images) for name, s in states.items()}
    shares = {name: values.softmax(1).numpy() for name, values in logits.items()}
    weights = {name: next(iter(s.values()))[units].numpy() for name, s in states.items()}
    title = f"{1 - alpha:.0%} of A, {alpha:.0%} of B"
    pixels = images.flatten(1).numpy()
    figure, axes = new_figure((9.6, 4.4), 1, 2, width_ratios=(1, 1.1))
    left, right = axes[0]
    rows: dict[str, np.ndarray] = {}
    for name, table in weights.items():
        middle = len(table) // 2
        rows |= {name: table[:middle], f"{name} ": table[middle:]}
    _draw_tiles(left, rows)
    left.set_title("averaged units", loc="left", fontsize=11)
    side = round(pixels.shape[1] ** 0.5)
    digits = _tiles([pixels], scale=lambda image: image)[: side + 2]
    blocks = [np.where(np.isnan(digits), 0, digits) / np.nanmax(digits)]
    for share in shares.values():
        blocks.append(np.repeat(np.repeat(np.asarray(share).T, 8, 0), side + 2, 1))
    right.imshow(np.vstack(blocks), cmap="Greys", aspect="auto", vmin=0, vmax=1)
    right.set_xticks([])
    ticks = [side + 2 + 80 * row + 8 * digit + 4 for row in range(len(shares)) for digit in (0, 9)]
    names = [f"{name}: {digit}" if digit == 0 else "9" for name in shares for digit in (0, 9)]
    right.set_yticks(ticks, names, fontsize=9)
    for row in range(len(shares)):
        right.axhline(side + 1.5 + 80 * row, color="0.5", linewidth=1)
    right.set_title("its answers, 0 to 9 from top to bottom", loc="left", fontsize=11)
    figure.suptitle(title, x=0.01, ha="left")
    sure = ", ".join(f"{name} {share.max(1).mean():.2f}" for name, share in shares.items())
    return describe(figure, f"{title}. Mean probability of the answer to ten images: {sure}.")


def _draw_tiles(panel: Axes, rows: Mapping[str, np.ndarray]) -> None:
    table = _tiles(list(rows.values()), lambda image: image / (3 * image.std() + 1e-12))
    panel.imshow(table, cmap="PuOr_r", vmin=-1, vmax=1, aspect="equal")
    height = len(table) / len(rows)
    at = [height * (row + 0.5) - 0.5 for row in range(len(rows))]
    panel.set_yticks(at, list(rows), fontsize=10)
    panel.set_xticks([])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def rainbow(count: int) -> list[tuple[float, float, float]]:
    """``count`` hues from red to violet, so that the eye can follow a permutation of units."""
    return [colorsys.hsv_to_rgb(0.83 * k / max(1, count - 1), 0.75, 0.92) for k in range(count)]


def _tiles(rows: Sequence[np.ndarray], scale: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Images side by side, a row of them for each table ``(columns, height × width)``."""
    lines = []
    for weights in rows:
        table = np.asarray(weights, dtype=float)
        side = round(table.shape[1] ** 0.5)
        images = [scale(row).reshape(side, side) for row in table]
        lines.append(np.hstack([np.pad(i, 1, constant_values=np.nan) for i in images]))
    return np.vstack(lines)
