"""The teaching guide names sections, exercises and notebooks that exist."""

import re

import nbformat
import pytest

from rebasin_edu.course.repository import NOTEBOOKS, stored_notebooks
from rebasin_edu.course.student import notes

GUIDE = (NOTEBOOKS / "TEACHING.md").read_text(encoding="utf-8")
COURSE = {path.stem[:2]: path for path in stored_notebooks()}
SECTIONS = re.findall(r"(\d\d)[^“”|\n]{0,4}“([^”]+)”", GUIDE.replace("\n", " "))


def text(number):
    cells = nbformat.read(COURSE[number], as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_sections_that_it_names_exist():
    assert len(SECTIONS) >= 20
    for number, section in SECTIONS:
        if number in COURSE:
            assert f"## {section}\n" in text(number), f"{number} has no section “{section}”"


def test_exercises_that_it_names_exist():
    named = set(re.findall(r"\b(\d\d-\d)\b", GUIDE))
    known = {number for path in COURSE.values() for number in checks(path)}
    assert len(named) >= 12
    assert {number for number in named if number[:2] in COURSE} <= known


def checks(path):
    return re.findall(r'check\("(\d\d-\d)"', path.read_text(encoding="utf-8").replace('\\"', '"'))


@pytest.mark.parametrize("number", COURSE)
def test_every_notebook_has_notes_questions_and_a_row(number):
    found = notes(GUIDE, number)
    assert found.startswith(f"### {number} ") and found.count("### ") == 1
    for word in ("**Aim.**", "**Discuss.** (1)", "(3)", "**Watch for.**"):
        assert word in found
    assert re.search(rf"^\| {number} [^|]+\| \d+ min \|", GUIDE, re.M)


@pytest.mark.parametrize("number", COURSE)
def test_minutes_are_those_of_the_notebook(number):
    row = re.search(rf"^\| {number} [^|]+\| (\d+) min \|", GUIDE, re.M)
    card = re.search(r"\*\*Time\*\* \| (?:about )?(\d+) minutes", text(number))
    if row and card:
        assert row[1] == card[1]


def test_notes_of_a_notebook_end_where_the_next_begins():
    assert "01 symmetry" not in notes(GUIDE, "00")
    assert "Common misconceptions" not in notes(GUIDE, "12")
    assert notes(GUIDE, "99") == ""
