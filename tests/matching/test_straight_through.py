"""Straight-through matching: its midpoint has a lower loss than any start, with labels or not."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from rebasin_edu.errors import DataError, MatchingInterrupted, RebasinWarning, WeightsError
from rebasin_edu.lab.models import MLP
from rebasin_edu.matching import activation_matching, straight_through_matching, weight_matching
from rebasin_edu.matching.midpoint import Midpoint
from rebasin_edu.symmetry import PermutationSpec

from ..oracles import objective
from ..paper_specs import mlp_spec


@pytest.fixture(scope="module")
def trained():
    """Two small networks trained apart on scikit-learn's digits."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    nets = []
    for seed in (1, 2):
        net = MLP(64, (16, 16), 10, seed=seed)
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(12):
            for batch in torch.randperm(len(x), generator=generator).split(200):
                optimiser.zero_grad()
                cross_entropy(net(x[batch]), y[batch]).backward()
                optimiser.step()
        nets.append(net.requires_grad_(False))
    return (*nets, (x, y))


def midpoint_loss(a, b, spec, permutation, data):
    moved = spec.apply(b, permutation)
    middle = {name: (value + moved[name]) / 2 for name, value in a.state_dict().items()}
    return float(cross_entropy(functional_call(a, middle, (data[0],)), data[1]))


def consistent(found, spec, a, b):
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert len(found.scores) == len(found.history)
    expected = objective(spec, a.state_dict(), b.state_dict(), found.permutation)
    assert found.objective == pytest.approx(expected, rel=1e-9)
    assert sum(step.gain for step in found.history) == pytest.approx(found.gain, rel=1e-6)


@pytest.mark.parametrize("loss", [None, cross_entropy])
def test_the_defaults_beat_weight_and_activation_matching(trained, loss):
    a, b, data = trained
    spec = mlp_spec(a)
    found = straight_through_matching(spec, a, b, data, loss=loss)
    consistent(found, spec, a, b)
    assert len(found.scores) > 1
    ours = midpoint_loss(a, b, spec, found.permutation, data)
    for other in (weight_matching(spec, a, b), activation_matching(spec, a, b, data)):
        assert ours < midpoint_loss(a, b, spec, other.permutation, data)


def test_labels_are_not_looked_at_without_a_loss(trained):
    a, b, (x, y) = trained
    spec = mlp_spec(a)
    with_labels = straight_through_matching(spec, a, b, (x, y), steps=8)
    without = straight_through_matching(spec, a, b, x, steps=8)
    assert with_labels.permutation == without.permutation
    assert with_labels.scores == without.scores


def test_the_paper_s_method_lowers_the_loss_on_all_examples(trained):
    a, b, data = trained
    spec = mlp_spec(a)
    found = straight_through_matching(
        spec, a, b, data, method="paper", steps=150, rate=0.1, minibatch=300, loss=cross_entropy
    )
    consistent(found, spec, a, b)
    assert found.scores[-1] < 0.95 * found.scores[0]
    expected = midpoint_loss(a, b, spec, found.permutation, data)
    assert found.scores[-1] == pytest.approx(expected, rel=1e-4)
    first = weight_matching(spec, a, b).permutation
    expected = midpoint_loss(a, b, spec, first, data)
    assert found.scores[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("start", ["activations", "input_first", "identity", "permutation"])
def test_the_start_is_that_of_its_name(trained, start):
    a, b, data = trained
    spec = mlp_spec(a)
    matched = weight_matching(spec, a, b).permutation
    given = matched if start == "permutation" else start
    found = straight_through_matching(spec, a, b, data, start=given, steps=0)
    expected = matched
    if start == "activations":  # fewer than ten examples are all read
        few = data[0][:9], data[1][:9]
        found = straight_through_matching(spec, a, b, few, start=start, steps=0)
        expected = activation_matching(spec, a, b, few, weights=0.3).permutation
        assert found.permutation == expected
        assert expected != activation_matching(spec, a, b, few).permutation
        return
    if start != "permutation":
        expected = weight_matching(spec, a, b, start=start).permutation
    assert found.permutation == expected
    assert not found.converged


def test_the_gradient_at_the_logits_is_that_of_the_loss(trained):
    """Moving along it to first order changes the loss by what the gradient says."""
    a, b, (x, y) = trained
    spec = mlp_spec(a)
    wide = {n: v.double() for n, v in b.state_dict().items()}
    network = MLP(64, (16, 16), 10, seed=1).double()
    middle = Midpoint(network, spec, {n: v.double() for n, v in a.state_dict().items()}, wide,
                      cross_entropy, 500)  # fmt: skip
    (batch,) = middle.examples((x.double(), y), 200, 0)
    tables = dict(spec.identity())
    name = "linear1.weight"
    gradient = middle.gradient(tables, batch, [name])[name]
    state = middle.at(tables)
    step = 1e-6 * gradient / gradient.norm()
    rise = middle.loss({**state, name: state[name] + step}, batch) - middle.loss(state, batch)
    assert float(rise) == pytest.approx(1e-6 * float(gradient.norm()), rel=1e-3)


class Normed(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.up, self.norm, self.head = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.up(x))))


