"""Never wrong, at worst incomplete: what the example does not reach, ties, what the verification
sees, and what cannot be traced.
"""

from __future__ import annotations

import concurrent.futures
import copy
import math

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune
from torch import nn

from rebasin_edu.errors import RebasinWarning, SpecError, TraceError
from rebasin_edu.symmetry import PermutationSpec
from rebasin_edu.symmetry.axis_structure import Leaf, Product
from rebasin_edu.symmetry.filling import Filling
from rebasin_edu.symmetry.verification import Violation, verified

from ..symmetry_models import Lambda


def dense(forward, **parts) -> Lambda:
    """A hidden layer ``a`` of 8 units on 12 inputs, and a head."""
    torch.manual_seed(0)
    return Lambda(forward, a=nn.Linear(12, 8), head=nn.Linear(8, 3), **parts).eval()


def sizes(spec: PermutationSpec) -> list[int]:
    return sorted(group.size for group in spec.groups.values())


def change(model: nn.Module, spec: PermutationSpec, *inputs: torch.Tensor) -> float:
    """How much a random permutation changes the outputs of the model as it is, in float64."""
    model = copy.deepcopy(model).double().requires_grad_(False)
    inputs = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    expected = model(*inputs)
    model.load_state_dict(spec.apply(model, spec.random(1)))
    return float((model(*inputs) - expected).abs().max() / expected.abs().max())


VECTORS, SEQUENCE, LONGER = torch.randn(3, 12), torch.randn(2, 6, 12), torch.randn(2, 10, 12)


# -------------------------------------------------------------------------------------------------
# what the example does not reach


def positions(m, x):
    return m.head((m.a(x) + m.p[:, : x.shape[1]]).relu().mean(1))


def causal(m, x):
    n, q = x.shape[1], m.a(x)
    scores = (q @ q.mT).masked_fill(m.mask[:n, :n] == 0, -1e9)
    return m.head(scores.softmax(-1) @ m.v(x))


def padded(m, x):
    steps = F.pad(m.a(x).relu().mean(-1), (0, 16 - x.shape[1]))
    return m.head(m.mix(steps).relu())


def padded_by_cat(m, x):
    steps = m.a(x).relu().mean(-1)
    zeros = torch.zeros(x.shape[0], 16 - x.shape[1], dtype=x.dtype)
    return m.head(m.mix(torch.cat([steps, zeros], 1)).relu())


def padded_and_added(m, x):
    steps = F.pad(m.a(x).relu(), (0, 0, 0, 16 - x.shape[1]))
    return m.head((steps + m.p).relu().mean(1))


@pytest.mark.parametrize(
    ("forward", "parts", "groups"),
    [
        (positions, {"p": nn.Parameter(torch.randn(1, 16, 8))}, [8]),
        (causal, {"mask": torch.ones(16, 16).tril(), "v": nn.Linear(12, 8)}, [8, 8]),
        (causal, {"mask": torch.ones(16, 16).tril() > 0, "v": nn.Linear(12, 8)}, [8, 8]),
        (padded, {"mix": nn.Linear(16, 8)}, [8, 8]),
        (padded_by_cat, {"mix": nn.Linear(16, 8)}, [8, 8]),
        (padded_and_added, {"p": nn.Parameter(torch.randn(16, 8))}, [8]),
    ],
    ids=["table", "mask", "mask-bool", "padded", "padded-by-cat", "padded-and-added"],
)
def test_inputs_of_another_size_keep_the_function_too(forward, parts, groups):
    buffers = {name: parts.pop(name) for name in ("mask",) if name in parts}
    model = dense(forward, **parts)
    for name, buffer in buffers.items():
        model.register_buffer(name, buffer)
    spec = PermutationSpec.from_model(model, SEQUENCE)
    assert sizes(spec) == groups
    assert all(change(model, spec, x) < 1e-12 for x in (SEQUENCE, LONGER))
    parameters = dict(model.named_parameters())
    for group in spec.groups.values():
        assert any(name in parameters for name, _ in group.occurrences)


def test_what_is_not_reached_says_so():
    spec = PermutationSpec.from_model(
        dense(positions, p=nn.Parameter(torch.randn(1, 16, 8))), SEQUENCE
    )
    assert "units 6-15 of p axis 1: are not reached" in str(spec.describe())


