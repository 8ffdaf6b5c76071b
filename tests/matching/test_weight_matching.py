"""The laws of weight matching, on networks of every kind that a spec can describe."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from rebasin_edu.errors import MatchingInterrupted, RebasinError, SpecError, WeightsError
from rebasin_edu.lab.models import MLP, VGG11, VGG16, ResNet20
from rebasin_edu.matching import STARTS, weight_matching
from rebasin_edu.symmetry import Permutation, PermutationSpec

from ..oracles import algorithm_1, brute_force, objective
from ..paper_specs import mlp_spec, resnet20_spec, resnet50_spec, vgg_spec

SMALL = {
    "mlp": (lambda seed: MLP(20, (16, 24, 16), 5, seed=seed), mlp_spec),
    "vgg11": (lambda seed: VGG11(1 / 8, norm="layer", seed=seed), vgg_spec),
    "resnet20": (lambda seed: ResNet20(0.5, seed=seed), resnet20_spec),
    "resnet20-batch": (lambda seed: ResNet20(0.5, norm="batch", seed=seed), resnet20_spec),
}


def noisy(state: dict, sigma: float, seed: int) -> dict:
    """Noise of ``sigma`` times each tensor's own rms."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: x + sigma * x.square().mean().sqrt() * torch.randn(x.shape, generator=generator)
        if x.is_floating_point()
        else x
        for name, x in state.items()
    }


def planted(make, spec_of, sigma: float, seed: int):
    model = make(seed)
    spec, a = spec_of(model), model.state_dict()
    permutation = spec.random(100 + seed)
    return spec, a, spec.apply(noisy(a, sigma, seed), permutation), permutation.inverse()


@pytest.mark.parametrize(
    ("spec_of", "model", "inputs"),
    [
        (mlp_spec, MLP(seed=0), torch.randn(2, 1, 28, 28)),
        (mlp_spec, MLP(30, (8, 9), 4, "batch", seed=0), torch.randn(3, 30)),
        (vgg_spec, VGG16(1 / 8, seed=0), torch.randn(2, 3, 32, 32)),
        (vgg_spec, VGG11(1 / 8, size=64, seed=0), torch.randn(2, 3, 64, 64)),
        (resnet20_spec, ResNet20(1, norm="batch", seed=0), torch.randn(2, 3, 16, 16)),
    ],
)
def test_the_specs_by_hand_are_symmetries(spec_of, model, inputs):
    assert spec_of(model).check(model, inputs) < 1e-9


def test_the_spec_of_resnet50_has_the_papers_37_groups():
    spec = resnet50_spec(torchvision.models.resnet50())
    assert len(spec.groups) == 37
    assert round(spec.log10_symmetries()) == 25638


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", SMALL)
def test_the_objective_never_falls_and_adds_up(name, start):
    make, spec_of = SMALL[name]
    model_a, model_b = make(1), make(2)
    spec, a, b = spec_of(model_a), model_a.state_dict(), model_b.state_dict()
    before = {key: value.clone() for key, value in b.items()}
    found = weight_matching(spec, a, b, start=start, seed=3)
    assert all(step.gain > 0 for step in found.history if step.sweep > 0)
    assert found.objective == pytest.approx(objective(spec, a, b, found.permutation), rel=1e-9)
    assert found.gain == pytest.approx(
        found.objective - objective(spec, a, b, spec.identity()), rel=1e-6, abs=1e-6
    )
    assert sum(step.gain for step in found.history) == pytest.approx(found.gain, rel=1e-4)
    assert found.converged
    assert found.gain > 0
    again = weight_matching(spec, a, b, start=found.permutation, seed=4)
    assert again.permutation == found.permutation  # no single group can improve it
    assert all(torch.equal(value, before[key]) for key, value in b.items())


