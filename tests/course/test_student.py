"""The student edition: no answer leaks, and a copy fails at its own stubs and nowhere else."""

import ast
import json
import re

import nbformat
import pytest
from nbclient import NotebookClient

from rebasin_edu.course import student
from rebasin_edu.course.repository import NOTEBOOKS, stored_notebooks
from rebasin_edu.course.slides import deck, headlines

PATHS = stored_notebooks()
BY_NAME = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def tags(cell):
    return set(cell.metadata.get("tags", ()))


def lines(source):
    """The statements of a cell, a line each, however they were laid out."""
    return {line.strip() for line in ast.unparse(ast.parse(source)).splitlines() if line.strip()}


def kept(notebook):
    return [cell for cell in notebook.cells if not tags(cell) & {"solution", "smoke"}]


@BY_NAME
def test_no_solution_leaks(path):
    notebook = read(path)
    copy = student.student_copy(notebook)
    whole = json.dumps(copy)
    known = set()
    for cell in kept(notebook):
        if cell.cell_type == "code":
            known |= lines(cell.source)
    written = set().union(*(lines(c.source) for c in copy.cells if c.cell_type == "code"))
    solutions = [cell for cell in notebook.cells if "solution" in tags(cell)]
    assert len(solutions) >= 2
    for cell in solutions:
        answer = {line for line in lines(cell.source) if not line.startswith("check(")} - known
        assert answer, "a solution that adds nothing to the notebook"
        assert not answer & written
        for line in (line for line in answer if len(line) > 11):  # "else:" stands in any text
            assert json.dumps(line)[1:-1] not in whole, f"{line!r} of a solution is in the copy"
    for cell in copy.cells:
        assert not cell.get("outputs") and not cell.get("execution_count")
        assert not tags(cell) & {"solution", "smoke"}
        assert set(cell.metadata) <= {"tags", "nbgrader"}
    assert set(copy.metadata) <= {"kernelspec", "language_info"}
    assert ": right. " not in whole and "</summary>Right" not in whole


