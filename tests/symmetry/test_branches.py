"""Units taken apart one by one and put together again, and tensors whose rows have orders of their
own: stacked parameters, the start states of recurrent layers.
"""

from __future__ import annotations

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rebasin_edu.symmetry import PermutationSpec

from ..symmetry_models import Lambda

VECTORS, SEQUENCE = torch.randn(3, 12), torch.randn(2, 6, 7)


def sizes(spec: PermutationSpec) -> list[int]:
    return sorted(group.size for group in spec.groups.values())


def number(*widths: int) -> float:
    return sum(math.lgamma(n + 1) for n in widths) / math.log(10)


def dense(function, width: int = 8, **parts) -> Lambda:
    """``function(m, h)`` between a hidden layer ``a`` and a head."""
    torch.manual_seed(0)
    a, head = nn.Linear(12, width), nn.Linear(width, 3)
    return Lambda(lambda m, x: m.head(function(m, m.a(x))), a=a, head=head, **parts).eval()


def vector(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def written(m, h):
    out = h.new_zeros(h.shape)
    for k in range(8):
        out[:, k] = h[:, k].relu()
    return out


def read_between(m, h):
    """The same, where one branch sees what the ones before it have written."""
    out = h.new_zeros(h.shape)
    for k in range(8):
        out[:, k] = h[:, k] + out.mean(1)
    return out


ALIKE = {
    "unbind": lambda m, h: torch.stack([u.relu() for u in h.unbind(-1)], -1),
    "unbind-transposed": lambda m, h: torch.stack([u.relu() for u in h.T.unbind(0)], 0).T,
    "split": lambda m, h: torch.cat([u.relu() for u in h.split(1, -1)], -1),
    "split-sizes": lambda m, h: torch.cat([u.relu() for u in h.split([1] * 8, -1)], -1),
    "chunk": lambda m, h: torch.cat([u.relu() for u in h.chunk(8, -1)], -1),
    "tensor-split": lambda m, h: torch.cat([u.relu() for u in h.tensor_split(8, 1)], 1),
    "select": lambda m, h: torch.stack([h[:, k].relu() for k in range(8)], -1),
    "slice": lambda m, h: torch.cat([h[:, k : k + 1].relu() for k in range(8)], -1),
    "narrow": lambda m, h: torch.cat([h.narrow(1, k, 1).relu() for k in range(8)], -1),
    "twice": lambda m, h: torch.stack([u * u.sigmoid() for u in h.unbind(-1)], -1),
    "two-at-once": lambda m, h: torch.stack(
        [u * v for u, v in zip(h.unbind(-1), (h * 2).unbind(-1))], -1
    ),
    "whole-beside": lambda m, h: torch.stack([u * h.mean(-1) for u in h.unbind(-1)], -1),
    "softmax-of-rows": lambda m, h: torch.stack([u.softmax(0) for u in h.unbind(-1)], -1),
    "rows-inside": lambda m, h: torch.stack(
        [torch.stack([v.relu() for v in u.unbind(0)], 0) for u in h.unbind(-1)], -1
    ),
    "written": written,
}
UNLIKE = {
    "numbered": lambda m, h: torch.stack([u * k for k, u in enumerate(h.unbind(-1))], -1),
    "first": lambda m, h: torch.stack([u.relu() if k else u for k, u in enumerate(h.unbind(1))], 1),
    "reversed": lambda m, h: torch.stack([u.relu() for u in h.unbind(-1)][::-1], -1),
    "neighbours": lambda m, h: torch.stack([h[:, k] + h[:, k - 1] for k in range(8)], -1),
    "running-sum": lambda m, h: torch.stack([h[:, : k + 1].sum(-1) for k in range(8)], -1),
    "read-between": read_between,
    "written-over": lambda m, h: torch.stack([u.mul_(k) for k, u in enumerate(h.unbind(-1))], -1),
}


@pytest.mark.parametrize("name", ALIKE)
def test_units_that_all_go_the_same_way_stay_free(name):
    model = dense(ALIKE[name])
    assert sizes(PermutationSpec.from_model(model, VECTORS)) == [8]


@pytest.mark.parametrize("name", UNLIKE)
def test_units_that_go_ways_of_their_own_stay_where_they_are(name):
    model = dense(UNLIKE[name])
    spec = PermutationSpec.from_model(model, VECTORS, verify=False)
    assert spec.check(model, VECTORS) < 1e-12
    assert not spec.groups


@pytest.mark.slow
@pytest.mark.parametrize("how", ["unbind", "split", "select"])
def test_five_hundred_units_are_taken_apart_without_recursion(how):
    functions = {
        "unbind": lambda m, h: torch.stack([u * 1.0 for u in h.unbind(-1)], -1),
        "split": lambda m, h: torch.cat([u.relu() for u in h.split(1, -1)], -1),
        "select": lambda m, h: torch.stack([h[:, k].relu() for k in range(512)], -1),
    }
    spec = PermutationSpec.from_model(dense(functions[how], 512), VECTORS)
    assert spec.log10_symmetries() == pytest.approx(number(512))


def test_pieces_of_several_units_have_orders_of_their_own():
    spec = PermutationSpec.from_model(
        dense(lambda m, h: torch.cat([u.softmax(-1) for u in h.chunk(8, -1)], -1), 24), VECTORS
    )
    assert sizes(spec) == [3] * 8


@pytest.mark.parametrize(
    ("function", "parts", "groups"),
    [
        (
            lambda m, h: torch.stack([u * m.w[k] + m.b[k] for k, u in enumerate(h.unbind(-1))], -1),
            {"w": vector(8), "b": vector(8)},
            [8],
        ),
        (
            lambda m, h: torch.cat([m.net(u) for u in h.split(1, -1)], -1),
            {"net": nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1))},
            [5, 8],
        ),
        (
            lambda m, h: torch.stack(
                [m.n(u[:, None] * m.w[k]).amax(-1) for k, u in enumerate(h.unbind(-1))], -1
            ),
            {"w": vector(8, 5), "n": nn.LayerNorm(5)},
            [5, 8],
        ),
    ],
    ids=["with-parameters", "through-one-network", "as-tokens"],
)
def test_branches_may_meet_parameters(function, parts, groups):
    assert sizes(PermutationSpec.from_model(dense(function, **parts), VECTORS)) == groups


