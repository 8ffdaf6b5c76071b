"""The dial of variance: a mix of two correlated quantities is a point on the chord between two
arrows, and shorter than both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...show.curves import figure
from ...show.style import OTHERS, A, B, colour_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def deviation(
    rho: float, alpha: np.ndarray | float, sigma: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """Deviation of ``(1 - alpha) X + alpha Y`` for deviations ``sigma`` and correlation ``rho`` of
    X and Y.
    """
    a, b = (
        (1 - np.asarray(alpha, dtype=float)) * sigma[0],
        np.asarray(alpha, dtype=float) * sigma[1],
    )
    return np.sqrt(np.maximum(a**2 + b**2 + 2 * a * b * rho, 0))


def draw_dial(rho: float, alpha: float, *, sigma: tuple[float, float] = (1.0, 1.0)) -> Figure:
    """Two arrows, as long as the deviations, at an angle whose cosine is their correlation; and the
    mix between their tips.

    Args:
        rho: correlation of the two units, -1 to 1.
        alpha: share of B in the mix.
        sigma: deviations of A's and B's unit.
    """
    made, axes = figure("wide", 1, 2, width_ratios=(1, 1.25))
    _arrows(axes[0, 0], rho, alpha, sigma)
    panel = axes[0, 1]
    alphas = np.linspace(0, 1, 101)
    panel.plot([0, 1], sigma, color="0.45", linewidth=1, linestyle="--", zorder=1)
    panel.plot(alphas, deviation(rho, alphas, sigma), color="black", zorder=2)
    panel.fill_between(
        alphas,
        deviation(rho, alphas, sigma),
        np.interp(alphas, [0, 1], sigma),
        color="0.88",
        zorder=0,
    )
    panel.plot(
        [alpha],
        [deviation(rho, alpha, sigma)],
        marker="o",
        markersize=10,
        color=OTHERS[1],
        mec="black",
        zorder=3,
    )
    _alpha_axis(panel, max(sigma))
    kept = deviation(rho, alpha, sigma) / np.interp(alpha, [0, 1], sigma)
    panel.set_title(f"{kept:.0%} of the deviation is left", loc="left")
    return made


def draw_deviations(
    rhos: Sequence[float],
    measured: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str = "",
) -> Figure:
    """The deviation of a mix over alpha, for several correlations, and what was measured in
    networks.

    Args:
        rhos: one line each.
        measured: "naive", "matched", … → alphas, and measured deviation over the ends' mean at
            each.
        title: stands over the panel.
    """
    made, axes = figure("one")
    panel = axes[0, 0]
    alphas = np.linspace(0, 1, 101)
    for rho in rhos:
        panel.plot(alphas, deviation(rho, alphas), color="0.72", linewidth=1.3, zorder=1)
        panel.annotate(
            f"ρ = {rho:g}",
            (0.38, deviation(rho, 0.38)),
            (0, 2),
            textcoords="offset points",
            ha="center",
            color="0.35",
            fontsize=9,
        )
    for name, (at, ratios) in measured.items():
        colour, marker = colour_of(name)
        panel.plot(
            at,
            ratios,
            linestyle="none",
            marker=marker,
            color=colour,
            mew=2,
            label=f"{name} (measured)",
            zorder=3,
        )
    _alpha_axis(panel, 1.0)
    lowest = min(float(deviation(rho, 0.5)) for rho in rhos)
    panel.set(ylabel="deviation / the ends'", ylim=(lowest - 0.12, 1.06))
    panel.legend(loc="lower left", frameon=False)
    panel.set_title(title, loc="left")
    return made


def draw_collapse(
    measured: Mapping[str, Sequence[float]],
    predicted: Mapping[str, Sequence[float]],
    *,
    title: str = "",
) -> Figure:
    """What is left of the units' deviation half-way, layer by layer: measured, and if this layer
    alone were averaged (dotted).

    Args:
        measured, predicted: "naive", "matched", … → deviation over the parents', a number a layer,
            bottom to top.
        title: stands over the panel.
    """
    made, axes = figure("one")
    panel = axes[0, 0]
    panel.axhline(1, color="0.45", linewidth=1, linestyle="--")
    for name, ratios in measured.items():
        colour, marker = colour_of(name)
        layers = np.arange(1, len(ratios) + 1)
        panel.plot(layers, ratios, color=colour, marker=marker, mew=2, zorder=3)
        panel.plot(
            layers,
            predicted[name],
            color=colour,
            linestyle=":",
            marker=marker,
            markerfacecolor="white",
            zorder=2,
        )
        for label, numbers, weight in (
            (f"{name}, measured", ratios, "bold"),
            ("this layer alone", predicted[name], "normal"),
        ):
            place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
            panel.annotate(
                label, (layers[-1], numbers[-1]), **place, color=colour, fontweight=weight
            )
    count = len(next(iter(measured.values())))
    panel.set(xticks=range(1, count + 1), xlabel="hidden layer", ylabel="deviation / the parents'")
    panel.set(ylim=(0, 1.1), xlim=(0.8, count + 0.95))
    panel.annotate(
        "nothing lost", (0.82, 1), (0, 3), textcoords="offset points", color="0.35", fontsize=9
    )
    panel.set_title(title, loc="left")
    return made


def _arrows(panel: Axes, rho: float, alpha: float, sigma: tuple[float, float]) -> None:
    half = 0.5 * math.acos(max(-1.0, min(1.0, rho)))
    tips = (
        np.array([[-math.sin(half), math.cos(half)], [math.sin(half), math.cos(half)]])
        * np.array(sigma)[:, None]
    )
    mix = (1 - alpha) * tips[0] + alpha * tips[1]
    panel.plot(*tips.T, color="0.6", linewidth=1.2, linestyle="--", zorder=1)
    for tip, colour, label in ((tips[0], A, "A"), (tips[1], B, "B"), (mix, OTHERS[1], "mix")):
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.5, "shrinkA": 0, "shrinkB": 0}
        panel.annotate("", tip, (0, 0), arrowprops=arrow, zorder=2)
        at, shift = {"A": (tip, (-12, 3)), "B": (tip, (12, 3)), "mix": (0.6 * tip, (5, 0))}[label]
        side = "left" if label == "mix" else "center"
        panel.annotate(
            label,
            at,
            shift,
            textcoords="offset points",
            ha=side,
            va="bottom",
            color=colour,
            fontweight="bold",
        )
    size = 1.15 * max(sigma)
    panel.set(
        xlim=(-size, size), ylim=(-0.15 * size, 1.12 * size), aspect="equal", xticks=[], yticks=[]
    )
    panel.set_xlabel(f"correlation ρ = {rho:g}: {2 * math.degrees(half):.0f}° apart")
    panel.spines[:].set_visible(False)
    panel.set_title("length is deviation", loc="center")


def _alpha_axis(panel: Axes, highest: float) -> None:
    ticks = panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["A\n(0)", "0.25", "0.5", "0.75", "B\n(1)"])
    ticks[0].label1.set(color=A, fontweight="bold")
    ticks[-1].label1.set(color=B, fontweight="bold")
    panel.set(
        xlim=(-0.03, 1.03),
        ylim=(0, 1.12 * highest),
        xlabel="alpha: share of B in the mix",
        ylabel="deviation of the mix",
    )