@BY_NAME
def test_what_helps_stays(path):
    notebook = read(path)
    copy = student.student_copy(notebook)
    text = "\n".join(cell.source for cell in notebook.cells)
    copied = "\n".join(cell.source for cell in copy.cells)
    assert copied.count("<summary>Hint</summary>") == text.count("<summary>Hint</summary>") >= 2
    stubs = [cell for cell in copy.cells if "exercise" in tags(cell)]
    graded = [cell for cell in copy.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    tests = [cell for cell in graded if cell.metadata.nbgrader.locked]
    assert len(tests) == len(re.findall(r"^# check\(", text, re.M)) >= 2
    assert len(graded) == len(stubs) + len(student.OPEN.findall(text))
    assert all("check(" not in cell.source for cell in stubs)
    ids = [cell.metadata.nbgrader.grade_id for cell in copy.cells if "nbgrader" in cell.metadata]
    assert len(ids) == len(set(ids))
    nbformat.validate(copy)


def test_quiz_answers_stay_on_request():
    text = "## Questions\n\n**1.** Why?\n<details><summary>So.</summary>Right.</details>\n"
    cell = nbformat.v4.new_markdown_cell("## Recap\n\n" + text)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    without = student.student_copy(notebook).cells[-1].source
    assert "* So." in without and "Right" not in without
    assert "Right" in student.student_copy(notebook, keep_quiz=True).cells[-1].source


def example():
    """A notebook with one exercise whose answer is a figure."""
    figure = nbformat.v4.new_output(
        "display_data", {"image/png": "iVBORw0KGgo="}, metadata={"image/png": {"alt": "a hill"}}
    )
    new = nbformat.v4
    return new.new_notebook(
        cells=[
            new.new_markdown_cell("badges"),
            new.new_code_cell("import sys", metadata={"tags": ["colab"]}),
            new.new_markdown_cell("# 98 · Title\n\n**98-1** · hard · 3 minutes."),
            new.new_code_cell('x = ...\n# check("98-1", x)', metadata={"tags": ["exercise"]}),
            new.new_code_cell(
                'x = 41 + 1\ncheck("98-1", x)',
                metadata={"tags": ["solution"], "jupyter": {"source_hidden": True}},
                outputs=[figure],
            ),
            new.new_code_cell("assert x", metadata={"tags": ["smoke"]}),
        ]
    )


def test_the_figure_of_a_solution_is_the_target():
    cells = student.student_copy(example()).cells
    stub, target, test = cells[-3:]
    assert stub.source == "x = ..." and test.source.endswith('check("98-1", x)')
    assert "![a hill](attachment:" in target.source and len(target.attachments) == 1
    assert test.metadata.nbgrader["points"] == 3 and test.metadata.nbgrader["locked"]
    assert "41 + 1" not in json.dumps(cells)


def test_an_exercise_whose_answer_is_a_figure_is_marked_by_hand():
    notebook = example()
    notebook.cells[3].source = "# your figure"
    stub, target = student.student_copy(notebook).cells[-2:]
    about = stub.metadata.nbgrader
    assert about.grade and about.solution and not about.locked and about.points == 2
    assert "attachment:" in target.source


def test_a_solution_without_a_stub_takes_no_other_stub():
    notebook = example()
    extra = nbformat.v4.new_code_cell("z = 99", metadata={"tags": ["solution"]})
    notebook.cells += [nbformat.v4.new_markdown_cell("**More** · open · an evening."), extra]
    source = student.nbgrader_source(notebook)
    assert "41 + 1" in json.dumps(source) and "z = 99" not in json.dumps(source)


def test_the_instructor_set_has_solutions_and_notes():
    copy = student.instructor_copy(example(), "### 98 notes")
    assert "### 98 notes" in copy.cells[2].source
    solution = next(cell for cell in copy.cells if "solution" in tags(cell))
    assert solution.outputs and "jupyter" not in solution.metadata


def test_nbgrader_cuts_at_its_marks():
    stub = next(cell for cell in student.nbgrader_source(example()).cells if "41" in cell.source)
    assert stub.source == "x = ...\n\n### BEGIN SOLUTION\nx = 41 + 1\n### END SOLUTION"


def test_a_slide_says_the_first_sentence_and_keeps_the_rest_as_notes():
    assert headlines("## A\n\nOne. Two.\n\n| a | b |") == "## A\n\nOne.\n\n| a | b |"
    assert headlines("With $x = 1. y$ in it. More.") == "With $x = 1. y$ in it. More."
    cells = deck(example()).cells
    assert [cell.metadata.slideshow.slide_type for cell in cells] == ["slide", "subslide"]
    assert "41 + 1" not in json.dumps(cells)


def test_editions_are_written(tmp_path):
    folders = student.write_editions(tmp_path, ["00_tour"], slides=False)
    assert [folder.name for folder in folders] == ["student", "instructor", "nbgrader"]
    assert (tmp_path / "nbgrader/source/00_tour/00_tour.ipynb").is_file()
    assert (tmp_path / "student/GLOSSARY.md").read_bytes() == (
        NOTEBOOKS / "GLOSSARY.md"
    ).read_bytes()
    assert not (tmp_path / "student/TEACHING.md").exists()
    assert "For teachers" in (tmp_path / "instructor/00_tour.ipynb").read_text()
    with pytest.raises(ValueError, match="98_x"):
        student.write_editions(tmp_path, ["98_x"])


@pytest.mark.parametrize(
    "path",
    [
        PATHS[0],
        *(pytest.param(path, marks=pytest.mark.slow) for path in PATHS[1:]),  # a run each
    ],
    ids=lambda path: path.stem,
)
def test_a_copy_fails_only_at_its_own_stubs(path, monkeypatch):
    monkeypatch.setenv("REBASIN_EDU_FAST", "1")
    copy = student.student_copy(read(path))
    NotebookClient(copy, timeout=900, kernel_name="python3", allow_errors=True).execute(
        cwd=str(NOTEBOOKS)
    )
    failed = {
        cell.metadata.get("nbgrader", {}).get("grade_id", cell.source)
        for cell in copy.cells
        if any(output.output_type == "error" for output in cell.get("outputs", ()))
    }
    tests = {
        cell.metadata.nbgrader.grade_id
        for cell in copy.cells
        if cell.metadata.get("nbgrader", {}).get("locked")
    }
    assert failed == tests
