"""Published barriers over width, a panel a normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...show.style import MATCHED, OTHERS, REPAIRED, describe, new_figure

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
