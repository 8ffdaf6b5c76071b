"""Variance collapse: the mix of two correlated quantities as a point on the chord between two
vectors, shorter than both; and how much standard deviation an average keeps, layer by layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...landscape.unit_statistics import closed_form
from ...show.style import OTHERS, A, B, colour_of, describe, finish_alpha_axis, new_figure, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALPHAS = np.linspace(0, 1, 101)


def mixed_std(
    rho: float, alpha: np.ndarray | float, sigma: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """Standard deviation of ``(1 - alpha) X + alpha Y`` for X and Y of standard deviations
    ``sigma`` and correlation ``rho``.
    """
    numbers = (torch.tensor(float(value), dtype=torch.float64) for value in (*sigma, rho))
    a, b, correlation = numbers
    shares = np.atleast_1d(np.asarray(alpha, dtype=float))
    stds = np.array([float(closed_form(a, b, correlation, share)) for share in shares])
    return stds if np.ndim(alpha) else stds[0]


def draw_vector_diagram(
    rho: float, alpha: float, *, sigma: tuple[float, float] = (1.0, 1.0)
) -> Figure:
    """Two vectors, as long as the standard deviations, at an angle whose cosine is their
    correlation; and the mix between their tips.

    Args:
        rho: correlation of the two units, -1 to 1.
        alpha: share of B in the mix.
        sigma: standard deviations of A's and B's unit.
    """
    figure, axes = new_figure("wide", 1, 2, width_ratios=(1, 1.25))
    _vectors(axes[0, 0], rho, alpha, sigma)
    panel = axes[0, 1]
    stds, straight = mixed_std(rho, ALPHAS, sigma), np.interp(ALPHAS, [0, 1], sigma)
    panel.plot(ALPHAS, straight, color="0.45", linewidth=1, linestyle="--", zorder=1)
    panel.plot(ALPHAS, stds, color="black", zorder=2)
    panel.fill_between(ALPHAS, stds, straight, color="0.88", zorder=0)
    here = float(mixed_std(rho, alpha, sigma))
    panel.plot(alpha, here, "o", markersize=10, color=OTHERS[1], mec="black", zorder=3)
    finish_alpha_axis(panel)
    panel.set(ylim=(0, 1.12 * max(sigma)), ylabel="standard deviation of the mix")
    kept = f"{here / np.interp(alpha, [0, 1], sigma):.0%} of the standard deviation remains"
    panel.set_title(kept, loc="left")
    return describe(figure, f"Two vectors of correlation {rho:g} mixed at alpha {alpha:g}: {kept}.")


def draw_standard_deviations(
    rhos: Sequence[float],
    measured: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str = "",
) -> Figure:
    """The standard deviation of a mix over alpha, for several correlations, and as measured.

    Args:
        rhos: one line each.
        measured: "naive", "matched", … → alphas, and the measured standard deviation over the mean
            of the ends at each.
        title: stands over the panel.
    """
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    for rho in rhos:
        panel.plot(ALPHAS, mixed_std(rho, ALPHAS), color="0.72", linewidth=1.3, zorder=1)
        place = (0.38, float(mixed_std(rho, 0.38)))
        write(panel, f"ρ = {rho:g}", place, (0, 2), ha="center", color="0.35", fontsize=9)
    for name, (at, ratios) in measured.items():
        colour, marker = colour_of(name)
        label = f"{name} (measured)"
        panel.plot(at, ratios, marker, color=colour, mew=2, label=label, zorder=3)
    finish_alpha_axis(panel)
    lowest = min(float(mixed_std(rho, 0.5)) for rho in rhos)
    panel.set(ylabel="standard deviation / that of the ends", ylim=(lowest - 0.12, 1.06))
    panel.legend(frameon=False, loc="lower left")
    panel.set_title(title, loc="left")
    lowest_of = "; ".join(f"{name}: {min(ratios):.2f}" for name, (_, ratios) in measured.items())
    return describe(figure, f"Standard deviation of a mix over alpha; lowest measured {lowest_of}.")


def draw_variance_collapse(
    measured: Mapping[str, Sequence[float]],
    predicted: Mapping[str, Sequence[float]],
    *,
    title: str = "",
) -> Figure:
    """The units' standard deviation at the midpoint over their parents', layer by layer: measured,
    and if this layer alone were averaged (dotted).

    Args:
        measured, predicted: "naive", "matched", … → a number a layer, bottom to top.
        title: stands over the panel.
    """
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    panel.axhline(1, color="0.45", linewidth=1, linestyle="--")
    for name, ratios in measured.items():
        colour, marker = colour_of(name)
        layers = np.arange(1, len(ratios) + 1)
        look = {"color": colour, "marker": marker}
        panel.plot(layers, ratios, **look, mew=2, zorder=3)
        panel.plot(layers, predicted[name], **look, linestyle=":", mfc="white", zorder=2)
        end = {"va": "center", "color": colour}
        measured_label = f"{name}, measured"
        write(panel, measured_label, (layers[-1], ratios[-1]), (8, 0), fontweight="bold", **end)
        write(panel, "this layer alone", (layers[-1], predicted[name][-1]), (8, 0), **end)
    count = len(next(iter(measured.values())))
    panel.set(xticks=range(1, count + 1), xlabel="hidden layer", ylim=(0, 1.1))
    panel.set(xlim=(0.8, count + 0.95), ylabel="standard deviation / parents'")
    write(panel, "nothing lost", (0.82, 1), (0, 3), color="0.35", fontsize=9)
    panel.set_title(title, loc="left")
    words = "; ".join(
        f"{name}: {', '.join(f'{n:.2f}' for n in row)}" for name, row in measured.items()
    )
    return describe(figure, f"Standard deviation over the parents', layer by layer. {words}")


def _vectors(panel: Axes, rho: float, alpha: float, sigma: tuple[float, float]) -> None:
    half = 0.5 * math.acos(max(-1.0, min(1.0, rho)))
    directions = [[-math.sin(half), math.cos(half)], [math.sin(half), math.cos(half)]]
    tips = np.array(directions) * np.array(sigma)[:, None]
    mix = (1 - alpha) * tips[0] + alpha * tips[1]
    panel.plot(*tips.T, color="0.6", linewidth=1.2, linestyle="--", zorder=1)
    named = (
        (tips[0], A, "A", tips[0], (-12, 3)),
        (tips[1], B, "B", tips[1], (12, 3)),
        (mix, OTHERS[1], "mix", 0.6 * mix, (18, 0)),
    )
    for tip, colour, label, at, shift in named:
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.5, "shrinkA": 0, "shrinkB": 0}
        panel.annotate("", tip, (0, 0), arrowprops=arrow, zorder=2)
        write(panel, label, at, shift, ha="center", va="bottom", color=colour, fontweight="bold")
    size = 1.15 * max(sigma)
    panel.set(xlim=(-size, size), ylim=(-0.15 * size, 1.12 * size), aspect="equal")
    panel.set(xticks=[], yticks=[])
    panel.set_xlabel(f"correlation ρ = {rho:g}: {2 * math.degrees(half):.0f}° apart")
    panel.spines[:].set_visible(False)
    panel.set_title("length is the standard deviation", loc="center", fontsize=11)
