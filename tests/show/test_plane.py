"""Planes, variance and reliability are drawn from their data, in the course's colours, and leave no
figure open.
"""

import matplotlib.colors as colors
import matplotlib.pyplot as plt
import pytest
import torch

from rebasin_edu.lab.models import MLP
from rebasin_edu.landscape import Plane, diagnose, evaluate, repair
from rebasin_edu.show.diagnosis import draw_variance
from rebasin_edu.show.plane import draw_plane
from rebasin_edu.show.reliability import draw_reliability
from rebasin_edu.show.style import MATCHED, REPAIRED, A, B

DATA = torch.randn(200, 12, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 4


def mlp(seed):
    torch.manual_seed(seed)
    return MLP(12, (16, 16), 4)


def plane(rows=4):
    loss = tuple(
        tuple(0.1 * (r - 1) ** 2 + 0.3 * (c - 1) ** 2 for c in range(5))
        if r < rows
        else (None,) * 5
        for r in range(4)
    )
    accuracy = tuple(tuple(None if x is None else 1 - x / 5 for x in row) for row in loss)
    points = {"A": (0.0, 0.0), "B": (1.0, 0.0), "π(B)": (0.4, 0.7)}
    return Plane((-0.3, 0.1, 0.5, 0.9, 1.3), (-0.3, 0.1, 0.6, 1.0), loss, accuracy, points, 12.0)


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_a_plane_has_its_three_networks_in_their_colours(metric):
    drawn = draw_plane(plane(), metric=metric, title="three")
    panel = drawn.axes[0]
    marked = {
        line.get_color(): line.get_xydata()[0]
        for line in panel.lines
        if line.get_marker() not in ("None", None)
    }
    assert {colour: tuple(xy) for colour, xy in marked.items()} == {
        A: (0, 0),
        B: (1, 0),
        MATCHED: (0.4, 0.7),
    }
    assert {text.get_text() for text in panel.texts} == {"A", "B", "π(B)"}
    assert not plt.get_fignums()


def test_a_plane_can_be_drawn_while_it_is_made_but_not_before():
    draw_plane(plane(rows=2))
    with pytest.raises(ValueError, match="nothing"):
        draw_plane(plane(rows=0))
    with pytest.raises(ValueError, match="'loss' or 'accuracy'"):
        draw_plane(plane(), metric="ece")


def test_variance_is_drawn_as_measured_predicted_and_repaired():
    a, b = mlp(0), mlp(1)
    found = diagnose(a, a, b, DATA)
    drawn = draw_variance(found, repair(a, a, b, None, DATA))
    left, right = drawn.axes
    lines = {line.get_label(): line for line in left.lines}
    assert list(lines["measured"].get_ydata()) == pytest.approx(
        [layer.measured for layer in found.layers]
    )
    assert list(lines["closed form, each layer alone"].get_ydata()) == pytest.approx(
        [layer.predicted for layer in found.layers]
    )
    assert list(lines["repaired"].get_ydata()) == pytest.approx([1, 1], abs=0.02)
    assert lines["repaired"].get_color() == REPAIRED
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["linear1", "linear2", "head"]
    assert not plt.get_fignums()


def test_reliability_is_accuracy_against_confidence():
    scores = {"A": evaluate(mlp(0), None, DATA), "matched": evaluate(mlp(1), None, DATA)}
    panel = draw_reliability(scores, title="noise").axes[0]
    bins = scores["A"].reliability
    kept = [k for k, n in enumerate(bins.count) if n >= 5]
    line = next(line for line in panel.lines if colors.same_color(line.get_color(), A))
    assert list(line.get_xdata()) == pytest.approx(
        [bins.confidence[k] / bins.count[k] for k in kept]
    )
    assert list(line.get_ydata()) == pytest.approx([bins.correct[k] / bins.count[k] for k in kept])
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels == [
        f"{name}: calibration error {100 * score.ece:.1f} points" for name, score in scores.items()
    ]
    draw_reliability(scores["A"])
    assert not plt.get_fignums()
