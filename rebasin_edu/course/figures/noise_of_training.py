"""What rate, time, batch size and weight decay do to merging: several axes side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...show.style import MATCHED, describe, new_figure
from .width_and_time import heights

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_axes_of_noise(axes: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """The matched loss barriers over several settings side by side, on one scale.

    Args:
        axes: the ``axes`` of a stored run: a name, and for each setting what was changed and pairs.
    """
    figure, panels = new_figure((9.6, 3.9), 1, len(axes), sharey=True)
    words = []
    for panel, axis in zip(panels[0], axes):
        rows = [heights(row["pairs"], "matched", "loss") for row in axis["settings"]]
        for at, row in enumerate(rows):
            panel.plot([at] * len(row), row, "D", color=MATCHED, ms=5, alpha=0.8)
        panel.plot(range(len(rows)), [row.mean() for row in rows], color=MATCHED)
        labels = [setting_label(row["changed"]) for row in axis["settings"]]
        panel.set_xticks(range(len(rows)), labels, fontsize=9)
        panel.set_title(axis["name"].replace(", ", ",\n"), fontsize=10)
        panel.set(yscale="log", xlim=(-0.4, len(rows) - 0.6))
        listed = zip(labels, rows)
        words.append(
            f"{axis['name']}: "
            + "; ".join(f"{name} {', '.join(f'{h:.3f}' for h in row)}" for name, row in listed)
        )
    panels[0, 0].set_ylabel("matched loss barrier (log scale)")
    figure.suptitle(title, x=0.01, ha="left")
    text = " | ".join(words).replace("\n", " ")
    return describe(figure, f"{title}: matched loss barriers of the pairs. {text}")


def setting_label(changed: Mapping[str, Any]) -> str:
    """What was changed, as a label: the value, and below it the epochs that go with it."""
    value, *epochs = (
        value for key, value in sorted(changed.items(), key=lambda x: x[0] == "epochs")
    )
    return f"{value:g}" + (f"\n{epochs[0]} ep." if epochs else "")
