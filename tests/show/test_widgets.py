"""Sliders: every position has its picture and its words, and a broken one says so."""

import numpy as np
import pytest

from rebasin_edu.landscape import Curve
from rebasin_edu.show.curves import draw_curves
from rebasin_edu.show.widgets import explore, frames, live, move_all


def curve(height: float) -> Curve:
    alphas = np.linspace(0, 1, 5)
    bump = height * alphas * (1 - alphas)
    return Curve(tuple(alphas), tuple(0.1 + bump), tuple(0.9 - bump), tuple(0 * bump))


def test_explore_moves_without_a_kernel():
    widget = explore({"naive": curve(1.0), "matched": curve(0.0)}, steps=5)
    slider, stack = widget.children
    assert [label for label, _ in slider.options] == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    assert slider.index == stack.selected_index == 2
    assert len({page.children[0].value for page in stack.children}) == 5  # five different pictures
    assert "alpha = 0.25" in stack.children[1].children[1].value
    assert move_all(widget) == 5


def test_frames_want_a_label_each():
    with pytest.raises(ValueError, match="as many labels"):
        frames([b"1", b"2"], ["one"], description="x")
    with pytest.raises(ValueError, match="as many labels"):
        frames([], [], description="x")


def test_words_are_escaped():
    widget = frames([b"1"], ["one"], description="x", texts=["a < b & c"])
    assert "a &lt; b &amp; c" in widget.children[1].children[0].children[1].value


def test_live_draws_where_it_stands():
    seen = []

    def draw(height):
        seen.append(height)
        return draw_curves(curve(height), metrics=("loss",))

    widget = live(
        draw, [0.0, 0.5, 1.0], description="height", text=lambda height: f"height {height}"
    )
    assert seen == [0.0]
    widget.children[0].value = 2
    assert seen[-1] == 1.0 and "height 1.0" in widget.children[2].value
    assert move_all(widget) == 3


def test_a_failing_callback_raises():
    def draw(height):
        if height:
            raise RuntimeError("cannot draw this one")
        return draw_curves(curve(height), metrics=("loss",))

    widget = live(draw, [0, 1], description="height")
    with pytest.raises(RuntimeError, match="cannot draw"):
        move_all(widget)
