"""Derived specs: the law on every kind of layer, how many symmetries are found, reasons, bad input,
activations.
"""

from __future__ import annotations

import copy
import math
import random

import hypothesis.strategies as st
import pytest
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from torch import nn

from rebasin_edu.errors import RebasinWarning, SpecError, TraceError
from rebasin_edu.lab.models import MLP, VGG16, ResNet20
from rebasin_edu.symmetry import PermutationSpec
from rebasin_edu.symmetry.axis_structure import leaves
from rebasin_edu.symmetry.example import tensors
from rebasin_edu.symmetry.filling import generic
from rebasin_edu.symmetry.pieces import pieces
from rebasin_edu.symmetry.trace import trace as traced

from .. import paper_specs
from ..symmetry_models import KINDS, Lambda
from ..symmetry_programs import Program


def trace(model, inputs):
    """A trace, with the spec that it gives."""
    found = traced(model, inputs)
    found.spec = PermutationSpec(**found.parts)
    return found


def build(name: str) -> tuple[nn.Module, tuple]:
    torch.manual_seed(0)
    model, inputs = KINDS[name][0]()
    return model.eval(), inputs


def shape_of(spec: PermutationSpec) -> set:
    """A spec without its names: for each group its size and where, in every tensor, its strides and
    offsets lie.
    """
    found: dict[str, list] = {name: [] for name in spec.groups}
    for parameter in spec.axes:
        for piece in spec.pieces[parameter]:
            for dim, leaf in enumerate(piece.leaves):
                if leaf.name in found:
                    axis = piece.axes[dim]
                    others = tuple(
                        sorted(
                            (s, n.size)
                            for s, n, a in zip(piece.strides, piece.leaves, piece.axes)
                            if a == axis
                        )
                    )
                    found[leaf.name].append(
                        (parameter, axis, piece.strides[dim], piece.offsets[axis], others)
                    )
    return {(spec.groups[name].size, frozenset(places)) for name, places in found.items()}


# ------------------------------------------------------------------------------------------
# the law


@pytest.mark.parametrize("name", KINDS)
def test_law_on_every_kind_of_layer(name):
    model, inputs = build(name)
    spec = PermutationSpec.from_model(model, inputs, verify=False)
    assert spec.check(model, inputs, seeds=3) < 1e-12
    assert len(spec.groups) == KINDS[name][1], spec.describe()


@pytest.mark.parametrize(
    "name",
    ["attention_from_one_matrix", "conv_grouped", "channel_shuffle", "lstm", "grouped_queries"],
)
def test_composed_and_inverse_permutations_keep_the_function_too(name):
    model, inputs = build(name)
    model.double()
    inputs = tuple(x.double() for x in inputs)
    spec = PermutationSpec.from_model(model, inputs)
    state = generic(model.state_dict())
    p, q = spec.random(1), spec.random(2)
    model.load_state_dict(state)
    expected = model(*inputs)
    for permutation in (p @ q, p.inverse(), q.inverse() @ p):
        model.load_state_dict(spec.apply(state, permutation))
        torch.testing.assert_close(model(*inputs), expected, rtol=1e-10, atol=1e-10)
    back = spec.apply(spec.apply(state, p), p.inverse())
    assert all(torch.equal(back[name], state[name]) for name in state)


def _try(seed: random.Random) -> None:
    torch.manual_seed(seed.randrange(2**31))
    model, inputs = Program(seed, seed.randrange(2, 9)).eval(), torch.randn(2, 3, 5)
    found = trace(model, inputs)
    assert not found.unknown, (found.unknown, model.names)
    assert found.spec.check(model, inputs, seeds=1) < 1e-9, model.names


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.randoms(use_true_random=False))
def test_no_random_network_has_a_wrong_spec(rng):
    _try(rng)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.randoms(use_true_random=False))
def test_no_random_network_in_two_thousand_has_a_wrong_spec(rng):
    _try(rng)


# ------------------------------------------------------------------------------------------
# by hand


