"""The figure of a matching shows the numbers of its history."""

import pytest

from rebasin_edu.matching import Matching, Step
from rebasin_edu.show.matching import draw_matching
from rebasin_edu.symmetry import Permutation


def made(gains, groups="abc"):
    steps = tuple(
        Step(1, groups[k % len(groups)], gain, 0.1 * (k + 1)) for k, gain in enumerate(gains)
    )
    return Matching(Permutation({"a": [0]}), sum(gains), sum(gains), "test", steps, True, 1.0)


def test_the_curve_ends_at_the_gain_and_the_bars_add_up():
    found = made([3.0, 2.0, 1.0, 0.5])
    left, right = draw_matching(found).axes
    assert left.lines[0].get_ydata()[-1] == pytest.approx(6.5)
    assert sum(bar.get_width() for bar in right.patches) == pytest.approx(6.5)
    assert max(bar.get_width() for bar in right.patches) == pytest.approx(3.5)


def test_several_are_drawn_on_the_same_axes_and_many_groups_are_summed():
    found = made([1.0] * 30, [f"g{k}" for k in range(30)])
    left, right = draw_matching({"naive": made([1.0]), "matched": found}, groups=5).axes
    assert len(right.patches) == 5
    assert sum(bar.get_width() for bar in right.patches) == pytest.approx(30)
    assert {text.get_text() for text in left.texts} == {"naive", "matched"}
