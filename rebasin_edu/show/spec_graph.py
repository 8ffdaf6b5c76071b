"""The graph of a spec: a row for each weight, a coloured line for each group, from what makes it to
what reads it.
"""

from __future__ import annotations

import colorsys
import math
from typing import TYPE_CHECKING

from .style import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..symmetry.axis_structure import Term
    from ..symmetry.spec import PermutationSpec

STILL = "#c8c8c8"
BAR = 1.6  # width of a bar that shows what an axis is made of


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
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    matrices = [
        name for name, terms in spec.axes.items() if sum(term.size > 1 for term in terms[:2]) == 2
    ]
    shown = matrices[:rows]
    at = {name: -k for k, name in enumerate(shown)}
    colours = _colours(spec)
    lanes, places = _lanes(spec, shown)
    with style():
        width = 6.5 + 0.28 * (max(lanes.values(), default=0) + 1)
        figure, axes = plt.subplots(figsize=(width, 1.2 + 0.28 * len(shown)), layout="constrained")
    for name in shown:
        for axis, left in ((0, 0.0), (1, BAR + 0.3)):
            for start, stop, colour in _segments(spec.axes[name][axis], colours):
                axes.add_patch(
                    Rectangle(
                        (left + BAR * start, at[name] - 0.32),
                        BAR * (stop - start),
                        0.64,
                        color=colour,
                        lw=0,
                    )
                )
    first = 2 * BAR + 0.9
    for group, lane in lanes.items():
        x, colour = first + 0.42 * lane, colours[group]
        here = [at[name] for name, _ in places[group]]
        axes.plot(
            [x, x], [min(here), max(here)], color=colour, lw=2.2, solid_capstyle="round", zorder=2
        )
        for name, axis in places[group]:
            axes.plot(
                x,
                at[name],
                "s" if axis == 0 else "o",
                color=colour,
                ms=6,
                mec="white",
                mew=0.8,
                zorder=3,
            )
    axes.set_xlim(-0.1, first + 0.42 * (max(lanes.values(), default=0) + 1))
    axes.set_ylim(-len(shown) + 0.4, 1.4)
    axes.text(BAR / 2, 0.7, "outputs", ha="center", fontsize="small")
    axes.text(1.5 * BAR + 0.3, 0.7, "inputs", ha="center", fontsize="small")
    axes.text(first - 0.1, 0.7, "groups", ha="left", fontsize="small")
    axes.set_yticks(
        [at[name] for name in shown],
        [name.removesuffix(".weight") for name in shown],
        fontsize="small",
    )
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
    more = (
        f" (the first {len(shown)} of {len(matrices)} weights)"
        if len(matrices) > len(shown)
        else ""
    )
    count = len(spec.groups)
    axes.set_title(
        f"{count} group{'s' * (count != 1)}, 10^{spec.log10_symmetries():.0f} symmetries{more}",
        loc="left",
    )
    plt.close(figure)
    return figure


def _colours(spec: PermutationSpec) -> dict[str, tuple[float, float, float]]:
    """A colour for each group; hues a golden ratio apart, so that neighbours differ."""
    golden = (math.sqrt(5) - 1) / 2
    return {
        group: colorsys.hls_to_rgb((0.58 + k * golden) % 1, (0.42, 0.56)[k % 2], 0.62)
        for k, group in enumerate(spec.groups)
    }


def _segments(
    term: Term, colours: dict, start: float = 0.0, stop: float = 1.0
) -> list[tuple[float, float, object]]:
    """What an axis is made of, as parts of a bar: a block for each part of a concatenation, stripes
    for units that take turns.
    """
    from ..symmetry.axis_structure import Concat, Leaf, Interleaved, leaves

    if isinstance(term, Leaf):
        return [(start, stop, colours.get(term.name, STILL))]
    if isinstance(term, Concat):
        found, left = [], start
        for part in term.parts:
            right = left + (stop - start) * part.size / term.size
            found += _segments(part, colours, left, right)
            left = right
        return found
    moving = [leaf for leaf in leaves(term) if leaf.name in colours]
    if not moving:
        return [(start, stop, STILL)]
    repeats = 8 if isinstance(term, Interleaved) else 1 if len(moving) == 1 else 4
    step = (stop - start) / (repeats * len(moving))
    return [
        (start + k * step, start + (k + 1) * step, colours[moving[k % len(moving)].name])
        for k in range(repeats * len(moving))
    ]


def _lanes(
    spec: PermutationSpec, shown: list[str]
) -> tuple[dict[str, int], dict[str, list[tuple[str, int]]]]:
    """A column for each group, so that no two groups share one where both are at work; and the rows
    in which it occurs.
    """
    row = {name: k for k, name in enumerate(shown)}
    places = {
        name: [place for place in group.occurrences if place[0] in row]
        for name, group in spec.groups.items()
    }
    places = {name: found for name, found in places.items() if found}
    ends: list[int] = []  # for each lane the last row in use
    lanes = {}
    for name in sorted(
        places, key=lambda name: min(row[parameter] for parameter, _ in places[name])
    ):
        first, last = (pick(row[parameter] for parameter, _ in places[name]) for pick in (min, max))
        lane = next((k for k, end in enumerate(ends) if end < first), len(ends))
        ends[lane : lane + 1] = [last]
        lanes[name] = lane
    return lanes, places
