"""A deck for the classroom from a notebook: what is said in a sentence, and the figures."""

from __future__ import annotations

import copy
import os
import re
import warnings
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from .vendor import NoScripts, vendor

LEFT_OUT = {"colab", "solution", "smoke"}
WHOLE = ("#", "|", "-", "*", ">", "<", "!", "$", "`", "1.", "**")  # paragraphs shown as they are
SENTENCE = re.compile(r"(?s)\A.*?[.?!:](?=\s|\Z)")
MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js"


def deck(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook cut into slides: sections beside each other, their cells below.

    A slide shows the first sentence of each paragraph; the whole text is in the speaker's notes
    (key S). Code stands before its output.
    """
    cells: list[NotebookNode] = []
    for cell in notebook.cells[1:]:  # after the badges
        tags = set(cell.metadata.get("tags", ()))
        if tags & LEFT_OUT:
            continue
        if cell.cell_type == "code":
            cells.append(_as(copy.deepcopy(cell), "subslide"))
            continue
        for part in re.split(r"^(?=##? )", cell.source, flags=re.M):
            if part.strip():
                short = headlines(part)
                kind = "slide" if part.startswith("#") else "subslide"
                cells.append(_as(nbformat.v4.new_markdown_cell(short), kind))
                if short != part.strip():
                    cells.append(_as(nbformat.v4.new_markdown_cell(part.strip()), "notes"))
    return nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(notebook.metadata))


def headlines(text: str) -> str:
    """Return each paragraph's first sentence; headings, lists, tables and formulas whole."""
    short = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if not paragraph.startswith(WHOLE) and (found := SENTENCE.match(paragraph)):
            sentence = found[0]
            balanced = all(sentence.count(mark) % 2 == 0 for mark in ("$", "`", "**"))
            paragraph = sentence if balanced else paragraph
        short.append(paragraph)
    return "\n\n".join(short)


def write_deck(notebook: NotebookNode, path: str | os.PathLike) -> Path:
    """Write a deck as HTML, the scripts of reveal.js beside it where npm can fetch them.

    Without npm the page loads them from a public host when it is shown, and a warning says so.
    """
    from nbconvert import SlidesExporter

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    exporter = SlidesExporter(
        template_name="deck_template",
        extra_template_basedirs=[str(Path(__file__).parent)],
        reveal_theme="white",
        mathjax_url=MATHJAX,
    )
    if _scripts(path.parent / "scripts"):
        exporter.reveal_url_prefix = "scripts/reveal"
        exporter.mathjax_url = "scripts/mathjax/tex-mml-chtml.js"
        exporter.require_js_url = "scripts/require.js"
    body, _ = exporter.from_notebook_node(deck(notebook), {"metadata": {"name": path.stem}})
    path.write_text(body, encoding="utf-8")
    return path


def _scripts(folder: Path) -> bool:
    """Whether the scripts that a deck needs stand in the folder, or could be fetched into it."""
    if (folder / "require.js").is_file():
        return True
    try:
        vendor(folder, ["reveal.js", "mathjax", "requirejs"])
    except NoScripts as error:
        warnings.warn(f"the decks will need a network: {error}", stacklevel=3)
        return False
    return True


def _as(cell: NotebookNode, kind: str) -> NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell
