"""When networks become mergeable: barriers over a setting, over width and over training time, every
pair drawn; the lines at one width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...show.style import (
    MATCHED,
    NAIVE,
    describe,
    finish_alpha_axis,
    new_figure,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pairs = Sequence[
    Mapping[str, Any]
]  # of each pair: "naive" and "matched", and what lies on the line
LINES = {"naive": (NAIVE, "x"), "matched": (MATCHED, "D")}
UNITS = {"loss": 1.0, "accuracy": 100.0}
NAMES = {"loss": "loss barrier", "accuracy": "accuracy barrier (points)"}


def heights(pairs: Pairs, line: str, metric: str) -> np.ndarray:
    """The barriers of some pairs: of the loss, or of the accuracy in points."""
    return np.array([UNITS[metric] * pair[line][f"{metric}_barrier"] for pair in pairs])


def draw_settings(
    settings: Mapping[str, Pairs],
    *,
    xlabel: str,
    metrics: Sequence[str] = ("loss", "accuracy"),
    live: Mapping[str, Pairs] | None = None,
    joined: bool = True,
    title: str = "",
) -> Figure:
    """Barriers over a setting of training: every pair a mark.

    Args:
        settings: label on the axis → the pairs of it, in order.
        xlabel: what is changed; all else is the same.
        metrics: which panels, of "loss" and "accuracy".
        live: pairs trained just now, by the same labels: drawn as stars.
        joined: whether the settings have an order, so that a line may join their means.
        title: stands over the figure: the data, and what is the same in all.
    """
    figure, axes = new_figure("wide" if len(metrics) > 1 else "one", 1, len(metrics))
    for panel, metric in zip(axes[0], metrics):
        _over_settings(panel, settings, metric, joined)
        for label, pairs in (live or {}).items():
            for line, (colour, _) in LINES.items():
                look: dict[str, Any] = {"ms": 15, "mec": "black", "zorder": 5, "ls": "none"}
                at = [list(settings).index(label)] * len(pairs)
                panel.plot(at, heights(pairs, line, metric), "*", color=colour, **look)
        panel.set_xlabel(xlabel)
    figure.suptitle(title, x=0.01, ha="left")
    text = describe_settings(settings, metrics)
    if live:
        text += ". Trained now, as stars: " + describe_settings(live, metrics)
    return describe(figure, f"{title}: {text}")


def describe_settings(settings: Mapping[str, Pairs], metrics: Sequence[str] = ("loss",)) -> str:
    """The barriers of every pair in words."""
    parts = []
    for label, pairs in settings.items():
        for metric in metrics:
            digits, unit = (3, "loss") if metric == "loss" else (1, "points")
            words = (
                f"{line} {', '.join(f'{h:.{digits}f}' for h in heights(pairs, line, metric))}"
                for line in LINES
            )
            parts.append(f"{label}: {unit} {'; '.join(words)}")
    return " | ".join(parts)


def draw_width_at(run: Mapping[str, Any], width: int, alpha: float) -> Figure:
    """The loss on the line at one width, and the barriers of all widths beside it.

    Args:
        run: a stored run over widths, ``load_run("mnist-mlp-widths")``.
        width, alpha: the place to mark; the alphas of the run are evenly spaced from 0 to 1.
    """
    figure, axes = new_figure((8.6, 3.4), 1, 2, width_ratios=(1.1, 1))
    left, right = axes[0]
    pairs = widths_of(run)[str(width)]
    _lines(left, pairs, "loss")
    for line, (colour, _) in LINES.items():
        value = _at(pairs, line, "loss", alpha).mean()
        left.plot(alpha, value, "o", ms=10, color=colour, mec="black", zorder=4)
    left.axvline(alpha, color="black", linewidth=0.8, zorder=0)
    left.set_ylim(0, _highest(run))
    left.set_title(f"width {width}", loc="left")
    _over_settings(right, widths_of(run), "loss")
    right.axvline(list(widths_of(run)).index(str(width)), color="black", linewidth=0.8, zorder=0)
    right.set_xlabel("units of each hidden layer")
    return describe(figure, describe_width_at(run, width, alpha))


def describe_width_at(run: Mapping[str, Any], width: int, alpha: float) -> str:
    """The numbers at one width and alpha in words: means of the pairs."""
    pairs = widths_of(run)[str(width)]
    parts = [
        f"{line}: loss {_at(pairs, line, 'loss', alpha).mean():.3f}, accuracy "
        f"{100 * _at(pairs, line, 'accuracy', alpha).mean():.1f} %, loss barrier "
        f"{heights(pairs, line, 'loss').mean():.3f}"
        for line in LINES
    ]
    return f"width {width}, alpha {alpha:.3f}, means of {len(pairs)} pairs. " + "; ".join(parts)


def draw_widths_sheet(
    run: Mapping[str, Any], chosen: Sequence[int], metric: str = "loss"
) -> Figure:
    """The lines at a few widths side by side, on one scale."""
    figure, axes = new_figure((9.6, 3.2), 1, len(chosen), sharey=True)
    words = []
    for panel, width in zip(axes[0], chosen):
        pairs = widths_of(run)[str(width)]
        _lines(panel, pairs, metric, ticks=2, names=width == chosen[0])
        panel.set_title(f"width {width}", loc="left", fontsize=11)
        panel.set(xlabel="alpha", ylabel="")
        words.append(describe_settings({f"width {width}": pairs}, [metric]))
    axes[0, 0].set_ylabel("test loss" if metric == "loss" else "test accuracy (%)")
    figure.suptitle(f"{run['data']}, thin lines: single pairs", x=0.01, ha="left")
    return describe(figure, f"{run['data']}: {' | '.join(words)}")


def widths_of(run: Mapping[str, Any]) -> dict[str, Pairs]:
    """Width, as a label → the pairs of a stored run over widths."""
    return {str(row["width"]): row["pairs"] for row in run["widths"]}


def draw_over_time(runs: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Loss barriers after every epoch of training, every pair a line, a panel a stored run."""
    figure, axes = new_figure("wide", 1, len(runs), sharey=True)
    words = []
    for panel, (name, run) in zip(axes[0], runs.items()):
        for line, (colour, _) in LINES.items():
            rows = [
                pair["epochs"][1:] for pair in run["pairs"]
            ]  # at epoch 0 nothing is learned yet
            x = [row["epoch"] for row in rows[0]]
            y = np.array([[row[line]["loss_barrier"] for row in pair] for pair in rows])
            panel.plot(x, y.T, color=colour, linewidth=1.2)
            top = (x[-1], y[:, -5:].max())
            look: dict[str, Any] = {"ha": "right", "color": colour, "fontweight": "bold"}
            if panel is axes[0, 0]:  # the colours are the same in all panels
                write(panel, line, top, (0, 6), **look)
        ends = [pair["epochs"][-1]["matched"]["loss_barrier"] for pair in run["pairs"]]
        words.append(f"{name}: matched, last epoch, {', '.join(f'{end:.3f}' for end in ends)}")
        panel.axhline(0, color="0.7", linewidth=0.8)
        panel.set_xlabel("epochs of training")
        panel.set_title(
            f"{name}, {len(run['pairs'])} pair{'s' * (len(run['pairs']) > 1)}", loc="left"
        )
    axes[0, 0].set_ylabel("loss barrier")
    return describe(figure, f"Loss barriers over training. {'; '.join(words)}")


