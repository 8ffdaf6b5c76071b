"""Residual networks over alpha and width, from the stored grid: curves, the two sliders' picture,
small multiples, and what a refit needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...landscape.curve import Curve
from ...show.curves import value_at, values
from ...show.style import (
    MATCHED,
    NAIVE,
    OTHERS,
    REPAIRED,
    Look,
    describe,
    finish_alpha_axis,
    new_figure,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# name on screen → method and form in the stored grid; on the line until "refitted"
LINES = {
    "matched, as it is": ("weights", "as it is"),
    "naive": ("naive", "re-estimated"),
    "matched": ("weights", "re-estimated"),
    "descended": ("descended", "re-estimated"),
    "refitted": ("weights", "refitted"),
}
LOOKS: dict[str, Look] = {
    "matched, as it is": {"color": MATCHED, "linestyle": ":", "marker": "d", "mfc": "white"},
    "naive": {"color": NAIVE, "marker": "x", "mew": 2},
    "matched": {"color": MATCHED, "marker": "D"},
    "descended": {"color": OTHERS[0], "marker": "o"},
    "refitted": {"color": REPAIRED, "marker": "^", "linestyle": "--"},
}
OFF_THE_LINE = ("refitted",)  # merging: the network has left the line between A and B
AXIS = {"loss": "held-out loss", "accuracy": "held-out accuracy (%)"}


def grid_row(
    run: Mapping[str, Any], width: float, *, norm: str = "batch", pair: int = 0
) -> dict[str, Any]:
    """One pair of a width from the stored grid, ``load_run("cifar10-16px-resnet20-grid")``."""
    rows = [row for row in run["pairs"] if (row["width"], row["norm"]) == (width, norm)]
    return rows[pair]


def stored_rows(run: Mapping[str, Any], width: float | None = None) -> list[dict[str, Any]]:
    """The pairs of a stored run of widths (``load_run("cifar10-resnet20-widths")``) as rows of the
    grid, the first pair of each width; or all pairs of one width.
    """
    methods = {"naive": "naive", "weight matching": "weights", "activation matching": "activations"}
    forms = {"as it is": "as it is", "repaired": "re-estimated"}
    rows: list[dict[str, Any]] = []
    for pair in run["pairs"]:
        if pair["width"] != width and (width or any(r["width"] == pair["width"] for r in rows)):
            continue
        lines = {
            methods[each["method"]]: {forms[form]: each[form] for form in forms}
            for each in pair["rows"]
        }
        about = {name: pair[name] for name in ("width", "seeds", "recipe", "parents", "epochs")}
        about |= {"norm": pair["recipe"]["norm"], "lines": lines, "refit images": {}}
        rows.append(about | {"samples": run["samples"], "data": run["data"]})
    return rows


def grid_curves(row: Mapping[str, Any], names: Sequence[str] = tuple(LINES)) -> dict[str, Curve]:
    """The lines of one pair that were measured, by their name on screen."""
    found = {}
    for name in names:
        method, form = LINES[name]
        if line := row["lines"].get(method, {}).get(form):
            alphas, loss, accuracy = (tuple(line[key]) for key in ("alphas", "loss", "accuracy"))
            unknown = (float("nan"),) * len(alphas)
            found[name] = Curve(
                alphas, loss, accuracy, ece=unknown, samples=row["samples"], label=name
            )
    return found


def put_line(row: dict[str, Any], method: str, form: str, curve: Curve) -> None:
    """Put a line that was measured now, and its ends, in the place of a stored one."""
    row["samples"], ends = curve.samples, (curve.at(0), curve.at(1))
    row["parents"] = [{"loss": end.loss, "accuracy": end.accuracy} for end in ends]
    line = {name: list(getattr(curve, name)) for name in ("alphas", "loss", "accuracy")}
    row["lines"].setdefault(method, {})[form] = line


def parents(row: Mapping[str, Any]) -> dict[str, float]:
    """The mean loss and accuracy (in per cent) of the two parents of a pair."""
    return {
        "loss": float(np.mean([end["loss"] for end in row["parents"]])),
        "accuracy": 100 * float(np.mean([end["accuracy"] for end in row["parents"]])),
    }


def points_lost(row: Mapping[str, Any], name: str, alpha: float = 0.5) -> float:
    """Accuracy that a line loses at one alpha against the mean of the parents, in points."""
    curve = grid_curves(row, [name])[name]
    return parents(row)["accuracy"] - value_at(curve, "accuracy", alpha)


def draw_alpha_by_width(
    row: Mapping[str, Any], alpha: float | None, names: Sequence[str] = tuple(LINES)
) -> Figure:
    """Loss and accuracy along the line of one pair, for every method, with a mark at one alpha.

    Args:
        row: one pair of the stored grid.
        alpha: the place to mark; ``None`` for none.
        names: which lines.
    """
    figure, axes = new_figure((8.6, 3.6), 1, 2)
    curves = grid_curves(row, names)
    for panel, metric in zip(axes[0], AXIS):
        _lines(panel, curves, metric, row, alpha, highest=4.2)
        panel.set_ylabel(AXIS[metric])
    look: Look = {"fontsize": 9, "columnspacing": 1.0, "framealpha": 1.0, "edgecolor": "none"}
    axes[0, 0].legend(loc="upper center", ncols=2, frameon=True, **look)  # inside: panels stack
    title = f"width ×{row['width']:g}, parents {parents(row)['accuracy']:.1f} %"
    axes[0, 0].set_title(title, loc="left", fontsize=11)
    scored = f"{row['data'].split(' (')[0]}, {row['samples']:,} unseen"
    axes[0, 1].set_title(scored, loc="left", fontsize=9)
    return describe(figure, describe_alpha(row, alpha, names))


def describe_alpha(
    row: Mapping[str, Any], alpha: float | None = None, names: Sequence[str] = tuple(LINES)
) -> str:
    """The numbers of one width at one alpha in words: the line under the sliders."""
    at = 0.5 if alpha is None else alpha
    parts = []
    for name, curve in grid_curves(row, names).items():
        if at not in curve.alphas:
            continue  # not measured there
        mark = " (merging)" if name in OFF_THE_LINE else ""
        loss, accuracy = (value_at(curve, metric, at) for metric in AXIS)
        parts.append(f"{name}{mark} {loss:.2f}, {accuracy:.1f} %")
    ends = parents(row)
    means = f"parents {ends['loss']:.2f}, {ends['accuracy']:.1f} %"
    head = f"×{row['width']:g}, alpha {at:.2f}, {means}"
    return f"{head}; loss and accuracy: {'; '.join(parts) or 'not measured at this alpha'}"


def draw_widths(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str] = tuple(LINES), *, title: str = ""
) -> Figure:
    """Small multiples: a column a pair, the loss above and the accuracy below, on one scale."""
    figure, axes = new_figure((9.6, 5.4), 2, len(rows), sharex=True, sharey="row")
    losses = [max(c.loss) for row in rows for c in grid_curves(row, names).values()]
    for column, row in enumerate(rows):
        for panel, metric in zip(axes[:, column], AXIS):
            _lines(
                panel, grid_curves(row, names), metric, row, None, 3, max(3.2, 1.05 * max(losses))
            )
        axes[0, column].set_xlabel("")
        axes[1, column].set_xlabel("alpha")
        norm = {"batch": "BatchNorm", "layer": "LayerNorm"}[row["norm"]]
        accuracy, epochs = parents(row)["accuracy"], row["epochs"]
        head = f"×{row['width']:g} {norm}\nparents {accuracy:.1f} %, {epochs} epochs"
        axes[0, column].set_title(head, loc="left", fontsize=10)
    for panel, metric in zip(axes[:, 0], AXIS):
        panel.set_ylabel(AXIS[metric])
    shown = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels())))
    look: Look = {"frameon": False, "fontsize": 9, "handlelength": 2.4}
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=5, **look)
    if title:
        figure.supxlabel(title, x=0.01, ha="left", fontsize=9)
    return describe(figure, " | ".join(describe_alpha(row, 0.5, names) for row in rows))


def _lines(
    panel: Axes,
    curves: Mapping[str, Curve],
    metric: str,
    row: Mapping[str, Any],
    alpha: float | None,
    ticks: int = 5,
    highest: float = 3.2,
) -> None:
    panel.axhline(parents(row)[metric], color="0.45", linewidth=1, linestyle="--", zorder=1)
    panel.axhline(np.log(10) if metric == "loss" else 10, color="0.8", linewidth=1, zorder=0)
    chance = np.log(10) if metric == "loss" else 10
    write(panel, "chance", (0.99, chance), (0, 2), ha="right", color="0.55", fontsize=8)
    for name, curve in curves.items():
        label = f"{name} (merging)" if name in OFF_THE_LINE else name
        x, y, every = curve.alphas, values(curve, metric), max(1, len(curve.alphas) // 6)
        look = LOOKS[name] | {"markersize": 5, "markevery": every, "linewidth": 1.6}
        panel.plot(x, y, label=label, zorder=3, **look)
        if alpha in curve.alphas:
            dot: Look = {"markersize": 9, "color": LOOKS[name]["color"], "mec": "black"}
            panel.plot([alpha], [value_at(curve, metric, alpha)], "o", zorder=4, **dot)
    if alpha is not None:
        panel.axvline(alpha, color="black", linewidth=0.8, zorder=2)
    finish_alpha_axis(panel, ticks=ticks)
    panel.set_ylim(0, highest if metric == "loss" else 100)


def draw_refit_images(
    rows: Sequence[Mapping[str, Any]],
    now: Sequence[tuple[int, float]] = (),
    *,
    title: str = "",
) -> Figure:
    """Points of accuracy lost by a refitted midpoint over the number of images it was fitted on,
    with a match and without, a thin line for each pair.

    Args:
        rows: pairs of the stored grid of one width.
        now: (images, points) just measured, drawn as crosses.
        title: stands over the panel.
    """
    figure, axes = new_figure("one")
    panel = axes[0, 0]
    looks = {"weights": (REPAIRED, "^", "matched first"), "naive": (NAIVE, "x", "no match")}
    words = []
    for method, (colour, marker, label) in looks.items():
        tables = [np.array(row["refit images"][method]) for row in rows]
        counts = tables[0][:, 0]
        lost = [parents(row)["accuracy"] - 100 * table[:, 2] for row, table in zip(rows, tables)]
        panel.plot(counts, np.transpose(lost), color=colour, linewidth=0.7, alpha=0.5)
        name = {"naive": "naive", "weights": "matched"}[method]
        mean, line = np.mean(lost, axis=0), np.mean([points_lost(row, name) for row in rows])
        panel.plot(counts, mean, color=colour, marker=marker, mew=2)
        panel.axhline(line, color=colour, linestyle=":", linewidth=1.2)
        bold: Look = {"color": colour, "fontweight": "bold", "fontsize": 10}
        write(panel, f"{label}, refitted", (counts[0], mean[0]), (8, 4), **bold)
        only: Look = {"ha": "right", "color": colour, "fontsize": 9}
        write(panel, f"{label}, re-estimated only", (counts[-1], line), (0, 3), **only)
        words.append(f"{label}: {mean[0]:.1f} points at {counts[0]:.0f} images, "
                     f"{mean[-1]:.1f} at {counts[-1]:.0f}; {line:.1f} re-estimated")  # fmt: skip
    for place in now:
        panel.plot(*place, "+", color="black", markersize=13, mew=2, zorder=4)
        write(panel, "measured now", place, (6, -13), fontsize=9)
    panel.set(xscale="log", xlabel="training images, without labels (log scale)", ylim=(0, None))
    panel.set_xticks(counts, [f"{count:,.0f}" for count in counts])
    panel.minorticks_off()
    panel.set(xlim=(counts[0] / 1.3, counts[-1] * 1.3), ylabel="points of accuracy lost")
    panel.set_title(title, loc="left")
    return describe(figure, "Points lost at the midpoint after a refit. " + "; ".join(words))
