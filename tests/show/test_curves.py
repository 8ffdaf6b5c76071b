"""Figures are pure, stay closed, and draw what the numbers say."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from rebasin_edu.course.figures import units
from rebasin_edu.landscape import Curve
from rebasin_edu.show import curves as figures
from rebasin_edu.show import style as palette
from rebasin_edu.show import widgets as sliders

ALPHAS = tuple(np.linspace(0, 1, 11))


def curve(height: float, alphas=ALPHAS) -> Curve:
    bump = 4 * np.array(alphas) * (1 - np.array(alphas))
    return Curve(
        alphas, tuple(0.1 + height * bump), tuple(0.98 - 0.3 * height * bump), tuple(0 * bump)
    )


@pytest.fixture(autouse=True)
def nothing_stays():
    import matplotlib
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    yield
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_curves_show_their_barriers_and_both_ends():
    drawn = figures.draw_curves({"naive": curve(1.0), "matched": curve(0.0)}, alpha=0.3, title="t")
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert (
        "naive: barrier 1.000" in texts
        and "matched: barrier 0.000" in texts
        and "naive: barrier 30.0 points" in texts
    )
    assert [label.get_text() for label in drawn.axes[0].get_xticklabels()][0].startswith("A")
    lines = {line.get_label(): line for line in drawn.axes[0].lines}
    assert (
        lines["naive"].get_color() == palette.NAIVE
        and lines["matched"].get_color() == palette.MATCHED
    )
    assert len(figures.draw_curves(curve(0.5), metrics=("loss",)).axes) == 1


def test_extrapolation_is_marked():
    drawn = figures.draw_curves(curve(0.2, alphas=tuple(np.linspace(-0.5, 1.5, 21))))
    assert [text.get_text() for text in drawn.axes[0].texts].count("beyond") == 2


def test_words_under_the_slider():
    words = figures.describe_at({"naive": curve(1.0)}, 0.5)
    assert words == "alpha = 0.50 (50% A, 50% B): naive: loss 1.100, accuracy 68.0 %"


def test_rainbow_counts_units_in_place():
    drawn = units.draw_rainbow({"A": range(4), "B": [1, 0, 2, 3]})
    assert [axes.get_title(loc="left") for axes in drawn.axes] == [
        "A: 4 of 4 units in place",
        "B: 2 of 4 units in place",
    ]
    strip = drawn.axes[1].images[0].get_array()
    assert np.allclose(strip[0, 0], palette.rainbow(4)[1])


def test_network_has_a_line_a_weight():
    drawn = units.draw_network([torch.randn(3, 2), torch.randn(1, 3)], order=[2, 0, 1])
    assert len(drawn.axes[0].lines) == 3 * 2 + 3


def test_png_is_small_and_true():
    picture = sliders.png(figures.draw_curves(curve(1.0)))
    assert len(picture) < 60_000
    assert Image.open(io.BytesIO(picture)).size[0] > 500
