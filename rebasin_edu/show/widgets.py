"""Sliders: over frames drawn beforehand (they move in a page without a kernel too), and over a
function that draws.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets
    from matplotlib.figure import Figure

    from ..landscape.curve import Curve


def png(figure: Figure) -> bytes:
    """A figure as a PNG file, with a small palette of colours so that many frames stay light."""
    from PIL import Image

    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png")
    Image.open(raw).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(
        small, format="png", optimize=True
    )
    return small.getvalue()


def _slider(
    labels: Sequence[str], description: str, tooltip: str, start: int, continuous: bool
) -> ipywidgets.SelectionSlider:
    import ipywidgets

    return ipywidgets.SelectionSlider(
        options=[(str(label), index) for index, label in enumerate(labels)],
        value=start,
        description=description,
        tooltip=tooltip,
        continuous_update=continuous,
        layout=ipywidgets.Layout(width="32em", max_width="100%"),
        style={"description_width": "initial"},
    )


def frames(
    pictures: Sequence[bytes],
    labels: Sequence[str],
    *,
    description: str,
    texts: Sequence[str] = (),
    tooltip: str = "",
    start: int = 0,
) -> ipywidgets.VBox:
    """A slider over pictures made beforehand. Browser and slider need no kernel: an exported page
    moves as the notebook does.

    Args:
        pictures: PNG files, one per position.
        labels: what the slider reads at each.
        description: stands beside the slider.
        texts: a line under each picture, with its numbers.
        tooltip: shown when the pointer rests on the slider.
        start: the first position shown.
    """
    import ipywidgets

    if not pictures or len(pictures) != len(labels) or (texts and len(texts) != len(pictures)):
        raise ValueError(
            f"a slider needs as many labels (and texts) as pictures: {len(pictures)}, {len(labels)}, {len(texts)}"
        )
    pages = []
    for index, picture in enumerate(pictures):
        text = texts[index] if texts else f"{description} {labels[index]}"
        image = ipywidgets.Image(
            value=picture, format="png", layout=ipywidgets.Layout(max_width="100%")
        )
        pages.append(
            ipywidgets.VBox([image, ipywidgets.HTML(f"<small>{html.escape(text)}</small>")])
        )
    slider = _slider(labels, description, tooltip, start, continuous=True)
    stack = ipywidgets.Stack(pages, selected_index=start)
    ipywidgets.jslink((slider, "index"), (stack, "selected_index"))
    return ipywidgets.VBox([slider, stack])


def explore(
    curves: Curve | Mapping[str, Curve],
    *,
    metrics: tuple[str, ...] = ("loss", "accuracy"),
    steps: int = 21,
) -> ipywidgets.VBox:
    """Slide along the line from A to B; works in an exported page without a kernel.

    Args:
        curves: one ``Curve``, or name → curve ("naive", "matched").
        metrics: which panels, of "loss" and "accuracy".
        steps: positions of the slider between the ends of the curves.
    """
    import numpy as np

    from .curves import describe_at, draw_curves

    named = dict(curves) if isinstance(curves, Mapping) else {"": curves}
    every = np.concatenate([np.asarray(curve.alphas, dtype=float) for curve in named.values()])
    alphas = np.linspace(every.min(), every.max(), steps)
    return frames(
        [png(draw_curves(named, metrics=metrics, alpha=float(alpha))) for alpha in alphas],
        [f"{alpha:.2f}" for alpha in alphas],
        description="alpha",
        texts=[describe_at(named, float(alpha)) for alpha in alphas],
        tooltip="0 is network A, 1 is network B, between them their weights are mixed",
        start=steps // 2,
    )


def live(
    draw: Callable[[Any], Figure],
    options: Sequence[Any],
    *,
    description: str,
    text: Callable[[Any], str] = str,
    label: Callable[[Any], str] = str,
    tooltip: str = "",
    quick: bool = True,
) -> ipywidgets.VBox:
    """A slider that draws as it moves, with a kernel: ``draw(option)`` is called for the position
    chosen.

    Args:
        draw: a pure function from an option to a figure.
        options: the positions, in order.
        description: stands beside the slider.
        text: the line under the figure, with its numbers.
        label: what the slider reads at an option.
        tooltip: shown when the pointer rests on the slider.
        quick: draw while the slider moves (for figures up to 60 ms); else when it is let go.
    """
    import ipywidgets

    slider = _slider(
        [label(option) for option in options], description, tooltip, 0, continuous=quick
    )
    image = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))
    line = ipywidgets.HTML()

    def show(change: dict | None = None) -> None:
        option = options[slider.index]
        image.value = png(draw(option))
        line.value = f"<small>{html.escape(text(option))}</small>"

    slider.observe(show, "index")
    show()
    return ipywidgets.VBox([slider, image, line])


def move_all(widget: ipywidgets.VBox) -> int:
    """Move every slider of a widget to each of its positions and back, as a test would; returns how
    many positions it has.
    """
    moves = 0
    for child in widget.children:
        if hasattr(child, "options"):
            start = child.value
            for _, value in child.options:
                child.value = value
                moves += 1
            child.value = start
        elif hasattr(child, "children"):
            moves += move_all(child)
    return moves
