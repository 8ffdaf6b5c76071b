"""A figure comes apart between its panels and nowhere else, and its title becomes text."""

import base64
import io
import re

import nbformat
import numpy as np
from nbclient import NotebookClient
from PIL import Image

import rebasin_edu as rb
from rebasin_edu.landscape import Curve
from rebasin_edu.show.panels import as_html, contact_sheet, cut, encode, panels
from rebasin_edu.show.style import seams


def curve(**kwargs):
    return Curve((0.0, 0.5, 1.0), (0.1, 0.9, 0.2), (0.9, 0.5, 0.9), (0.0, 0.0, 0.0), **kwargs)


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def test_two_panels_are_two_files_that_make_the_picture_again():
    figure = rb.show.draw_curves(curve())
    whole, (files, title) = pixels(rb.show.png(figure)), panels(figure)
    assert len(files) == 2 and title == ""
    parts = np.hstack([pixels(file) for file in files])
    assert parts.shape == whole.shape
    assert np.abs(parts.astype(int) - whole).mean() < 1  # colours are quantised once more
    for file in files:  # nothing is cut through: the edges are paper
        assert (pixels(file)[:, [0, -1]] >= 250).all()


def test_the_title_is_text_and_not_in_the_picture():
    figure = rb.show.draw_curves(curve(), title="A and B")
    files, title = panels(figure)
    assert title == "A and B"
    missing = pixels(rb.show.png(figure)).shape[0] - pixels(files[0]).shape[0]
    assert 10 < missing < 60
    page = as_html(files, "words", title=title, line="a < b")
    assert page.startswith("<p><strong>A and B</strong></p>")
    assert re.findall('alt="([^"]*)"', page) == ["words", "the panel beside it"]
    assert 'aria-live="polite">a &lt; b</p>' in page


def test_nothing_is_cut_where_a_legend_or_a_colour_bar_belongs_to_both():
    figure, axes = rb.show.new_figure("wide", 1, 2)
    for panel in axes[0]:
        panel.plot([0, 1], [0, 1], label="line")
    rb.show.png(figure)
    assert len(seams(figure)["columns"]) == 1
    figure.legend(*axes[0, 0].get_legend_handles_labels())
    rb.show.png(figure)
    assert seams(figure)["columns"] == []
    figure, axes = rb.show.new_figure("one")
    figure.colorbar(axes[0, 0].imshow(np.eye(3)), ax=axes[0, 0])
    picture = rb.show.png(figure)
    assert len(cut(picture, seams(figure))) == 1


def test_a_notebook_shows_the_picture_whose_seams_it_stores():
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("%matplotlib inline\nimport rebasin_edu as rb"),
            nbformat.v4.new_code_cell(
                "scores = (0.0, 1.0), (0.1, 0.1), (0.9, 0.9), (0.0, 0.0)\n"
                "rb.show.draw_curves(rb.landscape.Curve(*scores), title='the title')"
            ),
        ]
    )
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    (output,) = notebook.cells[1].outputs
    picture = base64.b64decode(output.data["image/png"])
    figure = rb.show.draw_curves(curve(), title="the title")
    assert Image.open(io.BytesIO(picture)).size == tuple(figure.bbox.size), "margins are cut off"
    left, _ = cut(picture, output.metadata["image/png"])
    assert pixels(left)[0].min() > 250, "the title is not whole above the cut"
    assert pixels(left)[:, -1].min() > 250, "the cut runs through a label"


def test_names_in_a_contact_sheet_are_written_in_every_letter_of_the_course():
    blank = encode(Image.new("RGB", (200, 100), "white"))
    letters = "×πρα½−→"
    sheets = {pixels(contact_sheet([blank], [letter])).tobytes() for letter in letters}
    assert len(sheets) == len(letters), "letters that the font lacks all look alike"


def test_panels_stand_side_by_side_in_a_contact_sheet():
    picture = rb.show.png(rb.show.draw_curves(curve(), metrics=("loss",)))
    single = Image.open(io.BytesIO(picture))
    sheet = Image.open(io.BytesIO(contact_sheet([[picture, picture]], ["two"])))
    assert sheet.size == (single.size[0], single.size[1] // 2 + 24)