def test_a_slimmable_network_is_free_only_in_the_width_of_the_example():
    class Slimmable(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.head, self.width = nn.Linear(12, 8), nn.Linear(8, 3), 5

        def forward(self, x):
            hidden = F.linear(x, self.a.weight[: self.width], self.a.bias[: self.width]).relu()
            return F.linear(hidden, self.head.weight[:, : self.width], self.head.bias)

    model = Slimmable()
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == [5]
    model.width = 8
    assert change(model, spec, VECTORS) < 1e-12


# -------------------------------------------------------------------------------------------------
# tensors tied by storage


def three_layers() -> Lambda:
    torch.manual_seed(0)
    layers = {name: nn.Linear(8, 8, bias=False) for name in "ab"}
    return Lambda(
        lambda m, x: m.head(m.b(m.a(m.first(x).relu()).relu()).relu()),
        first=nn.Linear(12, 8),
        head=nn.Linear(8, 3),
        **layers,
    )


def share(model):
    model.b.weight.data = model.a.weight.data


def share_transposed(model):
    model.b.weight.data = model.a.weight.data.T


def share_a_part(model):
    whole = torch.randn(9, 8)
    model.a.weight.data, model.b.weight.data = whole[:8], whole[1:]


def share_with_a_parameter(model):
    model.b.weight = model.a.weight


@pytest.mark.parametrize("tie", [share, share_transposed, share_with_a_parameter])
def test_tensors_that_share_their_memory_are_permuted_as_one(tie):
    model = three_layers()
    tie(model)
    spec = PermutationSpec.from_model(model, VECTORS)
    assert spec.groups
    permuted = spec.apply(model, spec.random(3))
    expected = permuted["a.weight"].T if tie is share_transposed else permuted["a.weight"]
    assert torch.equal(permuted["b.weight"], expected)
    before = model(VECTORS)
    model.load_state_dict(permuted)
    torch.testing.assert_close(model(VECTORS), before)


def test_ties_survive_the_cast_to_float64():
    model = three_layers()
    share(model)
    filling = Filling(model, VECTORS, None, "signed", 0)
    twin = filling.example.model
    assert twin.a.weight.dtype == torch.float64
    assert twin.a.weight.data_ptr() == twin.b.weight.data_ptr()


# -------------------------------------------------------------------------------------------------
# what the verification sees


def wrong(model: nn.Module, **more) -> PermutationSpec:
    """One group for the hidden units, whatever else they meet."""
    axes = {"a.weight": ("h", None), "a.bias": ("h",), "head.weight": (None, "h")}
    return PermutationSpec.from_axes({**axes, **more}, model)


def test_a_branch_that_only_negative_values_take_is_seen():
    signs = nn.Parameter(torch.randn(8))
    half = torch.arange(8) % 2
    model = dense(lambda m, x: m.head(torch.where(m.s > 0, m.a(x), m.a(x) * half)), s=signs)
    with pytest.raises(SpecError, match="group 'h' alone"):
        wrong(model, s=("h",)).check(model, VECTORS)


def test_a_limit_that_only_the_models_own_weights_reach_is_seen():
    def limited(m, x):
        limits = torch.cat([torch.full((4,), 60.0), torch.full((4,), 1e4)])
        return m.head(torch.minimum(m.a(x), limits.to(x.dtype)))

    model = dense(limited)
    model.a.weight.data *= 1000
    with pytest.raises(SpecError, match="group 'h' alone"):
        wrong(model).check(model, VECTORS)
    assert sizes(PermutationSpec.from_model(model, VECTORS)) == [4, 4]


def test_a_group_that_violates_the_symmetry_is_fixed_with_the_size_of_the_change():
    limits = torch.linspace(0.1, 1, 8)
    model = dense(lambda m, x: m.head(m.b(m.a(x) * limits).relu()), b=nn.Linear(8, 8))
    axes = {"b.weight": ("k", "h"), "b.bias": ("k",), "head.weight": (None, "k")}
    with pytest.warns(RebasinWarning, match=r"violate the symmetry .* by: h \("):
        spec = verified(wrong(model, **axes), model, VECTORS, None)
    assert list(spec.groups) == ["k"]
    assert "violate the symmetry: they change the outputs by" in str(spec.describe())


def test_a_nested_group_that_fails_gets_one_order_for_all():
    """Rows of a matrix that one vector scales: their units have one order, not one each."""
    model = Lambda(
        lambda m, x: m.head((m.a(x).reshape(-1, 2, 4) * m.scale).sum(1).relu()),
        a=nn.Linear(12, 8),
        head=nn.Linear(4, 3),
        scale=nn.Parameter(torch.randn(4)),
    )
    rows, width = Leaf("rows", 2), Leaf("width", 4)
    still = PermutationSpec.from_axes({"a.weight": (None, None)}, model).axes["a.weight"][1]
    three = PermutationSpec.from_axes({"head.weight": (None, None)}, model).axes["head.weight"][0]
    spec = PermutationSpec(
        {
            "a.weight": (Product((rows, width)), still),
            "a.bias": (Product((rows, width)),),
            "other": (),
            "head.weight": (three, still),
        },
        parents={"width": ("rows",)},
    )
    del spec.axes["other"], spec.axes["head.weight"]
    with pytest.warns(RebasinWarning, match="violate the symmetry"):
        fixed = verified(spec, model, VECTORS, None)
    assert "rows" in fixed.groups
    assert "width" not in fixed.parents


def test_violating_groups_are_found_by_bisection(monkeypatch):
    layers = [layer for _ in range(32) for layer in (nn.Linear(6, 6), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(6, 2))
    spec = PermutationSpec.from_model(model, torch.randn(2, 6), verify=False)
    assert len(spec.groups) == 32
    axes = {name: tuple(map(str, terms)) for name, terms in spec.axes.items()}
    axes = {n: tuple(None if e == "·" else e for e in terms) for n, terms in axes.items()}
    axes["20.bias"] = (None,)
    runs = []
    run = Filling._run
    monkeypatch.setattr(Filling, "_run", lambda self: runs.append(1) or run(self))
    with pytest.raises(Violation) as caught:
        PermutationSpec.from_axes(axes, model).check(model, torch.randn(2, 6))
    assert list(caught.value.groups) == ["20"]
    assert len(runs) <= 12


def test_no_valid_group_of_a_deep_sine_network_is_lost_to_rounding():
    class Sine(nn.Module):
        def forward(self, x):
            return torch.sin(30 * x)

    torch.manual_seed(0)
    widths = [16] * 12
    layers = [layer for n in widths for layer in (nn.Linear(n, 16), Sine())]
    model = nn.Sequential(*layers, nn.Linear(16, 2))
    assert sizes(PermutationSpec.from_model(model, torch.randn(4, 16))) == widths


def test_dropout_that_is_always_on_is_verified_with_equal_numbers_and_said_to_be_random():
    model = dense(lambda m, x: m.head(F.dropout(m.a(x), 0.5, training=True)))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.warns(RebasinWarning, match=r"draws random numbers \(aten\.\w+\)"):
        spec = PermutationSpec.from_model(model, VECTORS)
    assert torch.equal(torch.get_rng_state(), before)
    assert sizes(spec) == [8]
    assert "violate" not in str(spec.describe())


class Average(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.head = nn.Linear(12, 8), nn.Linear(8, 3)
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        hidden = self.a(x).relu()
        self.mean.mul_(0.9).add_(0.1 * hidden.mean(0))
        return self.head(hidden - self.mean)


def boxes(m, x):
    assert bool((m.box == torch.tensor([0.0, 4.0])).all()), "a box has no such sides"
    return m.head(m.a(x).relu()) * m.box.sum()


def only_in_double(m, x):
    hidden = m.a(x)
    least = torch.finfo(hidden.dtype).min
    return m.head((hidden + (1 - torch.ones(8)) * least).softmax(-1))


@pytest.mark.filterwarnings("ignore:aten.to_sparse has no rule")
@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.head(m.a(x[x[:, 0] > -9]).relu()),
        lambda m, x: m.head(m.a(x[(x[:, 0] > 0).nonzero()[:, 0]]).relu()),
        lambda m, x: m.head(m.a(x).relu()).argmax(-1),
        lambda m, x: m.head(m.a(x).relu()) > 0,
        lambda m, x: torch.complex(m.head(m.a(x)), m.head(m.a(x).relu())),
        lambda m, x: m.head(m.a(x).relu()).to_sparse(),
        only_in_double,
    ],
    ids=["mask", "nonzero", "integers", "booleans", "complex", "sparse", "nan-in-double"],
)
def test_what_the_first_version_refused_is_derived_and_verified(forward):
    model = dense(forward)
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == [8]
    assert spec.check(model, VECTORS) < 1e-4


def test_a_buffer_that_forward_updates_is_put_back_before_each_run():
    model = Average()
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == [8]
    assert not model.mean.any()
    assert ("mean", 0) in spec.groups["a"].occurrences


def test_float_buffers_with_a_meaning_keep_their_values():
    model = dense(boxes)
    model.register_buffer("box", torch.tensor([0.0, 4.0]))
    assert wrong(model).check(model, VECTORS) < 1e-12


def test_tensors_that_the_trace_never_used_are_named_at_most_five_of_them():
    parts = {f"spare{k}": nn.Linear(5, 8) for k in range(4)}

    class Optional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.head, self.spare = nn.Linear(12, 8), nn.Linear(8, 3), nn.ModuleDict(parts)

        def forward(self, x, context=None):
            hidden = self.a(x)
            for layer in self.spare.values() if context is not None else ():
                hidden = hidden + layer(context)
            return self.head(hidden.relu())

    model = Optional()
    with pytest.warns(RebasinWarning, match=r"never used spare.spare0.weight, .* and 3 more"):
        PermutationSpec.from_model(model, VECTORS)
    spec = PermutationSpec.from_model(model, {"x": VECTORS, "context": torch.randn(3, 5)})
    assert sizes(spec) == [8]
    assert not spec.left_out


def test_inputs_are_a_tensor_a_tuple_or_a_mapping():
    model = dense(lambda m, x: m.head(m.a(x).relu()))
    for inputs in (VECTORS, (VECTORS,), [VECTORS]):
        spec = PermutationSpec.from_model(model, inputs)
        assert spec.check(model, inputs) < 1e-12
        assert sizes(spec) == [8]


# -------------------------------------------------------------------------------------------------
# what cannot be traced


class Gradients(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(12, 8)

    def forward(self, x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(self.a(x).sum(), x)[0]


def old_weight_norm():
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(12, 8)), nn.Linear(8, 3))


def pruned():
    model = nn.Sequential(nn.Linear(12, 8), nn.Linear(8, 3))
    nn.utils.prune.random_unstructured(model[0], "weight", 0.5)
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: torch.jit.script(nn.Linear(12, 8)), "scripted modules"),
        (Gradients, "computes gradients inside its forward"),
        (lambda: dense(lambda m, x: m.a(x) if x.sum() > 0 else m.a(-x)), "control flow .* branch"),
    ],
)
def test_what_cannot_be_traced_says_why_in_one_sentence_and_names_a_way_out(build, message, capfd):
    with pytest.raises(TraceError, match=message) as caught:
        PermutationSpec.from_model(build(), VECTORS)
    assert "from_axes" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("build", "name"), [(old_weight_norm, "WeightNorm"), (pruned, "prune")])