class TiedLayers(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.up, self.middle, self.again = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.again.weight = self.middle.weight
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.relu(self.again(torch.relu(self.middle(torch.relu(self.up(x)))))))


@pytest.mark.parametrize("method", ["descent", "paper"])
@pytest.mark.parametrize("kind", [Normed, TiedLayers])
@pytest.mark.parametrize("number", [101, 501])
def test_tied_weights_and_a_last_batch_of_one(kind, method, number):
    a, b = (kind(seed).eval().requires_grad_(False) for seed in (0, 1))
    x = torch.randn(number, 6, generator=torch.Generator().manual_seed(0))
    y = x[:, :3].argmax(1)
    spec = PermutationSpec.from_model(a, x[:4])
    before = {n: v.clone() for n, v in a.state_dict().items()}
    found = straight_through_matching(
        spec, a, b, [(x[:number - 1], y[:number - 1]), (x[number - 1 :], y[number - 1 :])],
        method=method, steps=3, minibatch=100, loss=cross_entropy, batch_size=100,
    )  # fmt: skip
    assert found.scores[-1] <= found.scores[0]
    assert all(torch.equal(v, before[n]) for n, v in a.state_dict().items())


def test_no_step_that_changes_anything_is_said(trained):
    a, b, data = trained
    with pytest.warns(RebasinWarning, match="none of 12 steps"):
        found = straight_through_matching(mlp_spec(a), a, b, data, rate=0.0, steps=12)
    assert len(found.scores) == 1


def test_converged_means_that_no_better_one_came_for_a_while(trained):
    a, b, data = trained
    spec = mlp_spec(a)
    assert not straight_through_matching(spec, a, b, data, steps=0).converged
    assert not straight_through_matching(spec, a, b, data, steps=4).converged
    found = straight_through_matching(spec, a, b, data, rate=0.05, steps=60)
    rest = 60 - found.history[-1].sweep
    assert found.converged == (rest >= 20)


def test_every_fourth_permutation_is_scored_and_the_last(trained, monkeypatch):
    a, b, data = trained
    real, calls = Midpoint.score, []
    monkeypatch.setattr(Midpoint, "score", lambda *args: calls.append(1) or real(*args))
    found = straight_through_matching(mlp_spec(a), a, b, data, start="activations", steps=10)
    assert len(calls) <= 1 + 3  # the start, and after steps 4, 8 and 10
    assert {step.sweep for step in found.history} <= {0, 4, 8, 10}


