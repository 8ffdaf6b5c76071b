"""What must move together: the orders of a network's axes, blocks that move whole, how a wrong spec
shows itself, and how many symmetries there are.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.style import OTHERS, describe, new_figure, write
from .units import rainbow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIXED = "#c8c8c8"
ROUNDING = 1e-17  # where a change of exactly zero is drawn


def draw_axes(
    axes: Mapping[str, Sequence[str | None]], names: Sequence[str], *, title: str = ""
) -> Figure:
    """The orders of a network's axes so far: a row a weight, a colour an order, grey what stays.

    Args:
        axes: weight → the order of its outputs, that of its inputs, …; ``None`` where it stays.
        names: the weights to draw: those without axes yet are left empty.
        title: stands over the figure.
    """
    figure, panels = new_figure((8.2, 1.0 + 0.26 * len(names)))
    panel = panels[0, 0]
    names = [name.removesuffix(".weight") for name in names]
    axes = {name.removesuffix(".weight"): orders[:2] for name, orders in axes.items()}
    axes = {name: axes[name] for name in names if name in axes}
    hues = _hues(names)
    for row, name in enumerate(names):
        for left, order in enumerate(axes.get(name, ())):
            colour = hues.get(order, FIXED) if order else FIXED
            panel.barh(-row, 1.0, left=1.1 * left, height=0.8, color=colour)
            look = {"ha": "center", "va": "center", "fontsize": 8}
            ink = "white" if order else "0.35"
            panel.text(1.1 * left + 0.5, -row, order or "stays", color=ink, **look)
    for left, text in enumerate(("order of its outputs", "order of its inputs")):
        write(panel, text, (1.1 * left, 0.6), fontsize=10)
    panel.set(xlim=(0, 2.15), ylim=(0.4 - len(names), 1.4), xticks=[])
    panel.set_yticks([-row for row in range(len(names))], names, fontsize=9)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_title(title, loc="left")
    orders = {order for pair in axes.values() for order in pair if order}
    seen = f"{len(axes)} of {len(names)} weights seen, {len(orders)} different orders"
    return describe(figure, f"{title}: {seen}")


def draw_blocks(
    strips: Mapping[str, Sequence[int]], *, blocks: int, xlabel: str = "", title: str = ""
) -> Figure:
    """Units as strips of colour: a hue a block, light to dark inside it, so that the eye sees
    whether blocks move whole.

    Args:
        strips: name of the strip → for each place, which unit of the first network stands there.
        blocks: how many blocks of equal size the units form.
        xlabel, title: stand under and over the strips.
    """
    figure, panels = new_figure((9.6, 0.9 + 0.85 * len(strips)), len(strips), 1)
    words = []
    for panel, (name, units) in zip(panels[:, 0], strips.items()):
        places = np.asarray(units)
        size = len(places) // blocks
        panel.imshow(_shades(blocks, size)[places][None], aspect="auto")
        for edge in range(size, len(places), size):
            panel.axvline(edge - 0.5, color="white", linewidth=2)
        rows = places.reshape(blocks, size) // size
        whole = int((rows == rows[:, :1]).all(1).sum())
        words.append(f"{name}: {whole} of {blocks} blocks hold the units of one block")
        panel.set_title(name, fontsize=10, loc="left")
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    panels[-1, 0].set_xlabel(xlabel)
    figure.suptitle(title, x=0.01, ha="left")
    return describe(figure, f"{title}. {'; '.join(words)}.")


def draw_changes(
    changes: Mapping[str, Mapping[str, float]], *, limit: float = 1e-9, title: str = ""
) -> Figure:
    """How much the outputs change under random permutations, a row a spec, a marker a test.

    Args:
        changes: name of a spec → name of a test → relative change of the outputs.
        limit: what is taken for rounding; drawn as a line.
        title: stands over the figure.
    """
    figure, panels = new_figure((8.4, 1.4 + 0.55 * len(changes)))
    panel = panels[0, 0]
    tests = list(next(iter(changes.values())))
    looks = {test: (colour, marker) for test, colour, marker in zip(tests, (OTHERS[1], "k"), "os")}
    for row, values in enumerate(changes.values()):
        panel.axhline(-row, color="0.9", linewidth=1, zorder=0)
        for shift, (test, value) in zip((0.1, -0.1), values.items()):
            colour, marker = looks[test]
            at = max(value, ROUNDING)
            panel.plot(at, shift - row, marker, color=colour, ms=9, label=test if not row else None)
            if value == 0:
                write(panel, "exactly 0", (at, shift - row), (9, -3), fontsize=9, color=colour)
    panel.axvline(limit, color="0.5", linestyle="--", linewidth=1)
    write(panel, "rounding", (limit, 0.45), (-6, 0), ha="right", fontsize=9, color="0.4")
    write(panel, "the outputs change", (limit, 0.45), (6, 0), fontsize=9, color="0.4")
    panel.set_yticks([-row for row in range(len(changes))], list(changes))
    panel.set(xscale="log", xlim=(ROUNDING / 4, 30), ylim=(0.7 - len(changes), 0.75))
    panel.set_xlabel("relative change of the outputs (log scale)")
    panel.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    words = (
        f"{name}: " + ", ".join(f"{test} {value:.0e}" for test, value in values.items())
        for name, values in changes.items()
    )
    return describe(figure, f"Change of the outputs under random permutations. {'; '.join(words)}")


def draw_counts(counts: Mapping[str, tuple[float, float]], *, title: str = "") -> Figure:
    """Powers of ten side by side: what was printed, and what is counted with all ties.

    Args:
        counts: network → exponent as printed, exponent as counted.
        title: stands over the figure.
    """
    figure, panels = new_figure((8.4, 1.0 + 0.9 * len(counts)))
    panel = panels[0, 0]
    largest = max(max(pair) for pair in counts.values())
    for row, (printed, counted) in enumerate(counts.values()):
        _bar(panel, 0.2 - row, printed, OTHERS[1], "printed" if not row else "")
        _bar(panel, -0.2 - row, counted, OTHERS[3], "counted" if not row else "")
    panel.set_yticks([-row for row in range(len(counts))], list(counts))
    panel.set(xlim=(0, 1.25 * largest), ylim=(0.55 - len(counts), 0.55))
    panel.set_xlabel("exponent of ten of the number of symmetries")
    if title:
        panel.set_title(title, loc="left")
    words = (f"{name}: 10^{a:.0f} printed, 10^{b:.0f} counted" for name, (a, b) in counts.items())
    return describe(figure, f"{title}. {'; '.join(words)}.")


def _bar(panel: Axes, y: float, exponent: float, colour: str, name: str) -> None:
    panel.barh(y, exponent, height=0.36, color=colour)
    text = f"{name} 10^{exponent:.0f}".strip()
    write(panel, text, (exponent, y), (5, 0), va="center", color=colour, fontweight="bold")


def _hues(names: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """A colour for each name that stays the same in every step; neighbours differ."""
    golden = (5**0.5 - 1) / 2
    return {
        name: colorsys.hls_to_rgb((0.58 + k * golden) % 1, (0.36, 0.46)[k % 2], 0.62)
        for k, name in enumerate(names)
    }


def _shades(blocks: int, size: int) -> np.ndarray:
    """Colours ``(blocks × size, 3)``: a hue a block, from light to dark inside it."""
    light = np.linspace(0.55, 0.0, size)[None, :, None]
    hues = np.array(rainbow(blocks))[:, None, :]
    return (hues * (1 - light) + light).reshape(-1, 3)
