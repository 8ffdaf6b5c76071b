"""The course as it is handed out: student copies without answers, an instructor set with all of
them and with notes, and sources that nbgrader assigns and marks.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from .repository import NOTEBOOKS, stored_notebooks
from .slides import write_deck

POINTS = {"easy": 1, "medium": 2, "hard": 3}
FIGURE_POINTS = 2  # of a figure, marked by hand beside its target
OPEN_POINTS = 4  # of the open task, marked by hand with the rubric of TEACHING.md
HIDDEN = {"solution", "smoke"}  # cells that a student copy leaves out
CHECK = re.compile(r'^(?:# )?(check\("(\d\d-\d+)", .*\))$', re.M)
TASK = re.compile(r"^\*\*(\d\d-\d+)\*\* · (\w+) ·", re.M)
OPEN = re.compile(r"^\*\*[^*]+\*\* · open ·", re.M)
QUIZ = re.compile(r"<details><summary>(.*?)</summary>.*?</details>", re.S)
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"  # what nbgrader cuts at

CONFIG = '''\
"""nbgrader: assignments are the folders of source/. See TEACHING.md."""

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "rebasin"
c.ClearSolutions.code_stub = {"python": ""}  # the stub above each solution is what students get
c.ExecutePreprocessor.timeout = 600
c.Execute.timeout = 600
'''


def write_editions(
    folder: str | os.PathLike,
    names: Sequence[str] = (),
    *,
    keep_quiz: bool = False,
    slides: bool = True,
) -> list[Path]:
    """Write ``student/``, ``instructor/``, ``nbgrader/`` and ``slides/`` into a folder.

    Args:
        names: such as ``00_tour``; all notebooks where there are none.
        keep_quiz: leave the answers of the quizzes in the student copies, for self-study.
        slides: also write a reveal.js deck for each notebook.

    Returns:
        The folders written.
    """
    folder, paths = Path(folder), stored_notebooks(list(names))
    student, instructor, nbgrader, decks = (
        folder / part for part in ("student", "instructor", "nbgrader", "slides")
    )
    guide = (NOTEBOOKS / "TEACHING.md").read_text(encoding="utf-8")
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        _write(student_copy(notebook, keep_quiz=keep_quiz), student / path.name)
        _write(instructor_copy(notebook, notes(guide, path.stem[:2])), instructor / path.name)
        _write(nbgrader_source(notebook), nbgrader / "source" / path.stem / path.name)
        if slides:
            write_deck(notebook, decks / f"{path.stem}.slides.html")
    (nbgrader / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    shutil.copyfile(NOTEBOOKS / "GLOSSARY.md", student / "GLOSSARY.md")
    for text in ("GLOSSARY.md", "DATA.md", "TEACHING.md"):
        shutil.copyfile(NOTEBOOKS / text, instructor / text)
    return [student, instructor, nbgrader, *([decks] if slides else [])]


def student_copy(notebook: NotebookNode, *, keep_quiz: bool = False) -> NotebookNode:
    """Return a notebook without solutions, outputs and answers of the quiz.

    Stubs and hints stay; the picture that a solution draws stays as the target, below its stub.
    Each stub is followed by a cell that checks it, so that a run stops at the stubs alone.
    """
    cells: list[NotebookNode] = []
    for cell, solution in _with_solutions(notebook):
        if cell.cell_type == "markdown":
            cells += _texts(cell, keep_quiz)
        elif "exercise" in _tags(cell):
            cells += _exercise(cell, solution, _points(notebook))
        else:
            cells.append(_unrun(cell))
    return _whole(notebook, cells)


def instructor_copy(notebook: NotebookNode, text: str) -> NotebookNode:
    """Return a notebook with solutions unfolded, and with the notes for teachers in front."""
    cells = copy.deepcopy(notebook.cells)
    for cell in cells:
        if "solution" in _tags(cell):
            cell.metadata.pop("jupyter", None)
    if text:
        note = nbformat.v4.new_markdown_cell(f"> **For teachers**\n\n{text}", id="teaching-notes")
        cells.insert(2, note)
    return _whole(notebook, cells)


def nbgrader_source(notebook: NotebookNode) -> NotebookNode:
    """Return the student copy with each solution between the marks at which nbgrader cuts."""
    cells = {}
    for cell, solution in _with_solutions(notebook):
        if solution is not None:
            cells[cell.id] = CHECK.sub("", solution.source).strip()
    source = student_copy(notebook)
    for cell in source.cells:
        if cell.id in cells:
            cell.source = f"{cell.source}\n\n{BEGIN}\n{cells[cell.id]}\n{END}"
    return source


def notes(guide: str, number: str) -> str:
    """Return what the teaching guide says of one notebook: its section ``### NN …``."""
    found = re.search(rf"^### {number} .*?(?=^##|\Z)", guide, re.M | re.S)
    return found[0].strip() if found else ""