@pytest.mark.parametrize("name", SMALL)
def test_from_the_identity_it_is_as_good_as_algorithm_1(name):
    make, spec_of = SMALL[name]
    model_a, model_b = make(1), make(2)
    spec, a, b = spec_of(model_a), model_a.state_dict(), model_b.state_dict()
    base = objective(spec, a, b, spec.identity())
    plain = [
        objective(spec, a, b, algorithm_1(spec, a, b, seed=seed, max_sweeps=20)[0]) - base
        for seed in range(3)
    ]
    ours = [weight_matching(spec, a, b, start="identity", seed=seed).gain for seed in range(3)]
    assert sorted(ours)[1] > 0.95 * sorted(plain)[1]
    assert weight_matching(spec, a, b, start="input_first").gain > sorted(plain)[1]
    assert weight_matching(spec, a, b, start="barycentre").gain > sorted(plain)[1]


@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("name", ["mlp", "resnet20", "resnet20-batch"])
def test_a_planted_permutation_comes_back(name, sigma):
    make, spec_of = SMALL[name]
    sigma = min(sigma, 0.5)  # these are far narrower than the paper's: 8 units in a group
    for seed in range(3):
        spec, a, b, truth = planted(make, spec_of, sigma, seed)
        for start in ("output_first", "input_first", "barycentre"):
            assert weight_matching(spec, a, b, start=start, seed=seed).permutation == truth


def test_a_planted_permutation_comes_back_through_much_noise():
    for seed in range(5):
        spec, a, b, truth = planted(lambda s: ResNet20(1, seed=s), resnet20_spec, 4.0, seed)
        assert weight_matching(spec, a, b, start="barycentre").permutation == truth


def test_float32_float64_and_half_find_the_same():
    spec, a, b, truth = planted(*SMALL["resnet20"], 0.3, 0)
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        cast = [
            {key: x.to(dtype) if x.is_floating_point() else x for key, x in state.items()}
            for state in (a, b)
        ]
        assert weight_matching(spec, *cast).permutation == truth


@pytest.mark.parametrize("seed", range(4))
def test_one_hidden_layer_is_exact_and_seeds_agree(seed):
    make = lambda s: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))  # noqa: E731
    torch.manual_seed(seed)
    a, b = make(0), make(1)
    axes = {"0.weight": ("h", None), "0.bias": ("h",), "2.weight": (None, "h")}
    spec = PermutationSpec.from_axes(axes, a)
    best, value = brute_force(spec, a.state_dict(), b.state_dict())
    for start in STARTS:
        found = [weight_matching(spec, a, b, start=start, seed=s) for s in (0, 1)]
        assert found[0].permutation == found[1].permutation == best
        assert found[0].objective == pytest.approx(value, rel=1e-6)


def test_best_of_many_reaches_brute_force_with_two_layers():
    for seed in range(4):
        model_a, model_b = MLP(5, (4, 4), 3, seed=seed), MLP(5, (4, 4), 3, seed=seed + 10)
        spec = mlp_spec(model_a)
        _, value = brute_force(spec, model_a.state_dict(), model_b.state_dict())
        found = weight_matching(spec, model_a, model_b, restarts=20, start="random")
        assert found.objective == pytest.approx(value, rel=1e-6)
        assert found.objective <= value * (1 + 1e-9)


