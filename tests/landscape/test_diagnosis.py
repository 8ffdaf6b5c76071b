"""A diagnosis names what is wrong: the closed form holds, the worst group is found, a wrong spec is
called one.
"""

import pytest
import torch
from torch import nn

from rebasin_edu.errors import RebasinError
from rebasin_edu.lab.models import MLP, ResNet20
from rebasin_edu.landscape import closed_form, diagnose, evaluate, lerp
from rebasin_edu.symmetry import Permutation, PermutationSpec

DATA = torch.randn(300, 12, generator=torch.Generator().manual_seed(0)), torch.arange(300) % 4
AXES = {
    "linear1.weight": ("first", None),
    "linear1.bias": ("first",),
    "linear2.weight": ("second", "first"),
    "linear2.bias": ("second",),
    "head.weight": (None, "second"),
    "head.bias": (None,),
}


def mlp(seed):
    torch.manual_seed(seed)
    return MLP(12, (16, 16), 4)


@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_the_closed_form_is_the_measured_deviation_of_a_layer_that_acts_on_the_data(alpha):
    found = diagnose(mlp(1), mlp(2), DATA, alpha=alpha)
    layer = found.layers[0]
    torch.testing.assert_close(layer.std_merged, layer.std_predicted, rtol=1e-4, atol=1e-6)
    assert layer.measured == pytest.approx(layer.predicted, rel=1e-4)
    assert layer.measured < 0.95


def test_the_closed_form_at_its_ends():
    one, two = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0])
    torch.testing.assert_close(closed_form(one, two, torch.ones(2), 0.25), 0.75 * one + 0.25 * two)
    torch.testing.assert_close(closed_form(one, one, torch.zeros(2), 0.5), one / 2**0.5)
    torch.testing.assert_close(closed_form(one, one, -torch.ones(2), 0.5), torch.zeros(2))


def test_a_network_and_its_own_shuffle():
    a = mlp(0)
    spec = PermutationSpec.from_axes(AXES, a)
    shuffle = spec.random(1)
    b = spec.apply(a, shuffle)
    found = diagnose(a, b, DATA, spec=spec, permutation=shuffle.inverse())
    assert found.equivalence < 1e-5
    assert [layer.measured for layer in found.layers] == pytest.approx([1.0] * 3, rel=1e-4)
    assert list(found.groups.values()) == pytest.approx([1.0, 1.0], abs=1e-4)
    assert found.scores["merged"].loss == pytest.approx(found.scores["A"].loss, abs=1e-5)
    half = Permutation({"first": shuffle.inverse()["first"], "second": torch.arange(16)})
    worse = diagnose(a, b, DATA, spec=spec, permutation=half)
    assert next(iter(worse.groups)) == "second"
    assert "'second'" in str(worse)
    assert worse.equivalence < 1e-5


def test_a_wrong_spec_is_called_one():
    a, b = mlp(0), mlp(1)
    wrong = PermutationSpec.from_axes(
        {name: AXES[name] for name in ("linear1.weight", "linear1.bias")}, a
    )
    found = diagnose(a, b, DATA, spec=wrong, permutation=wrong.random(0))
    assert found.equivalence > 0.01
    assert found.cause == "wrong spec"
    assert found.verdict[0].startswith("Not the same function")


def test_stale_batchnorm_is_found_and_what_it_costs():
    make = lambda: ResNet20(0.5, 4, "batch")  # noqa: E731
    data = (
        torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.arange(64) % 4,
    )
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(make())
        with torch.no_grad():
            for _ in range(30):
                networks[-1].train()(data[0])
    a, b = networks
    found = diagnose(a, b, data)
    assert found.batchnorm.keys() == {
        name for name, m in a.named_modules() if isinstance(m, nn.BatchNorm2d)
    }
    assert (
        min(found.batchnorm.values()) < 0.9
    )  # the merged units vary less than the stored statistics say
    assert {"A", "B", "merged", "re-estimated"} == found.scores.keys()
    assert "BatchNorm: measured standard deviation" in found.verdict[-1]
    same = diagnose(a, a, data)
    assert list(same.batchnorm.values()) == pytest.approx([1.0] * 21, abs=0.25)


def test_units_that_never_move_are_left_out_of_the_correlation():
    a, b = mlp(0), mlp(1)
    with torch.no_grad():
        a.linear1.weight[0] = 0
    found = diagnose(a, b, DATA)
    assert found.layers[0].correlation[0].isnan()
    assert found.layers[0].mean_correlation == found.layers[0].mean_correlation


def test_the_table_has_a_row_for_each_layer_in_text_and_html():
    found = diagnose(mlp(1), mlp(2), DATA)
    assert len(found.rows()) == 4
    for name in ("linear1", "linear2", "head"):
        assert name in str(found)
        assert f"<td>{name}</td>" in found._repr_html_()
    assert found.scores["merged"].loss == pytest.approx(
        evaluate(lerp(mlp(1), mlp(2), 0.5), DATA, model=mlp(0)).loss
    )


def test_a_permutation_needs_its_spec():
    with pytest.raises(RebasinError, match="spec="):
        diagnose(mlp(1), mlp(2), DATA, permutation=Permutation({"first": torch.arange(16)}))


def test_a_model_without_linear_layers_has_a_diagnosis():
    class Scale(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(scale))

        def forward(self, x):
            return self.scale * x[:, :4]

    found = diagnose(Scale(1.0), Scale(2.0), DATA)
    assert found.layers == ()
    assert "merged" in str(found) and found._repr_html_()