def _with_solutions(notebook: NotebookNode) -> list[tuple[NotebookNode, NotebookNode | None]]:
    """The cells that a student sees; beside each stub the solution that follows it."""
    seen: list[tuple[NotebookNode, NotebookNode | None]] = []
    for cell in notebook.cells:
        if "solution" in _tags(cell):
            stub, solved = seen[-1]
            if "exercise" in _tags(stub) and solved is None:
                seen[-1] = (stub, cell)
        elif not _tags(cell) & HIDDEN:
            seen.append((cell, None))
    return seen


def _exercise(
    cell: NotebookNode, solution: NotebookNode | None, points: dict[str, int]
) -> list[NotebookNode]:
    """The stub of an exercise, the figure to arrive at, and the cell that checks the answer.

    An exercise whose answer is a figure has no check: it is marked by hand.
    """
    found = CHECK.search(cell.source)
    number = found[2] if found else cell.id
    about = _nbgrader(number, solution=True, points=None if found else FIGURE_POINTS)
    stub = nbformat.v4.new_code_cell(
        CHECK.sub("", cell.source).strip(),
        id=cell.id,
        metadata={"tags": ["exercise"], "nbgrader": about},
    )
    cells = [stub, *_targets(solution, number)]
    if found:
        test = nbformat.v4.new_code_cell(
            f"from rebasin_edu.course import check\n\n{found[1]}",
            id=f"{cell.id}-check",
            metadata={"nbgrader": _nbgrader(number, points=points.get(number, 1))},
        )
        cells.append(test)
    return cells


def _nbgrader(number: str, *, solution: bool = False, points: int | None = None) -> dict:
    """What nbgrader reads of a cell: an answer, a test with its points, or both (by hand)."""
    kind = "test" if points is not None and not solution else "answer"
    about = {
        "schema_version": 3,
        "grade_id": f"{kind}-{number}",
        "grade": points is not None,
        "solution": solution,
        "locked": not solution,
        "task": False,
        "cell_type": "code",
    }
    return about | ({"points": points} if points is not None else {})


def _points(notebook: NotebookNode) -> dict[str, int]:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return {number: POINTS.get(difficulty, 1) for number, difficulty in TASK.findall(text)}


def _targets(solution: NotebookNode | None, number: str) -> list[NotebookNode]:
    """The pictures that a solution drew, as what the reader's own should look like."""
    outputs = solution.outputs if solution is not None else []
    cells: list[NotebookNode] = []
    for output in outputs:
        if "image/png" in output.get("data", {}):
            alt = output.metadata.get("image/png", {}).get("alt", f"the target of {number}")
            name = f"target-{number}-{len(cells)}"
            target = nbformat.v4.new_markdown_cell(
                f"The figure to arrive at:\n\n![{alt}](attachment:{name}.png)", id=name
            )
            target.attachments = {f"{name}.png": {"image/png": output.data["image/png"]}}
            cells.append(target)
    return cells


def _texts(cell: NotebookNode, keep_quiz: bool) -> list[NotebookNode]:
    """A text without the answers of its quiz; an open task gets a cell for the answer."""
    parts = re.split(r"^(?=## Questions$)", cell.source, flags=re.M)
    cells = []
    for k, part in enumerate(parts):
        if part.startswith("## Questions") and not keep_quiz:
            part = QUIZ.sub(r"* \1", part)
        if part.strip():
            name = f"{cell.id}-quiz" if k else cell.id
            cells.append(nbformat.v4.new_markdown_cell(part.strip(), id=name))
        if OPEN.search(part):
            about = _nbgrader(f"open-{cell.id}", solution=True, points=OPEN_POINTS)
            place = "# The open task: your work and your figure here.\n"
            answer = nbformat.v4.new_code_cell(place, metadata={"nbgrader": about})
            answer.id = f"{cell.id}-open"
            cells.append(answer)
    return cells


def _unrun(cell: NotebookNode) -> NotebookNode:
    tags = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
    return nbformat.v4.new_code_cell(cell.source, id=cell.id, metadata=tags)


def _whole(notebook: NotebookNode, cells: list[NotebookNode]) -> NotebookNode:
    known = ("kernelspec", "language_info")
    metadata = {name: notebook.metadata[name] for name in known if name in notebook.metadata}
    return nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(metadata))


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def _write(notebook: NotebookNode, path: Path) -> None:
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
