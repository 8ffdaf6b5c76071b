"""The course as static pages: every slider moves without a kernel, nothing is fetched by readers.

The pages are Sphinx's, with myst-nb and furo (extra ``site``); this file only lays their source
out: executed notebooks with the state of their widgets, an index, the API reference.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..lab.dataset_files import cache_dir
from ..storage import write_atomically
from .build import picture_html
from .repository import NOTEBOOKS, REPOSITORY, binder, colab, stored_notebooks
from .site_pages import api_page, index_page, spec_page
from .vendor import vendor

SOURCE = Path(__file__).parent / "site_source"  # conf.py, styles and scripts
RESULTS = NOTEBOOKS.parent / "benchmarks" / "results"
SCRIPTS = ("requirejs", "@jupyter-widgets/html-manager", "mathjax")
FOLDED = {"solution": "hide-cell", "smoke": "remove-cell", "colab": "remove-cell"}


def build_site(
    folder: str | os.PathLike,
    names: Sequence[str] = (),
    *,
    cache: str | os.PathLike | None = None,
) -> Path:
    """Write the site into a folder, and return the path of its first page.

    A notebook is run once, for the state of its widgets, and again when a cell of it has changed,
    or a file of the package that it may call.

    Args:
        names: such as ``00_tour``; all notebooks where there are none.
        cache: where executed notebooks are kept; ``None`` takes the user's cache.

    Raises:
        RuntimeError: npm or Sphinx is missing or says no; the message has its last words.
    """
    folder = Path(folder)
    kept = Path(cache) if cache is not None else cache_dir() / "site"
    work = folder.parent / f".{folder.name}-source"
    shutil.rmtree(work, ignore_errors=True)
    source = work / "pages"
    shutil.copytree(SOURCE, source)
    vendor(source / "_static" / "vendor", SCRIPTS)
    cards = []
    for path in stored_notebooks(list(names)):
        notebook = page_of(executed(path, kept), path.stem)
        nbformat.write(notebook, source / path.name)
        cards.append(card(notebook, path.stem, source / "_static"))
    for text in NOTEBOOKS.glob("*.md"):
        shutil.copyfile(text, source / text.name)
    if RESULTS.is_dir():  # in a clone, and not in a wheel
        shutil.copytree(RESULTS, source / "results", ignore=shutil.ignore_patterns("*.json"))
    index = index_page(cards, results=RESULTS.is_dir())
    (source / "index.md").write_text(index, encoding="utf-8")
    (source / "api.rst").write_text(api_page(), encoding="utf-8")
    (source / "spec.md").write_text(spec_page(source / "_static"), encoding="utf-8")
    _sphinx(source, work / "html")  # myst-nb writes beside it too
    shutil.copytree(work / "html", folder, dirs_exist_ok=True)
    shutil.rmtree(work)
    return folder / "index.html"


def executed(path: Path, kept: Path) -> NotebookNode:
    """Return a notebook that was run, with the state of its widgets, from the cache if it is there.

    Args:
        kept: the folder of the cache.
    """
    notebook = nbformat.read(path, as_version=4)
    key = hashlib.sha256("\0".join(cell.source for cell in notebook.cells).encode())
    package = Path(__file__).parents[1]
    for file in sorted(package.rglob("*.py")):
        if file.parent.name != "cli" and (file.parent.name != "course" or file.name == "check.py"):
            key.update(file.read_bytes())
    target = kept / f"{path.stem}-{key.hexdigest()[:16]}.ipynb"
    if target.is_file():
        return nbformat.read(target, as_version=4)
    from nbclient import NotebookClient

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(notebook, timeout=1800, kernel_name="python3", store_widget_state=True)
    client.execute(cwd=str(NOTEBOOKS))
    kept.mkdir(parents=True, exist_ok=True)
    write_atomically(target, lambda part: nbformat.write(notebook, part))
    return notebook


def page_of(notebook: NotebookNode, name: str) -> NotebookNode:
    """Return an executed notebook as the site shows it.

    Badges give way to links, solutions are folded, pictures get their alternative texts.
    """
    notebook = copy.deepcopy(notebook)
    cells = notebook.cells[1:]  # the badges are pictures of other hosts
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": [*tags, *(FOLDED[tag] for tag in tags if tag in FOLDED)]}
        for output in cell.get("outputs", ()):
            _with_text(output)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    first = next(cell for cell in cells if cell.cell_type == "markdown")
    heading, _, rest = first.source.partition("\n")
    links = (
        f'<p class="launch"><a href="{colab(name)}">Open in Colab</a> '
        f'<a href="{binder(name)}">Open in Binder</a> '
        f'<a href="https://github.com/{REPOSITORY}/blob/main/notebooks/{name}.ipynb">Source</a></p>'
    )
    first.source = f"{heading}\n\n{links}\n{rest}"
    notebook.cells = cells
    return notebook


def card(notebook: NotebookNode, name: str, static: Path) -> dict[str, str]:
    """Return title, question and picture of a notebook for the index; the picture is written."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    question = re.search(r"\*\*Question\*\* \| (.+?) \|", text)
    pictures = re.findall(
        r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)"',
        "".join(
            output.data.get("text/html", "")
            for cell in notebook.cells
            for output in cell.get("outputs", ())
            if "data" in output
        ),
    )
    found = {
        "name": name,
        "title": text.split("\n", 1)[0].removeprefix("# ").strip(),
        "question": question[1].replace("*", "") if question else "",
        "alt": "",
    }
    if pictures:
        picture, found["alt"] = pictures[0]
        folder = static / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(base64.b64decode(picture))
    return found


def _with_text(output: NotebookNode) -> None:
    """Give a picture its alternative text; what a widget shows elsewhere is not needed here."""
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        data.pop("image/png", None)
    elif "image/png" in data:
        about = output.metadata.get("image/png", {})
        data["text/html"] = picture_html(data.pop("image/png"), about)


def _sphinx(source: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No module named sphinx" in done.stderr:
        raise RuntimeError("the builder is not installed: pip install 'rebasin_edu[site]'")
    if done.returncode != 0:
        raise RuntimeError(f"sphinx stops: {done.stderr[-2000:]}")
    if done.stderr.strip():
        print(done.stderr.strip()[-4000:], file=sys.stderr)
