"""Every position of a slider has its picture and its words; without widgets there is a sheet."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

import rebasin_edu as rb
from rebasin_edu.landscape import Curve
from rebasin_edu.show.curves import frames_of_curves


def curve(height):
    alphas = np.linspace(0, 1, 5)
    bump = height * alphas * (1 - alphas)
    return Curve(tuple(alphas), tuple(0.1 + bump), tuple(0.9 - bump), tuple(0 * bump))


def figure_of(height):
    return rb.show.draw_curves(curve(height), metrics=("loss",))


def picture():
    return rb.show.png(figure_of(1.0))


def test_explore_stops_at_the_alphas_of_the_curve():
    widget = rb.show.explore({"naive": curve(1.0), "matched": curve(0.0)})
    slider, stack = widget.children
    assert [label for label, _ in slider.options] == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    assert slider.index == stack.selected_index == 2
    assert len({page.value for page in stack.children}) == 5  # five different pictures
    assert "alpha = 0.25" in stack.children[1].value
    assert rb.show.move_all(widget) == 5


def test_only_the_marks_move():
    named = {"naive": curve(1.0)}
    first, last = frames_of_curves(named, ("loss", "accuracy"), (0.0, 1.0))
    whole = rb.show.draw_curves(named)
    width = sum(panel.size[0] for panel in first)
    assert width == round(whole.get_figwidth() * whole.dpi)
    for before, after in zip(first, last):
        changed = (np.asarray(before) != np.asarray(after)).any(-1)
        assert 0 < changed.mean() < 0.1


def test_a_picture_has_an_alternative_text_and_a_line_that_is_read_aloud():
    widget = rb.show.frames([picture()], ["one"], description="x", texts=["a < b & c"])
    page = widget.children[1].children[0].value
    assert 'alt="a &lt; b &amp; c"' in page
    assert '<p role="status" aria-live="polite">a &lt; b &amp; c</p>' in page


def test_frames_want_a_label_each():
    with pytest.raises(ValueError, match="as many labels"):
        rb.show.frames([b"1", b"2"], ["one"], description="x")
    with pytest.raises(ValueError, match="as many labels"):
        rb.show.frames([], [], description="x")


def test_a_slider_draws_each_option_once():
    drawn = []

    def draw(height):
        drawn.append(height)
        return figure_of(height)

    widget = rb.show.slider(draw, [0.0, 0.5], description="height", start=1)
    assert drawn == [0.0, 0.5]
    assert widget.children[0].index == 1
    assert "highest 0.225" in widget.children[1].children[1].value  # what the figure says


def test_a_grid_shows_each_picture_where_it_belongs():
    rows, columns = (0.0, 1.0), (0.0, 0.5, 1.0)
    widget = rb.show.slider_grid(
        lambda row, column: figure_of(row + column),
        rows,
        columns,
        descriptions=("rho", "alpha"),
        text=lambda row, column: f"text {row} {column}",
        start=(1, 2),
    )
    down, across, outer = widget.children
    assert (down.description, across.description) == ("rho", "alpha")
    assert (down.index, across.index, outer.selected_index) == (1, 2, 1)
    for row, stack in zip(rows, outer.children):
        assert stack.selected_index == 2
        for column, page in zip(columns, stack.children):
            assert f"text {row} {column}" in page.value
    assert rb.show.move_all(widget) == 5
    with pytest.raises(ValueError, match="2 × 0"):
        rb.show.slider_grid(figure_of, rows, (), descriptions=("a", "b"), text=str)


def test_a_page_without_widgets_shows_a_contact_sheet_and_a_sentence():
    heights = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    widget = rb.show.slider(figure_of, heights, description="height", text="height {}".format)
    data, metadata = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"].startswith("A slider; run the notebook to move it.")
    assert "height 1.0" in metadata["image/png"]["alt"]
    single = Image.open(io.BytesIO(picture()))
    sheet = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert sheet.size == (single.size[0] // 2 * 2, (single.size[1] // 2 + 24) * 2)