@pytest.mark.parametrize(
    ("model", "by_hand", "size", "groups"),
    [
        (lambda: MLP(inputs=20, hidden=(7, 8, 9)), paper_specs.mlp_spec, (2, 20), 3),
        (lambda: MLP(inputs=20, hidden=(7, 8, 9), norm="batch"), paper_specs.mlp_spec, (2, 20), 3),
        (lambda: VGG16(width=1 / 16, norm="layer"), paper_specs.vgg_spec, (2, 3, 32, 32), 15),
        (
            lambda: VGG16(width=1 / 16, norm="batch", size=64),
            paper_specs.vgg_spec,
            (2, 3, 64, 64),
            15,
        ),
        (lambda: ResNet20(norm="layer"), paper_specs.resnet20_spec, (2, 3, 16, 16), 12),
        (lambda: ResNet20(norm="batch"), paper_specs.resnet20_spec, (2, 3, 16, 16), 12),
        (lambda: torchvision.models.resnet50(), paper_specs.resnet50_spec, (1, 3, 64, 64), 37),
    ],
    ids=["mlp", "mlp-batch", "vgg16", "vgg16-flatten", "resnet20", "resnet20-batch", "resnet50"],
)
def test_derived_specs_equal_those_written_by_hand(model, by_hand, size, groups):
    model = model().eval()
    derived, written = (
        PermutationSpec.from_model(model, torch.randn(size), verify=False),
        by_hand(model),
    )
    assert len(derived.groups) == groups
    assert shape_of(derived) == shape_of(written)
    assert derived.log10_symmetries() == pytest.approx(written.log10_symmetries())


def test_counts_of_the_paper():
    with torch.device("meta"):
        mlp, resnet50 = MLP(), torchvision.models.resnet50()
    mlp, resnet50 = mlp.to_empty(device="cpu"), resnet50.to_empty(device="cpu")
    spec = PermutationSpec.from_model(mlp, torch.randn(2, 784), verify=False)
    assert round(spec.log10_symmetries(), 1) == 3499.6
    spec = PermutationSpec.from_model(resnet50, torch.randn(1, 3, 64, 64), verify=False)
    assert round(spec.log10_symmetries()) == 25638


TORCHVISION = {  # groups, log10 of the number of symmetries plain, and with fibres
    "densenet121": (120, 16537, 16537),
    "efficientnet_b0": (40, 27050, 27050),
    "mobilenet_v2": (25, 21116, 21116),
    "regnet_y_400mf": (69, 3799, 8543),
    "shufflenet_v2_x1_0": (82, 9671, 9671),
    "convnext_tiny": (22, 77560, 77560),
    "vit_b_16": (49, 116703, 140226),
    "resnext101_32x8d": (None, 13764, 85006),
}


def _plain(spec: PermutationSpec) -> float:
    return sum(math.lgamma(group.size + 1) for group in spec.groups.values()) / math.log(10)


@pytest.mark.parametrize("name", ["shufflenet_v2_x1_0", "regnet_y_400mf", "mobilenet_v2"])
def test_some_of_torchvision(name):
    _torchvision(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("default::rebasin_edu.errors.RebasinWarning")  # unused auxiliary heads
@pytest.mark.parametrize("name", torchvision.models.list_models(module=torchvision.models))
def test_all_of_torchvision(name):
    _torchvision(name)


def _torchvision(name: str) -> None:
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **extra)
    spec = PermutationSpec.from_model(model, torch.randn(1, 3, 224, 224))
    assert spec.groups
    if name in TORCHVISION:
        groups, plain, ruled = TORCHVISION[name]
        assert len(spec.groups) >= (groups or 0)
        assert round(_plain(spec)) == plain
        assert round(spec.log10_symmetries()) == ruled


# ------------------------------------------------------------------------------------------
# fibres


def test_each_head_has_an_order_of_its_own():
    model, inputs = build("attention_fused")
    spec = PermutationSpec.from_model(model, inputs)
    within = [group for group in spec.groups.values() if group.parents]
    assert [(group.size, group.copies) for group in within] == [(5, 4), (5, 4)]
    assert spec.log10_symmetries() == pytest.approx(
        (math.lgamma(9) + math.lgamma(5) + 8 * math.lgamma(6)) / math.log(10)
    )


def test_a_width_that_is_seen_without_its_head_has_one_order_for_all():
    """And then the heads have one of their own for each unit of the width, since they are never
    seen without it.
    """
    parts = {"a": nn.Linear(6, 12), "scale": nn.Parameter(torch.randn(4)), "out": nn.Linear(12, 2)}

    def forward(m, x):
        return m.out((m.a(x).reshape(-1, 3, 4) * m.scale).flatten(1))

    spec = PermutationSpec.from_model(Lambda(forward, **parts), torch.randn(2, 6))
    assert {group.size: group.parents for group in spec.groups.values()} == {
        4: (),
        3: ("a.within",),
    }


def test_a_fixed_head_still_rules_its_width():
    parts = {"a": nn.Linear(6, 12), "b": nn.Parameter(torch.randn(3, 4, 2))}

    def forward(m, x):
        return torch.einsum("bhd,hde->bhe", m.a(x).reshape(-1, 3, 4).relu(), m.b)

    spec = PermutationSpec.from_model(Lambda(forward, **parts), torch.randn(2, 6))
    (group,) = spec.groups.values()
    assert (group.size, group.copies) == (4, 3)
    assert spec.leaves[group.parents[0]].fixed


# -------------------------------------------------------------------------------------------------
# fixed, and left out


