"""Activation matching: streaming moments, the right tensors, the same answer in one pass as with
everything in memory.
"""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch import nn

from rebasin_edu.batches import batches
from rebasin_edu.errors import DataError, WeightsError
from rebasin_edu.lab.models import MLP, VGG11, ResNet20
from rebasin_edu.matching import activation_matching
from rebasin_edu.matching.activation_matching import measure
from rebasin_edu.matching.moments import Moments
from rebasin_edu.running import fast_layout
from rebasin_edu.symmetry import PermutationSpec

from ..paper_specs import mlp_spec, resnet20_spec, vgg_spec


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.sampled_from([0.0, 1e3]),
)
def test_moments_in_pieces_are_those_of_the_whole(seed, sizes, offset):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(4, sum(sizes) + 2, generator=generator) + offset
    b = torch.randn(4, sum(sizes) + 2, generator=generator) - offset
    moments = Moments()
    for x, y in zip(a.split([*sizes, 2], 1), b.split([*sizes, 2], 1)):
        moments.add(x.clone(), y.clone())
    a, b = a.double(), b.double()
    whole = torch.corrcoef(torch.cat([a, b]))[:4, 4:]
    assert torch.allclose(moments.correlation(), whole, atol=2e-4)
    assert torch.allclose(moments.product(), a @ b.T / a.shape[1], rtol=1e-5, atol=1e-5)


def test_a_unit_that_never_changes_has_no_correlation():
    moments = Moments()
    constant = torch.full((2, 10), 0.1)
    moments.add(
        torch.cat([torch.randn(1, 10), constant[:1]]), torch.cat([torch.randn(1, 10), constant[:1]])
    )
    found = moments.correlation()
    assert torch.isfinite(found).all()
    assert found[1].abs().max() == found[:, 1].abs().max() == 0


def test_the_mlp_is_read_after_its_nonlinearity_as_equation_1_says():
    a, b = MLP(12, (9, 8), 4, seed=1), MLP(12, (9, 8), 4, seed=2)
    x = torch.randn(70, 12)
    expected = {}
    with torch.no_grad():
        hidden = [[], []]
        for which, net in enumerate((a, b)):
            z = x
            for layer in list(net)[1:-1]:
                z = layer(z)
                if isinstance(layer, nn.ReLU):
                    hidden[which].append(z.double())
        for group, za, zb in zip(("linear1", "linear2"), *hidden):
            expected[False, group] = linear_sum_assignment((za.T @ zb).numpy(), maximize=True)[1]
            correlation = torch.corrcoef(torch.cat([za.T, zb.T]))[
                : za.shape[1], za.shape[1] :
            ].nan_to_num()
            expected[True, group] = linear_sum_assignment(correlation.numpy(), maximize=True)[1]
    for centred in (True, False):
        found = activation_matching(
            mlp_spec(a), a, b, (x, torch.zeros(70)), centred=centred, batch_size=32
        )
        for group in ("linear1", "linear2"):
            assert found.permutation[group].tolist() == expected[centred, group].tolist()


@pytest.mark.parametrize(
    ("model", "spec_of", "shape"),
    [
        (VGG11(1 / 8, norm="layer", seed=0), vgg_spec, (3, 32, 32)),
        (ResNet20(0.5, norm="batch", seed=0), resnet20_spec, (3, 8, 8)),
    ],
)
def test_planted_permutations_come_back_as_the_same_function(model, spec_of, shape):
    for by_hand in (True, False):
        spec = (
            spec_of(model) if by_hand else PermutationSpec.from_model(model, torch.zeros(2, *shape))
        )
        a = model.state_dict()
        truth = spec.random(3)
        b = spec.apply(a, truth)
        x = torch.randn(30, *shape, generator=torch.Generator().manual_seed(0))
        found = activation_matching(spec, a, b, x, model=model, batch_size=20)
        moments = measure(spec, a, b, x, model, 20)
        for group in (
            spec.groups
        ):  # units that are dead on all inputs cannot be told apart, all others come back
            alive = (
                sum(
                    one.correlation().abs().amax(1)
                    for (key, _), one in moments.items()
                    if group in key
                )
                > 0
            )
            assert alive.sum() > len(alive) / 3
            assert torch.equal(found.permutation[group][alive], truth.inverse()[group][alive])
        again, once = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
        again.load_state_dict(spec.apply(b, found.permutation))
        assert torch.allclose(again(x), once(x), atol=1e-4)
        assert found.gain > 0
        assert sum(step.gain for step in found.history) == pytest.approx(found.gain, rel=1e-9)


class Heads(nn.Module):
    def __init__(self, heads=4, head=3):
        super().__init__()
        self.heads, self.head = heads, head
        self.q, self.k, self.v = (nn.Linear(5, heads * head) for _ in range(3))
        self.out = nn.Linear(heads * head, 2)

    def forward(self, x):
        q, k, v = (
            f(x).reshape(*x.shape[:2], self.heads, self.head).transpose(1, 2)
            for f in (self.q, self.k, self.v)
        )
        return self.out((torch.softmax(q @ k.transpose(-1, -2), -1) @ v).transpose(1, 2).flatten(2))


def test_heads_and_their_widths_come_back():
    torch.manual_seed(0)
    model = Heads()
    spec = PermutationSpec.from_model(model, torch.zeros(2, 6, 5))
    for seed in range(4):
        truth = spec.random(seed)
        found = activation_matching(spec, model, spec.apply(model, truth), torch.randn(40, 6, 5))
        assert found.permutation == truth.inverse()


