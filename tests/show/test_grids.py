"""Two sliders over one grid of pictures, linked in the browser."""

import ipywidgets
import pytest

from rebasin_edu.course.figures.variance_collapse import draw_dial
from rebasin_edu.show.grids import frames_grid
from rebasin_edu.show.widgets import move_all, png


def test_grid_shows_each_picture_where_it_belongs():
    rows, columns = ["0", "1"], ["0", "0.5", "1"]
    pictures = [[f"{row} {column}".encode() for column in columns] for row in rows]
    texts = [[f"text {row} {column}" for column in columns] for row in rows]
    made = frames_grid(
        pictures, rows, columns, descriptions=("rho", "alpha"), texts=texts, start=(1, 2)
    )
    down, across, outer = made.children
    assert (down.description, across.description) == ("rho", "alpha")
    assert (down.index, across.index, outer.selected_index) == (1, 2, 1)
    for i, inner in enumerate(outer.children):
        assert isinstance(inner, ipywidgets.Stack)
        assert inner.selected_index == 2
        for j, page in enumerate(inner.children):
            assert page.children[0].value == pictures[i][j]
            assert texts[i][j] in page.children[1].value
    assert move_all(made) == len(rows) + len(columns)


def test_pictures_are_png_files():
    assert png(draw_dial(0.0, 0.5)).startswith(b"\x89PNG")


@pytest.mark.parametrize("texts", [[["a"]], [["a", "b"], ["c"]]])
def test_a_grid_with_holes_is_refused(texts):
    with pytest.raises(ValueError, match="2 × 2"):
        frames_grid(
            [[b"", b""], [b"", b""]], ["0", "1"], ["0", "1"], descriptions=("a", "b"), texts=texts
        )
