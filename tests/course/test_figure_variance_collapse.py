"""The dial shows the law, and the law holds for numbers drawn at random."""

import numpy as np
import pytest
import torch

from rebasin_edu.course.figures.variance_collapse import (
    deviation,
    draw_collapse,
    draw_deviations,
    draw_dial,
)
from rebasin_edu.landscape import closed_form


@pytest.mark.parametrize("rho", [-1.0, -0.3, 0.0, 0.4, 1.0])
@pytest.mark.parametrize("sigma", [(1.0, 1.0), (0.5, 2.0)])
def test_deviation_is_the_closed_form_and_what_is_measured(rho, sigma):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 50_000))
    x = np.linalg.solve(
        np.linalg.cholesky(np.cov(x, bias=True)), x - x.mean(1, keepdims=True)
    )  # exactly uncorrelated
    y = rho * x[0] + np.sqrt(1 - rho**2) * x[1]
    for alpha in (0.0, 0.3, 1.0):
        measured = ((1 - alpha) * sigma[0] * x[0] + alpha * sigma[1] * y).std()
        tensors = (torch.tensor(float(value)) for value in (*sigma, rho))
        assert deviation(rho, alpha, sigma) == pytest.approx(measured, abs=1e-6)
        assert deviation(rho, alpha, sigma) == pytest.approx(
            float(closed_form(*tensors, alpha)), abs=1e-6
        )


def test_the_mix_is_as_long_as_its_deviation():
    made = draw_dial(0.4, 0.5)
    tip = [text.xy for text in made.axes[0].texts if not text.get_text()][
        2
    ]  # the arrows of A, of B and of the mix
    assert np.hypot(*tip) == pytest.approx(float(deviation(0.4, 0.5)))
    assert made.axes[1].get_title(loc="left") == "84% of the deviation is left"


def test_still_figures_say_what_they_were_given():
    lines = draw_deviations([0, 0.5], {"naive": ([0, 0.5, 1], [1, 0.7, 1])}).axes[0].lines
    assert len(lines) == 3
    assert list(lines[2].get_ydata()) == [1, 0.7, 1]
    texts = [
        text.get_text()
        for text in draw_collapse({"matched": [0.9, 0.7]}, {"matched": [0.9, 0.8]}).axes[0].texts
    ]
    assert {"matched, measured", "this layer alone"} <= set(texts)
