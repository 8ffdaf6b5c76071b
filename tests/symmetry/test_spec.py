"""Specs written by hand, applied to weights: the law, and every way in which things may not belong
together.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rebasin_edu.errors import SpecError
from rebasin_edu.symmetry import Permutation, PermutationSpec
from rebasin_edu.symmetry.axis_structure import Concat, Interleaved, Leaf, Product

AXES = {
    "0.weight": ("a", None),
    "0.bias": ("a",),
    "2.weight": ("b", "a"),
    "2.bias": ("b",),
    "4.weight": (None, "b"),
}


def mlp(*widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    a, b = widths or (5, 6)
    return nn.Sequential(
        nn.Linear(4, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, 2)
    ).double()


def test_the_law_and_what_is_not_named_stays():
    model, x = mlp(), torch.randn(3, 4, dtype=torch.double)
    spec = PermutationSpec.from_axes(AXES, model)
    p, q, state = spec.random(1), spec.random(2), model.state_dict()
    expected = model(x)
    permuted = spec.apply(model, p)
    assert torch.equal(permuted["0.weight"], state["0.weight"][p["a"]])
    assert torch.equal(permuted["2.weight"], state["2.weight"][p["b"]][:, p["a"]])
    assert torch.equal(permuted["4.bias"], state["4.bias"])
    assert permuted.keys() == state.keys()
    both = spec.apply(permuted, q)
    assert all(torch.equal(both[name], tensor) for name, tensor in spec.apply(state, q @ p).items())
    model.load_state_dict(both)
    torch.testing.assert_close(model(x), expected)


def test_products_concatenations_and_weaves_are_laid_out_as_they_say():
    a, b, fixed = Leaf("a", 2), Leaf("b", 2), Leaf("still", 3, "for the test")
    p = Permutation({"a": [1, 0], "b": [1, 0]})
    x = {"x": torch.arange(6)}

    def moved(term):
        spec = PermutationSpec({"x": (term,)})
        return spec.apply(x, Permutation({name: p[name] for name in spec.groups}))["x"].tolist()

    assert moved(Product((a, fixed))) == [3, 4, 5, 0, 1, 2]
    assert moved(Product((fixed, a))) == [1, 0, 3, 2, 5, 4]
    assert moved(Concat((Product((a, b)), b))) == [3, 2, 1, 0, 5, 4]
    assert moved(Interleaved((fixed, Leaf("another", 3, "too")))) == [0, 1, 2, 3, 4, 5]
    assert moved(Concat((Interleaved((a, b)), Leaf("rest", 2, "stays")))) == [2, 3, 0, 1, 4, 5]


def test_a_nested_group_has_a_row_for_each_new_unit_of_its_parent():
    heads, width = Leaf("heads", 2), Leaf("width", 3)
    spec = PermutationSpec({"x": (Product((heads, width)),)}, parents={"width": ("heads",)})
    p = Permutation({"heads": [1, 0], "width": [[0, 1, 2], [2, 1, 0]]}, {"width": ("heads",)})
    assert spec.apply({"x": torch.arange(6)}, p)["x"].tolist() == [3, 4, 5, 2, 1, 0]
    assert spec.groups["width"].copies == 2
    assert spec.log10_symmetries() == pytest.approx(torch.log10(torch.tensor(2.0 * 6 * 6)).item())


def test_a_parent_that_is_not_there_is_refused():
    heads, width = Leaf("heads", 2), Leaf("width", 3)
    with pytest.raises(SpecError, match="not there once in y"):
        PermutationSpec(
            {"x": (Product((heads, width)),), "y": (width,)}, parents={"width": ("heads",)}
        )


def test_counts_by_hand():
    spec = PermutationSpec.from_axes(AXES, mlp())
    assert 10 ** spec.log10_symmetries() == pytest.approx(120 * 720)
    assert spec.groups["a"].occurrences == (("0.weight", 0), ("0.bias", 0), ("2.weight", 1))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (
            {"0.wieght": ("a", None)},
            r"names '0\.wieght', which the weights do not have; did you mean '0\.weight'",
        ),
        ({"0.bias": "hidden"}, r"write \('hidden',\), with a comma"),
        ({"0.bias": "h"}, r"write \('h',\), with a comma"),
        ({"0.weight": ("a", 7)}, r"0\.weight axis 1 has 4 entries, the spec writes 7"),
        ({"0.weight": ("a",)}, r"0\.weight has 2 axes \(5, 4\), the spec writes 1"),
        (
            {"0.weight": ("a", None), "2.weight": ("a", None)},
            "'a' has 5 units in 0.weight axis 0, but 2.weight axis 0 has 6",
        ),
        ({"0.weight": ("a", None), "2.weight": (None, ("a", 2))}, "has 5 entries, the spec writes"),
    ],
)
def test_what_a_hand_may_get_wrong(axes, message):
    with pytest.raises(SpecError, match=message):
        PermutationSpec.from_axes(axes, mlp())


def test_weights_and_permutations_that_do_not_belong():
    spec = PermutationSpec.from_axes(AXES, mlp())
    state = mlp().state_dict()
    with pytest.raises(SpecError, match=r"no parameter '0\.weight'"):
        spec.apply(
            {name: tensor for name, tensor in state.items() if name != "0.weight"}, spec.identity()
        )
    with pytest.raises(SpecError, match="do the widths differ"):
        spec.apply(mlp(7, 6), spec.identity())
    with pytest.raises(SpecError, match="needs a table of shape"):
        spec.apply(state, Permutation({"a": torch.arange(5)}))
    with pytest.raises(SpecError, match="has groups that the spec does not"):
        spec.apply(
            state, Permutation({"a": torch.arange(5), "b": torch.arange(6), "c": torch.arange(2)})
        )


def test_nothing_is_changed_in_place():
    model = mlp()
    spec = PermutationSpec.from_axes(AXES, model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    permuted = spec.apply(model, spec.random(0))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(
        tensor.data_ptr() != model.state_dict()[name].data_ptr()
        for name, tensor in permuted.items()
    )
