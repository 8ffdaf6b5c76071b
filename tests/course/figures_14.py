"""The figures of notebook 14 on small inputs, for ``test_figures``."""

import torch

import rebasin_edu as rb
from rebasin_edu.course import figures


def symmetries():
    rows = {"as trained": [1.3, 1.2], "turned": [0.5, 0.6], "refitted": [0.1, -0.1]}
    return figures.draw_symmetries(rows, changed=("refitted",), title="two GPTs")


def writing():
    a, b = (rb.lab.MLP(4, (3,), 2, seed=seed) for seed in (0, 1))
    data = (torch.randn(6, 4), torch.arange(6) % 2)
    curves = {"as trained": rb.linear_path(a, b, data, alphas=3)}
    return figures.draw_writing(curves, "as trained", 0.5, "$x_1\nto be or not " * 9)


DRAWN = {"symmetries": symmetries, "writing": writing}
