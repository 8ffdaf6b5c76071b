"""Figures in pages: panels side by side, which stack where the page is narrow, with their title and
their words as text.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .style import encode, png, seams

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = bytes | Sequence[bytes]  # a PNG file, or the PNG files of panels that stack on a phone


def panels(figure: Figure) -> tuple[list[bytes], str]:
    """A figure as PNG files, one a column of its panels, and its title as text."""
    picture = png(figure)
    where = seams(figure)
    return cut(picture, where), where["title"]


def cut(picture: bytes, where: Mapping[str, Any]) -> list[bytes]:
    """A PNG file as one for each column of panels, without its title; ``where`` as of ``seams``."""
    from PIL import Image

    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    edges = [0, *where["columns"], whole.width]
    top, bottom = where["top"], whole.height
    return [encode(whole.crop((left, top, right, bottom))) for left, right in pairwise(edges)]


def as_html(files: Sequence[bytes], alt: str, *, title: str = "", line: str = "") -> str:
    """Panels under their title, which wrap where the page is narrow, and a line under them that is
    read aloud when it changes.
    """
    words = html.escape(alt)
    images = "".join(  # none wider than its column, or than its own width
        f'<img src="data:image/png;base64,{base64.b64encode(file).decode()}" '
        f'alt="{words if not number else "the panel beside it"}" style="flex:1 1 300px;min-width:0;'
        f'align-self:flex-start;max-width:min(100%,{int.from_bytes(file[16:20], "big")}px)">'
        for number, file in enumerate(files)
    )
    above = f"<p><strong>{html.escape(title)}</strong></p>" if title else ""
    below = f'<p role="status" aria-live="polite">{html.escape(line)}</p>' if line else ""
    return f'{above}<div style="display:flex;flex-wrap:wrap">{images}</div>{below}'


def contact_sheet(pictures: Sequence[Picture], names: Sequence[str]) -> bytes:
    """Pictures in two columns at half their size, each under its name, as one PNG file."""
    from matplotlib.font_manager import findfont
    from PIL import Image, ImageDraw, ImageFont

    small, font = [], ImageFont.truetype(findfont("DejaVu Sans"), 15)  # Pillow's own lacks ×, π
    for picture, name in zip(pictures, names, strict=True):
        files = [picture] if isinstance(picture, bytes) else picture
        panels = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
        row = Image.new("RGB", (sum(p.width for p in panels), panels[0].height + 48), "white")
        for number, panel in enumerate(panels):
            row.paste(panel, (sum(p.width for p in panels[:number]), 48))
        row = row.resize((row.width // 2, row.height // 2), Image.Resampling.LANCZOS)
        ImageDraw.Draw(row).text((6, 3), name, fill="black", font=font)
        small.append(row)
    (width, height), columns = small[0].size, min(2, len(small))
    sheet = Image.new("RGB", (columns * width, -(-len(small) // columns) * height), "white")
    for number, row in enumerate(small):
        sheet.paste(row, (number % columns * width, number // columns * height))
    return encode(sheet)
