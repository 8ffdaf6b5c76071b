"""Networks of other libraries: what of them must be free. A test skips where its library is not
installed.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rebasin_edu.symmetry import PermutationSpec

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def number(size: int) -> float:
    return math.lgamma(size + 1) / math.log(10)


@pytest.mark.parametrize("name", ["GCN", "GAT", "GraphSAGE", "GIN"])
def test_the_hidden_units_of_graph_networks_are_free(name):
    networks = pytest.importorskip("torch_geometric.nn.models")
    torch.manual_seed(0)
    model = getattr(networks, name)(7, 16, num_layers=3, out_channels=3).eval()
    edges = torch.tensor([[0, 1, 1, 2, 3, 3, 4], [1, 0, 2, 1, 4, 2, 0]])
    inputs = (torch.randn(5, 7), edges)
    spec = PermutationSpec.from_model(model, inputs)
    assert spec.check(model, inputs) < 1e-9
    assert spec.log10_symmetries() >= 2 * number(16) - 1e-6, spec.describe()
    hidden = [n for n, p in model.named_parameters() if 16 in p.shape and n not in spec.left_out]
    moved = {name for group in spec.groups.values() for name, _ in group.occurrences}
    assert set(hidden) <= moved


def test_a_network_of_plain_layers_is_what_these_tests_compare_with():
    model = nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 3))
    spec = PermutationSpec.from_model(model, torch.randn(5, 7))
    assert spec.log10_symmetries() == pytest.approx(number(16))