class Recurrent(nn.Module):
    def __init__(self, units=12):
        super().__init__()
        self.rnn = nn.RNN(7, units, batch_first=True)
        self.head = nn.Linear(units, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def recurrent_spec(model: nn.Module) -> PermutationSpec:
    axes = {
        "rnn.weight_ih_l0": ("h", None),
        "rnn.weight_hh_l0": ("h", "h"),
        "rnn.bias_ih_l0": ("h",),
        "rnn.bias_hh_l0": ("h",),
        "head.weight": (None, "h"),
    }
    return PermutationSpec.from_axes(axes, model)


@pytest.mark.parametrize("start", STARTS)
def test_a_group_on_two_axes_of_one_parameter(start):
    torch.manual_seed(0)
    a, b = Recurrent(), Recurrent()
    spec = recurrent_spec(a)
    assert spec.check(a, torch.randn(2, 5, 7)) < 1e-9
    found = weight_matching(spec, a, b, start=start)
    assert all(step.gain > 0 for step in found.history if step.sweep > 0)
    assert found.objective == pytest.approx(
        objective(spec, a.state_dict(), b.state_dict(), found.permutation), rel=1e-9
    )
    truth = spec.random(5)
    assert (
        weight_matching(spec, a, spec.apply(a, truth), start=start).permutation == truth.inverse()
    )


def test_a_small_recurrent_net_reaches_brute_force():
    torch.manual_seed(1)
    for _ in range(4):
        a, b = Recurrent(5), Recurrent(5)
        spec = recurrent_spec(a)
        _, value = brute_force(spec, a.state_dict(), b.state_dict())
        assert weight_matching(spec, a, b, restarts=30, start="random").objective == pytest.approx(
            value, rel=1e-6
        )


class Toy(nn.Module):
    """The residual toy of samuela/git-re-basin, issue 8: a stream through several blocks."""

    def __init__(self, units=8, blocks=3):
        super().__init__()
        self.first = nn.Linear(4, units)
        self.up = nn.ModuleList(nn.Linear(units, units) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(units, units) for _ in range(blocks))
        self.head = nn.Linear(units, 2)

    def forward(self, x):
        x = self.first(x)
        for up, down in zip(self.up, self.down):
            x = x + down(torch.relu(up(x)))
        return self.head(x)


def test_the_residual_toy_comes_back():
    exact = 0
    for seed in range(40):
        torch.manual_seed(seed)
        a = Toy()
        axes = {
            "first.weight": ("stream", None),
            "first.bias": ("stream",),
            "head.weight": (None, "stream"),
        }
        for k in range(3):
            axes |= {f"up.{k}.weight": (f"inner{k}", "stream"), f"up.{k}.bias": (f"inner{k}",)}
            axes |= {f"down.{k}.weight": ("stream", f"inner{k}"), f"down.{k}.bias": ("stream",)}
        spec = PermutationSpec.from_axes(axes, a)
        truth = spec.random(seed)
        exact += (
            weight_matching(spec, a, spec.apply(a, truth), seed=seed).permutation == truth.inverse()
        )
    assert exact >= 39


def test_restarts_keep_the_best_by_objective_or_by_loss():
    model_a, model_b = ResNet20(0.5, seed=1), ResNet20(0.5, seed=2)
    spec = resnet20_spec(model_a)
    by_objective = weight_matching(spec, model_a, model_b, start="identity", restarts=6)
    assert len(by_objective.scores) == 6
    assert by_objective.objective == pytest.approx(-min(by_objective.scores), rel=1e-12)
    target = spec.random(9)
    far = lambda permutation: -sum(int((permutation[g] == target[g]).sum()) for g in target)  # noqa: E731
    by_loss = weight_matching(spec, model_a, model_b, start="identity", restarts=6, loss=far)
    assert far(by_loss.permutation) == min(by_loss.scores)


def test_the_same_seed_gives_the_same_and_leaves_the_global_generator_alone():
    model_a, model_b = ResNet20(0.5, seed=1), ResNet20(0.5, seed=2)
    spec = resnet20_spec(model_a)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = weight_matching(spec, model_a, model_b, start="random", seed=7)
    assert torch.equal(before, torch.get_rng_state())
    assert (
        first.permutation
        == weight_matching(spec, model_a, model_b, start="random", seed=7).permutation
    )


def test_buffers_are_permuted_but_do_not_count():
    model_a, model_b = ResNet20(0.5, norm="batch", seed=1), ResNet20(0.5, norm="batch", seed=2)
    spec = resnet20_spec(model_a)
    plain = weight_matching(spec, model_a, model_b)
    changed = copy.deepcopy(model_b)
    for name, buffer in changed.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.arange(len(buffer)))
    assert weight_matching(spec, model_a, changed).permutation == plain.permutation
    moved = spec.apply(changed, plain.permutation)
    assert torch.equal(moved["stem_norm.running_mean"].long(), plain.permutation["stream1"])


def _pair():
    a, b = MLP(6, (5, 4), 3, seed=1), MLP(6, (5, 4), 3, seed=2)
    return mlp_spec(a), a.state_dict(), b.state_dict()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("who", ["a", "b"])
def test_weights_that_are_not_finite_are_named(value, who):
    spec, a, b = _pair()
    (a if who == "a" else b)["linear2.weight"][1, 2] = value
    with pytest.raises(WeightsError, match=rf"linear2.weight of {who} holds 1 NaN or infinite"):
        weight_matching(spec, a, b)


