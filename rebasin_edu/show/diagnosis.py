"""Where a merge loses its variance, layer by layer; and whether a network is as often right as it
says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .style import MATCHED, OTHERS, REPAIRED, colour_of, describe, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..landscape.diagnosis import Diagnosis
    from ..landscape.metrics import Score
    from ..landscape.repair import RepairReport


def draw_diagnosis(
    diagnosis: Diagnosis, repair: RepairReport | None = None, *, title: str = ""
) -> Figure:
    """Left: the merged units' standard deviation over their parents', measured and by the closed
    form. Right: how well the units of each layer correlate.

    Args:
        diagnosis: what ``diagnose`` returned.
        repair: the statistics of the same merge, repaired; they are drawn too.
        title: stands over the left panel.
    """
    layers = diagnosis.layers
    names, place = [layer.name for layer in layers], np.arange(len(layers))
    figure, axes = new_figure("wide", 1, 2)
    left, right = axes[0]
    left.axhline(1, color="0.6", linewidth=1)
    measured = [layer.measured for layer in layers]
    left.plot(place, measured, color=MATCHED, marker="D", label="measured")
    look = {"color": "0.3", "marker": "_", "linestyle": ":"}
    expected = [layer.predicted for layer in layers]
    left.plot(place, expected, **look, label="closed form, each layer alone")
    if repair is not None:
        after = {layer.layer.name: layer.std_ratio("after") for layer in repair.layers}
        where = [(k, after[name]) for k, name in enumerate(names) if name in after]
        if where:
            left.plot(*zip(*where), color=REPAIRED, marker="^", linestyle="none", label="repaired")
    left.set(ylim=(0, None), ylabel="standard deviation / parents'", title=title)
    left.legend(frameon=False, loc="lower left")
    for k, layer in enumerate(layers):
        units = layer.correlation[~layer.correlation.isnan()].numpy()
        if len(units):
            low, middle, high = np.quantile(units, [0.1, 0.5, 0.9])
            right.plot([k, k], [low, high], color=MATCHED, linewidth=4, alpha=0.35)
            right.plot([k], [middle], color=MATCHED, marker="D")
    right.axhline(0, color="0.6", linewidth=1)
    right.set(ylim=(None, 1.02), ylabel="correlation of paired units")
    right.set_title("median, and 80 % of the units")
    every = max(1, len(names) // 12)
    for panel in (left, right):
        panel.set_xticks(place[::every], names[::every], rotation=60, ha="right", fontsize=9)
        panel.set_xlim(-0.5, len(names) - 0.5)
    kept = ", ".join(f"{name} {share:.2f}" for name, share in zip(names, measured))
    return describe(figure, f"Standard deviation of the merged units over their parents': {kept}.")


def draw_reliability(scores: Score | Mapping[str, Score], *, title: str = "") -> Figure:
    """Accuracy against confidence, in equal bins; on the diagonal a network is as often right as it
    is sure.

    Args:
        scores: one ``Score``, or name → score. "A", "B", "naive", "matched" have their colours. The
            size of a marker is the share of the predictions in its bin; bins with fewer than five
            are left out.
        title: stands over the panel.
    """
    named = dict(scores) if isinstance(scores, Mapping) else {"": scores}
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    panel.fill_between([0, 1], [0, 1], 0, color="0.94", zorder=0)
    panel.annotate("overconfident", (0.97, 0.05), ha="right", color="0.4")
    panel.annotate("underconfident", (0.03, 0.93), color="0.4")
    labels = []
    for position, (name, score) in enumerate(named.items()):
        colour, marker = colour_of(name, position) if name else (OTHERS[3], "o")
        bins = score.reliability
        columns = zip(bins.count, bins.confidence, bins.correct)
        kept = [(n, sure / n, right / n) for n, sure, right in columns if n >= 5]
        x, y = [sure for _, sure, _ in kept], [right for *_, right in kept]
        sizes = [12 + 160 * (n / sum(bins.count)) ** 0.5 for n, *_ in kept]
        panel.plot(x, y, color=colour, linewidth=1.2)
        panel.scatter(x, y, s=sizes, color=colour, marker=marker, zorder=3)
        labels.append(f"{name or 'network'}: calibration error {100 * score.ece:.1f} points")
        panel.plot([], [], color=colour, marker=marker, label=labels[-1])
    panel.legend(
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=min(2, len(named)),
        fontsize=9,
    )
    panel.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share that was right")
    figure.suptitle(title, x=0.01, ha="left")
    return describe(figure, "Accuracy against confidence. " + "; ".join(labels))
