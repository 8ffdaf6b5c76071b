"""Published barriers over width, a panel a normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...show.style import MATCHED, NAIVE, OTHERS, REPAIRED, describe, new_figure, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_published(
    tables: Mapping[str, Mapping[str, Sequence[float]]], widths: Sequence[int], *, title: str = ""
) -> Figure:
    """Published accuracy barriers over width: a panel a normalisation, so that no curve mixes two.

    Args:
        tables: normalisation → name of a line → barrier in points at each width.
        widths: multiples of the standard width.
    """
    figure, axes = new_figure("wide", 1, len(tables), sharey=True)
    looks = {"matched": (MATCHED, "D"), "matched + REPAIR": (REPAIRED, "^")}
    words = []
    for panel, (name, lines) in zip(axes[0], tables.items()):
        for position, (line, points) in enumerate(lines.items()):
            colour, marker = looks.get(line, (OTHERS[position], "v"))
            panel.plot(range(len(widths)), points, marker=marker, color=colour, label=line)
            words.append(
                f"{name}, {line}: {', '.join(f'×{w} {p}' for w, p in zip(widths, points))}"
            )
        panel.set_xticks(range(len(widths)), [f"×{width}" for width in widths])
        panel.set(xlabel="width", ylim=(0, 90))
        panel.set_title(name, loc="left")
        panel.legend(frameon=False, labelcolor="linecolor")
    axes[0, 0].set_ylabel("accuracy barrier (points)")
    figure.suptitle(title, x=0.01, ha="left")
    return describe(figure, f"{title}. {'; '.join(words)}")


def draw_points_lost(
    lost: Mapping[str, float], *, repaired: Sequence[str] = (), title: str = ""
) -> Figure:
    """Points of accuracy lost half-way between two networks, a bar for each method.

    Args:
        lost: method → points below the mean of the parents; the first matches nothing.
        repaired: methods that repair the network, too.
        title: stands over the picture.
    """
    figure, axes = new_figure((9.6, 1.2 + 0.36 * len(lost)))
    panel, places = axes[0, 0], range(len(lost))[::-1]
    for number, (place, (name, points)) in enumerate(zip(places, lost.items())):
        colour = REPAIRED if name in repaired else MATCHED if number else NAIVE
        panel.barh(place, points, color=colour, height=0.6)
        write(panel, f"{points:.1f}", (points, place), (4, -4), color="0.2")
    panel.set(yticks=list(places), yticklabels=list(lost), xlabel="points lost half-way")
    panel.set_xlim(0, 1.12 * max(lost.values()))
    panel.set_title(title, loc="left", fontsize=11)
    told = "; ".join(f"{name} {points:.1f}" for name, points in lost.items())
    return describe(figure, f"{title}. Points of accuracy lost: {told}")
