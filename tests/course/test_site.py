"""The site: what its pages are made of. In a browser: test_site_pages.py."""

import json
import re

import nbformat
import pytest

import rebasin_edu as rb
from rebasin_edu.course import site, site_pages, vendor
from rebasin_edu.course.repository import NOTEBOOKS, binder, colab, stored_notebooks

FIRST = stored_notebooks()[0]


def stored(name="00_tour"):
    return nbformat.read(stored_notebooks([name])[0], as_version=4)


def test_a_page_has_links_texts_and_folded_solutions():
    page = site.page_of(stored(), "00_tour")
    first = page.cells[1] if page.cells[0].cell_type == "code" else page.cells[0]
    assert colab("00_tour") in first.source and binder("00_tour") in first.source
    assert first.source.startswith("# 00 · ")
    assert "colab-badge.svg" not in json.dumps(page)  # a picture of another host
    tags = [set(cell.metadata.tags) for cell in page.cells]
    assert all("hide-cell" in each for each in tags if "solution" in each)
    assert all("remove-cell" in each for each in tags if each & {"smoke", "colab"})
    outputs = [output for cell in page.cells for output in cell.get("outputs", ())]
    pictures = [o.data["text/html"] for o in outputs if "<img" in str(o.get("data", {}))]
    assert pictures and all(re.search(r'alt="[^"]{20,}"', picture) for picture in pictures)
    assert not any("image/png" in o.get("data", {}) for o in outputs)


def test_the_index_has_a_picture_and_a_question_for_each_notebook(tmp_path):
    page = site.page_of(stored(), "00_tour")
    card = site.card(page, "00_tour", tmp_path)
    assert (tmp_path / "pictures/00_tour.png").read_bytes().startswith(b"\x89PNG")
    index = site_pages.index_page([card])
    assert "What is the network midway" in index and 'alt="' in index
    assert index.count('class="card"') == 1 and "\n00_tour\n" in index
    asked = site.card(nbformat.read(NOTEBOOKS / "06_any_architecture.ipynb", 4), "06", tmp_path)
    assert "your model?" in asked["question"], "marks of Markdown are no text"


def test_the_reference_lists_all_that_is_public():
    text = site_pages.api_page()
    for name in rb.__all__:
        assert re.search(rf":: rebasin_edu\.{name}\n", text), name
    assert "rebasin_edu.show.draw_curves" in text and "rebasin_edu.errors.SpecError" in text


def test_the_page_on_specs_draws_its_picture(tmp_path):
    text = site_pages.spec_page(tmp_path)
    assert (tmp_path / "spec.png").read_bytes().startswith(b"\x89PNG")
    assert "stem.weight" in text and "inner.weight" in text


def test_notebooks_are_run_once(tmp_path, monkeypatch):
    new = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell("print(40 + 2)", id="a")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "98_x.ipynb")
    first = site.executed(tmp_path / "98_x.ipynb", tmp_path / "kept")
    assert "42" in str(first.cells[0].outputs)
    monkeypatch.setattr("nbclient.NotebookClient.execute", None)  # no second run
    assert site.executed(tmp_path / "98_x.ipynb", tmp_path / "kept") == first


def test_without_npm_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path))
    monkeypatch.setattr(vendor.shutil, "which", lambda name: None)
    with pytest.raises(vendor.NoScripts, match=r"Node\.js"):
        vendor.vendor(tmp_path / "x", ["requirejs"])
