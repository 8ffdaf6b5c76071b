"""When the barrier goes: barriers over the epochs of training, and the two lines at one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...show.curves import figure
from ...show.style import MATCHED, NAIVE, A, B

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"naive": NAIVE, "matched": MATCHED}


def barriers(run: Mapping[str, Any], line: str) -> np.ndarray:
    """The loss barriers of a stored run, ``(pairs, epochs)``; ``line`` is "naive" or "matched"."""
    return np.array(
        [[row[line]["loss_barrier"] for row in pair["epochs"]] for pair in run["pairs"]]
    )


def draw_onset(run: Mapping[str, Any], epoch: int | None = None) -> Figure:
    """Barriers over the epochs (mean of the pairs and their range), and the loss along both lines
    at one epoch.

    Args:
        run: what ``benchmarks/onset.py`` stored.
        epoch: the epoch to look at; without it, only the left panel is drawn.
    """
    made, axes = figure("one" if epoch is None else "wide", 1, 1 if epoch is None else 2)
    epochs = np.array([row["epoch"] for row in run["pairs"][0]["epochs"]])
    _over_epochs(axes[0, 0], run, epochs, epoch)
    if epoch is not None:
        _at_epoch(axes[0, 1], run, int((epochs == epoch).argmax()))
        axes[0, 1].set_title(f"after epoch {epoch}", loc="left")
    return made


def draw_onset_sheet(run: Mapping[str, Any], chosen: tuple[int, ...]) -> Figure:
    """The lines at a few epochs side by side, on one scale: what the slider shows, for those who
    only scroll.
    """
    made, axes = figure("wide", 1, len(chosen), sharey=True)
    epochs = np.array([row["epoch"] for row in run["pairs"][0]["epochs"]])
    for panel, epoch in zip(axes[0], chosen):
        _at_epoch(panel, run, int((epochs == epoch).argmax()), names=epoch == chosen[-1])
        panel.set_title(f"epoch {epoch}", loc="left")
        panel.set(xlabel="alpha", ylabel="")
        ticks = panel.set_xticks([0, 1], ["A", "B"])
        ticks[0].label1.set(color=A, fontweight="bold")
        ticks[1].label1.set(color=B, fontweight="bold")
    axes[0, 0].set_ylabel("test loss")
    return made


def describe_onset(run: Mapping[str, Any], epoch: int) -> str:
    """The numbers at one epoch in words."""
    where = [row["epoch"] for row in run["pairs"][0]["epochs"]].index(epoch)
    parts = [
        f"{line} {', '.join(f'{value:.3f}' for value in barriers(run, line)[:, where])}"
        for line in COLOURS
    ]
    return f"after epoch {epoch}, loss barriers of the {len(run['pairs'])} pairs: " + "; ".join(
        parts
    )


def _over_epochs(
    panel: Axes, run: Mapping[str, Any], epochs: np.ndarray, epoch: int | None
) -> None:
    for line, colour in COLOURS.items():
        found = barriers(run, line)
        mean = found.mean(0)
        panel.fill_between(
            epochs, found.min(0), found.max(0), color=colour, alpha=0.25, linewidth=0
        )
        panel.plot(epochs, mean, color=colour)
        last = found.max(0)[-1] + 0.03 * mean.max()
        panel.annotate(
            line, (epochs[-1], last), ha="right", va="bottom", color=colour, fontweight="bold"
        )
        if epoch is not None:
            here = int((epochs == epoch).argmax())
            panel.plot(
                [epoch],
                [mean[here]],
                marker="o",
                markersize=10,
                color=colour,
                markeredgecolor="black",
                zorder=4,
            )
    if epoch is not None:
        panel.axvline(epoch, color="black", linewidth=0.8, zorder=0)
    panel.axhline(0, color="0.7", linewidth=0.8)
    panel.set(xlabel="epochs of training", ylabel="loss barrier")


def _at_epoch(panel: Axes, run: Mapping[str, Any], where: int, names: bool = True) -> None:
    for line, colour in COLOURS.items():
        losses = np.array([pair["epochs"][where][line]["loss"] for pair in run["pairs"]])
        panel.plot(run["alphas"], losses.T, color=colour, linewidth=0.8, alpha=0.5)
        panel.plot(run["alphas"], losses.mean(0), color=colour)
        if names:
            middle = losses.max(0)[len(run["alphas"]) // 2]
            style = {
                "textcoords": "offset points",
                "ha": "center",
                "va": "bottom",
                "color": colour,
                "fontweight": "bold",
            }
            panel.annotate(line, (0.5, middle), (0, 5), **style)
    highest = max(
        max(row[line]["loss"])
        for pair in run["pairs"]
        for row in pair["epochs"]
        for line in COLOURS
    )
    ticks = panel.set_xticks([0, 0.5, 1], ["A\n(0)", "0.5", "B\n(1)"])
    ticks[0].label1.set(color=A, fontweight="bold")
    ticks[-1].label1.set(color=B, fontweight="bold")
    panel.set(xlabel="alpha: share of B in the mix", ylabel="test loss", ylim=(0, 1.12 * highest))