def test_a_mean_inside_of_branches_is_seen_with_their_axis():
    """Each of 8 units has 4 places of its own; not the other way round, since their mean is taken
    for each unit.
    """

    def function(m, x):
        places = torch.einsum("bi,iuv->buv", x, m.w)
        return m.head(torch.cat([u - u.mean(1, keepdim=True) for u in places.unbind(1)], 1))

    model = Lambda(function, w=vector(12, 8, 4), head=nn.Linear(32, 3))
    spec = PermutationSpec.from_model(model, VECTORS, verify=False)
    assert spec.check(model, VECTORS) < 1e-12
    assert sorted((g.size, g.copies) for g in spec.groups.values()) == [(4, 8), (8, 1)]


def test_query_key_and_value_may_come_from_a_chunk():
    def function(m, x):
        chunks = m.a(x).view(2, 6, 3, 2, 4).chunk(3, 2)
        query, key, value = (part.squeeze(2).transpose(1, 2) for part in chunks)
        attended = F.scaled_dot_product_attention(query, key, value)
        return m.head(attended.transpose(1, 2).flatten(2))

    model = Lambda(function, a=nn.Linear(7, 24), head=nn.Linear(8, 3))
    spec = PermutationSpec.from_model(model, SEQUENCE)
    assert sorted((g.size, g.copies) for g in spec.groups.values()) == [(2, 1), (4, 2), (4, 2)]


# -------------------------------------------------------------------------------------------------
# rows of a parameter


STACKED = {
    "scales": (lambda m, h: (m.b((h * m.w[0]).relu()) * m.w[1]).relu(), (2, 8), [8, 8]),
    "layers": (lambda m, h: ((h.relu() @ m.w[0]).relu() @ m.w[1]).relu(), (2, 8, 8), [8, 8, 8]),
    "loop": (
        lambda m, h: functools.reduce(lambda h, w: (h @ w).relu(), m.w.unbind(0), h.relu()),
        (2, 8, 8),
        [8, 8, 8],
    ),
}


@pytest.mark.parametrize("name", STACKED)
def test_rows_of_a_parameter_that_are_used_apart_have_orders_of_their_own(name):
    function, shape, groups = STACKED[name]
    model = dense(function, w=vector(*shape), **({"b": nn.Linear(8, 8)} if len(shape) == 2 else {}))
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == groups
    assert "|" in " ".join(map(str, spec.axes["w"]))


