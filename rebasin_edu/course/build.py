"""Notebooks and pages from their sources: ``python -m rebasin_edu.course.build [NAME …]``.

``notebooks/NN_name.py`` (jupytext percent format) is the only source. Building puts the badges and
the Colab cell in front, runs it, and writes ``NN_name.ipynb`` with its outputs, so that readers on
GitHub and Colab see the figures. ``--check`` says whether each stored notebook still has the cells
of its source, without running anything. ``--html FOLDER`` writes pages whose sliders move without a
kernel.
"""

from __future__ import annotations

import argparse
import base64
import copy
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from ..show.panels import as_html, cut
from .repository import NOTEBOOKS, REPOSITORY, binder, colab

TAGS = {"nbval-check-output", "exercise", "solution", "quiz", "smoke", "colab", "raises-exception"}
FOLDED = {"solution", "quiz", "smoke", "colab"}  # cells whose source a reader unfolds on demand
LIMIT = 1_500_000  # bytes of a stored notebook

BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "({colab}) "
    "[![Open in Binder](https://mybinder.org/badge_logo.svg)]"
    "({binder})"
)
COLAB = """\
# On Colab only: install what is missing there. Everywhere else this cell does nothing.
import importlib.util
import sys

if "google.colab" in sys.modules and importlib.util.find_spec("rebasin_edu") is None:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/{repository}")"""

# A handle of a slider has no accessible name of its own: it gets the label that stands beside it.
NAME_SLIDERS = """\
<script>
new MutationObserver(() => document.querySelectorAll("[role=slider]:not([aria-label])").forEach(
  handle => {
    const label = handle.closest(".widget-inline-hbox")?.querySelector(".widget-label");
    if (label) handle.setAttribute("aria-label", label.textContent);
  })).observe(document.body, {childList: true, subtree: true});
</script>
"""

# The exporter's grey prompts and some of its colours of code are too pale to be read by everyone.
CONTRAST = """\
<style>
.jp-InputPrompt, .jp-OutputPrompt { color: #595959 !important; opacity: 1 !important; }
.highlight .ow { color: #7700bb !important; }
.highlight .mi, .highlight .mf { color: #006600 !important; }
.highlight .c1 { color: #2f6363 !important; }
</style>
"""


class NotebookError(ValueError):
    """A notebook's source breaks a rule of the course, or its stored copy is out of date."""


def source_paths(names: list[str] | None = None) -> list[Path]:
    """The sources of the named notebooks, or of all of them, in the order of the course."""
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    if unknown := set(names or ()) - {path.stem for path in paths}:
        raise NotebookError(
            f"no notebook source named {sorted(unknown)}; there are {[path.stem for path in paths]}"
        )
    return [path for path in paths if not names or path.stem in names]


def assemble(source: Path) -> nbformat.NotebookNode:
    """The notebook of a source, with badges and Colab cell in front, not run."""
    notebook = jupytext.read(source)
    here = {"repository": REPOSITORY, "colab": colab(source.stem), "binder": binder(source.stem)}
    header = [
        nbformat.v4.new_markdown_cell(BADGES.format(**here)),
        nbformat.v4.new_code_cell(COLAB.format(**here), metadata={"tags": ["colab"]}),
    ]
    notebook.cells = header + notebook.cells
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem[:2]}-{number:03d}"
        tags = set(cell.metadata.get("tags", ()))
        if strange := sorted(tags - TAGS):
            raise NotebookError(
                f"{source.name}, cell {number}: unknown tags {strange}; known are {sorted(TAGS)}"
            )
        if tags & FOLDED:
            cell.metadata["jupyter"] = {"source_hidden": True}
    return notebook


def run(notebook: nbformat.NotebookNode, *, widget_state: bool = False) -> nbformat.NotebookNode:
    """Run every cell; a failing cell raises. ``widget_state`` keeps what an exported page needs to
    show its sliders.
    """
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", store_widget_state=widget_state
    )
    client.execute(cwd=str(NOTEBOOKS))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _progress_bar(output)]
    return notebook


