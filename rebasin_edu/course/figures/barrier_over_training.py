"""When the barrier vanishes: barriers over the epochs of training, and the lines at one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...show.style import MATCHED, NAIVE, describe, finish_alpha_axis, new_figure, write

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
        run: a stored run, ``load_run("mnist-mlp-onset")``.
        epoch: the epoch to look at; without it, only the left panel is drawn.
    """
    columns = 1 if epoch is None else 2
    figure, axes = new_figure("one" if epoch is None else "wide", 1, columns)
    _over_epochs(axes[0, 0], run, epoch)
    if epoch is not None:
        _at_epoch(axes[0, 1], run, epoch)
        axes[0, 1].set_title(f"after epoch {epoch}", loc="left")
    return describe(figure, describe_onset(run, _epochs(run)[-1] if epoch is None else epoch))


def draw_onset_sheet(run: Mapping[str, Any], chosen: Sequence[int]) -> Figure:
    """The lines at a few epochs side by side, on one scale."""
    figure, axes = new_figure("wide", 1, len(chosen), sharey=True)
    for panel, epoch in zip(axes[0], chosen):
        _at_epoch(panel, run, epoch, names=epoch == chosen[-1])
        panel.set_title(f"epoch {epoch}", loc="left")
        panel.set(xlabel="alpha", ylabel="")
    axes[0, 0].set_ylabel("test loss")
    return describe(figure, "; ".join(describe_onset(run, epoch) for epoch in chosen))


def describe_onset(run: Mapping[str, Any], epoch: int) -> str:
    """The numbers at one epoch in words."""
    where = _epochs(run).index(epoch)
    parts = [
        f"{line} {', '.join(f'{value:.3f}' for value in barriers(run, line)[:, where])}"
        for line in COLOURS
    ]
    count = len(run["pairs"])
    return f"after epoch {epoch}, loss barriers of the {count} pairs: " + "; ".join(parts)


def _epochs(run: Mapping[str, Any]) -> list[int]:
    return [row["epoch"] for row in run["pairs"][0]["epochs"]]


def _over_epochs(panel: Axes, run: Mapping[str, Any], epoch: int | None) -> None:
    epochs = _epochs(run)
    for line, colour in COLOURS.items():
        heights = barriers(run, line)
        low, mean, high = heights.min(0), heights.mean(0), heights.max(0)
        panel.fill_between(epochs, low, high, color=colour, alpha=0.25, linewidth=0)
        panel.plot(epochs, mean, color=colour)
        last = (epochs[-1], high[-1] + 0.03 * mean.max())
        write(panel, line, last, ha="right", va="bottom", color=colour, fontweight="bold")
        if epoch is not None:
            at = mean[epochs.index(epoch)]
            panel.plot(epoch, at, "o", ms=10, color=colour, mec="black", zorder=4)
    if epoch is not None:
        panel.axvline(epoch, color="black", linewidth=0.8, zorder=0)
    panel.axhline(0, color="0.7", linewidth=0.8)
    panel.set(xlabel="epochs of training", ylabel="loss barrier")


def _at_epoch(panel: Axes, run: Mapping[str, Any], epoch: int, names: bool = True) -> None:
    where = _epochs(run).index(epoch)
    for line, colour in COLOURS.items():
        losses = np.array([pair["epochs"][where][line]["loss"] for pair in run["pairs"]])
        panel.plot(run["alphas"], losses.T, color=colour, linewidth=0.8, alpha=0.5)
        panel.plot(run["alphas"], losses.mean(0), color=colour)
        if names:
            middle = (0.5, losses.max(0)[len(run["alphas"]) // 2])
            look = {"ha": "center", "va": "bottom", "color": colour, "fontweight": "bold"}
            write(panel, line, middle, (0, 5), **look)
    rows = [row for pair in run["pairs"] for row in pair["epochs"]]
    highest = max(max(row[line]["loss"]) for row in rows for line in COLOURS)
    finish_alpha_axis(panel, ticks=3 if names else 2)
    panel.set(ylabel="test loss", ylim=(0, 1.12 * highest))