def test_a_row_that_the_example_does_not_use_stays():
    model = dense(lambda m, h: h * m.w[0], w=vector(3, 8))
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == [8]
    moved = spec.apply(model, spec.random(1))["w"]
    assert torch.equal(moved[1:], model.w[1:])
    assert not torch.equal(moved[0], model.w[0])


def test_a_parameter_that_is_also_used_as_a_whole_has_one_order():
    model = dense(lambda m, h: h * m.w[0] + m.w.mean(0), w=vector(3, 8))
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == [2, 8]  # the two rows that are only averaged, and the units
    assert not any("|" in str(term) for term in spec.axes["w"])


EXPAND = lambda h: h.expand(-1, 2, -1).contiguous()  # noqa: E731
STARTS = {
    "expand": EXPAND,
    "repeat": lambda h: h.repeat(1, 2, 1),
    "unsqueeze": lambda h: h.squeeze(1).unsqueeze(1).expand(len(h), 2, -1).contiguous(),
    "added": lambda h: torch.zeros(len(h), 2, 5, dtype=h.dtype) + h,
    "bounded": lambda h: EXPAND(torch.tanh(h)),
}


def recurrent(kind, layers: int, ways: int, start) -> Lambda:
    torch.manual_seed(0)
    rnn = kind(7, 5, layers, batch_first=True, bidirectional=ways == 2)
    states = {name: vector(layers * ways, 1, 5) for name in ("h", "c")}

    def forward(m, x):
        state = (start(m.h), start(m.c)) if kind is nn.LSTM else start(m.h)
        return m.head(m.rnn(x, state)[0])

    if kind is not nn.LSTM:
        del states["c"]
    return Lambda(forward, rnn=rnn, head=nn.Linear(5 * ways, 3), **states)


@pytest.mark.parametrize(("layers", "ways"), [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_each_layer_and_way_of_a_learned_start_state_has_units_of_its_own(kind, layers, ways):
    spec = PermutationSpec.from_model(recurrent(kind, layers, ways, EXPAND), SEQUENCE)
    assert sizes(spec) == [5] * (layers * ways)


@pytest.mark.parametrize("how", STARTS)
def test_a_start_state_may_be_made_in_any_way(how):
    spec = PermutationSpec.from_model(recurrent(nn.GRU, 2, 1, STARTS[how]), SEQUENCE)
    assert sizes(spec) == [5, 5]


def test_a_start_state_may_be_computed_or_put_together():
    rnn = {"rnn": nn.GRU(7, 5, 2, batch_first=True), "head": nn.Linear(5, 3)}
    computed = Lambda(
        lambda m, x: m.head(m.rnn(x, m.h(x[:, 0]).view(2, 2, 5).transpose(0, 1).contiguous())[0]),
        h=nn.Linear(7, 10),
        **rnn,
    )
    stacked = Lambda(
        lambda m, x: m.head(m.rnn(x, torch.stack([m.h.expand(2, -1), m.c.expand(2, -1)]))[0]),
        h=vector(1, 5),
        c=vector(1, 5),
        **rnn,
    )
    for model in (computed, stacked):
        assert sizes(PermutationSpec.from_model(model, SEQUENCE)) == [5, 5]


def test_a_projected_lstm_has_units_and_outputs():
    def forward(m, x):
        return m.head(m.rnn(x, (EXPAND(m.h), EXPAND(m.c)))[0])

    rnn = nn.LSTM(7, 6, 2, batch_first=True, proj_size=5)
    parts = {"rnn": rnn, "h": vector(2, 1, 5), "c": vector(2, 1, 6), "head": nn.Linear(5, 3)}
    assert sizes(PermutationSpec.from_model(Lambda(forward, **parts), SEQUENCE)) == [5, 5, 6, 6]


def test_rows_are_permuted_inverted_matched_and_described_like_any_group():
    model = recurrent(nn.GRU, 2, 1, EXPAND)
    spec = PermutationSpec.from_model(model, SEQUENCE)
    state = model.state_dict()
    p = spec.random(3)
    moved = spec.apply(state, p)
    back = spec.apply(moved, p.inverse())
    assert all(torch.equal(back[name], state[name]) for name in state)
    for row, group in enumerate(spec.groups):
        assert torch.equal(moved["h"][row, 0], state["h"][row, 0][p[group]])
    assert str(spec.axes["h"][2]) == "h[0] | h[1]"
    assert "h axis 2" in str(spec.describe())
