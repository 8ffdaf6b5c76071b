"""The figure of a spec: a line for each group, a row for each weight, nothing left open."""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch

from rebasin_edu.lab.models import ResNet20
from rebasin_edu.show.spec_graph import draw_spec
from rebasin_edu.symmetry import PermutationSpec


def test_each_group_is_a_line_and_each_weight_a_row():
    spec = PermutationSpec.from_model(ResNet20(), torch.randn(1, 3, 16, 16), verify=False)
    figure = draw_spec(spec)
    (axes,) = figure.axes
    lines = [
        line
        for line in axes.lines
        if line.get_linestyle() == "-" and line.get_marker() in ("None", "")
    ]
    assert len(lines) == len(spec.groups) == 12
    assert len({line.get_color() for line in lines}) == 12
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["stem", "stage1.0.conv1"]
    assert axes.get_title(loc="left") == "12 groups, 10^551 symmetries"
    assert not plt.get_fignums()


def test_a_long_model_is_cut_and_says_so():
    spec = PermutationSpec.from_model(ResNet20(), torch.randn(1, 3, 16, 16), verify=False)
    (axes,) = draw_spec(spec, rows=5).figure.axes
    assert len(axes.get_yticklabels()) == 5
    assert "the first 5 of 22 weights" in axes.get_title(loc="left")