def _over_settings(
    panel: Axes, settings: Mapping[str, Pairs], metric: str, joined: bool = True
) -> None:
    for line, (colour, marker) in LINES.items():
        rows = [heights(pairs, line, metric) for pairs in settings.values()]
        for at, row in enumerate(rows):
            panel.plot([at] * len(row), row, marker, color=colour, ms=5, alpha=0.8)
        if joined:
            panel.plot(range(len(rows)), [row.mean() for row in rows], color=colour)
        at, row = len(rows) - 1, rows[-1]
        look: dict[str, Any] = {"ha": "right", "color": colour, "fontweight": "bold"}
        write(panel, line, (at, row.max()), (0, 7), **look)
    panel.set_xticks(range(len(settings)), list(settings))
    panel.axhline(0, color="0.7", linewidth=0.8)
    panel.set(xlim=(-0.4, len(settings) - 0.6), ylabel=NAMES[metric])


def _lines(panel: Axes, pairs: Pairs, metric: str, ticks: int = 5, names: bool = True) -> None:
    for line, (colour, _) in LINES.items():
        values = UNITS[metric] * np.array([pair[line][metric] for pair in pairs])
        alphas = np.linspace(0, 1, values.shape[1])
        panel.plot(alphas, values.T, color=colour, linewidth=0.8, alpha=0.5)
        panel.plot(alphas, values.mean(0), color=colour)
        if names:
            top = (0.5, values[:, len(alphas) // 2].max())
            look: dict[str, Any] = {"ha": "center", "color": colour, "fontweight": "bold"}
            write(panel, line, top, (0, 6), **look)
    finish_alpha_axis(panel, ticks=ticks)
    panel.set_ylabel("test loss" if metric == "loss" else "test accuracy (%)")


def _at(pairs: Pairs, line: str, metric: str, alpha: float) -> np.ndarray:
    rows = np.array([pair[line][metric] for pair in pairs])
    return rows[:, round(alpha * (rows.shape[1] - 1))]


def _highest(run: Mapping[str, Any]) -> float:
    lines = (pair[line]["loss"] for row in run["widths"] for pair in row["pairs"] for line in LINES)
    return 1.1 * max(map(max, lines))
