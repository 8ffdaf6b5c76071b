"""Small models of the kinds that a derivation meets at its edges: each is kept, complete, or
refused with its true cause.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.parametrizations
import torch.nn.utils.prune
from torch import nn

from rebasin_edu.errors import TraceError
from rebasin_edu.symmetry import PermutationSpec

from ..symmetry_models import Lambda

VECTORS, SEQUENCE = torch.randn(3, 12), torch.randn(2, 6, 7)
IMAGES = torch.randn(2, 3, 8, 8)


def sizes(spec: PermutationSpec) -> list[int]:
    return sorted(group.size for group in spec.groups.values())


def dense(forward, **parts) -> Lambda:
    torch.manual_seed(0)
    return Lambda(forward, a=nn.Linear(12, 8), head=nn.Linear(8, 3), **parts).eval()


class Updating(nn.Module):
    """Buffers that each call changes: in place, by assignment, and a counter."""

    def __init__(self, how: str):
        super().__init__()
        self.a, self.head, self.how = nn.Linear(12, 8), nn.Linear(8, 3), how
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        hidden = self.a(x).relu()
        self.steps += 1
        if self.how == "copy":
            self.mean.copy_(hidden.mean(0))
        elif self.how == "lerp":
            self.mean.lerp_(hidden.mean(0), 0.1)
        else:
            self.mean = 0.9 * self.mean + 0.1 * hidden.mean(0)
        return self.head(hidden - self.mean)


@pytest.mark.parametrize("how", ["copy", "lerp", "assign"])
def test_buffers_that_forward_updates(how):
    model = Updating(how)
    before = model.mean
    assert sizes(PermutationSpec.from_model(model, VECTORS)) == [8]
    assert model.mean is before
    assert not before.any()
    assert model.steps == 0


OUTPUTS = {
    "positions": lambda m, h: m.head(h).argmax(-1),
    "ranks": lambda m, h: m.head(h).argsort(-1),
    "top": lambda m, h: m.head(h).topk(2),
    "rounded": lambda m, h: (100 * m.head(h)).round().int(),
    "booleans": lambda m, h: m.head(h) > 0,
    "any": lambda m, h: (m.head(h) > 0).any(-1),
    "complex": lambda m, h: torch.fft.rfft(m.head(h)),
    "phases": lambda m, h: torch.polar(m.head(h).abs(), m.head(h)),
    "several": lambda m, h: {"scores": m.head(h), "best": (m.head(h).argmax(-1), h.shape[0])},
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_of_any_type_are_compared(name):
    model = dense(lambda m, x: OUTPUTS[name](m, m.a(x).relu()))
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == ([3, 8] if name == "any" else [8])
    wrong = {"a.weight": ("h", None), "a.bias": ("h",)}
    changed = PermutationSpec.from_axes(wrong, model)
    with pytest.raises(Exception, match="group 'h' alone changes them"):
        changed.check(model, VECTORS, seeds=6)


@pytest.mark.filterwarnings("ignore:aten.*to_sparse.* has no rule", "ignore:Sparse CSR")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_sparse_outputs(layout):
    model = dense(lambda m, x: m.head(m.a(x).relu()).to_sparse(layout=layout))
    assert sizes(PermutationSpec.from_model(model, VECTORS)) == [8]


ONLY_IN_SINGLE = {
    "least": lambda m, h: (h + (1 - torch.ones(8)) * torch.finfo(h.dtype).min).softmax(-1),
    "greatest": lambda m, h: h * (torch.zeros(8) * torch.finfo(h.dtype).max + 1),
    "single": lambda m, h: F.linear(h.float(), torch.eye(8)).float(),
}


@pytest.mark.parametrize("name", ONLY_IN_SINGLE)
def test_what_works_in_single_precision_only(name):
    model = dense(lambda m, x: m.head(ONLY_IN_SINGLE[name](m, m.a(x)).to(m.head.weight.dtype)))
    groups = sizes(PermutationSpec.from_model(model, VECTORS))
    assert groups == ([] if name == "single" else [8])


class Meaning(nn.Module):
    """A float buffer that must have the values it has."""

    def __init__(self, how: str):
        super().__init__()
        self.a, self.head, self.how = nn.Linear(12, 8), nn.Linear(8, 3), how
        self.register_buffer("box", torch.tensor([0.0, 2.0, 4.0]))

    def forward(self, x):
        hidden = self.a(x).relu()
        if self.how == "index":
            return self.head(hidden)[:, self.box.long().clamp(0, 2)]
        if self.how == "size":
            assert self.box[2] == 4
            return self.head(hidden).repeat(1, 2)
        return self.head(hidden) * torch.linalg.cholesky(torch.diag(self.box - 2).mm(
            torch.diag(self.box - 2)) + torch.eye(3, dtype=x.dtype)).sum()  # fmt: skip


@pytest.mark.parametrize("how", ["index", "cholesky"])
@pytest.mark.filterwarnings("ignore:aten.* has no rule")
def test_float_buffers_with_a_meaning(how):
    assert sizes(PermutationSpec.from_model(Meaning(how), VECTORS)) == [8]


def blurred(m, x):
    return m.out(F.conv2d(m.conv(x).relu(), m.kernel, groups=8, padding=1))


def masked(m, x):
    return m.head(F.linear(x, m.w * m.mask).relu())


def test_constants_that_are_equal_along_one_axis():
    line = torch.tensor([1.0, 2, 1])
    kernel = (line[:, None] * line)[None, None].repeat(8, 1, 1, 1) / 16
    parts = {"conv": nn.Conv2d(3, 8, 3), "out": nn.Conv2d(8, 2, 1)}
    assert sizes(PermutationSpec.from_model(Lambda(blurred, kernel=kernel, **parts), IMAGES)) == [8]
    one = Lambda(blurred, kernel=kernel, **parts)
    one.register_buffer("kernel", kernel, persistent=False)
    assert sizes(PermutationSpec.from_model(one, IMAGES)) == [8]


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_masks_move_with_the_weights_that_they_mask(dtype):
    mask = (torch.rand(8, 12) > 0.4).to(dtype)
    model = dense(masked, w=nn.Parameter(torch.randn(8, 12)), mask=mask)
    del model.a
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == [8]
    assert ("mask", 0) in spec.groups["w"].occurrences


def test_complex_parameters_move():
    weight = nn.Parameter(torch.randn(12, 8, dtype=torch.complex64))
    model = Lambda(lambda m, x: m.head((x + 0j) @ m.w).abs() if False else m.head(
        ((x + 0j) @ m.w.to(torch.complex128 if x.dtype == torch.float64 else m.w.dtype)).abs()),
        w=weight, head=nn.Linear(8, 3))  # fmt: skip
    spec = PermutationSpec.from_model(model, VECTORS)
    assert sizes(spec) == [8]
    assert ("w", 1) in spec.groups["w"].occurrences or "w" in spec.axes


TABLES = {
    "positions": (lambda m, x: m.a(x) + m.p[:, : x.shape[1]], (1, 16, 8), [8]),
    "looked-up": (lambda m, x: m.a(x) + m.p[0, torch.arange(x.shape[1])], (1, 16, 8), [8]),
    "narrowed": (lambda m, x: m.a(x) + m.p.narrow(1, 2, x.shape[1]), (1, 16, 8), [8]),
    "distances": (
        lambda m, x: (m.a(x) @ m.a(x).mT + m.p[0, : x.shape[1], : x.shape[1]]).softmax(-1) @ m.a(x),
        (1, 16, 16),
        [8],
    ),
    "wider": (lambda m, x: m.a(x) * m.p[0, 0, :8], (1, 1, 20), [8]),
}


@pytest.mark.parametrize("name", TABLES)
def test_what_lies_beyond_the_cut_of_a_table_stays(name):
    function, shape, groups = TABLES[name]
    table = nn.Parameter(torch.randn(shape))
    model = Lambda(
        lambda m, x: m.head(function(m, x)), a=nn.Linear(7, 8), p=table, head=nn.Linear(8, 3)
    )
    spec = PermutationSpec.from_model(model, SEQUENCE)
    assert sizes(spec) == groups
    moved = spec.apply(model, spec.random(2))
    longer = torch.randn(2, 9, 7)
    expected = model(longer)
    model.load_state_dict(moved)
    torch.testing.assert_close(model(longer), expected)


def tied(model, how: str):
    if how == "data":
        model.b.weight.data = model.a.weight.data
    elif how == "view":
        model.b.weight.data = model.a.weight.data.view(8, 8)
    elif how == "transposed":
        model.b.weight.data = model.a.weight.data.mT
    elif how == "bias":
        model.b.bias.data = model.a.bias.data
    elif how == "flat":
        whole = torch.randn(128)
        model.a.weight.data, model.b.weight.data = (p.view(8, 8) for p in whole.split(64))
    return model


@pytest.mark.parametrize("how", ["data", "view", "transposed", "bias", "flat"])
def test_ties_by_memory(how):
    torch.manual_seed(0)
    layers = {"i": nn.Linear(12, 8), "a": nn.Linear(8, 8), "b": nn.Linear(8, 8)}
    model = tied(
        Lambda(
            lambda m, x: m.head(m.b(m.a(m.i(x).relu()).relu()).relu()),
            head=nn.Linear(8, 3),
            **layers,
        ),
        how,
    )
    spec = PermutationSpec.from_model(model, VECTORS)
    free = {"data": [8], "view": [8], "transposed": [8, 8], "bias": [8, 8], "flat": [8, 8, 8]}
    assert sizes(spec) == free[how]
    expected = model(VECTORS)
    model.load_state_dict(spec.apply(model, spec.random(1)))
    torch.testing.assert_close(model(VECTORS), expected)


class Force(nn.Module):
    """The gradient of an energy."""

    def __init__(self, how: str):
        super().__init__()
        self.net, self.how = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1)), how

    def forward(self, x):
        if self.how == "grad":
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.net(x).sum(), x)[0]
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            self.net(x).sum().backward()
        return x.grad


class Inside(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.head = torch.jit.script(nn.Linear(12, 8)), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.a(x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("build", "cause"),
    [
        (lambda: Force("grad"), "gradients inside its forward"),
        (lambda: Force("backward"), "gradients inside its forward"),
        (Inside, "scripted modules"),
        (lambda: torch.jit.script(nn.Sequential(nn.Linear(12, 8))), "scripted modules"),
        (lambda: torch.jit.trace(nn.Linear(12, 8), VECTORS), "scripted modules"),
    ],
    ids=["grad", "backward", "scripted-inside", "scripted", "traced"],
)
def test_what_cannot_be_exported_says_its_true_cause(build, cause):
    with pytest.raises(TraceError, match=cause):
        PermutationSpec.from_model(build(), VECTORS)


def _old(how):
    utils = nn.utils
    return {"weight": utils.weight_norm, "spectral": utils.spectral_norm}[how](nn.Linear(12, 8))


def _pruned():
    layer = nn.Linear(12, 8)
    nn.utils.prune.l1_unstructured(layer, "weight", 0.3)
    return layer


PARAMETRIZED = {
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(12, 8)),
    "spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(12, 8)),
    "old weight_norm": lambda: _old("weight"),
    "old spectral_norm": lambda: _old("spectral"),
    "prune": _pruned,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PARAMETRIZED)
def test_weights_that_are_computed_are_derived_too(name):
    model = nn.Sequential(PARAMETRIZED[name](), nn.ReLU(), nn.Linear(8, 3))
    assert sizes(PermutationSpec.from_model(model, VECTORS)) == [8]
