"""Figures are pure, stay closed, change no setting, and say in words what they show."""

import io
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

import rebasin_edu as rb
from rebasin_edu.landscape import Curve, Plane
from rebasin_edu.matching import Matching, Step
from rebasin_edu.show.curves import describe_at
from rebasin_edu.show.style import NAIVE, colour_of, finish_alpha_axis
from rebasin_edu.symmetry import Permutation, PermutationSpec

ALPHAS = tuple(np.linspace(0, 1, 11))


def curve(height, alphas=ALPHAS):
    bump = 4 * np.array(alphas) * (1 - np.array(alphas))
    return Curve(
        alphas, tuple(0.1 + height * bump), tuple(0.98 - 0.3 * height * bump), tuple(0 * bump)
    )


def plane(rows=4):
    loss = tuple(
        tuple(0.1 * (r - 1) ** 2 + 0.3 * (c - 1) ** 2 if r < rows else None for c in range(5))
        for r in range(4)
    )
    accuracy = tuple(tuple(None if x is None else 1 - x / 5 for x in row) for row in loss)
    points = {"A": (0.0, 0.0), "B": (1.0, 0.0), "π(B)": (0.4, 0.7)}
    return Plane((-0.3, 0.1, 0.5, 0.9, 1.3), (-0.3, 0.1, 0.6, 1.0), loss, accuracy, points, 12.0)


def matching(gains, groups="abc"):
    steps = tuple(
        Step(1, groups[k % len(groups)], gain, 0.1 * (k + 1)) for k, gain in enumerate(gains)
    )
    return Matching(Permutation({"a": [0]}), sum(gains), sum(gains), "test", steps, True, 1.0)


def diagnosis():
    layers = [
        SimpleNamespace(
            name=name, measured=0.7, predicted=0.8, correlation=torch.tensor([0.1, 0.5, torch.nan])
        )
        for name in ("first", "second")
    ]
    return SimpleNamespace(layers=layers)


def score(seed):
    torch.manual_seed(seed)
    shares = torch.randn(200, 4).softmax(1)
    bins = SimpleNamespace(count=(80, 120), confidence=(24.0, 70.0), correct=(20, 50))
    return SimpleNamespace(ece=float(shares.std()), reliability=bins)


def spec():
    return PermutationSpec.from_model(rb.lab.MLP(12, (16, 8), 4), torch.zeros(1, 12), verify=False)


DRAWN = {
    "one curve": lambda: rb.show.draw_curves(curve(0.5), metrics=("loss",)),
    "curves": lambda: rb.show.draw_curves({"naive": curve(1.0), "matched": curve(0.0)}, alpha=0.3),
    "beyond": lambda: rb.show.draw_curves(curve(0.2, alphas=tuple(np.linspace(-0.5, 1.5, 21)))),
    "plane": lambda: rb.show.draw_plane(plane(), title="three"),
    "half a plane": lambda: rb.show.draw_plane(plane(rows=2), metric="accuracy"),
    "matching": lambda: rb.show.draw_matching(matching([3.0, 2.0, 1.0])),
    "matchings": lambda: rb.show.draw_matching({"a": matching([3.0]), "b": matching([1.0])}),
    "diagnosis": lambda: rb.show.draw_diagnosis(diagnosis(), title="where"),
    "reliability": lambda: rb.show.draw_reliability({"A": score(0), "matched": score(1)}),
    "spec": lambda: rb.show.draw_spec(spec(), rows=2),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_stays_closed_and_has_an_alternative_text(name):
    before = dict(matplotlib.rcParams)
    figure = DRAWN[name]()
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
    data, metadata = figure._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert len(metadata["image/png"]["alt"]) > 20
    assert len(rb.show.png(figure)) < 60_000


def test_the_alternative_text_names_the_numbers():
    figure = rb.show.draw_curves({"naive": curve(1.0), "matched": curve(0.0)})
    assert "naive: loss 0.100 at A, 0.100 at B, highest 1.100 at alpha 0.50" in figure.get_label()


def test_a_curve_has_its_colour_and_its_barrier():
    (panel,) = rb.show.draw_curves({"naive": curve(1.0)}, metrics=("loss",)).axes
    line = panel.lines[0]
    assert (line.get_color(), line.get_label()) == (NAIVE, "naive: barrier 1.000")


def test_the_name_of_the_data_stands_over_the_figure():
    known = Curve((0.0, 1.0), (0.1, 0.1), (0.9, 0.9), (0.0, 0.0), data="MNIST", samples=1000)
    assert "MNIST, 1,000 scored" in rb.show.draw_curves(known, title="t").get_suptitle()


def test_the_alpha_axis_reads_a_to_b():
    _, axes = rb.show.new_figure()
    finish_alpha_axis(axes[0, 0], low=-0.5)
    labels = [label.get_text() for label in axes[0, 0].get_xticklabels()]
    assert labels == ["A\n(0)", "0.25", "0.5", "0.75", "B\n(1)"]
    assert [text.get_text() for text in axes[0, 0].texts] == ["beyond"]


def test_words_under_the_slider():
    words = describe_at({"naive": curve(1.0)}, 0.5)
    assert words == "alpha = 0.50 (50% A, 50% B): naive: loss 1.100, accuracy 68.0 %"


def test_a_plane_needs_numbers_and_a_metric():
    with pytest.raises(ValueError, match="nothing"):
        rb.show.draw_plane(plane(rows=0))
    with pytest.raises(ValueError, match="'loss' or 'accuracy'"):
        rb.show.draw_plane(plane(), metric="ece")


def test_the_bars_of_a_matching_add_up_to_its_gain():
    _, right = rb.show.draw_matching(matching([1.0] * 30, [f"g{k}" for k in range(30)])).axes
    assert len(right.patches) == 20
    assert sum(bar.get_width() for bar in right.patches) == pytest.approx(30)


def test_each_group_of_a_spec_is_a_line():
    (panel,) = rb.show.draw_spec(spec()).axes
    lines = [line for line in panel.lines if len(line.get_xdata()) == 2]
    assert len(lines) == len({line.get_color() for line in lines}) == 2
    assert panel.get_title(loc="left").startswith("2 groups")


def test_a_name_has_one_colour_and_spare_colours_take_turns():
    assert colour_of("Naive") == (NAIVE, "x")
    assert colour_of("other", 0)[0] != colour_of("other", 1)[0]


def test_a_png_has_few_colours_and_the_size_of_the_figure():
    picture = Image.open(io.BytesIO(rb.show.png(rb.show.draw_curves(curve(1.0)))))
    assert picture.mode == "P"
    assert picture.size[0] == 1056
