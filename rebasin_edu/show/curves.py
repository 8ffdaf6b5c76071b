"""The figure of the whole story: what lies on the straight line between two networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RebasinError, choose
from .style import Look, colour_of, describe, finish_alpha_axis, new_figure, seams

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

    from ..landscape.curve import Curve

AXIS = {"loss": "loss", "accuracy": "accuracy (%)"}


def named_curves(curves: Curve | Mapping[str, Curve]) -> dict[str, Curve]:
    """One curve, or several by name, as a dictionary.

    Raises:
        RebasinError: there are none, or they are something else.
    """
    named = dict(curves) if isinstance(curves, Mapping) else {getattr(curves, "label", ""): curves}
    if not named or not all(hasattr(curve, "barrier") and curve.alphas for curve in named.values()):
        raise RebasinError(f"a Curve, or name → Curve, is needed, not {curves!r:.60}")
    return named


def as_text(words: str) -> str:
    """Words as matplotlib draws them: it takes ``$`` for mathematics and hides ``_names``."""
    return (f" {words}" if words.startswith("_") else words).replace("$", r"\$")


def values(curve: Curve, metric: str) -> np.ndarray:
    """A curve's numbers as they are drawn: the loss as it is, the accuracy in per cent."""
    return np.asarray(getattr(curve, metric), dtype=float) * (100 if metric == "accuracy" else 1)


def value_at(curve: Curve, metric: str, alpha: float) -> float:
    """A curve's number at any alpha, interpolated between those that were measured."""
    return float(np.interp(alpha, curve.alphas, values(curve, metric)))


def draw_curves(
    curves: Curve | Mapping[str, Curve],
    *,
    metrics: Sequence[str] = ("loss", "accuracy"),
    alpha: float | None = None,
    end: str = "B",
    title: str = "",
) -> Figure:
    """Loss and accuracy on the line from A to B, for one curve or several, with their barriers.

    The dashed line is the mean of both ends: what stands above it (for the loss) is the barrier.

    Args:
        curves: one ``Curve``, or name → curve; "naive" is grey, "matched" green, everywhere.
        metrics: which panels, of "loss" and "accuracy".
        alpha: mark this place on every curve.
        end: the name of the right end.
        title: stands over the figure; the name of the data is added where the curves know it.
    """
    named = named_curves(curves)
    for metric in metrics:
        choose("metrics", metric, AXIS)
    figure, axes = new_figure("wide" if len(metrics) > 1 else "one", 1, len(metrics))
    alphas = [alpha for curve in named.values() for alpha in curve.alphas]
    for panel, metric in zip(axes[0], metrics):
        for position, (name, curve) in enumerate(named.items()):
            _draw_curve(panel, name, position, curve, metric)
        finish_alpha_axis(panel, min(alphas), max(alphas), end=end)
        panel.set_ylabel(AXIS[metric])
        panel.legend(
            frameon=False,
            loc="lower left",
            bbox_to_anchor=(-0.03, 1.0),
            ncols=1 if len(named) < 4 else 2,
            labelcolor="linecolor",
            prop={"weight": "bold", "size": 10},
        )
        if alpha is not None:
            move_marks(mark(panel, named, metric), alpha)
    figure.suptitle(as_text(headline(named, title)), x=0.01, ha="left")
    return describe(figure, describe_curves(named))


def headline(curves: Mapping[str, Curve], title: str) -> str:
    """A title and the name of the data, where the curves know it."""
    scored = dict.fromkeys((curve.data, curve.samples) for curve in curves.values() if curve.data)
    data = ", ".join(f"{name}, {samples:,} scored" for name, samples in scored)
    return " · ".join(filter(None, (title, data)))


def _draw_curve(panel: Axes, name: str, position: int, curve: Curve, metric: str) -> None:
    colour, marker = colour_of(name or "matched", position)
    barrier = getattr(curve.barrier, metric)
    number = f"{barrier:.3f}" if metric == "loss" else f"{100 * barrier:.1f} points"
    panel.plot(
        curve.alphas,
        values(curve, metric),
        color=colour,
        marker=marker,
        markevery=max(1, len(curve.alphas) // 6),
        label=as_text(f"{name}: barrier {number}".removeprefix(": ")),
        zorder=3,
    )
    ends = 0.5 * (value_at(curve, metric, 0) + value_at(curve, metric, 1))
    panel.axhline(ends, color=colour, linewidth=1, linestyle="--", alpha=0.7, zorder=1)


def mark(panel: Axes, curves: Mapping[str, Curve], metric: str) -> list[tuple[Artist, Curve, str]]:
    """A vertical line and a dot on every curve of a panel, for ``move_marks`` to place."""
    start = min(alpha for curve in curves.values() for alpha in curve.alphas)
    marks: list = [(panel.axvline(start, color="black", linewidth=0.8, zorder=2), None, metric)]
    for position, (name, curve) in enumerate(curves.items()):
        colour, _ = colour_of(name or "matched", position)
        look: Look = {"markersize": 10, "color": colour, "mec": "black", "zorder": 4}
        (dot,) = panel.plot([start], [value_at(curve, metric, start)], "o", **look)
        marks.append((dot, curve, metric))
    return marks


def move_marks(marks: Sequence[tuple], alpha: float) -> None:
    """Put marks at another alpha."""
    for artist, curve, metric in marks:
        artist.set_xdata([alpha, alpha] if curve is None else [alpha])
        if curve is not None:
            artist.set_ydata([value_at(curve, metric, alpha)])


def frames_of_curves(
    curves: Mapping[str, Curve], metrics: Sequence[str], alphas: Sequence[float]
) -> Iterator[list[Image.Image]]:
    """For each alpha one picture a panel: everything is drawn once, and only the marks move."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure = draw_curves(curves, metrics=metrics)
    canvas = FigureCanvasAgg(figure)
    marks = [mark(panel, curves, metric) for panel, metric in zip(figure.axes, metrics)]
    for artist, *_ in chain.from_iterable(marks):
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    where = seams(figure)
    cuts = [0, *where["columns"], canvas.get_width_height()[0]]
    for alpha in alphas:
        canvas.restore_region(still)
        for panel, moving in zip(figure.axes, marks):
            move_marks(moving, alpha)
            for artist, *_ in moving:
                panel.draw_artist(artist)
        picture = np.asarray(canvas.buffer_rgba())[where["top"] :, :, :3]
        yield [Image.fromarray(picture[:, left:right]) for left, right in pairwise(cuts)]


def describe_curves(curves: Mapping[str, Curve]) -> str:
    """What a figure of curves shows, in words: its alternative text."""
    parts = []
    for name, curve in curves.items():
        worst = max(zip(values(curve, "loss"), curve.alphas))
        parts.append(
            f"{name + ': ' if name else ''}loss {value_at(curve, 'loss', 0):.3f} at A, "
            f"{value_at(curve, 'loss', 1):.3f} at B, highest {worst[0]:.3f} at alpha "
            f"{worst[1]:.2f}; lowest accuracy {values(curve, 'accuracy').min():.1f} %"
        )
    return "The line from A to B. " + ". ".join(parts) + "."


def describe_at(curves: Mapping[str, Curve], alpha: float) -> str:
    """The numbers at one alpha in words: the line under a slider."""
    parts = []
    for name, curve in curves.items():
        loss, accuracy = (value_at(curve, metric, alpha) for metric in AXIS)
        parts.append(f"{name + ': ' if name else ''}loss {loss:.3f}, accuracy {accuracy:.1f} %")
    return f"alpha = {alpha:.2f} ({1 - alpha:.0%} A, {alpha:.0%} B): " + "; ".join(parts)
