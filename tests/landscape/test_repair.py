"""Statistics of a merge: measured right, mended right, and folded into ordinary weights."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from rebasin_edu.batches import Batch
from rebasin_edu.errors import DataError, RebasinWarning
from rebasin_edu.lab.models import MLP, VGG11, ResNet20
from rebasin_edu.landscape import evaluate, lerp, reestimate_batchnorm, repair_statistics
from rebasin_edu.landscape.scalable_layers import scalable_layers
from rebasin_edu.landscape.unit_statistics import UnitMoments, measure
from rebasin_edu.weights import eval_copy

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = (
    torch.randn(61, 3, 8, 8, generator=GENERATOR),
    torch.randint(0, 4, (61,), generator=GENERATOR),
)
FLAT = torch.randn(61, 12, generator=GENERATOR), torch.randint(0, 4, (61,), generator=GENERATOR)


def pair(make):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = make()
        with torch.no_grad():
            for x in model.parameters():
                x.add_(0.1 * torch.randn_like(x)) if x.ndim == 1 else None
            model.train()(IMAGES[0] if not isinstance(model, MLP) else FLAT[0])
        found.append(model.eval())
    return found


MAKERS = {
    "mlp": (lambda: MLP(12, (16, 16), 4), FLAT, ["linear1", "linear2"]),
    "mlp with layernorm": (lambda: MLP(12, (16, 16), 4, "layer"), FLAT, ["norm1", "norm2"]),
    "mlp with batchnorm": (lambda: MLP(12, (16, 16), 4, "batch"), FLAT, ["norm1", "norm2"]),
    "vgg": (
        lambda: VGG11(1 / 16, 4, None, size=8),
        IMAGES,
        [*(f"conv{k}" for k in range(1, 9)), "linear1", "linear2"],
    ),
    "resnet with layernorm": (lambda: ResNet20(0.5, 4, "layer"), IMAGES, None),
    "resnet with batchnorm": (lambda: ResNet20(0.5, 4, "batch"), IMAGES, None),
    "resnet without norm": (lambda: ResNet20(0.5, 4, None), IMAGES, None),
}


def test_streamed_moments_are_those_of_all_values_at_once():
    torch.manual_seed(0)
    x, y = torch.randn(40, 5, 3, 3) + 3, torch.randn(40, 5, 3, 3)
    y = y + 0.5 * x
    moments = UnitMoments()
    for part in (slice(0, 7), slice(7, 8), slice(8, 40)):
        moments.add([x[part], y[part]], 1)
    found = moments.statistics()
    flat = torch.stack([each.transpose(0, 1).flatten(1) for each in (x, y)]).double()
    torch.testing.assert_close(found.mean, flat.mean(-1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.std, flat.std(-1, correction=0), rtol=1e-5, atol=1e-6)
    expected = torch.stack([torch.corrcoef(flat[:, unit])[0, 1] for unit in range(5)])
    torch.testing.assert_close(found.correlation, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_every_hidden_unit_gets_its_parents_mean_and_deviation(name):
    make, data, names = MAKERS[name]
    a, b = pair(make)
    found = repair_statistics(a, b, data, alpha=0.3, batch_size=61)
    if names is not None:
        assert [layer.layer.name for layer in found.layers] == names
    assert len(found.layers) == (21 if name.startswith("resnet") else len(names))
    assert found.weights.keys() == a.state_dict().keys()
    assert all(x.shape == a.state_dict()[key].shape for key, x in found.weights.items())
    points = [layer.layer for layer in found.layers]
    held = [Batch(*data)]
    parents = measure(a, [a.state_dict(), b.state_dict()], points, held)
    merged = measure(
        a, [found.weights], points, held
    )  # the folded weights, in a plain forward pass
    for layer in found.layers:
        want = parents[layer.layer.name]
        goal = 0.7 * want.std[0] + 0.3 * want.std[1]
        torch.testing.assert_close(
            merged[layer.layer.name].std[0], goal, rtol=2e-2, atol=1e-3 * float(goal.max())
        )
        centre = 0.7 * want.mean[0] + 0.3 * want.mean[1]
        torch.testing.assert_close(
            merged[layer.layer.name].mean[0], centre, rtol=2e-2, atol=1e-2 * float(goal.max())
        )
        assert layer.std_ratio("after") == pytest.approx(1, abs=0.01)
    if "norm" not in name:
        assert min(layer.std_ratio() for layer in found.layers) < 0.9  # there was something to mend


@pytest.mark.parametrize("name", ["mlp", "mlp with layernorm", "vgg"])
def test_a_network_merged_with_itself_needs_no_repair(name):
    make, data, _ = MAKERS[name]
    a, _ = pair(make)
    found = repair_statistics(a, a, data)
    for key, x in a.state_dict().items():
        torch.testing.assert_close(found.weights[key], x, rtol=1e-3, atol=1e-4)


def test_arguments_are_left_alone():
    make, data, _ = MAKERS["resnet with batchnorm"]
    a, b = pair(make)
    merged = lerp(a, b, 0.5)
    a.train()
    states = [a.state_dict(), b.state_dict(), merged]
    before = [{name: x.clone() for name, x in state.items()} for state in states]
    repair_statistics(a, b, data, merged=merged)
    reestimate_batchnorm(merged, data, model=a)
    assert a.training
    assert a.stem_norm.training
    assert all(
        "forward" not in vars(module) and not module._forward_hooks for module in a.modules()
    )
    assert all(
        torch.equal(state[name], x) for state, old in zip(states, before) for name, x in old.items()
    )


def test_a_layer_without_bias_keeps_its_mean_in_proportion_and_says_so():
    torch.manual_seed(0)
    a, b = (
        nn.Sequential(nn.Linear(12, 16, bias=False), nn.ReLU(), nn.Linear(16, 4)) for _ in range(2)
    )
    found = repair_statistics(a, b, FLAT)
    assert found.layers[0].std_ratio("after") == pytest.approx(1, abs=0.02)
    assert found.notes == ("without a bias the mean is only scaled: 0",)
    assert "0.bias" not in found.weights


def test_the_last_layer_is_repaired_on_request():
    a, b = pair(MAKERS["mlp"][0])
    assert repair_statistics(a, b, FLAT, last_layer=True).layers[-1].layer.name == "head"


def test_points_are_proved_by_trying():
    class Twisted(nn.Module):
        """Looks like a layer of four units, but its units do not scale with its weight."""

        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))

        def forward(self, x):
            return torch.tanh(x * self.weight) + self.bias

    shared = nn.Linear(4, 4)
    model = nn.Sequential(nn.Linear(12, 4), Twisted(), shared, nn.PReLU(4), shared, nn.Linear(4, 3))
    points = scalable_layers(eval_copy(model), model.state_dict(), FLAT[0])
    assert [point.name for point in points] == ["0", "5"]
    assert points[1].last


def test_a_model_with_nothing_to_repair_says_so():
    torch.manual_seed(0)
    a, b = nn.Linear(12, 4), nn.Linear(12, 4)
    with pytest.warns(RebasinWarning, match="no hidden layer"):
        found = repair_statistics(a, b, FLAT)
    assert torch.equal(found.weights["weight"], lerp(a, b, 0.5)["weight"])


def full_pass(model, state, data):
    """The statistics of one batch of everything, as torch takes them in training."""
    copy = ResNet20(0.5, 4, "batch")
    copy.load_state_dict(state)
    for module in copy.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        copy.train()(data[0])
    return copy.state_dict()


def test_reestimated_statistics_are_those_of_one_full_pass():
    a, b = pair(MAKERS["resnet with batchnorm"][0])
    merged = lerp(a, b, 0.5)
    expected = full_pass(a, merged, IMAGES)
    for source in (IMAGES, DataLoader(TensorDataset(*IMAGES), batch_size=61)):
        found = reestimate_batchnorm(merged, source, batch_size=61, model=a)
        for name, x in expected.items():
            torch.testing.assert_close(found[name], x, rtol=1e-4, atol=1e-5)
    stale = (
        (merged["stage3.2.norm2.running_var"] / expected["stage3.2.norm2.running_var"] - 1)
        .abs()
        .max()
    )
    assert stale > 0.1


def test_reestimation_counts_every_example_once_whatever_the_batches():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 4))
    for source in (
        DataLoader(TensorDataset(*FLAT), batch_size=60),
        FLAT,
        [(FLAT[0][:5], FLAT[1][:5]), (FLAT[0][5:], FLAT[1][5:])],
    ):
        found = reestimate_batchnorm(
            model, source, batch_size=30
        )  # 61 = 2 · 30 and a last batch of one
        torch.testing.assert_close(found["0.running_mean"], FLAT[0].mean(0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found["0.running_var"], FLAT[0].var(0), rtol=1e-5, atol=1e-6)
    some = reestimate_batchnorm(
        model, DataLoader(TensorDataset(*FLAT), batch_size=8), num_samples=20
    )
    torch.testing.assert_close(some["0.running_mean"], FLAT[0][:20].mean(0), rtol=1e-5, atol=1e-6)


def test_dropout_stays_off_while_statistics_are_measured():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(12), nn.Linear(12, 4)).train()
    found = reestimate_batchnorm(model, FLAT)
    torch.testing.assert_close(found["1.running_mean"], FLAT[0].mean(0), rtol=1e-5, atol=1e-6)
    assert model.training


def test_reestimation_works_in_mixed_precision():
    model, _ = pair(MAKERS["resnet with batchnorm"][0])
    wanted = reestimate_batchnorm(model, IMAGES)
    with torch.autocast("cpu", torch.bfloat16):
        found = reestimate_batchnorm(model, IMAGES)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor, rtol=0.05, atol=0.02)


def test_without_batchnorm_reestimation_says_so_and_does_nothing():
    for model in (
        MLP(12, (8,), 4, "layer"),
        nn.Sequential(nn.BatchNorm1d(12, track_running_stats=False), nn.Linear(12, 4)),
    ):
        with pytest.warns(RebasinWarning, match="nothing was re-estimated"):
            found = reestimate_batchnorm(model, FLAT)
        assert all(torch.equal(x, model.state_dict()[name]) for name, x in found.items())


def test_bad_data_are_named():
    a, b = pair(MAKERS["mlp with batchnorm"][0])
    with pytest.raises(DataError, match="single value"):
        reestimate_batchnorm(a, (FLAT[0][:1], FLAT[1][:1]))
    for call in (
        lambda data: reestimate_batchnorm(a, data),
        lambda data: repair_statistics(a, b, data),
    ):
        with pytest.raises(DataError, match="no examples"):
            call([])
    with pytest.raises(DataError, match="num_samples=0"):
        reestimate_batchnorm(a, FLAT, num_samples=0)


def test_units_that_never_move_do_no_harm():
    a, b = pair(MAKERS["mlp"][0])
    for model in (a, b):
        with torch.no_grad():
            model.linear2.weight[3] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = repair_statistics(a, b, FLAT)
    assert all(bool(torch.isfinite(x).all()) for x in found.weights.values())
    assert evaluate(found.weights, FLAT, model=a).loss < 100
    expected = (a.linear2.bias[3] + b.linear2.bias[3]).detach() / 2
    assert float(found.weights["linear2.bias"][3]) == pytest.approx(float(expected), rel=1e-4)
