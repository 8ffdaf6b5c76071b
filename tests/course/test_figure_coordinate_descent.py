"""What the figures of notebooks 04 and 05 show is what they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rebasin_edu.course.figures.barrier_over_training import (
    barriers,
    describe_onset,
    draw_onset,
    draw_onset_sheet,
)
from rebasin_edu.course.figures.coordinate_descent import (
    draw_landscape,
    draw_progress,
    draw_step,
    draw_steps,
    draw_tours,
)
from rebasin_edu.course.figures.method_comparison import (
    draw_best_of,
    draw_cloud,
    draw_methods,
    draw_trace,
)

ALPHAS = [0.0, 0.5, 1.0]


def line(height):
    return {
        "loss": [0.1, 0.1 + height, 0.1],
        "accuracy": [0.9, 0.8, 0.9],
        "loss_barrier": height,
        "accuracy_barrier": 0.1,
    }


@pytest.fixture
def run():
    pairs = [
        {
            "seeds": [seed, seed + 1],
            "epochs": [
                {"epoch": e, "naive": line(1 + seed), "matched": line(0.5 / (e + 1))}
                for e in range(4)
            ],
        }
        for seed in (0, 2)
    ]
    return {"alphas": ALPHAS, "pairs": pairs}


@pytest.fixture(autouse=True)
def none_stays_open():
    yield
    assert not plt.get_fignums()


def test_a_step_shows_rings_and_dots_where_the_units_were_and_are():
    gains, before, after = np.arange(9.0).reshape(3, 3), [0, 1, 2], [2, 1, 0]
    made = draw_step(
        gains, before, after, {"1": [1, 0, 2], "2": [0, 1, 2]}, [1.0, 3.0, 3.5], 1, layer="1"
    )
    rings, dots = made.axes[0].collections
    assert rings.get_offsets().tolist() == [[0, 0], [1, 1], [2, 2]]
    assert dots.get_offsets().tolist() == [[2, 0], [1, 1], [0, 2]]
    assert made.axes[1].get_title() == "4 of 6 units in place"
    assert made.axes[2].get_title() == "objective 3.0"
    assert made.axes[2].lines[1].get_ydata().tolist() == [1.0, 3.0]


def test_a_landscape_marks_what_neither_layer_can_improve():
    values = np.array([[3.0, 0.0], [1.0, 2.0]])
    made = draw_landscape(values, {"layer 1 first": [(1, 0), (0, 0)]})
    squares, best, end = made.axes[0].collections
    assert sorted(squares.get_offsets().tolist()) == [[0, 0], [1, 1]]
    assert best.get_offsets().tolist() == [[0, 0]] == end.get_offsets().tolist()


def test_tours_are_as_long_as_they_say():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    made = draw_tours(square, {"crossed": [0, 2, 1, 3], "best": [0, 1, 2, 3]})
    assert [panel.get_title() for panel in made.axes] == [
        "crossed: length 4.83",
        "best: length 4.00",
    ]


def test_steps_and_progress_have_a_place_for_each():
    made = draw_steps([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], ["start", "1"], [1.0, 2.0])
    assert [panel.get_title() for panel in made.axes] == ["start\n(1.0)", "1\n(2.0)"]
    made = draw_progress([1.0, 2.0, 2.5], [0.5, 0.2, 0.1], sweep=2)
    assert [panel.lines[0].get_ydata().tolist() for panel in made.axes] == [
        [1.0, 2.0, 2.5],
        [0.5, 0.2, 0.1],
    ]


def test_onset_is_the_stored_barriers(run):
    assert barriers(run, "matched").tolist() == [[0.5, 0.25, 0.5 / 3, 0.125]] * 2
    made = draw_onset(run, 2)
    assert [
        curve.get_ydata()[0] for curve in made.axes[0].lines if len(curve.get_xdata()) == 1
    ] == [2.0, 0.5 / 3]
    assert made.axes[1].get_title(loc="left") == "after epoch 2"
    assert [panel.get_title(loc="left") for panel in draw_onset_sheet(run, (0, 3)).axes] == [
        "epoch 0",
        "epoch 3",
    ]
    assert (
        describe_onset(run, 1)
        == "after epoch 1, loss barriers of the 2 pairs: naive 1.000, 3.000; matched 0.250, 0.250"
    )
    assert len(draw_onset(run).axes) == 1


def test_the_best_of_n_by_objective_may_get_worse():
    made = draw_best_of([1.0, 2.0, 3.0], [0.3, 0.2, 0.9], 3)
    left, right = made.axes
    circled = [points.get_offsets()[0].tolist() for points in left.collections[2:]]
    assert circled == [[3.0, 0.9], [2.0, 0.2]]
    assert [curve.get_ydata().tolist() for curve in right.lines[1::2]] == [
        [0.3, 0.2, 0.9],
        [0.3, 0.2, 0.2],
    ]


def test_a_trace_counts_what_moved():
    orders = [[0, 1, 2, 3], [1, 0, 2, 3], [1, 0, 3, 2]]
    made = draw_trace([0.5, 0.4, 0.6], orders, 2, ends=0.2)
    assert made.axes[0].get_title(loc="left") == "4 of 4 units moved since the start"
    assert [label.get_text() for label in made.axes[0].get_yticklabels()] == [
        "step 0",
        "step 2",
        "best so far\n(step 1)",
    ]
    assert made.axes[1].lines[2].get_ydata().tolist() == [0.5, 0.4, 0.4]


def test_a_cloud_points_out_what_was_named():
    made = draw_cloud(
        np.array([0.0, 1.0, 2.0]), np.array([3.0, 2.0, 1.0]), {"naive": 0, "lowest": 2}
    )
    assert [points.get_offsets().tolist() for points in made.axes[0].collections[1:]] == [
        [[0.0, 3.0]],
        [[2.0, 1.0]],
    ]
    assert [text.get_text() for text in made.axes[0].texts] == ["naive", "lowest"]


def test_methods_are_points_of_time_and_half_way_loss():
    row = {"loss": [0.1, 0.2, 0.1], "middle_loss": 0.2, "cpu_seconds": 3.0}
    run = {
        "alphas": ALPHAS,
        "pairs": [
            {
                "methods": {
                    "naive": row,
                    "weight matching": row,
                    "straight-through": {**row, "cpu_seconds": 9.0},
                }
            }
        ],
    }
    left, right = draw_methods(run).axes
    assert [points.get_offsets().tolist() for points in right.collections] == [
        [[3.0, 0.2]],
        [[9.0, 0.2]],
    ]
    assert len(left.lines) == 4
