"""Squares mark the chosen pairs, numbers are those of the table."""

import numpy as np

from rebasin_edu.course.figures.assignment import draw_assignments, draw_recovery


def test_every_chosen_pair_has_its_square():
    table = np.array([[10.0, 9.0], [9.0, 1.0]])
    panel = draw_assignments({"best": table}, {"best": [1, 0]}).axes[0]
    corners = {
        (round(p.get_x() + p.get_width() / 2), round(p.get_y() + p.get_height() / 2))
        for p in panel.patches
    }
    assert corners == {(1, 0), (0, 1)}
    assert sorted(text.get_text() for text in panel.texts) == ["1", "10", "9", "9"]


def test_large_tables_have_no_numbers():
    made = draw_assignments({"A": np.eye(64), "B": np.eye(64)}, {"A": range(64)})
    assert [len(panel.texts) for panel in made.axes[:2]] == [0, 0]
    assert [len(panel.patches) for panel in made.axes[:2]] == [64, 0]


def test_recovery_in_per_cent():
    panel = draw_recovery({"best": ([0, 1], [1.0, 0.5])}, xlabel="noise").axes[0]
    assert list(panel.lines[0].get_ydata()) == [100, 50]
    assert panel.get_xlabel() == "noise"