def test_a_huge_but_finite_tensor_is_not_taken_for_infinite():
    spec, a, b = _pair()
    for state in (a, b):
        state["linear1.weight"] = state["linear1.weight"].double() * 1e30
    assert weight_matching(spec, a, b).converged


def test_what_cannot_be_compared_is_refused():
    spec, a, b = _pair()
    with pytest.raises(SpecError, match=r"no parameter 'linear2\.weight'"):
        weight_matching(spec, a, {key: x for key, x in b.items() if key != "linear2.weight"})
    with pytest.raises(SpecError, match="do the widths differ"):
        weight_matching(spec, a, MLP(6, (5, 7), 3, seed=2))
    with pytest.raises(WeightsError, match=r"linear1.weight of a is torch.int64"):
        weight_matching(spec, {key: x.long() for key, x in a.items()}, b)
    with pytest.raises(WeightsError, match="complex64"):
        weight_matching(spec, {key: x.to(torch.complex64) for key, x in a.items()}, b)
    with pytest.raises(WeightsError, match=r"torch.float32 in a and torch.float64 in b"):
        weight_matching(spec, a, {key: x.double() for key, x in b.items()})
    with pytest.raises(WeightsError, match=r"linear1.weight of the weights of b has no values"):
        weight_matching(spec, a, {key: x.to("meta") for key, x in b.items()})
    with pytest.raises(SpecError, match="no groups"):
        weight_matching(PermutationSpec.from_axes({"linear1.weight": (None, None)}, a), a, b)
    with pytest.raises(ValueError, match="output_first"):
        weight_matching(spec, a, b, start="middle")
    with pytest.raises(ValueError, match="at least 1"):
        weight_matching(spec, a, b, restarts=0)


def test_a_broken_start_permutation_is_refused():
    spec, a, b = _pair()
    with pytest.raises(SpecError, match="'linear1'"):
        weight_matching(spec, a, b, start=Permutation({"linear1": range(4), "linear2": range(4)}))


def test_ctrl_c_gives_the_best_so_far(monkeypatch):
    import rebasin_edu.matching.coordinate_descent as descent

    model_a, model_b = ResNet20(0.5, seed=1), ResNet20(0.5, seed=2)
    spec = resnet20_spec(model_a)
    calls, real = [], descent.assign

    def assign(gains):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(gains)

    monkeypatch.setattr(descent, "assign", assign)
    with pytest.raises(MatchingInterrupted) as stopped:
        weight_matching(spec, model_a, model_b, start="identity")
    found = stopped.value.matching
    a, b = model_a.state_dict(), model_b.state_dict()
    assert not found.converged
    assert found.gain > 0
    assert found.objective == pytest.approx(objective(spec, a, b, found.permutation), rel=1e-9)
    assert sum(step.gain for step in found.history) == pytest.approx(found.gain, rel=1e-4)
    on = weight_matching(spec, a, b, start=found.permutation)
    assert on.objective >= found.objective


def test_a_tolerance_stops_after_a_sweep_that_gains_little():
    a, b = ResNet20(1, norm="batch", seed=1), ResNet20(1, norm="batch", seed=2)
    spec = resnet20_spec(a)
    whole = weight_matching(spec, a, b, start="identity")
    found = weight_matching(spec, a, b, start="identity", tolerance=0.02)
    assert whole.converged and not found.converged
    assert len(found.history) < len(whole.history)
    assert 0.9 * whole.gain < found.gain < whole.gain
    steps = whole.history[: len(found.history)]  # the same way, only shorter
    assert [step.gain for step in found.history[1:]] == [step.gain for step in steps[1:]]


@pytest.mark.parametrize("tolerance", [-1e-3, 1.0, float("nan")])
def test_a_tolerance_that_means_nothing_is_refused(tolerance):
    a = MLP(20, (16, 24, 16), 5, seed=0)
    with pytest.raises(RebasinError, match="tolerance"):
        weight_matching(mlp_spec(a), a, a, tolerance=tolerance)
