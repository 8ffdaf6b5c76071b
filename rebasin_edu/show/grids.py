"""Two sliders over pictures drawn beforehand: a picture for each pair of positions, and no kernel
needed.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .widgets import _slider

if TYPE_CHECKING:
    import ipywidgets


def frames_grid(
    pictures: Sequence[Sequence[bytes]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    descriptions: tuple[str, str],
    texts: Sequence[Sequence[str]],
    tooltips: tuple[str, str] = ("", ""),
    start: tuple[int, int] = (0, 0),
) -> ipywidgets.VBox:
    """Two sliders over ``pictures[row][column]``; moves in an exported page as in the notebook.

    Args:
        pictures: PNG files, as many in each row.
        rows, columns: what the sliders read at each position.
        descriptions, tooltips: of the slider over the rows and of the one over the columns.
        texts: a line under each picture, with its numbers.
        start: the positions shown first.
    """
    import ipywidgets

    shapes = {
        (len(pictures), *map(len, pictures)),
        (len(texts), *map(len, texts)),
        (len(rows), *[len(columns)] * len(rows)),
    }
    if len(shapes) > 1 or not rows or not columns:
        raise ValueError(
            f"a grid needs a picture and a text for each of {len(rows)} × {len(columns)} positions"
        )
    across = _slider(columns, descriptions[1], tooltips[1], start[1], continuous=True)
    inner = []
    for line, words in zip(pictures, texts):
        pages = []
        for picture, text in zip(line, words):
            image = ipywidgets.Image(
                value=picture, format="png", layout=ipywidgets.Layout(max_width="100%")
            )
            pages.append(
                ipywidgets.VBox([image, ipywidgets.HTML(f"<small>{html.escape(text)}</small>")])
            )
        stack = ipywidgets.Stack(pages, selected_index=start[1])
        ipywidgets.jslink((across, "index"), (stack, "selected_index"))
        inner.append(stack)
    down = _slider(rows, descriptions[0], tooltips[0], start[0], continuous=True)
    outer = ipywidgets.Stack(inner, selected_index=start[0])
    ipywidgets.jslink((down, "index"), (outer, "selected_index"))
    return ipywidgets.VBox([down, across, outer])
