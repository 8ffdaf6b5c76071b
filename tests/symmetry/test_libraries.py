"""Networks of other libraries: what of them must be free. A test skips where its library is not
installed.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rebasin_edu.symmetry import PermutationSpec
from rebasin_edu.symmetry.filling import Filling

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


@pytest.mark.parametrize(("name", "size"), [("starnet_s1", 13911.2), ("tresnet_m", 31115.3)])
def test_symmetries_of_vision_networks(name, size):
    timm = pytest.importorskip("timm")
    spec = PermutationSpec.from_model(timm.create_model(name).eval(), torch.randn(1, 3, 224, 224))
    assert spec.log10_symmetries() == pytest.approx(size, abs=0.1)


@pytest.mark.parametrize("kind", ["Mixtral", "Qwen2Moe"])
def test_the_units_of_every_expert_move(kind):
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    if kind == "Qwen2Moe":
        experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
        experts |= {"shared_expert_intermediate_size": 40}
    config = getattr(transformers, f"{kind}Config")(**sizes, **experts, use_cache=False)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    inputs = {"input_ids": torch.randint(0, 64, (1, 12)), "use_cache": False}
    spec = PermutationSpec.from_model(model, inputs)
    moved = {name for group in spec.groups.values() for name, _ in group.occurrences}
    assert {n for n, _ in model.named_parameters() if "experts" in n} <= moved, spec.describe()


def test_a_network_whose_softmax_mixes_positions_is_derived_in_a_few_runs(monkeypatch):
    smp = pytest.importorskip("segmentation_models_pytorch")
    model = smp.MAnet("resnet18", encoder_weights=None, in_channels=3, classes=2).eval()
    runs, run = [], Filling._run
    monkeypatch.setattr(Filling, "_run", lambda self: runs.append(1) or run(self))
    spec = PermutationSpec.from_model(model, x := torch.randn(1, 3, 64, 64))
    assert len(runs) <= 10
    assert spec.log10_symmetries() == pytest.approx(10880.2, abs=0.1)
    assert spec.check(model, x) < 1e-6


def test_a_network_of_plain_layers_is_what_these_tests_compare_with():
    model = nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 3))
    spec = PermutationSpec.from_model(model, torch.randn(5, 7))
    assert spec.log10_symmetries() == pytest.approx(number(16))
