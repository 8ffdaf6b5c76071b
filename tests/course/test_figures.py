"""The figures of single notebooks: each is drawn, stays closed and says in words what it shows."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import rebasin_edu as rb
from rebasin_edu.course import figures
from rebasin_edu.course.figures.units import rainbow
from rebasin_edu.landscape import Curve

from . import figures_08_09, figures_10_12, figures_11_13, figures_14

ALPHAS = [0.0, 0.5, 1.0]
LOSSES = (0.1, 0.9, 0.7, 0.6, 0.5)
CURVE = Curve((0.0, 0.25, 0.5, 0.75, 1.0), LOSSES, LOSSES, LOSSES)
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
WEIGHTS = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
MLP, OTHER = (rb.lab.MLP(inputs=16, hidden=(8,), classes=10, seed=seed) for seed in (0, 1))
CERTAIN = torch.eye(6, 10)


def line(height):
    return {
        "loss": [0.1, 0.1 + height, 0.1],
        "accuracy": [0.9, 0.8, 0.9],
        "loss_barrier": height,
        "accuracy_barrier": 0.1,
    }


def onset():
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


def pairs(*heights):
    return [{"naive": line(1 + height), "matched": line(height)} for height in heights]


def over_widths():
    widths = [{"width": width, "pairs": pairs(8 / width, 4 / width)} for width in (16, 32)]
    return {"data": "digits", "widths": widths}


def barriers():
    pairs = [{"seeds": [k, k + 1], "naive": line(1 + k), "matched": line(0)} for k in (0, 2)]
    return {"data": "mnist", "samples": 10, "pairs": pairs}


def methods():
    row = {"loss": [0.1, 0.2, 0.1], "middle_loss": 0.2, "cpu_seconds": 3.0}
    names = ("naive", "weight matching", "straight-through")
    return {"alphas": ALPHAS, "pairs": [{"methods": dict.fromkeys(names, row)}]}


def descent():
    planted = {"1": torch.tensor([1, 0, 2]), "2": torch.tensor([0, 1, 2])}
    here, moved = torch.arange(3), torch.tensor([1, 0, 2])
    updates = [
        (0, torch.arange(9.0).reshape(3, 3), [moved, here]),
        (1, torch.eye(3), [moved, here]),
    ]
    return figures.Descent(updates, planted, lambda orders: 3.0 - float(orders[0][0] == 0))


DRAWN = {
    "network": lambda: figures.draw_network([WEIGHTS[:3, :2], WEIGHTS[:1, :3]]),
    "rainbow": lambda: figures.draw_rainbow({"A": range(4), "B": [1, 0, 2, 3]}),
    "units": lambda: figures.draw_units({"A": WEIGHTS, "B": -WEIGHTS}, groups=("a", "b")),
    "mix": lambda: figures.draw_mix(MLP, {"B": OTHER}, 0.5, range(4), WEIGHTS[:2]),
    "pairs": lambda: figures.draw_pairs(barriers()),
    "logit scale": lambda: figures.draw_logit_scale(
        {"A": 9 * CERTAIN, "naive, seeds 0 and 1": CERTAIN}, torch.arange(6)
    ),
    "assignment": lambda: figures.draw_assignments({"best": np.eye(2)}, {"best": [1, 0]}),
    "large assignments": lambda: figures.draw_assignments({"A": np.eye(64), "B": np.eye(64)}),
    "recovery": lambda: figures.draw_recovery({"best": ([0, 1], [1.0, 0.5])}, xlabel="noise"),
    "barriers": lambda: figures.draw_barriers(CURVE, title="three heights"),
    "onset": lambda: figures.draw_onset(onset()),
    "onset at an epoch": lambda: figures.draw_onset(onset(), 2),
    "onset sheet": lambda: figures.draw_onset_sheet(onset(), (0, 3)),
    "start": lambda: figures.draw_update(descent(), 0),
    "update": lambda: figures.draw_update(descent(), 1),
    "updates": lambda: figures.draw_updates(descent(), [0, 1, 2]),
    "landscape": lambda: figures.draw_landscape(
        np.array([[3.0, 0.0], [1.0, 2.0]]), {"layer 1 first": [(1, 0), (0, 0)]}
    ),
    "tours": lambda: figures.draw_tours(SQUARE, {"crossed": [0, 2, 1, 3], "best": range(4)}),
    "progress": lambda: figures.draw_progress([1.0, 2.0, 2.5], [0.5, 0.2, 0.1], sweep=2),
    "vectors": lambda: figures.draw_vector_diagram(0.4, 0.5),
    "standard deviations": lambda: figures.draw_standard_deviations(
        [0, 0.5], {"naive": ([0, 0.5, 1], [1, 0.7, 1])}
    ),
    "variance collapse": lambda: figures.draw_variance_collapse(
        {"matched": [0.9, 0.7]}, {"matched": [0.9, 0.8]}
    ),
    "cloud": lambda: figures.draw_cloud(np.arange(3.0), np.arange(3.0)[::-1], {"naive": 0}),
    "trace": lambda: figures.draw_trace([0.5, 0.4, 0.6], [[0, 1], [1, 0], [1, 0]], 1, ends=0.2),
    "best of": lambda: figures.draw_best_of([1.0, 2.0, 3.0], [0.3, 0.2, 0.9], 3),
    "methods": lambda: figures.draw_methods(methods()),
    "axes": lambda: figures.draw_axes({"a.weight": ("a", None)}, ["a.weight", "b.weight"]),
    "blocks": lambda: figures.draw_blocks({"moved": [2, 3, 0, 1]}, blocks=2),
    "changes": lambda: figures.draw_changes({"right": {"new": 0.0, "generic": 1e-16}}),
    "counts": lambda: figures.draw_counts({"MLP": (3498, 3499.6)}),
    "settings": lambda: figures.draw_settings({"a": pairs(0.1), "b": pairs(0.2)}, xlabel="rate"),
    "a pair of one's own": lambda: figures.draw_settings(
        {"16": pairs(0.5, 0.4)}, xlabel="width", live={"16": pairs(0.3)}, joined=False
    ),
    "width and alpha": lambda: figures.draw_width_at(over_widths(), 16, 0.5),
    "widths sheet": lambda: figures.draw_widths_sheet(over_widths(), (16, 32)),
    "over time": lambda: figures.draw_over_time({"MNIST": onset(), "CIFAR-10": onset()}),
    "published": lambda: figures.draw_published({"LayerNorm": {"matched": [41.6, 15.0]}}, (1, 2)),
    "alpha by width": figures_08_09.alpha_by_width,
    "widths": figures_08_09.widths,
    "refit images": figures_08_09.refit_images,
    **figures_10_12.DRAWN,
    **figures_11_13.DRAWN,
    **figures_14.DRAWN,
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_stays_closed_and_has_an_alternative_text(name):
    figure = DRAWN[name]()
    data, metadata = figure._repr_mimebundle_()
    assert not plt.get_fignums()
    assert data["image/png"].startswith("iVBOR")
    assert len(metadata["image/png"]["alt"]) > 20


def test_every_figure_of_the_course_is_drawn_here():
    drawing = {name for name in figures.__all__ if name.startswith("draw_")}
    used = {name for draw in DRAWN.values() for name in draw.__code__.co_names}
    assert drawing - used == set()


def test_a_slider_does_not_show_the_future():
    panel = figures.draw_trace([0.5, 0.4, 0.6, 0.1], [[0, 1]] * 4, 1, ends=0.05).axes[1]
    best = next(line for line in panel.lines if line.get_label() == "best so far")
    assert best.get_ydata().tolist() == [0.5, 0.4]


def test_the_arrows_are_as_long_as_the_curves_barriers():
    words = figures.draw_barriers(CURVE).get_label()
    for name, barrier in CURVE.barriers.items():
        assert f"{name} {barrier.loss:+.2f}".replace("-", "−") in words


def test_steps_of_a_walk_count_the_orders_that_were_seen():
    names = ["stem.weight", "conv.weight", "head.weight"]
    axes = {"stem.weight": ("stem", None, None, None), "conv.weight": ("stem", "conv", None, None)}
    words = figures.draw_axes(axes | {"norm.bias": ("stem",)}, names, title="x + y").get_label()
    assert words == "x + y: 2 of 3 weights seen, 2 different orders"


def test_blocks_that_move_whole_are_told_from_torn_ones():
    strips = {"whole": [2, 3, 1, 0], "torn": [0, 2, 1, 3]}
    words = figures.draw_blocks(strips, blocks=2, title="flatten").get_label()
    assert "whole: 2 of 2 blocks" in words
    assert "torn: 0 of 2 blocks" in words


def test_a_change_of_exactly_zero_is_written_beside_its_marker():
    figure = figures.draw_changes({"wrong": {"freshly made": 0.0, "generic": 0.3}})
    assert "exactly 0" in [text.get_text() for text in figure.axes[0].texts]
    assert "freshly made 0e+00, generic 3e-01" in figure.get_label()


def test_every_pair_of_a_setting_is_in_the_words_and_accuracy_in_points():
    figure = figures.draw_settings({"16": pairs(0.5, 0.25)}, xlabel="width", title="MNIST")
    words = "MNIST: 16: loss naive 1.500, 1.250; matched 0.500, 0.250"
    assert figure.get_label().startswith(words)
    assert "16: points naive 10.0, 10.0; matched 10.0, 10.0" in figure.get_label()


def test_the_explorer_reads_the_stored_line_at_its_place():
    words = figures.describe_width_at(over_widths(), 32, 0.5)
    assert words == (
        "width 32, alpha 0.500, means of 2 pairs. naive: loss 1.288, accuracy 80.0 %, loss barrier "
        "1.188; matched: loss 0.287, accuracy 80.0 %, loss barrier 0.188"
    )


def test_onset_is_the_stored_barriers():
    assert figures.barriers(onset(), "matched").tolist() == [[0.5, 0.25, 0.5 / 3, 0.125]] * 2
    words = "after epoch 1, loss barriers of the 2 pairs: naive 1.000, 3.000; matched 0.250, 0.250"
    assert figures.describe_onset(onset(), 1) == words


def test_a_landscape_counts_what_neither_layer_can_improve():
    assert DRAWN["landscape"]().get_label().startswith("2 local optima, the best at (0, 0)")


def test_the_best_of_n_by_objective_may_get_worse():
    words = DRAWN["best of"]().get_label()
    assert "best by objective: loss 0.900; best by loss: loss 0.200" in words


@pytest.mark.parametrize("rho", [-1.0, -0.3, 0.0, 0.4, 1.0])
@pytest.mark.parametrize("sigma", [(1.0, 1.0), (0.5, 2.0)])
def test_the_law_of_variance_is_what_is_measured(rho, sigma):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 50_000))
    x -= x.mean(1, keepdims=True)
    x = np.linalg.solve(np.linalg.cholesky(np.cov(x, bias=True)), x)  # exactly uncorrelated
    y = rho * x[0] + np.sqrt(1 - rho**2) * x[1]
    for alpha in (0.0, 0.3, 1.0):
        measured = ((1 - alpha) * sigma[0] * x[0] + alpha * sigma[1] * y).std()
        assert figures.mixed_std(rho, alpha, sigma) == pytest.approx(measured, abs=1e-6)


def test_one_factor_on_the_logits_changes_the_loss_and_no_answer():
    text = figures.draw_logit_scale({"naive": CERTAIN}, torch.arange(6)).get_label()
    assert "loss 1.46 as it is, 0.00 at factor" in text
    assert "accuracy 100.0% at both" in text


def test_an_update_says_what_it_gained_and_how_many_units_are_in_place():
    text = figures.draw_update(descent(), 1).get_label()
    assert text == "Update 1: layer 1: objective 3.00 (+1.00), 6 of 6 units in place."


def test_a_rainbow_has_a_hue_for_each_unit():
    assert len(set(rainbow(16))) == 16
