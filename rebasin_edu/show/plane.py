"""The loss over the plane through A, B and the matched B."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .curves import figure
from .style import MATCHED, A, B

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..landscape.plane import Plane

METRICS = {"loss": "loss", "accuracy": "accuracy (%)"}


def draw_plane(
    plane: Plane, *, metric: str = "loss", cap: float | None = None, title: str = ""
) -> Figure:
    """Contours over the plane, with the three networks and the two straight ways out of A.

    Args:
        plane: what ``loss_plane`` made; rows that are not computed yet stay white.
        metric: ``"loss"`` or ``"accuracy"``.
        cap: values beyond it (losses above, accuracies below) share one colour, so that the basin's
            own shape is seen; by default the best 70 % of the grid have colours of their own.
        title: stands over the panel.
    """
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r} is not known; choose 'loss' or 'accuracy'")
    table = np.array(
        [[np.nan if value is None else value for value in row] for row in getattr(plane, metric)],
        dtype=float,
    )
    table = table * (100 if metric == "accuracy" else 1)
    if not np.isfinite(table).any():
        raise ValueError("nothing of this plane has been computed yet")
    low, high = float(np.nanmin(table)), float(np.nanmax(table[np.isfinite(table)]))
    if cap is None:
        cap = float(np.nanquantile(table, 0.7 if metric == "loss" else 0.3))
    bottom, top = (low, cap) if metric == "loss" else (cap, high)
    spread = np.linspace(0, 1, 15) ** 1.5  # finer where it is good
    levels = bottom + max(top - bottom, 1e-6) * (spread if metric == "loss" else 1 - spread[::-1])
    made, axes = figure("one")
    panel = axes[0, 0]
    drawn = panel.contourf(
        plane.x,
        plane.y,
        np.clip(table, bottom, top),
        levels=levels,
        cmap="viridis_r" if metric == "loss" else "viridis",
        extend="max" if metric == "loss" else "min",
    )
    panel.contour(
        plane.x,
        plane.y,
        np.clip(table, bottom, top),
        levels=levels[1::2],
        colors="white",
        linewidths=0.5,
        alpha=0.6,
    )
    made.colorbar(
        drawn, ax=panel, label=METRICS[metric], format="%.2f" if metric == "loss" else "%.0f"
    )
    (first, start), *others = plane.points.items()
    for _, end in others:
        panel.plot(*zip(start, end), color="black", linewidth=1.2, linestyle="--", zorder=3)
    for (name, (x, y)), colour, marker in zip(plane.points.items(), (A, B, MATCHED), "osD"):
        panel.plot(
            [x], [y], marker=marker, color=colour, markersize=11, markeredgecolor="white", zorder=4
        )
        panel.annotate(
            name,
            (x, y),
            (0, 12 if y > 0 else -12),
            textcoords="offset points",
            ha="center",
            va="bottom" if y > 0 else "top",
            fontweight="bold",
            color=colour,
            bbox={
                "facecolor": "white",
                "edgecolor": "none",
                "alpha": 0.8,
                "boxstyle": "round,pad=0.15",
            },
            zorder=5,
        )
    panel.set(
        aspect="equal",
        xlabel=f"along {first} → {others[0][0]}",
        ylabel=f"towards {others[1][0]}",
        title=title,
    )
    return made