def test_what_is_fixed_says_why():
    model, inputs = build("rolled")
    spec = PermutationSpec.from_model(model, inputs)
    assert "units 0-5 of a reach aten.roll, which mixes their order" in map(
        str, spec.fixed.values()
    )
    assert "units 0-4 of a.weight axis 1 belong to the model's input" in map(
        str, spec.fixed.values()
    )
    assert "units 0-1 of head belong to the model's output" in map(str, spec.fixed.values())


def test_an_operator_without_a_rule_fixes_what_it_touches_and_says_so_once():
    @torch.library.custom_op("rebasin_edu_test::reversed", mutates_args=())
    def reversed_units(x: torch.Tensor) -> torch.Tensor:
        return x.flip(-1)

    @reversed_units.register_fake
    def _(x):
        return torch.empty_like(x)

    parts = {"a": nn.Linear(5, 6), "b": nn.Linear(6, 4), "head": nn.Linear(4, 2)}
    model = Lambda(lambda m, x: m.head(m.b(reversed_units(reversed_units(m.a(x)))).relu()), **parts)
    with pytest.warns(
        RebasinWarning, match=r"rebasin_edu_test::reversed has no rule: 6 units"
    ) as caught:
        spec = PermutationSpec.from_model(model, torch.randn(3, 5))
    assert len(caught) == 1
    assert [group.size for group in spec.groups.values()] == [4]
    assert any("for which there is no rule" in str(reason) for reason in spec.fixed.values())


def test_unused_parameters_are_left_out():
    parts = {"a": nn.Linear(5, 6), "spare": nn.Linear(6, 6), "head": nn.Linear(6, 2)}
    model = Lambda(lambda m, x: m.head(m.a(x).relu()), **parts)
    with pytest.warns(RebasinWarning, match=r"the trace never used spare\.weight, spare\.bias"):
        spec = PermutationSpec.from_model(model, torch.randn(3, 5))
    assert set(spec.left_out) == {"spare.weight", "spare.bias"}
    assert "spare.weight" not in spec.axes
    assert "spare.weight" in str(spec.describe())


def test_running_statistics_are_permuted_and_are_buffers():
    model, inputs = build("batch_norm_1d")
    spec = PermutationSpec.from_model(model, inputs)
    assert {"1.running_mean", "1.running_var"} <= spec.buffers
    assert "1.num_batches_tracked" not in spec.axes


def test_outputs_that_do_not_count_leave_their_units_free():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.head = nn.Linear(5, 6), nn.Linear(6, 2)

        def forward(self, x):
            hidden = self.a(x).relu()
            return {"logits": self.head(hidden), "cache": (hidden,)}

    model, inputs = Two(), torch.randn(3, 5)
    assert not PermutationSpec.from_model(model, inputs).groups
    for outputs in ("logits", lambda output: output["logits"]):
        spec = PermutationSpec.from_model(model, inputs, outputs=outputs)
        assert [group.size for group in spec.groups.values()] == [6]
    assert spec.check(model, inputs, outputs="logits") < 1e-12


# ------------------------------------------------------------------------------------------
# bad input


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 6)

    def forward(self, x):
        return self.a(x) if x.sum() > 0 else self.a(-x)


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (Branches(), torch.randn(2, 5), "control flow"),
        (nn.Linear(5, 6), torch.randn(2, 4), "fails on these example inputs"),
        (nn.Linear(5, 6), (torch.randn(2, 5), torch.randn(2, 5)), "fails on these example inputs"),
        ({"weight": torch.randn(3, 3)}, torch.randn(2, 3), "derived from an nn.Module"),
    ],
)
def test_what_cannot_be_traced_says_why(model, inputs, message):
    with pytest.raises(TraceError, match=message):
        PermutationSpec.from_model(model, inputs)


def test_weights_of_another_width_do_not_belong_to_a_spec():
    spec = PermutationSpec.from_model(MLP(6, (8,), 2), torch.randn(2, 6))
    with pytest.raises(
        SpecError,
        match=r"linear1.* has 8 units in the spec, but linear1\.weight axis 0 .* has 9",
    ):
        spec.apply(MLP(6, (9,), 2), spec.identity())


def test_a_wrong_spec_is_caught_although_the_head_is_zero():
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    nn.init.zeros_(model[4].weight)
    wrong = PermutationSpec.from_axes(
        {
            "0.weight": ("a", None),
            "0.bias": ("a",),
            "2.weight": ("b", "a"),
            "2.bias": (None,),
            "4.weight": (None, "b"),
        },
        model,
    )
    with pytest.raises(SpecError, match="group 'b' alone"):
        wrong.check(model, torch.randn(3, 4))


