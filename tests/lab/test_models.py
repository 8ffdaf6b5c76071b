"""The paper's networks: shapes, parameter counts, normalisation, first weights, and that they can
be exported.
"""

import pytest
import torch
import torch.nn.functional as F

from rebasin_edu.errors import RebasinError
from rebasin_edu.lab.models import MLP, VGG11, VGG16, Ensemble, LayerNorm2d, ResNet20


def millions(model):
    return sum(p.numel() for p in model.parameters()) / 1e6


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: MLP(), "0.93"),
        (lambda: MLP(3072), "2.10"),
        (lambda: VGG16(1 / 8), "0.24"),
        (lambda: VGG16(1 / 4), "0.96"),
        (lambda: VGG16(1 / 2), "3.8"),
        (lambda: VGG16(1), "15.3"),
        (lambda: ResNet20(1), "0.29"),
        (lambda: ResNet20(2), "1.17"),
        (lambda: ResNet20(4), "4.66"),
        (lambda: ResNet20(8), "18.6"),
    ],
)
def test_parameter_counts_are_the_papers(make, count):
    with torch.device("meta"):
        model = make()
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    assert f"{millions:.{len(count.split('.')[1])}f}" == count


@pytest.mark.parametrize("norm", ["layer", "batch", None])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda n: MLP(3 * 8 * 8, (16, 12), norm=n), (3, 8, 8)),
        (lambda n: VGG16(1 / 8, norm=n), (3, 32, 32)),
        (lambda n: VGG11(1 / 8, norm=n, size=16), (3, 16, 16)),
        (lambda n: VGG11(1 / 8, norm=n, size=64), (3, 64, 64)),
        (lambda n: ResNet20(0.25, norm=n), (3, 16, 16)),
        (lambda n: ResNet20(0.25, classes=100, norm=n, channels=1), (1, 28, 28)),
    ],
)
def test_outputs_and_gradients(make, shape, norm):
    model = make(norm)
    logits = model(torch.randn(4, *shape))
    assert logits.shape == (4, model.head.out_features)
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: MLP(12, (8, 8)), (3, 2, 2)),
        (lambda: VGG11(1 / 8, norm=None), (3, 32, 32)),
        (lambda: ResNet20(0.25), (3, 16, 16)),
        (lambda: ResNet20(0.25, norm="batch"), (3, 16, 16)),
    ],
)
def test_export_gives_the_same_function_in_aten_operators(make, shape):
    model, x = make().eval(), torch.randn(2, *shape)
    program = torch.export.export(model, (x,))
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert calls
    assert all(call.startswith("aten.") for call in calls)
    torch.testing.assert_close(program.module()(x), model(x))


def test_layer_norm_is_over_channels_at_every_pixel():
    norm, x = LayerNorm2d(6).double(), torch.randn(3, 6, 4, 5, dtype=torch.double)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(6))
        norm.bias.copy_(torch.rand(6))
    mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    wanted = (x - mean) / (var + 1e-6).sqrt() * norm.weight.view(1, 6, 1, 1) + norm.bias.view(
        1, 6, 1, 1
    )
    torch.testing.assert_close(norm(x), wanted)
    assert not torch.allclose(
        norm(x), F.group_norm(x, 1, norm.weight, norm.bias, 1e-6)
    )  # the port trap
    changed = x.clone()
    changed[:, :, 0, 0] += torch.randn(6, dtype=torch.double)
    assert torch.equal(norm(changed)[:, :, 1:], norm(x)[:, :, 1:])  # other pixels do not notice


def test_shortcuts_are_three_by_three_convolutions_with_stride_two():
    model = ResNet20(1)
    shortcuts = {
        k: tuple(v.shape)
        for k, v in model.state_dict().items()
        if k.endswith("shortcut.conv.weight")
    }
    assert shortcuts == {
        "stage2.0.shortcut.conv.weight": (32, 16, 3, 3),
        "stage3.0.shortcut.conv.weight": (64, 32, 3, 3),
    }


def test_a_seed_fixes_the_weights_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    a, b, c = (ResNet20(0.25, seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["stem.weight"], c["stem.weight"])
    MLP()
    assert not torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "make",
    [lambda: MLP(64, (256,) * 6), lambda: VGG16(1 / 4, norm=None), lambda: ResNet20(norm=None)],
)
def test_signal_neither_dies_nor_explodes_without_normalisation(make):
    model = make()
    shape = (1, 8, 8) if isinstance(model, MLP) else (3, 32, 32)
    assert 0.02 < model(torch.randn(16, *shape)).std(0).mean() < 20


def test_what_cannot_be_built_says_why():
    with pytest.raises(ValueError, match="norm='group' is not known"):
        ResNet20(norm="group")
    with pytest.raises(RebasinError, match=r"width 0.3 makes 4.8 channels"):
        ResNet20(0.3)
    with pytest.raises(RebasinError, match="width inf"):
        ResNet20(float("inf"))
    with pytest.raises(ValueError, match="depth=13 is not known; choose one of 11, 16"):
        VGG16(depth=13)


def test_an_ensemble_answers_with_the_mean_of_the_logits():
    members = [MLP(12, (8,), 4, seed=seed) for seed in range(3)]
    x = torch.randn(5, 12)
    torch.testing.assert_close(
        Ensemble(members)(x), (members[0](x) + members[1](x) + members[2](x)) / 3
    )
    with pytest.raises(RebasinError, match="at least one"):
        Ensemble([])
