"""The figures of notebooks 10 and 12 on small inputs, for ``test_figures``."""

import numpy as np

from rebasin_edu.course import figures

EDGES = {"AB": 0.2, "AC": 0.1, "BC": 0.4}


def triangles():
    return figures.draw_triangles({"as trained": EDGES, "matched": dict.fromkeys(EDGES, 0.1)})


def growth():
    scores = [{"loss": 0.1 * k, "accuracy": 1 / k} for k in (1, 2, 3)]
    return figures.draw_growth(dict.fromkeys(("plain mean", "ensemble"), scores), 2)


def scores():
    rows = {"seed 0": {"loss": 0.1}, "MergeMany": {"loss": 0.05}}
    return figures.draw_scores(rows, {"loss": "test loss"}, marked=("MergeMany",), title="MNIST")


def counterexample():
    errors = {"no swap": [0, 0.25, 0], "swap both": [0, 0.1, 0]}
    return figures.draw_counterexample([0, 0.5, 1], errors, "swap both", np.eye(4))


def conditions():
    return figures.draw_conditions({"16 units": ([3.0, 4.0], [1.0, 2.0])}, title="MNIST")


DRAWN = {
    "triangles": triangles,
    "growth": growth,
    "scores": scores,
    "counterexample": counterexample,
    "conditions": conditions,
}
