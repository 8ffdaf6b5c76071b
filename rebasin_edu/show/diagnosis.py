"""Where a merge loses its variance: deviation of the merged units over their parents', layer by
layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .curves import figure
from .style import MATCHED, REPAIRED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..landscape.diagnosis import Diagnosis
    from ..landscape.repair import Repair

LABEL = "merged deviation / parents'"


def draw_variance(diagnosis: Diagnosis, repair: Repair | None = None, *, title: str = "") -> Figure:
    """Left: measured deviation and the closed form. Right: how well the units of each layer were
    matched.

    Args:
        diagnosis: what ``diagnose`` found.
        repair: what ``repair`` did to the same merge; its layers after the repair are drawn too.
        title: stands over the left panel.
    """
    names = [layer.name for layer in diagnosis.layers]
    place = np.arange(len(names))
    made, axes = figure("wide", 1, 2)
    left, right = axes[0]
    left.axhline(1, color="0.6", linewidth=1)
    left.plot(
        place,
        [layer.measured for layer in diagnosis.layers],
        color=MATCHED,
        marker="D",
        label="measured",
    )
    left.plot(
        place,
        [layer.predicted for layer in diagnosis.layers],
        color="0.3",
        marker="_",
        linestyle=":",
        label="closed form, each layer alone",
    )
    if repair is not None:
        known = {layer.point.name: layer.collapse("after") for layer in repair.layers}
        where = [(k, known[name]) for k, name in enumerate(names) if name in known]
        if where:
            left.plot(*zip(*where), color=REPAIRED, marker="^", linestyle="none", label="repaired")
    left.set(ylim=(0, None), ylabel=LABEL, title=title)
    left.legend(loc="lower left", frameon=False)
    for k, layer in enumerate(diagnosis.layers):
        units = layer.correlation[~layer.correlation.isnan()].numpy()
        if len(units):
            low, middle, high = np.quantile(units, [0.1, 0.5, 0.9])
            right.plot(
                [k, k], [low, high], color=MATCHED, linewidth=4, alpha=0.35, solid_capstyle="round"
            )
            right.plot([k], [middle], color=MATCHED, marker="D")
    right.axhline(0, color="0.6", linewidth=1)
    right.set(
        ylim=(None, 1.02),
        ylabel="correlation of matched units",
        title="median, and 80 % of the units",
    )
    every = max(1, len(names) // 12)
    for panel in (left, right):
        panel.set_xticks(place[::every], names[::every], rotation=60, ha="right", fontsize=9)
        panel.set_xlim(-0.5, len(names) - 0.5)
    return made
