"""One operator at a time: the spec is right, and nothing is lost that need not be.

Each entry stands between a layer ``a`` of eight units and a head; it says which groups are there.
A ``RebasinWarning`` (no rule, a rule that failed, a group that violates the symmetry) is an error.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rebasin_edu.errors import RebasinWarning
from rebasin_edu.symmetry import PermutationSpec
from rebasin_edu.symmetry.rules import RULES, apply_rule, base

from ..symmetry_models import Lambda

OPERATORS: dict[str, tuple] = {}


def operator(groups: tuple[int, ...] | None = (8,), **parts):
    """Enter ``function(m, h)`` with the sizes of the groups that are free, and its parameters."""

    def enter(function):
        OPERATORS[function.__name__] = (function, groups, parts)
        return function

    return enter


def simple(groups: tuple[int, ...], **functions):
    """Enter functions of the hidden layer alone."""
    for name, function in functions.items():
        OPERATORS[name] = (lambda m, h, f=function: f(h), groups, {})


def derive(function, parts, inputs=None):
    torch.manual_seed(0)
    made = {name: part() for name, part in parts.items()}
    inputs = torch.randn(3, 12) if inputs is None else inputs
    a = nn.Linear(12, 8)
    with torch.no_grad():
        hidden = function(Lambda(None, **made), a(inputs)) if parts else function(None, a(inputs))
    head = nn.Linear(hidden.shape[-1], 2, dtype=hidden.dtype)
    model = Lambda(lambda m, x: m.head(function(m, m.a(x))), a=a, head=head, **made)
    return model.eval(), inputs


def vector(*shape: int):
    return lambda: nn.Parameter(torch.randn(shape or (8,)))


INDEX = torch.tensor([0, 2, 1])

simple(
    (8,),
    multiply=lambda h: torch.multiply(h, h),
    subtract=lambda h: torch.subtract(h, h * h),
    divide=lambda h: torch.divide(h, 1 + h * h),
    absolute=torch.absolute,
    negative=torch.negative,
    greater=lambda h: torch.greater(h, 0.1) * h,
    less_equal=lambda h: torch.less_equal(h, 0.1) * h,
    not_equal=lambda h: torch.not_equal(h, 0.1) * h,
    arctan=torch.arctan,
    arctan2=lambda h: torch.arctan2(h, h * h),
    sgn=lambda h: torch.sgn(h) + h,
    fmax=lambda h: torch.fmax(h, h * h),
    logaddexp=lambda h: torch.logaddexp(h, h * h),
    clamp_min=lambda h: h.clamp_min(0.1),
    vstack=lambda h: torch.vstack([h, h]),
    dstack=lambda h: torch.dstack([h, h * h]).sum(-1),
    hstack=lambda h: torch.hstack([h, h])[:, :8] + torch.hstack([h, h])[:, 8:],
    swapdims=lambda h: h.swapdims(0, 1).swapdims(0, 1),
    mean_of_unbound=lambda h: sum(h.unbind(0)),
    broadcast_tensors=lambda h: torch.broadcast_tensors(h, h[:1])[1],
    index_add=lambda h: torch.zeros_like(h).index_add(0, INDEX, h),
    index_copy=lambda h: torch.zeros_like(h).index_copy(0, INDEX, h),
    index_fill=lambda h: h.index_fill(0, INDEX[:1], 0.5),
    index_put=lambda h: torch.zeros_like(h).index_put((INDEX,), h),
    index_put_added=lambda h: h.index_put((INDEX,), h, accumulate=True),
    scatter=lambda h: torch.zeros_like(h).scatter(0, INDEX[:, None].expand(-1, 8), h),
    scatter_add=lambda h: torch.zeros_like(h).scatter_add(0, INDEX[:, None].expand_as(h), h),
    scatter_reduce=lambda h: torch.zeros_like(h).scatter_reduce(
        0, INDEX[:, None].expand_as(h), h, reduce="amax", include_self=False
    ),
    select_scatter=lambda h: h.select_scatter(h[1] * 2, 0, 0),
    slice_scatter=lambda h: h.slice_scatter(h[:1] * 2, 0, 1, 2),
    masked_scatter=lambda h: torch.zeros_like(h).masked_scatter(
        (INDEX != 2)[:, None].expand(-1, 8), h
    ),
    masked_rows=lambda h: h[INDEX != 2].sum(0, keepdim=True),
    put_where=lambda h: h.index_put((h > 0,), torch.tensor(0.5)),
    nonzero_rows=lambda h: h[(INDEX > 0).nonzero().squeeze(1)].sum(0, keepdim=True),
    repeated_by_a_tensor=lambda h: h.repeat_interleave(INDEX, 0).sum(0, keepdim=True),
    along_another_axis=lambda h: torch.fft.irfft(torch.fft.rfft(h, dim=0), n=3, dim=0),
    fft_of_two_axes=lambda h: torch.fft.fft2(h.reshape(3, 1, 8), dim=(0, 1)).real.reshape(3, 8),
    complex=lambda h: torch.complex(h, h * h).abs(),
    polar=lambda h: torch.polar(h, h).real,
    view_as_real=lambda h: torch.view_as_real(torch.complex(h, h * h)).sum(-1),
    fake_quantize=lambda h: torch.fake_quantize_per_tensor_affine(h, 0.1, 0, -128, 127),
    linalg_norm=lambda h: h / torch.linalg.norm(h, dim=-1, keepdim=True),
    matrix_norm=lambda h: h / torch.linalg.matrix_norm(h),
    quantile=lambda h: h - h.quantile(0.25, dim=-1, keepdim=True),
    quantiles=lambda h: h - h.quantile(torch.tensor([0.25, 0.5]).to(h), dim=1).mean(0)[:, None],
    mse_loss=lambda h: h + F.mse_loss(h, h * h),
    l1_loss=lambda h: F.l1_loss(h, h * h, reduction="none"),
    cross_entropy_of_rows=lambda h: h * F.cross_entropy(h, h.softmax(-1)),
    kl_div=lambda h: h * F.kl_div(h.log_softmax(-1), h.softmax(-1), reduction="batchmean"),
    diagonal=lambda h: (h.T @ h).diagonal().expand(3, -1),
    one_hot_of_rows=lambda h: h[:, None] * F.one_hot(INDEX, 3)[..., None],
    sort_of_rows=lambda h: h.sort(0).values,
    addr=lambda h: torch.addr(h, torch.ones(3).to(h), h.sum(0)),
    sparse_of_rows=lambda h: torch.sparse.mm(torch.eye(3).to(h).to_sparse(), h),
)
simple(
    (2, 8),
    cat_of_a_constant=lambda h: torch.cat([h, h.new_zeros(3, 2)], 1),
    kronecker=lambda h: torch.kron(h, torch.ones(1, 2).to(h)),
)
simple((2, 6), stacked_in_columns=lambda h: torch.column_stack([h[:, :6], h[:, :6]]))
simple((), rolled=lambda h: h.roll(1, -1), fourier=lambda h: torch.fft.rfft(h).real)
simple((), written_by_number=lambda h: h.index_add(1, torch.arange(8).flip(0), h))
simple((), one_by_one=lambda h: h.scatter(1, torch.arange(8).expand(3, 8), h * h))
simple(
    (4, 4), constants_of_two_values=lambda h: h * torch.cat([h.new_ones(4), h.new_full((4,), 0.5)])
)
simple((2, 6), slice_of_units_written=lambda h: h.slice_scatter(h[:, :2] * 2, 1, 0, 2))


@operator(b=vector())
def multiplied_by_a_parameter(m, h):
    return torch.multiply(h, m.b)


@operator(b=vector())
def one_hot(m, h):
    return h * F.one_hot((m.b > 0).long(), 2)[:, 1]


@operator(scale=lambda: torch.rand(8) + 0.1)
def fake_quantize_per_channel(m, h):
    zero = torch.zeros(8, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(h, m.scale.to(h), zero, 1, -128, 127)


@operator((8, 5), table=vector(10, 5), weights=vector(7), mix=lambda: nn.Linear(5, 8))
def bags_with_weights(m, h):
    at, bags = torch.arange(7), torch.tensor([0, 2, 5])
    bag = F.embedding_bag(at, m.table, bags, mode="sum", per_sample_weights=m.weights)
    return h + m.mix(bag)


@operator((8, 16), experts=vector(2, 8, 16))
def grouped_matrix_product(m, h):
    rows = torch.tensor([1, 3], dtype=torch.int32)
    return torch._grouped_mm(h.bfloat16(), m.experts.bfloat16(), offs=rows).float()


@operator((8, 5), cell=lambda: nn.GRUCell(8, 5), start=vector(1, 5))
def learned_start_of_a_cell(m, h):
    return m.cell(h, m.start.expand(3, -1))


@operator((8, 5, 5), rnn=lambda: nn.GRU(8, 5, 2, batch_first=True), start=vector(2, 1, 5))
def learned_start_of_two_layers(m, h):
    return m.rnn(h[:, None], m.start.expand(-1, 3, -1).contiguous())[0]


@pytest.mark.parametrize("name", OPERATORS)
def test_the_spec_is_right_and_nothing_is_lost(name):
    function, groups, parts = OPERATORS[name]
    model, inputs = derive(function, parts)
    spec = PermutationSpec.from_model(model, inputs)
    assert sorted(group.size for group in spec.groups.values()) == sorted(groups), spec.describe()
    assert spec.check(model, inputs) < 1e-2 if name.startswith("grouped") else 1e-5


REASONS = {
    "rolled": "reach aten.roll, which mixes their order",
    "fourier": "reach aten.fft_rfft, which mixes their order",
    "written_by_number": "reach aten.index_add, which picks them by number",
    "one_by_one": "reach aten.scatter, which picks them by number",
}


@pytest.mark.parametrize("name", REASONS)
def test_what_an_operator_fixes_names_it(name):
    function, _, parts = OPERATORS[name]
    spec = PermutationSpec.from_model(*derive(function, parts), verify=False)
    assert REASONS[name] in [why for _, why in spec.describe().fixed], spec.describe()


def test_the_rule_that_contributing_shows_is_a_rule(monkeypatch):
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for name in ("cumsum", "cumprod", "logcumsumexp"):
        monkeypatch.delitem(RULES, name)  # put back after the test
    exec(compile(example, "CONTRIBUTING.md", "exec"), namespace := {})
    assert RULES["cumsum"] is namespace["scan"]
    for dim, groups in ((0, [8]), (1, [])):
        spec = PermutationSpec.from_model(*derive(lambda m, h, d=dim: h.cumsum(d), {}))
        assert [group.size for group in spec.groups.values()] == groups
    assert "aten.cumsum, which goes along them in order" in str(spec.describe())


def test_unpooling_keeps_channels_free():
    parts = {"a": nn.Conv2d(3, 8, 3), "head": nn.Conv2d(8, 2, 1)}

    def forward(m, x):
        pooled, at = F.max_pool2d(m.a(x), 2, return_indices=True)
        return m.head(F.max_unpool2d(pooled, at, 2))

    spec = PermutationSpec.from_model(Lambda(forward, **parts), torch.randn(2, 3, 10, 10))
    assert [group.size for group in spec.groups.values()] == [8]


def test_a_rule_that_gives_up_fixes_what_the_call_touches(monkeypatch):
    def gives_up(call):
        raise base.GiveUp("for the test")

    model, inputs = derive(lambda m, h: h.tanh(), {})
    monkeypatch.setitem(RULES, "tanh", gives_up)
    with pytest.warns(RebasinWarning, match=r"aten\.tanh has no rule"):
        assert not PermutationSpec.from_model(model, inputs).groups


def test_a_programming_error_in_a_rule_is_an_error_here_and_named_in_use(monkeypatch):
    def wrong(call):
        return call.axes("self")[17]

    model, inputs = derive(lambda m, h: h.tanh(), {})
    monkeypatch.setitem(RULES, "tanh", wrong)
    with pytest.raises(RebasinWarning, match=r"the rule for aten\.tanh failed: IndexError"):
        PermutationSpec.from_model(model, inputs)
    with pytest.warns(RebasinWarning) as caught:
        assert not PermutationSpec.from_model(model, inputs).groups
    assert any("the rule for aten.tanh failed" in str(warning.message) for warning in caught)


def test_a_rule_whose_result_has_another_shape_fails(monkeypatch):
    model, inputs = derive(lambda m, h: h.tanh(), {})
    monkeypatch.setitem(RULES, "tanh", lambda call: call.all_fixed((2, 2, 2)))
    with pytest.raises(RebasinWarning, match="failed: ValueError"):
        PermutationSpec.from_model(model, inputs)


def test_every_operator_has_one_rule():
    assert callable(apply_rule)
    assert len(RULES) > 300
    assert all(callable(each) for each in RULES.values())