def test_a_group_that_violates_the_symmetry_is_fixed(monkeypatch):
    """The safety net, with the rule of the rolled axis taken away: the spec is right all the same,
    and says so.
    """
    from rebasin_edu.symmetry.rules.base import RULES

    model, inputs = build("rolled")
    monkeypatch.setitem(RULES, "roll", RULES["relu"] if "relu" in RULES else RULES["add"])
    with pytest.warns(RebasinWarning, match="violate the symmetry"):
        spec = PermutationSpec.from_model(model, inputs)
    assert spec.check(model, inputs) < 1e-12
    assert [group.size for group in spec.groups.values()] == [4]


@pytest.mark.parametrize(
    "name", ["batch_norm_1d", "tied_embedding", "shared_module", "encoder_layer"]
)
def test_a_model_is_given_back_as_it_was(name):
    model, inputs = build(name)
    list(model.children())[0].train()
    twin, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    PermutationSpec.from_model(model, inputs)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, twin[key]) for key, tensor in model.state_dict().items())
    assert all(
        parameter.grad is None and parameter.requires_grad for parameter in model.parameters()
    )


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16, torch.double])
def test_any_precision(dtype):
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 2)).to(dtype)
    spec = PermutationSpec.from_model(model, torch.randn(3, 4, dtype=dtype))
    assert len(spec.groups) == 1
    assert all(tensor.dtype == dtype for tensor in spec.apply(model, spec.random()).values())


def test_a_model_that_computes_in_single_precision_inside():
    parts = {"a": nn.Linear(4, 6), "head": nn.Linear(6, 2)}
    model = Lambda(lambda m, x: m.head(m.a(x).float().tanh().type_as(x)), **parts)
    assert len(PermutationSpec.from_model(model, torch.randn(3, 4)).groups) == 1


def test_what_a_model_keeps_from_other_weights_does_not_fool_the_verification():
    class Cached(nn.Module):
        """Keeps a table made of its parameters, as some models do in evaluation mode."""

        def __init__(self):
            super().__init__()
            self.table, self.mix, self.head, self.kept = (
                nn.Linear(4, 6),
                nn.Linear(6, 6, bias=False),
                nn.Linear(6, 2),
                None,
            )

        def train(self, mode=True):
            self.kept = None
            return super().train(mode)

        def forward(self, x):
            if self.kept is None or self.training:
                self.kept = self.mix.weight @ self.mix.weight.T
            return self.head(self.table(x) @ self.kept.to(x.dtype))

    spec = PermutationSpec.from_model(Cached(), torch.randn(3, 4))
    assert {group.size for group in spec.groups.values()} == {6}


# ------------------------------------------------------------------------------------------
# activations


@pytest.mark.parametrize("name", KINDS)
def test_activations_move_with_their_groups(name):
    """What is read at a site of the permuted network is what was read before, in the new order."""
    model, inputs = build(name)
    model.double()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    found = trace(model, inputs)
    spec, state = found.spec, generic(model.state_dict())
    permutation = spec.random(5)
    seen: dict = {}
    output = found.run(state, lambda site, value: seen.setdefault(site, value.clone()), *inputs)
    model.load_state_dict(state)
    for mine, theirs in zip(tensors(output), tensors(model(*inputs))):
        torch.testing.assert_close(mine, theirs)

    def compare(site, value):
        expected = seen[site].clone()
        for piece in pieces("activation", site.terms):
            moved = piece.permuted(piece.view(seen[site]), dict(permutation), spec.parents)
            piece.view(expected).copy_(moved)
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)

    found.run(spec.apply(state, permutation), compare, *inputs)
    assert seen
    assert all(
        any(site.terms[axis] for axis in site.summed)
        and group in {leaf.name for term in site.terms for leaf in leaves(term)}
        for group, sites in found.sites.items() for site in sites
    )  # fmt: skip


def test_every_group_of_the_paper_s_networks_is_read_somewhere():
    for model, size in (
        (MLP(20, (7, 8)), (2, 20)),
        (ResNet20(), (2, 3, 16, 16)),
        (VGG16(1 / 16), (2, 3, 32, 32)),
    ):
        found = trace(model, torch.randn(size))
        assert all(found.sites[group] for group in found.spec.groups)


# ------------------------------------------------------------------------------------------
# describe


def test_a_spec_describes_itself():
    model, inputs = build("attention_fused")
    spec = PermutationSpec.from_model(model, inputs)
    text, page = str(spec.describe()), spec._repr_html_()
    for name, group in spec.groups.items():
        assert name in text
        assert name in page
        assert str(group.size) in text
    assert "one for each of" in text
    assert f"10^{spec.log10_symmetries():.1f}" in text
    assert "belong to the model" in page
    assert page.count("<tr>") >= 1 + len(spec.groups)