def test_weights_computed_in_hooks_work_or_are_named(build, name):
    model = build()
    said, groups = "", [8]
    try:
        groups = sizes(PermutationSpec.from_model(model, VECTORS))
    except TraceError as error:
        said = str(error)
    assert groups == [8]
    assert not said or name in said


def test_a_target_mask_names_the_argument_that_lets_it_through(capfd):
    model = nn.Transformer(16, 4, 1, 1, 32, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    inputs = (torch.randn(2, 5, 16), torch.randn(2, 4, 16), None, mask)
    with pytest.raises(TraceError, match="tgt_is_causal=True"):
        PermutationSpec.from_model(model, inputs)
    assert capfd.readouterr() == ("", "")


def test_outputs_of_unequal_size_are_called_outputs():
    first, second = (nn.Sequential(nn.Linear(12, 8), nn.Linear(8, n)) for n in (10, 20))
    spec = PermutationSpec.from_model(first, VECTORS)
    with pytest.raises(SpecError, match="the outputs differ: 10 and 20 classes"):
        spec.apply(second, spec.identity())


def test_two_threads_may_derive_specs_at_once():
    models = [nn.Sequential(nn.Linear(12, n), nn.Tanh(), nn.Linear(n, 3)) for n in range(4, 12)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        specs = list(pool.map(lambda model: PermutationSpec.from_model(model, VECTORS), models))
    assert [sizes(spec) for spec in specs] == [[n] for n in range(4, 12)]


def test_the_number_of_symmetries_is_that_of_the_table():
    spec = PermutationSpec.from_model(dense(lambda m, x: m.head(m.a(x).relu())), VECTORS)
    assert spec.log10_symmetries() == pytest.approx(math.log10(math.factorial(8)))
