"""The figure of the whole story: what lies on the straight line between two networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .style import SIZES, A, B, colour_of, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..landscape.curve import Curve

AXIS = {"loss": "loss", "accuracy": "accuracy (%)"}


def figure(
    size: str = "one", rows: int = 1, columns: int = 1, **kwargs
) -> tuple[Figure, np.ndarray]:
    """A closed figure with its axes as an array (rows, columns): a notebook shows it once, and none
    stays open.
    """
    import matplotlib.pyplot as plt

    with style():
        made, axes = plt.subplots(rows, columns, figsize=SIZES[size], squeeze=False, **kwargs)
    plt.close(made)
    return made, axes


def values(curve: Curve, metric: str) -> np.ndarray:
    """A curve's numbers as they are drawn: the loss as it is, the accuracy in per cent."""
    return np.asarray(getattr(curve, metric), dtype=float) * (100 if metric == "accuracy" else 1)


def values_at(curve: Curve, metric: str, alpha: float) -> float:
    """A curve's number at any alpha, interpolated between those that were measured."""
    return float(np.interp(alpha, curve.alphas, values(curve, metric)))


def draw_curves(
    curves: Curve | Mapping[str, Curve],
    *,
    metrics: tuple[str, ...] = ("loss", "accuracy"),
    alpha: float | None = None,
    title: str = "",
) -> Figure:
    """Loss and accuracy on the line from A to B, for one curve or several, with their barriers.

    The dashed line is the mean of the two ends: what stands above it (for the loss) is the barrier.

    Args:
        curves: one ``Curve``, or name → curve; "naive" is grey, "matched" green, everywhere in the
            course.
        metrics: which panels, of "loss" and "accuracy".
        alpha: mark this place on every curve.
        title: stands over the first panel.
    """
    named = dict(curves) if isinstance(curves, Mapping) else {"": curves}
    made, axes = figure("wide" if len(metrics) > 1 else "one", 1, len(metrics))
    for panel, metric in zip(axes[0], metrics):
        for position, (name, curve) in enumerate(named.items()):
            _draw_curve(panel, name or "matched", position, curve, metric, alpha, label=name)
        finish_alpha_axis(panel, named, metric)
    axes[0, 0].set_title(title, loc="left")
    return made


def _draw_curve(
    panel: Axes,
    name: str,
    position: int,
    curve: Curve,
    metric: str,
    alpha: float | None,
    label: str,
) -> None:
    alphas, drawn = np.asarray(curve.alphas, dtype=float), values(curve, metric)
    colour, marker = colour_of(name, position)
    ends = 0.5 * sum(values_at(curve, metric, end) for end in (0, 1))
    panel.plot(
        alphas,
        drawn,
        color=colour,
        marker=marker,
        markevery=max(1, len(alphas) // 6),
        label=label,
        zorder=3,
    )
    panel.axhline(ends, color=colour, linewidth=1, linestyle="--", alpha=0.7, zorder=1)
    worst = int(drawn.argmax() if metric == "loss" else drawn.argmin())
    text = (
        f"{label}: barrier {curve.barrier.loss:.3f}"
        if metric == "loss"
        else f"{label}: barrier {100 * curve.barrier.accuracy:.1f} points"
    )
    above = metric == "loss"
    # The text stands on the far side of the curve's own extreme, so that two curves do not write
    # over one another.
    panel.annotate(
        text.removeprefix(": "),
        (0.5, drawn[worst]),
        (0, 8 if above else -8),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        color=colour,
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        zorder=5,
    )
    if alpha is not None:
        panel.axvline(alpha, color="black", linewidth=0.8, zorder=2)
        panel.plot(
            [alpha],
            [values_at(curve, metric, alpha)],
            marker="o",
            markersize=10,
            color=colour,
            mec="black",
            zorder=4,
        )


def finish_alpha_axis(panel: Axes, curves: Mapping[str, Curve], metric: str) -> None:
    """The alpha axis as it reads everywhere: A at 0, B at 1, extrapolation shaded, room for the
    barriers' names.
    """
    lowest = min(float(np.min(curve.alphas)) for curve in curves.values())
    highest = max(float(np.max(curve.alphas)) for curve in curves.values())
    ticks = panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["A\n(0)", "0.25", "0.5", "0.75", "B\n(1)"])
    ticks[0].label1.set(color=A, fontweight="bold")
    ticks[-1].label1.set(color=B, fontweight="bold")
    for start, stop in ((lowest, 0.0), (1.0, highest)):
        if stop > start:
            panel.axvspan(start, stop, color="0.92", zorder=0)
            panel.annotate(
                "beyond",
                (0.5 * (start + stop), 0.02),
                xycoords=("data", "axes fraction"),
                ha="center",
                color="0.4",
            )
    panel.set(
        xlim=(min(lowest, -0.03), max(highest, 1.03)),
        xlabel="alpha: share of B in the mix",
        ylabel=AXIS[metric],
    )
    low, high = panel.get_ylim()
    room = 0.12 * (high - low)
    panel.set_ylim(
        low - (room if metric == "accuracy" else 0), high + (room if metric == "loss" else 0)
    )


def describe_at(curves: Mapping[str, Curve], alpha: float) -> str:
    """The numbers at one alpha in words: the line under a slider, for those who cannot see the
    picture.
    """
    parts = []
    for name, curve in curves.items():
        loss, accuracy = (values_at(curve, metric, alpha) for metric in AXIS)
        parts.append(f"{name + ': ' if name else ''}loss {loss:.3f}, accuracy {accuracy:.1f} %")
    return f"alpha = {alpha:.2f} ({1 - alpha:.0%} A, {alpha:.0%} B): " + "; ".join(parts)
