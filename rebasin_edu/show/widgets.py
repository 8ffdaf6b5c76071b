"""Sliders over pictures: they move in a page without a kernel, too, and a saved notebook shows a
contact sheet where no widget runs.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from ..errors import RebasinError
from .curves import describe_at, frames_of_curves, headline, named_curves
from .panels import Picture, as_html, contact_sheet, panels
from .style import encode

if TYPE_CHECKING:
    import ipywidgets
    from matplotlib.figure import Figure

    from ..landscape.curve import Curve


def slider(
    draw: Callable[[Any], Figure],
    options: Sequence[Any],
    *,
    description: str,
    label: Callable[[Any], str] = str,
    text: Callable[[Any], str] | None = None,
    tooltip: str = "",
    start: int = 0,
) -> ipywidgets.VBox:
    """A slider over the figures of a function, ``draw(option)``.

    Args:
        draw: a pure function from an option to a figure.
        options: the positions, in order.
        description: stands beside the slider.
        label: what the slider reads at an option.
        text: the line under a figure, with its numbers; it is also the picture's alternative text.
            Without it, what the figure itself says (``describe``).
        tooltip: shown when the pointer rests on the slider.
        start: the first position shown.
    """
    figures = [draw(option) for option in options]
    drawn = [panels(figure) for figure in figures]
    words = [text(option) for option in options] if text else [str(f.get_label()) for f in figures]
    return frames(
        [files for files, _ in drawn],
        [label(option) for option in options],
        description=description,
        texts=words if all(words) else (),
        titles=[title for _, title in drawn],
        tooltip=tooltip,
        start=start,
    )


def frames(
    pictures: Sequence[Picture],
    labels: Sequence[str],
    *,
    description: str,
    texts: Sequence[str] = (),
    titles: Sequence[str] = (),
    tooltip: str = "",
    start: int = 0,
) -> ipywidgets.VBox:
    """A slider over pictures that are drawn already: ``slider``, where its ``draw`` is too slow.

    Args:
        pictures: a PNG file a position, or several: panels side by side, which stack on a phone.
        labels: what the slider reads at each position.
        texts, titles: the line under each picture, and the one above it.
    """
    import ipywidgets

    if not pictures or len(pictures) != len(labels) or (texts and len(texts) != len(pictures)):
        raise RebasinError(
            "a slider needs as many labels (and texts) as pictures: "
            f"{len(pictures)}, {len(labels)}, {len(texts)}"
        )
    texts = texts or [f"{description} {label}" for label in labels]
    control = _control(labels, description, tooltip, start)
    titles = titles or [""] * len(labels)
    pages = [_page(*each) for each in zip(pictures, texts, titles, strict=True)]
    stack = ipywidgets.Stack(pages, selected_index=start)
    ipywidgets.jslink((control, "index"), (stack, "selected_index"))
    shown = [f"{description} {label}" for label in labels]
    return _with_contact_sheet([control, stack], pictures, texts, shown, start)


def slider_grid(
    draw: Callable[[Any, Any], Figure],
    rows: Sequence[Any],
    columns: Sequence[Any],
    *,
    descriptions: tuple[str, str],
    text: Callable[[Any, Any], str],
    labels: tuple[Callable[[Any], str], Callable[[Any], str]] = (str, str),
    tooltips: tuple[str, str] = ("", ""),
    start: tuple[int, int] = (0, 0),
) -> ipywidgets.VBox:
    """Two sliders over the figures ``draw(row, column)``; moves in an exported page, too.

    Args:
        draw: a pure function of two options.
        rows, columns: the positions of the two sliders.
        descriptions, tooltips: of the slider over the rows and of the one over the columns.
        text: the line under a figure, with its numbers; also its alternative text.
        labels: what each slider reads at an option.
        start: the positions shown first.
    """
    import ipywidgets

    if not rows or not columns:
        raise RebasinError(f"a grid of {len(rows)} × {len(columns)} positions has no picture")
    names = [[label(each) for each in options] for label, options in zip(labels, (rows, columns))]
    down, across = map(_control, names, descriptions, tooltips, start)
    drawn = {place: panels(draw(*place)) for place in product(rows, columns)}
    stacks = []
    for row in rows:
        pages = [(drawn[row, each], text(row, each)) for each in columns]
        pages = [_page(files, words, title) for (files, title), words in pages]
        stack = ipywidgets.Stack(pages, selected_index=start[1])
        ipywidgets.jslink((across, "index"), (stack, "selected_index"))
        stacks.append(stack)
    outer = ipywidgets.Stack(stacks, selected_index=start[0])
    ipywidgets.jslink((down, "index"), (outer, "selected_index"))
    texts = [text(*place) for place in drawn]
    shown = [f"{descriptions[0]} {r}, {descriptions[1]} {c}" for r, c in product(*names)]
    files, at = [files for files, _ in drawn.values()], start[0] * len(columns) + start[1]
    return _with_contact_sheet([down, across, outer], files, texts, shown, at)


def explore(
    curves: Curve | Mapping[str, Curve],
    *,
    metrics: Sequence[str] = ("loss", "accuracy"),
    title: str = "",
) -> ipywidgets.VBox:
    """Slide along the line from A to B, through the alphas that were measured.

    Args:
        curves: one ``Curve``, or name → curve ("naive", "matched").
        metrics: which panels, of "loss" and "accuracy".
        title: stands over the figure.
    """
    named = named_curves(curves)
    alphas = sorted({float(alpha) for curve in named.values() for alpha in curve.alphas})
    drawn = frames_of_curves(named, metrics, alphas)
    return frames(
        [[encode(panel) for panel in each] for each in drawn],
        [f"{alpha:.2f}" for alpha in alphas],
        titles=[headline(named, title)] * len(alphas),
        description="alpha",
        texts=[describe_at(named, alpha) for alpha in alphas],
        tooltip="0 is network A, 1 is network B, between them their weights are mixed",
        start=len(alphas) // 2,
    )


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


def _control(
    labels: Sequence[str], description: str, tooltip: str, start: int
) -> ipywidgets.SelectionSlider:
    import ipywidgets

    return ipywidgets.SelectionSlider(
        options=[(str(label), index) for index, label in enumerate(labels)],
        value=start,
        description=description,
        tooltip=tooltip or description,
        layout=ipywidgets.Layout(width="100%"),
        style={"description_width": "initial"},
    )


def _page(picture: Picture, text: str, title: str = "") -> ipywidgets.HTML:
    import ipywidgets

    files = [picture] if isinstance(picture, bytes) else picture
    return ipywidgets.HTML(as_html(files, text, title=title, line=text))


def _with_contact_sheet(
    children: list, pictures: Sequence[Picture], texts: Sequence[str], names: Sequence[str], at: int
) -> ipywidgets.VBox:
    """A box of widgets that a page without widgets shows as a few of its pictures, the one that is
    shown first among them.
    """
    import ipywidgets

    box = ipywidgets.VBox(children, layout=ipywidgets.Layout(max_width="1060px"))
    last = len(pictures) - 1
    chosen = sorted({0, at // 2, at, last} if at > 1 else {round(k * last / 3) for k in range(4)})
    alt = f"{len(chosen)} of its {len(pictures)} positions: " + " | ".join(
        f"{names[k]}: {texts[k]}" for k in chosen
    )
    sheet = contact_sheet([pictures[k] for k in chosen], [names[k] for k in chosen])
    picture = base64.b64encode(sheet).decode()
    widget = box._repr_mimebundle_

    def bundle(include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        sentence = f"A slider; run the notebook to move it. Here are {alt}"
        data = {**widget(), "image/png": picture, "text/plain": sentence}
        return data, {"image/png": {"alt": alt}}

    box._repr_mimebundle_ = bundle
    return box
