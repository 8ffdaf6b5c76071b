"""The graph of a spec: a row for each weight, a coloured line for each group, from what makes it to
what reads it.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..symmetry.axis_structure import Concat, Interleaved, Leaf, leaves
from .style import describe, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..symmetry.axis_structure import Term
    from ..symmetry.spec import PermutationSpec

FIXED = "#c8c8c8"
BAR = 1.6  # width of a bar that shows what an axis is made of

Colour = tuple[float, float, float] | str


def draw_spec(spec: PermutationSpec, *, rows: int = 40) -> Figure:
    """Draw which weights share which groups.

    Each row is a weight of two or more axes, in the order of the model. Its bars show what its
    output and its input axis are made of, grey where nothing may move. A line joins all rows in
    which a group occurs: long lines are residual streams. A square marks rows where the group is an
    output, a circle where it is an input.

    Args:
        spec: any spec.
        rows: draw at most this many weights, from the first.
    """
    from matplotlib.patches import Rectangle

    matrices = [
        name for name, terms in spec.axes.items() if sum(term.size > 1 for term in terms[:2]) == 2
    ]
    shown = matrices[:rows]
    height = {name: -k for k, name in enumerate(shown)}
    colours = _colours(spec)
    lanes, places = _lanes(spec, shown)
    first = 2 * BAR + 0.9
    width = 0.28 * (max(lanes.values(), default=0) + 1)
    figure, axes = new_figure((6.5 + width, 1.2 + 0.28 * len(shown)))
    panel = axes[0, 0]
    for name in shown:
        for axis, left in ((0, 0.0), (1, BAR + 0.3)):
            for start, stop, colour in _segments(spec.axes[name][axis], colours):
                corner = (left + BAR * start, height[name] - 0.32)
                panel.add_patch(Rectangle(corner, BAR * (stop - start), 0.64, color=colour, lw=0))
    for group, lane in lanes.items():
        x, colour = first + 0.42 * lane, colours[group]
        ends = [height[name] for name, _ in places[group]]
        panel.plot([x, x], [min(ends), max(ends)], color=colour, lw=2.2, solid_capstyle="round")
        for name, axis in places[group]:
            look = {"color": colour, "ms": 6, "mec": "white", "mew": 0.8, "zorder": 3}
            panel.plot(x, height[name], "s" if axis == 0 else "o", **look)
    panel.set(xlim=(-0.1, first + 1.5 * width), ylim=(-len(shown) + 0.4, 1.4), xticks=[])
    for x, text in ((0, "outputs"), (BAR + 0.3, "inputs"), (first - 0.1, "groups")):
        panel.text(x, 0.7, text, fontsize="small")
    names = [name.removesuffix(".weight") for name in shown]
    panel.set_yticks(list(height.values()), names, fontsize="small")
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    count, more = len(spec.groups), ""
    if len(matrices) > len(shown):
        more = f" (the first {len(shown)} of {len(matrices)} weights)"
    symmetries = f"10^{spec.log10_symmetries():.0f} symmetries"
    title = f"{count} group{'s' * (count != 1)}, {symmetries}{more}"
    panel.set_title(title, loc="left")
    return describe(figure, f"The graph of a spec: {title}; groups {', '.join(lanes)}.")


def _colours(spec: PermutationSpec) -> dict[str, Colour]:
    """A colour for each group; hues a golden ratio apart, so that neighbours differ."""
    golden = (math.sqrt(5) - 1) / 2
    return {
        group: colorsys.hls_to_rgb((0.58 + k * golden) % 1, (0.42, 0.56)[k % 2], 0.62)
        for k, group in enumerate(spec.groups)
    }


def _segments(
    term: Term, colours: Mapping[str, Colour], start: float = 0.0, stop: float = 1.0
) -> list[tuple[float, float, Colour]]:
    """What an axis is made of, as parts of a bar: a block for each part of a concatenation, stripes
    for interleaved units.
    """
    if isinstance(term, Leaf):
        return [(start, stop, colours.get(term.name, FIXED))]
    if isinstance(term, Concat):
        parts, left = [], start
        for part in term.parts:
            right = left + (stop - start) * part.size / term.size
            parts += _segments(part, colours, left, right)
            left = right
        return parts
    free = [colours[leaf.name] for leaf in leaves(term) if leaf.name in colours]
    if not free:
        return [(start, stop, FIXED)]
    count = len(free) * (8 if isinstance(term, Interleaved) else 1 if len(free) == 1 else 4)
    edges = [start + k * (stop - start) / count for k in range(count + 1)]
    return [(edges[k], edges[k + 1], free[k % len(free)]) for k in range(count)]


def _lanes(
    spec: PermutationSpec, shown: list[str]
) -> tuple[dict[str, int], dict[str, list[tuple[str, int]]]]:
    """A column for each group, so that no two groups share one where both occur; and the rows in
    which it occurs.
    """
    row = {name: k for k, name in enumerate(shown)}
    places, spans = {}, {}
    for name, group in spec.groups.items():
        if occurrences := [place for place in group.occurrences if place[0] in row]:
            rows = [row[parameter] for parameter, _ in occurrences]
            places[name], spans[name] = occurrences, (min(rows), max(rows))
    last_rows: list[int] = []  # for each lane the last row in use
    lanes = {}
    for name in sorted(spans, key=lambda name: spans[name][0]):
        first, last = spans[name]
        lane = next((k for k, end in enumerate(last_rows) if end < first), len(last_rows))
        last_rows[lane : lane + 1] = [last]
        lanes[name] = lane
    return lanes, places
