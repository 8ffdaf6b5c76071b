"""Notebooks from their sources: ``python -m rebasin_edu.course.build [--check] [NAME …]``.

``notebooks/NN_name.py`` (jupytext percent format) is the only source. Building puts the badges and
the Colab cell in front, runs it, and writes ``NN_name.ipynb`` with its outputs, so that readers on
GitHub and Colab see the figures. ``--check`` says whether each stored notebook still has the cells
of its source, without running anything.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat

REPOSITORY = "rebasin-edu/rebasin_edu"  # where the badges point
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
TAGS = {"nbval-check-output", "exercise", "solution", "smoke", "colab", "raises-exception"}
LIMIT = 1_500_000  # bytes of a stored notebook

BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb) "
    "[![Open in Binder](https://mybinder.org/badge_logo.svg)]"
    "(https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/notebooks/{name}.ipynb)"
)
COLAB = """\
# On Colab only: install what is missing there. Everywhere else this cell does nothing.
import importlib.util
import sys

if "google.colab" in sys.modules and importlib.util.find_spec("rebasin_edu") is None:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/{repository}")"""


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
    here = {"repository": REPOSITORY, "name": source.stem}
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
        if strange := set(cell.metadata.get("tags", ())) - TAGS:
            raise NotebookError(
                f"{source.name}, cell {number}: unknown tags {sorted(strange)}; known are {sorted(TAGS)}"
            )
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
        raise NotebookError(
            f"{target.name} would have {part.stat().st_size / 1e6:.2f} MB, more than {LIMIT / 1e6} MB: smaller figures?"
        )
    os.replace(part, target)
    return target


def differences(source: Path) -> list[str]:
    """What a stored notebook has otherwise than its source: nothing, when it is up to date."""
    target = source.with_suffix(".ipynb")
    if not target.exists():
        return [f"{target.name} is missing"]
    stored, wanted = nbformat.read(target, as_version=4), assemble(source)
    found = []
    if len(stored.cells) != len(wanted.cells):
        found.append(
            f"{target.name} has {len(stored.cells)} cells, its source has {len(wanted.cells)}"
        )
    for number, (old, new) in enumerate(zip(stored.cells, wanted.cells)):
        if (old.cell_type, old.source, old.metadata.get("tags", [])) != (
            new.cell_type,
            new.source,
            new.metadata.get("tags", []),
        ):
            found.append(
                f"{target.name}, cell {number} differs from its source: {new.source.splitlines()[:1]}"
            )
        if any(output.output_type == "error" for output in old.get("outputs", ())):
            found.append(f"{target.name}, cell {number} has a stored error")
    if "widgets" in stored.metadata:
        found.append(f"{target.name} carries widget state")
    if target.stat().st_size > LIMIT:
        found.append(
            f"{target.name} has {target.stat().st_size / 1e6:.2f} MB, more than {LIMIT / 1e6} MB"
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="such as 00_tour; all of them by default"
    )
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    options = parser.parse_args(arguments)
    stale = []
    for source in source_paths(options.names):
        if options.check:
            stale += differences(source)
            continue
        start = time.perf_counter()
        target = build(source)
        print(
            f"{target.name}: {time.perf_counter() - start:.0f} s, {target.stat().st_size / 1e3:.0f} kB"
        )
    print("\n".join(stale) if stale else "all notebooks are up to date")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
