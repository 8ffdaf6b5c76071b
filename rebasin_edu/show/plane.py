"""The loss over the plane through A, B and the matched B."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import RebasinError
from .curves import AXIS
from .style import MATCHED, PAPER, A, B, describe, new_figure, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..landscape.plane import Plane


def draw_plane(
    plane: Plane, *, metric: str = "loss", cap: float | None = None, title: str = ""
) -> Figure:
    """Contours over the plane, with the three networks and the two straight ways out of A.

    Args:
        plane: what ``loss_plane`` returned; rows that are not computed yet stay white.
        metric: ``"loss"`` or ``"accuracy"``.
        cap: values beyond it (losses above, accuracies below) share one colour, so that the basin's
            own shape is seen; by default the best 70 % of the grid have colours of their own.
        title: stands over the panel.
    """
    if metric not in AXIS:
        raise RebasinError(f"metric={metric!r} is not known; choose 'loss' or 'accuracy'")
    table = np.array(getattr(plane, metric), dtype=float) * (100 if metric == "accuracy" else 1)
    if not np.isfinite(table).any():
        raise RebasinError("nothing of this plane has been computed yet")
    is_loss = metric == "loss"
    low, high = float(np.nanmin(table)), float(np.nanmax(table[np.isfinite(table)]))
    cap = float(np.nanquantile(table, 0.7 if is_loss else 0.3)) if cap is None else cap
    bottom, top = (low, cap) if is_loss else (cap, high)
    spread = np.linspace(0, 1, 15) ** 1.5  # finer where it is good
    levels = bottom + max(top - bottom, 1e-6) * (spread if is_loss else 1 - spread[::-1])
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    grid = (plane.x, plane.y, np.clip(table, bottom, top))
    colours = {"cmap": "viridis_r", "extend": "max"} if is_loss else {"extend": "min"}
    drawn = panel.contourf(*grid, levels=levels, **colours)
    panel.contour(*grid, levels=levels[1::2], colors="white", linewidths=0.5, alpha=0.6)
    figure.colorbar(drawn, ax=panel, label=AXIS[metric], format="%.2f" if is_loss else "%.0f")
    (first, start), *others = plane.points.items()
    for _, end in others:
        panel.plot(*zip(start, end), color="black", linewidth=1.2, linestyle="--", zorder=3)
    for (name, (x, y)), colour, marker in zip(plane.points.items(), (A, B, MATCHED), "osD"):
        panel.plot([x], [y], marker=marker, color=colour, markersize=11, mec="white", zorder=4)
        side, shift = ("bottom", 12) if y > 0 else ("top", -12)
        look = {"color": colour, "fontweight": "bold", "bbox": PAPER, "zorder": 5}
        write(panel, name, (x, y), (0, shift), ha="center", va=side, **look)
    along = f"along {first} → {others[0][0]}"
    rest = f"the rest of {first} → {others[1][0]}"
    panel.set(aspect="equal", xlabel=along, ylabel=rest, title=title)
    places = ", ".join(f"{name} at ({x:.2f}, {y:.2f})" for name, (x, y) in plane.points.items())
    return describe(figure, f"{AXIS[metric]} over a plane, {low:.2f} to {high:.2f}; {places}.")
