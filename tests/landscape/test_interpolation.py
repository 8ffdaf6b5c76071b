"""Lines and arcs end where they should, and refuse weights that do not belong together."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rebasin_edu.errors import WeightsError
from rebasin_edu.landscape import lerp, mean, slerp


def network(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    model(torch.randn(9, 4))
    return model


A, B = network(1), network(2)


@pytest.mark.parametrize("between", [lerp, slerp])
def test_the_ends_are_the_networks_bit_for_bit(between):
    for alpha, network in ((0.0, A), (1.0, B)):
        found = between(A, B, alpha)
        for name, x in network.state_dict().items():
            if x.is_floating_point():
                assert torch.equal(found[name], x), name


@given(st.floats(-2, 3))
@settings(deadline=None, max_examples=30)
def test_between_a_network_and_itself_there_is_only_that_network(alpha):
    for between in (lerp, slerp):
        found = between(A, A, alpha)
        assert all(torch.equal(found[name], x) for name, x in A.state_dict().items())


@given(st.floats(-1, 2))
@settings(deadline=None, max_examples=30)
def test_a_line_read_backwards_is_the_same_line(alpha):
    there, back = lerp(A, B, alpha), lerp(B, A, 1 - alpha)
    for name, x in there.items():
        torch.testing.assert_close(x, back[name]) if x.is_floating_point() else None


def test_counters_come_from_the_first_network_and_nothing_is_shared():
    a, b = A.state_dict(), B.state_dict()
    b["1.num_batches_tracked"] = torch.tensor(7)
    found = lerp(a, b, 0.5)
    assert found["1.num_batches_tracked"] == 1
    assert found["1.num_batches_tracked"].dtype == torch.long
    before = {name: x.clone() for name, x in a.items()}
    for alpha in (0.0, 0.3, 1.0):
        for x in lerp(a, b, alpha).values():
            x.zero_()
    assert all(torch.equal(a[name], x) for name, x in before.items())


def test_an_arc_keeps_the_length_and_interpolates_statistics_straight():
    a, b = {"w": torch.tensor([3.0, 0.0])}, {"w": torch.tensor([0.0, 3.0])}
    for alpha in (0.25, 0.5, 0.9):
        found = slerp(a, b, alpha)["w"]
        assert found.norm() == pytest.approx(3.0, rel=1e-6)
        assert math.atan2(found[1], found[0]) == pytest.approx(alpha * math.pi / 2, rel=1e-6)
    middle, straight = slerp(A, B, 0.5), lerp(A, B, 0.5)
    assert torch.equal(middle["1.running_var"], straight["1.running_var"])
    assert not torch.allclose(middle["0.weight"], straight["0.weight"])


def test_the_mean_of_two_is_the_midpoint_and_of_three_the_third():
    three = [network(seed).state_dict() for seed in range(3)]
    torch.testing.assert_close(mean(three)["0.weight"], sum(s["0.weight"] for s in three) / 3)
    torch.testing.assert_close(mean(three[:2])["0.weight"], lerp(*three[:2], 0.5)["0.weight"])
    with pytest.raises(WeightsError, match="no networks"):
        mean([])


def test_dtypes_follow_the_first_network():
    found = lerp(
        A.state_dict(),
        {name: x.double() if x.is_floating_point() else x for name, x in B.state_dict().items()},
        0.5,
    )
    assert found["0.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("3.bias"), "'3.bias'"),
        (lambda s: s.update(extra=torch.zeros(2)), "'extra'"),
        (
            lambda s: s.update({"0.weight": torch.zeros(8, 4)}),
            r"0.weight is \(6, 4\).*\(8, 4\).*widths",
        ),
        (
            lambda s: s.update({"0.weight": torch.full((6, 4), float("nan"))}),
            "24 NaN or infinite values of 24",
        ),
        (lambda s: s.update({"0.bias": torch.zeros(6, dtype=torch.long)}), "int64"),
    ],
)
def test_networks_that_do_not_fit_are_refused_by_name(change, words):
    other = B.state_dict()
    change(other)
    for between in (lerp, slerp):
        with pytest.raises(WeightsError, match=words):
            between(A, other, 0.5)