def test_loaders_lists_and_tensors_are_the_same_data():
    a, b = MLP(6, (8,), 3, seed=1), MLP(6, (8,), 3, seed=2)
    x, y = torch.randn(50, 6), torch.zeros(50).long()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 20)
    ways = [x, (x, y), loader, [x[:25], x[25:40], x[40:]], [(x[:13], y[:13]), (x[13:], y[13:])]]
    spec = mlp_spec(a)
    found = [activation_matching(spec, a, b, way, batch_size=16) for way in ways]
    assert all(one.permutation == found[0].permutation for one in found)
    assert all(one.objective == pytest.approx(found[0].objective, rel=1e-5) for one in found)
    few = activation_matching(spec, a, b, x, num_samples=20)
    assert few.objective == pytest.approx(
        activation_matching(spec, a, b, x[:20]).objective, rel=1e-5
    )


def test_two_thousand_examples_are_taken_unless_another_number_is_said():
    a, b = MLP(6, (8,), 3, seed=1), MLP(6, (8,), 3, seed=2)
    x, spec = torch.randn(2100, 6), mlp_spec(MLP(6, (8,), 3))
    found = activation_matching(spec, a, b, x).objective
    assert found == activation_matching(spec, a, b, x[:2000], num_samples=None).objective
    assert found != activation_matching(spec, a, b, x, num_samples=None).objective


class Flat(nn.Module):
    """A convolution whose pixels are laid out by a view, which asks for channels first."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.out = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6 * 16, 4)

    def forward(self, x):
        return self.out(self.conv(x).relu().view(-1, 6 * 16))


@pytest.mark.parametrize(
    ("make", "size", "last"), [(Flat, 4, False), (lambda seed: VGG11(1 / 8, seed=seed), 32, True)]
)
def test_images_have_their_channels_last_only_where_the_model_takes_them(make, size, last):
    a = make(seed=1).eval()
    x = torch.randn(40, 3, size, size)
    ((here, _),) = fast_layout(a, a.state_dict(), batches(x, targets=False))
    assert here.is_contiguous(memory_format=torch.channels_last) is last
    spec = PermutationSpec.from_model(a, x[:2])
    b = spec.apply(a.state_dict(), spec.random(3))
    found = activation_matching(spec, a, b, x, model=a).permutation  # right but for dead units
    outputs = torch.func.functional_call(a, spec.apply(b, found), (x,))
    assert torch.allclose(outputs, a(x), atol=1e-5)


def test_bad_input_is_said_in_words():
    a, b = MLP(6, (8,), 3, seed=1), MLP(6, (8,), 3, seed=2)
    spec = mlp_spec(a)
    for empty in ([], torch.zeros(0, 6), (torch.zeros(0, 6), torch.zeros(0))):
        with pytest.raises(DataError, match="no examples"):
            activation_matching(spec, a, b, empty)
    with pytest.raises(WeightsError, match="model="):
        activation_matching(spec, a.state_dict(), b.state_dict(), torch.randn(4, 6))
    with pytest.raises(DataError, match="no tensor"):
        activation_matching(spec, a, b, [{"x": 1}])
    broken = {name: value * float("nan") for name, value in b.state_dict().items()}
    with pytest.raises(WeightsError, match=r"linear1\.weight of b"):
        activation_matching(spec, a, broken, torch.randn(4, 6))


def test_half_precision_weights_are_run_in_float32():
    a, b = MLP(6, (8, 7), 3, seed=1), MLP(6, (8, 7), 3, seed=2)
    spec, x = mlp_spec(a), torch.randn(40, 6)
    half = [copy.deepcopy(net).bfloat16() for net in (a, b)]
    found = activation_matching(spec, *half, x)
    wide = [net.float() for net in half]
    assert found.permutation == activation_matching(spec, *wide, x).permutation


@pytest.mark.parametrize("weights", [0.3, 3.0])
def test_weights_join_the_objective_which_only_rises(weights):
    """The joint objective, by hand: correlations of matched units and cosines of their weights."""
    a, b = (MLP(12, (9, 7), 4, seed=seed).double().requires_grad_(False) for seed in (1, 2))
    x = torch.randn(300, 12, generator=torch.Generator().manual_seed(0)).double()
    spec = mlp_spec(a)
    plain = activation_matching(spec, a, b, x)
    found = activation_matching(spec, a, b, x, weights=weights)

    def by_hand(permutation):
        moved, total = MLP(12, (9, 7), 4).double().requires_grad_(False), 0.0
        moved.load_state_dict(spec.apply(b.state_dict(), permutation))
        layers = [[m for m in net if isinstance(m, torch.nn.Linear)] for net in (a, moved)]
        inputs = [x, x]
        for k, pair in enumerate(zip(*layers)):
            rows = []
            for m, h in zip(pair, inputs):
                spread = h.std(0, correction=0) if k else torch.ones(12).double()
                rows.append(torch.nn.functional.normalize(m.weight * spread, dim=1))
            total += weights * float((rows[0] * rows[1]).sum())
            inputs = [torch.relu(m(h)) for m, h in zip(pair, inputs)]
            if k < 2:
                scaled = [h - h.mean(0) for h in inputs]
                scaled = [h / h.norm(dim=0).clamp_min(1e-12) for h in scaled]
                total += float((scaled[0] * scaled[1]).sum())
        return total

    assert found.objective == pytest.approx(by_hand(found.permutation), rel=1e-9)
    assert by_hand(found.permutation) >= by_hand(plain.permutation)
    assert all(step.gain > 0 for step in found.history[1:])
    assert sum(step.gain for step in found.history) == pytest.approx(found.gain, rel=1e-9)
    assert found.converged
    with pytest.raises(ValueError, match="weights=-1"):
        activation_matching(spec, a, b, x, weights=-1)
