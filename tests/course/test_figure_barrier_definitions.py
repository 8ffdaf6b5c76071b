"""The arrows of the picture are as long as the barriers that the curve reports."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rebasin_edu.course.figures.barrier_definitions import draw_barriers
from rebasin_edu.landscape import Curve


@pytest.mark.parametrize(
    "losses", [(0.1, 0.9, 0.7, 0.6, 0.5), (0.1, 0.1, 0.2, 1.0, 0.9), (0.5, 0.3, 0.2, 0.3, 0.5)]
)
def test_labels_are_the_curves_barriers(losses):
    alphas = (0.0, 0.25, 0.5, 0.75, 1.0)
    curve = Curve(alphas, losses, losses, losses)
    made = draw_barriers(curve, title="three heights")
    texts = [text.get_text() for text in made.axes[0].texts]
    for name, barrier in curve.barriers.items():
        assert f"{name} {barrier.loss:+.2f}".replace("-", "−") in texts
    assert made.axes[0].get_title(loc="left") == "three heights"
    assert not plt.get_fignums()


def test_what_lies_beyond_the_ends_is_no_barrier():
    alphas = (-0.5, 0.0, 0.5, 1.0, 1.5)
    curve = Curve(alphas, (9.0, 0.1, 0.4, 0.1, 9.0), alphas, alphas)
    drawn = draw_barriers(curve).axes[0].lines[0].get_ydata()
    assert np.max(drawn) == 0.4
