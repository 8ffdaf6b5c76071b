"""The figures of single notebooks: each is drawn, stays closed and says in words what it shows."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from rebasin_edu.course import figures
from rebasin_edu.landscape import Curve

ALPHAS = [0.0, 0.5, 1.0]
LOSSES = (0.1, 0.9, 0.7, 0.6, 0.5)
CURVE = Curve((0.0, 0.25, 0.5, 0.75, 1.0), LOSSES, LOSSES, LOSSES)
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
WEIGHTS = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))


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


def methods():
    row = {"loss": [0.1, 0.2, 0.1], "middle_loss": 0.2, "cpu_seconds": 3.0}
    names = ("naive", "weight matching", "straight-through")
    return {"alphas": ALPHAS, "pairs": [{"methods": dict.fromkeys(names, row)}]}


def update(step):
    units = {"1": [1, 0, 2], "2": [0, 1, 2]}
    gains = np.arange(9.0).reshape(3, 3)
    values = [1.0, 3.0, 3.5]
    return figures.draw_update(gains, [0, 1, 2], [2, 1, 0], units, values, step, layer="1")


DRAWN = {
    "network": lambda: figures.draw_network([WEIGHTS[:3, :2], WEIGHTS[:1, :3]]),
    "rainbow": lambda: figures.draw_rainbow({"A": range(4), "B": [1, 0, 2, 3]}),
    "units": lambda: figures.draw_units({"A": WEIGHTS, "B": -WEIGHTS}, groups=("a", "b")),
    "mix": lambda: figures.draw_mix(
        {"A": WEIGHTS, "B": WEIGHTS}, {"A": WEIGHTS[:2, :10].softmax(1)}, WEIGHTS[:2]
    ),
    "assignment": lambda: figures.draw_assignments({"best": np.eye(2)}, {"best": [1, 0]}),
    "large assignments": lambda: figures.draw_assignments({"A": np.eye(64), "B": np.eye(64)}),
    "recovery": lambda: figures.draw_recovery({"best": ([0, 1], [1.0, 0.5])}, xlabel="noise"),
    "barriers": lambda: figures.draw_barriers(CURVE, title="three heights"),
    "onset": lambda: figures.draw_onset(onset()),
    "onset at an epoch": lambda: figures.draw_onset(onset(), 2),
    "onset sheet": lambda: figures.draw_onset_sheet(onset(), (0, 3)),
    "start": lambda: update(0),
    "update": lambda: update(1),
    "updates": lambda: figures.draw_updates([[[1, 0], [0, 1]]] * 2, ["start", "1"], [1.0, 2.0]),
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
    assert drawing - used - set(update.__code__.co_names) == set()


def test_a_slider_does_not_show_the_future():
    panel = figures.draw_trace([0.5, 0.4, 0.6, 0.1], [[0, 1]] * 4, 1, ends=0.05).axes[1]
    best = next(line for line in panel.lines if line.get_label() == "best so far")
    assert best.get_ydata().tolist() == [0.5, 0.4]


def test_the_arrows_are_as_long_as_the_curves_barriers():
    words = figures.draw_barriers(CURVE).get_label()
    for name, barrier in CURVE.barriers.items():
        assert f"{name} {barrier.loss:+.2f}".replace("-", "−") in words


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
