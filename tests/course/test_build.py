"""Stored notebooks are those of their sources, and keep the rules of the course."""

import re
import tempfile
from pathlib import Path

import nbformat
import pytest

import rebasin_edu as rb
from rebasin_edu.course import build

SOURCES = build.source_paths()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_stored_notebook_is_up_to_date(source):
    assert build.differences(source) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_rules_of_the_course(source):
    cells = build.assemble(source).cells[2:]
    for cell in cells:
        if cell.cell_type == "code":
            lines = [
                line
                for line in cell.source.splitlines()
                if line.strip() and not line.strip().startswith("#")
            ]
            assert len(lines) <= 15, f"a cell of {len(lines)} lines: {lines[0]}"
            long = [line for line in cell.source.splitlines() if len(line) > 100]
            assert not long, f"a line of more than 100 characters: {long[0]}"
            assert "from rebasin_edu." not in cell.source.replace(
                "from rebasin_edu.course import", ""
            )
            assert "rb.check" not in cell.source
        else:
            assert not re.search(r"\\\\[a-zA-Z]", cell.source), (
                "a doubled backslash: the formula will not be set"
            )
    numbers = {
        number for cell in cells for number in re.findall(r'check\("(\d\d-\d)"', cell.source)
    }
    assert len(numbers) >= 3
    assert all(number.startswith(source.stem[:2]) for number in numbers)
    for number in numbers:
        tags = [
            cell.metadata.get("tags", []) for cell in cells if f'check("{number}"' in cell.source
        ]
        assert tags == [["exercise"], ["solution"]], (
            f"exercise {number} wants one stub and one solution"
        )
        assert any(
            f"**{number}**" in cell.source and "<details>" in cell.source for cell in cells
        ), f"{number} wants a hint"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_picture_of_a_stored_notebook_has_an_alternative_text(source):
    stored = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    outputs = [output for cell in stored.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    for output in pictures:
        assert len(output.metadata["image/png"]["alt"]) > 20
    assert not any("VBox(" in str(output.get("data", {}).get("text/plain")) for output in outputs)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_closes_with_a_quiz_and_an_open_task(source):
    text = "\n".join(cell.source for cell in build.assemble(source).cells)
    quiz = text.split("## Questions")[1].split("## References")[0]
    questions = quiz.split("\n**")[1:]
    assert len(questions) >= 5
    for question in questions:
        assert question.count("<details>") == question.count("</details>") >= 2
        assert "</summary>Right" in question or "It is; but" in question
    assert "· open ·" in text
    assert "GLOSSARY.md" in text


def test_stored_notebooks_name_no_folder_of_a_machine():
    for source in SOURCES:
        stored = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
        text = "\n".join(str(cell.get("outputs", "")) + cell.source for cell in stored.cells)
        for folder in (Path.home(), build.NOTEBOOKS.parent, Path(tempfile.gettempdir())):
            assert f"{folder}/" not in text, f"{source.stem} shows the folder {folder}"


def test_unknown_tag_and_name(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "NOTEBOOKS", tmp_path)
    (tmp_path / "99_x.py").write_text('# %% tags=["solutoin"]\n1 + 1\n')
    with pytest.raises(build.NotebookError, match="solutoin"):
        build.assemble(tmp_path / "99_x.py")
    with pytest.raises(build.NotebookError, match="98_y"):
        build.source_paths(["98_y"])


def test_build_writes_whole_notebooks_or_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "NOTEBOOKS", tmp_path)
    source = tmp_path / "98_x.py"
    source.write_text('# %%\nprint(40 + 2)\n\n# %% [markdown]\n"""\nwords\n"""\n')
    target = build.build(source)
    assert build.differences(source) == []
    stored = nbformat.read(target, as_version=4)
    assert "42" in str(stored.cells[2].outputs) and "widgets" not in stored.metadata
    source.write_text("# %%\nprint(40 + 3)\n")
    assert any("differs" in line for line in build.differences(source))
    before = target.read_bytes()
    source.write_text("# %%\nraise RuntimeError('no')\n")
    with pytest.raises(Exception, match="no"):
        build.build(source)
    assert target.read_bytes() == before


def test_a_page_without_widgets_shows_the_sheet_with_its_alternative_text():
    curve = rb.Curve((0.0, 0.5, 1.0), (0.1, 0.5, 0.1), (0.9, 0.7, 0.9), (0.0, 0.0, 0.0))
    data, metadata = rb.show.explore(curve)._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("slider", outputs=[output])
    page = build.page(nbformat.v4.new_notebook(cells=[cell]), "99_x")
    assert "VBox(" not in page
    assert 'alt="3 of its 3 positions: alpha 0.00: alpha = 0.00' in page
    assert "image/png" in output.data


def test_solutions_are_folded_and_stubs_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "NOTEBOOKS", tmp_path)
    source = tmp_path / "99_x.py"
    source.write_text('# %% tags=["exercise"]\n...\n\n# %% tags=["solution"]\n1 + 1\n')
    stub, solution = build.assemble(source).cells[2:]
    assert "jupyter" not in stub.metadata
    assert solution.metadata.jupyter.source_hidden