def test_stored_networks_of_mnist_end_no_higher_than_they_began():
    import rebasin_edu as rb

    data = rb.load_data("mnist-5k")
    recipe = rb.Recipe(dataset="mnist")
    a, b = (rb.load_or_train(recipe.with_seed(seed), dataset=data) for seed in (0, 1))
    spec = PermutationSpec.from_model(a, data.test.inputs[:2])
    train, test = data.train.inputs, data.test.first(1000)  # 1,500 are too few for every seed
    start = rb.activation_matching(spec, a, b, train, num_samples=None).permutation
    options = {"start": "activations", "steps": 24}
    found = [straight_through_matching(spec, a, b, train, seed=s, **options) for s in range(3)]
    assert any(len(each.scores) > 1 for each in found)
    before, *after = (
        rb.linear_path(a, spec.apply(b, permutation), test, alphas=3)
        for permutation in (start, *(each.permutation for each in found))
    )
    # the choice is made by 800 images: one draw of them may be wrong by more than the gain
    assert sum(curve.at(0.5).loss for curve in after) / 3 < before.at(0.5).loss
    # both barriers lie at an end, where a permuted sum is rounded otherwise
    assert all(curve.barrier.loss <= before.barrier.loss + 1e-6 for curve in after)


class Recurrent(nn.Module):
    """Two layers of cells: what passes between them is no activation that can be read."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.cells, self.head = nn.LSTM(3, 6, num_layers=2, batch_first=True), nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


def test_groups_without_activations_begin_at_their_weights():
    a, b = (Recurrent(seed).eval().requires_grad_(False) for seed in (0, 1))
    x = torch.randn(60, 5, 3, generator=torch.Generator().manual_seed(0))
    spec = PermutationSpec.from_model(a, x[:2])
    found = straight_through_matching(spec, a, b, x, start="activations", steps=0)
    assert all(found.permutation.moved(group) for group in spec.groups)
    after = straight_through_matching(spec, a, b, x, start="activations", steps=12)
    assert after.scores[-1] <= found.scores[0]


class ViewOnly(nn.Module):
    """Refuses images with their channels last, as many small models do."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.head = nn.Conv2d(2, 6, 3), nn.Linear(6 * 16, 3)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).view(len(x), 96))


def test_a_model_that_views_its_activations():
    a, b = (ViewOnly(seed).eval().requires_grad_(False) for seed in (0, 1))
    x = torch.randn(150, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    spec = PermutationSpec.from_model(a, x[:4])
    with pytest.raises(RuntimeError, match="view size"):
        a(x.contiguous(memory_format=torch.channels_last))
    found = straight_through_matching(spec, a, b, x, steps=4, minibatch=50)
    assert found.scores[-1] <= found.scores[0]


def test_ctrl_c_gives_the_best_so_far(trained, monkeypatch):
    a, b, data = trained
    real, calls = Midpoint.gradient, []

    def stop(*args):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(Midpoint, "gradient", stop)
    spec = mlp_spec(a)
    with pytest.raises(MatchingInterrupted) as stopped:
        straight_through_matching(spec, a, b, data)
    assert not stopped.value.matching.converged
    consistent(stopped.value.matching, spec, a, b)


def test_data_in_other_forms_and_bad_data(trained):
    a, b, (x, y) = trained
    spec = mlp_spec(a)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 400)
    found = straight_through_matching(
        spec, a.state_dict(), b.state_dict(), loader, model=a, steps=3
    )
    assert found.permutation == straight_through_matching(spec, a, b, (x, y), steps=3).permutation
    with pytest.raises(DataError, match="no examples"):
        straight_through_matching(spec, a, b, [], steps=3)
    with pytest.raises(DataError, match="pair"):
        straight_through_matching(spec, a, b, [x], steps=3, loss=cross_entropy)
    with pytest.raises(WeightsError, match="model="):
        straight_through_matching(spec, a.state_dict(), b.state_dict(), (x, y), steps=3)
    with pytest.raises(ValueError, match="choose one of 'descent', 'paper'"):
        straight_through_matching(spec, a, b, (x, y), method="adam")
    with pytest.raises(ValueError, match="'output_first'"):
        straight_through_matching(spec, a, b, (x, y), start="middle")
