"""Colours, each with one meaning; new figures, their text, their alpha axis and their files."""

from __future__ import annotations

import base64
import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

A = "#0072B2"  # blue: network A
B = "#E69F00"  # orange: network B
NAIVE = "#7F7F7F"  # grey: B as it is
MATCHED = "#009E73"  # green: B with its hidden units reordered
REPAIRED = "#CC79A7"  # purple: matched, and its statistics repaired
OTHERS = ("#56B4E9", "#D55E00", "#F0E442", "#000000")

MEANING = {
    "a": (A, "o"),
    "b": (B, "s"),
    "naive": (NAIVE, "x"),
    "matched": (MATCHED, "D"),
    "repaired": (REPAIRED, "^"),
}
SIZES = {"one": (6.4, 3.8), "wide": (9.6, 3.8)}
Look = dict[str, Any]  # keyword arguments of matplotlib
PAPER: Look = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # behind a label


def style() -> AbstractContextManager:
    """The package's matplotlib style, for the length of a ``with`` block; global settings stay."""
    import matplotlib.pyplot as plt

    return plt.style.context(Path(__file__).with_name("rebasin.mplstyle"))


def new_figure(
    size: str | tuple[float, float] = "one", rows: int = 1, columns: int = 1, **kwargs: Any
) -> tuple[Figure, np.ndarray]:
    """A closed figure and its axes, ``(rows, columns)``: a notebook shows it once."""
    import matplotlib.pyplot as plt

    inches = SIZES[size] if isinstance(size, str) else size
    with style():
        figure, axes = plt.subplots(rows, columns, figsize=inches, squeeze=False, **kwargs)
    plt.close(figure)
    return figure, axes


def colour_of(label: str, position: int = 0) -> tuple[str, str]:
    """The colour and marker of a curve of this name; other names take spare colours in turn."""
    return MEANING.get(label.lower(), (OTHERS[position % len(OTHERS)], "v"))


def write(panel: Axes, text: str, at: tuple, shift: tuple = (0, 0), **kwargs: Any) -> None:
    """Text beside a point of a panel, moved by ``shift`` (in points)."""
    panel.annotate(text, at, shift, textcoords="offset points", **kwargs)


def finish_alpha_axis(
    panel: Axes, low: float = 0.0, high: float = 1.0, ticks: int = 5, end: str = "B"
) -> None:
    """The alpha axis as it reads everywhere: A at 0, B at 1, and what lies beyond them shaded."""
    at = [k / (ticks - 1) for k in range(ticks)]
    names = ["A\n(0)", *(f"{alpha:g}" for alpha in at[1:-1]), f"{end}\n(1)"]
    drawn = panel.set_xticks(at, names)
    drawn[0].label1.set(color=A, fontweight="bold")
    drawn[-1].label1.set(color=B, fontweight="bold")
    for start, stop in ((low, 0.0), (1.0, high)):
        if stop > start:
            panel.axvspan(start, stop, color="0.92", zorder=0)
            middle = (0.5 * (start + stop), 0.02)
            panel.annotate(
                "beyond", middle, xycoords=("data", "axes fraction"), ha="center", color="0.4"
            )
    panel.set(xlim=(min(low, -0.03), max(high, 1.03)), xlabel=f"alpha: share of {end} in the mix")


def describe(figure: Figure, text: str) -> Figure:
    """The same figure with an alternative text: what is to be seen in it, for those who cannot."""

    def bundle(include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        data = base64.b64encode(png(figure)).decode()
        about = {"alt": text, **seams(figure)}
        return {"image/png": data, "text/plain": text}, {"image/png": about}

    def display() -> None:  # else Jupyter cuts the file's margins, and ``seams`` would be wrong
        import IPython.display

        data, about = bundle()
        IPython.display.display(data, metadata=about, raw=True)

    figure.set_label(text)
    figure._repr_mimebundle_ = bundle  # type: ignore[attr-defined]
    figure._ipython_display_ = display  # type: ignore[attr-defined]
    return figure


def seams(figure: Figure) -> dict[str, Any]:
    """Where a figure that was drawn comes apart, in pixels of its file.

    Returns:
        "columns": cuts between columns of panels, from the left, none where a legend or a label
        runs across; "top": the height of its title; "title": the words of it.
    """
    columns: list[int] = []
    boxes = [
        (box.x0, box.x1, hasattr(panel, "_colorbar"))
        for panel in figure.axes
        if (box := panel.get_tightbbox())
    ]
    reach = min(boxes, default=(0.0, 0.0, False))[0]
    for left, right, belongs_to_the_panel_beside in sorted(boxes):
        if left > reach and not belongs_to_the_panel_beside:
            columns.append(int(0.5 * (reach + left)))
        reach = max(reach, right)
    if figure.legends or getattr(figure, "_supxlabel", None):
        columns = []
    title = getattr(figure, "_suptitle", None)
    if title is None or not title.get_text():
        return {"columns": columns, "top": 0, "title": ""}
    top = int(figure.bbox.height - title.get_window_extent().y0) + 1
    return {"columns": columns, "top": top, "title": title.get_text().replace(r"\$", "$")}


def png(figure: Figure) -> bytes:
    """A figure as a PNG file of at most 256 colours, so that many of them stay light."""
    from PIL import Image

    raw = io.BytesIO()
    figure.savefig(raw, format="png")
    return encode(Image.open(raw))


def encode(picture: Image.Image) -> bytes:
    """A picture as a PNG file of at most 256 colours."""
    from PIL import Image

    small = io.BytesIO()
    few = picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(small, format="png", compress_level=9)
    return small.getvalue()
