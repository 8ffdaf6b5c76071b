"""How results of this room look as text and as HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence

from .metrics import Score

Rows = Sequence[Sequence[str]]


def table_text(rows: Rows, left: int = 1) -> str:
    """Return rows as lines of text, columns aligned: the first ``left`` to the left."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )


def table_html(rows: Rows) -> str:
    """Return rows as an HTML table, the first of them its head."""
    tags = ["th", *["td"] * (len(rows) - 1)]
    cells = [[f"<{tag}>{html.escape(x)}</{tag}>" for x in row] for tag, row in zip(tags, rows)]
    return f"<table>{''.join('<tr>' + ''.join(row) + '</tr>' for row in cells)}</table>"


def list_html(sentences: Iterable[str]) -> str:
    """Return sentences as an HTML list."""
    return f"<ul>{''.join(f'<li>{html.escape(sentence)}</li>' for sentence in sentences)}</ul>"


def score_rows(scores: Mapping[str, Score]) -> list[tuple[str, ...]]:
    """Return a row for each score, the heading first; without classes there is no accuracy."""
    classes = any(not math.isnan(s.accuracy) for s in scores.values())
    own = list(dict.fromkeys(name for s in scores.values() for name in s.metrics))
    rows = [("network", "loss", *(("accuracy", "calibration error") if classes else ()), *own)]
    for name, s in scores.items():
        cells = (f"{s.accuracy:.2%}", f"{s.ece:.4f}") if classes else ()
        rows.append((name, f"{s.loss:.4f}", *cells, *(f"{s.metrics[each]:.4f}" for each in own)))
    return rows