def _progress_bar(output: nbformat.NotebookNode) -> bool:
    return output.output_type == "stream" and output.name == "stderr" and "\r" in output.text


def build(source: Path) -> Path:
    """Run a source and store the notebook beside it, whole or not at all."""
    notebook = run(assemble(source))
    notebook.metadata.pop("widgets", None)
    target = source.with_suffix(".ipynb")
    part = target.with_name(target.name + ".part")
    nbformat.write(notebook, part)
    if part.stat().st_size > LIMIT:
        size = f"{part.stat().st_size / 1e6:.2f} MB, more than {LIMIT / 1e6} MB"
        raise NotebookError(f"{target.name} would have {size}: smaller figures?")
    os.replace(part, target)
    return target


def differences(source: Path) -> list[str]:
    """What a stored notebook has otherwise than its source: nothing, when it is up to date."""
    target = source.with_suffix(".ipynb")
    if not target.exists():
        return [f"{target.name} is missing"]
    stored, wanted = nbformat.read(target, as_version=4), assemble(source)
    faults = []
    if len(stored.cells) != len(wanted.cells):
        counts = f"{len(stored.cells)} cells, its source has {len(wanted.cells)}"
        faults.append(f"{target.name} has {counts}")
    for number, (old, new) in enumerate(zip(stored.cells, wanted.cells)):
        if _content(old) != _content(new):
            first = new.source.splitlines()[:1]
            faults.append(f"{target.name}, cell {number} differs from its source: {first}")
        if any(output.output_type == "error" for output in old.get("outputs", ())):
            faults.append(f"{target.name}, cell {number} has a stored error")
    if "widgets" in stored.metadata:
        faults.append(f"{target.name} carries widget state")
    if target.stat().st_size > LIMIT:
        size = f"{target.stat().st_size / 1e6:.2f} MB, more than {LIMIT / 1e6} MB"
        faults.append(f"{target.name} has {size}")
    return faults


def _content(cell: nbformat.NotebookNode) -> tuple:
    return cell.cell_type, cell.source, cell.metadata.get("tags", [])


def export_page(source: Path, folder: Path) -> Path:
    """Run a notebook and write it as one HTML file in which every slider moves.

    The state of the widgets is in the page; the code that moves them is loaded from a public CDN
    when the page is opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source.stem}.html"
    target.write_text(page(run(assemble(source), widget_state=True), source.stem))
    return target


def page(notebook: nbformat.NotebookNode, name: str) -> str:
    """A notebook that was run as HTML, its pictures with their alternative texts."""
    from nbconvert import HTMLExporter

    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            about = output.get("metadata", {}).get("image/png", {})
            if "alt" in about:  # the exporter's templates leave it out
                output.data["text/html"] = picture_html(output.data.pop("image/png"), about)
    body, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": name}})
    return body.replace("</body>", f"{CONTRAST}{NAME_SLIDERS}</body>")


def picture_html(encoded: str, about: Mapping[str, Any]) -> str:
    """A stored picture as HTML: its alternative text, and its panels stacked where it is narrow."""
    picture = base64.b64decode(encoded)
    files, title = [picture], ""
    if about.get("columns"):
        files, title = cut(picture, about), about["title"]
    return as_html(files, about.get("alt", ""), title=title)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="such as 00_tour; all of them by default"
    )
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    parser.add_argument("--html", type=Path, metavar="FOLDER", help="write pages there instead")
    options = parser.parse_args(arguments)
    stale = []
    for source in source_paths(options.names):
        if options.check:
            stale += differences(source)
            continue
        start = time.perf_counter()
        target = export_page(source, options.html) if options.html else build(source)
        size = f"{target.stat().st_size / 1e3:.0f} kB"
        print(f"{target.name}: {time.perf_counter() - start:.0f} s, {size}")
    if not options.html:
        print("\n".join(stale) if stale else "all notebooks are up to date")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
