"""Modules as people have them: wrapped, with hidden activations, reparametrised, tied, in half."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

import rebasin_edu as rb
from rebasin_edu.errors import DataError, RebasinWarning, WeightsError

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(60) % 3


def pair(make):
    torch.manual_seed(0)
    a = make()
    torch.manual_seed(1)
    return a.eval(), make().eval()


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def normed():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


STEPS = {"steps": 2, "start": "activations"}
WRAPPERS = {
    "compiled": torch.compile,
    "in parallel": nn.DataParallel,
    "compiled inside": lambda m: nn.Sequential(torch.compile(m[0]), *m[1:]),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_a_wrapped_model_gives_what_the_model_in_it_gives(wrap):
    a, b = pair(mlp)
    plain = rb.merge(a, b, (X, Y), repair="rescale")
    wrapped = rb.merge(wrap(a), wrap(b), (X, Y), repair="rescale")
    assert list(wrapped[0]) == list(wrap(a).state_dict())
    for mine, other in zip(plain[0].values(), wrapped[0].values()):
        assert torch.allclose(mine, other, atol=1e-6)
    assert wrapped[1].scores["rescale"].loss == pytest.approx(plain[1].scores["rescale"].loss)
    wrap(a).load_state_dict(wrapped[0])
    spec = rb.PermutationSpec.from_model(wrap(a), X[:2])
    for matcher, more in ((rb.activation_matching, {}), (rb.straight_through_matching, STEPS)):
        own = rb.PermutationSpec.from_model(a, X[:2])
        found = matcher(spec, wrap(a), wrap(b), X, **more)
        expected = matcher(own, a, b, X, **more)
        assert found.objective == pytest.approx(expected.objective, rel=1e-6)


class Normalised(nn.BatchNorm1d):
    """A norm with its activation inside, as timm's."""

    def forward(self, x):
        return F.relu(super().forward(x))


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, Normalised, nn.SyncBatchNorm])
def test_a_norms_own_forward_runs_when_its_statistics_are_taken(kind):
    model, _ = pair(lambda: nn.Sequential(nn.Linear(6, 8), kind(8), nn.Linear(8, 8), kind(8)))
    found = rb.reestimate_batchnorm(model, X, batch_size=60)
    right = copy.deepcopy(model).train()
    for norm in (right[1], right[3]):
        norm.momentum = None
    right(X)
    for name, x in right.state_dict().items():
        assert torch.allclose(found[name], x, atol=1e-5), name


@pytest.mark.parametrize("normalise", [nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norms_are_those_of_the_averaged_weight(normalise):
    def make():
        model = nn.Sequential(normalise(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))
        for _ in range(30):
            model(X)
        return model

    a, b = pair(make)
    a.load_state_dict(rb.lerp(a, b, 0.5))
    a.eval()(X)  # the old one computes its weight in a hook
    largest = float(torch.linalg.matrix_norm(a[0].weight.detach(), 2))
    assert largest == pytest.approx(1, abs=1e-4)


def test_networks_pruned_by_different_masks_are_not_averaged():
    a, b = pair(mlp)
    for each in (a, b):
        prune.l1_unstructured(each[0], "weight", amount=0.5)
    with pytest.raises(WeightsError, match=r"prune\.remove\(module, 'weight'\)"):
        rb.lerp(a, b, 0.5)
    assert torch.equal(rb.lerp(a, b, 1)["0.weight_mask"], b[0].weight_mask)
    b[0].weight_mask.copy_(a[0].weight_mask)
    assert torch.equal(rb.lerp(a, b, 0.5)["0.weight_mask"], a[0].weight_mask)


class Causal(nn.Module):
    """A mask of minus infinity among the buffers, a counter, and something that is no tensor."""

    def __init__(self):
        super().__init__()
        self.up, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
        self.register_buffer("steps", torch.tensor(7))

    def get_extra_state(self):
        return {"version": 2}

    def set_extra_state(self, state):
        assert state == {"version": 2}

    def forward(self, x):
        return self.head(F.relu(self.up(x))) + self.mask.exp().sum()


def test_what_is_equal_in_all_networks_stays_and_the_result_loads():
    a, b = pair(Causal)
    spec = rb.PermutationSpec.from_model(a, X[:2])
    match = rb.weight_matching(spec, a, b)
    results = {
        "lerp": rb.lerp(a, b, 0.3),
        "slerp": rb.slerp(a.state_dict(), b.state_dict(), 0.3),
        "mean": rb.mean([a, b, a]),
        "apply": spec.apply(b, match.permutation),
        "merge": rb.merge(a, b, (X, Y), inputs=X[:2])[0],
        "three": rb.merge([a, b, a], train_data=(X, Y), inputs=X[:2])[0],
        "merge_many": rb.merge_many(spec, [a, b]).weights,
        "repair": rb.repair_statistics(a, b, X).weights,
    }
    for name, state in results.items():
        assert list(state) == list(a.state_dict()), name
        assert torch.equal(state["mask"], a.mask), name
        assert state._metadata == a.state_dict()._metadata, name
        copy.deepcopy(a).load_state_dict(state)
    for bad in (torch.nan, torch.inf):
        b.mask[0, 0] = bad
        with pytest.raises(WeightsError, match="mask of the first network holds"):
            rb.lerp(a, b, 0.5)


class Head(nn.Module):
    """A head that is tied to the embedding."""

    def __init__(self):
        super().__init__()
        self.words, self.up = nn.Embedding(9, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 9, bias=False)
        self.head.weight = self.words.weight

    def forward(self, t):
        return self.head(F.relu(self.up(self.words(t))))


def test_a_tied_head_may_be_there_once():
    a, b = pair(Head)
    t = torch.arange(40) % 9
    once = [{k: x for k, x in m.state_dict().items() if k != "head.weight"} for m in (a, b)]
    curve = rb.linear_path(*once, (t, t), model=a, alphas=3)
    assert curve.loss == rb.linear_path(a, b, (t, t), alphas=3).loss


def test_old_checkpoints_lack_counters_and_fill_takes_statistics_of_the_model():
    a, b = pair(normed)
    full = [m.state_dict() for m in (a, b)]
    without = [{k: x for k, x in s.items() if "num_batches" not in k} for s in full]
    assert rb.linear_path(*without, (X, Y), model=a, alphas=3).loss
    bare = [{k: x for k, x in s.items() if "running" not in k} for s in without]
    with pytest.raises(WeightsError, match=r"takes the model's own"):
        rb.merge(*bare, (X, Y), model=a)
    merged, _ = rb.merge(*bare, (X, Y), model=a, fill=True, repair="batchnorm")
    assert torch.equal(
        merged["1.running_var"], rb.merge(a, b, (X, Y), repair="batchnorm")[0]["1.running_var"]
    )


def test_one_network_in_half_is_cast_and_said():
    a, b = pair(mlp)
    with pytest.warns(RebasinWarning, match="second network is torch.float16, cast to the first"):
        mixed = rb.lerp(a, copy.deepcopy(b).half(), 0.5)
    assert torch.allclose(mixed["0.weight"], rb.lerp(a, b, 0.5)["0.weight"], atol=1e-3)


def test_complex_weights_are_averaged_too():
    a, b = ({"w": torch.randn(4, dtype=torch.cfloat)} for _ in range(2))
    assert torch.allclose(rb.lerp(a, b, 0.5)["w"], (a["w"] + b["w"]) / 2)
    assert torch.allclose(rb.mean([a, b, a])["w"], (2 * a["w"] + b["w"]) / 3)
    assert not torch.equal(rb.slerp(a, b, 0.5)["w"], a["w"])


CHECKPOINTS = {
    "a prefix of DataParallel": (
        lambda s: {f"module.{k}": x for k, x in s.items()},
        r"'module\.': take it off, \{k\.removeprefix\('module\.'\)",
    ),
    "a prefix of compile": (
        lambda s: {f"_orig_mod.{k}": x for k, x in s.items()},
        r"begin with '_orig_mod\.': take it off",
    ),
    "a whole checkpoint": (lambda s: {"epoch": 3, "state_dict": s}, r"give its entry \['state_d"),
    "numpy": (lambda s: {k: x.numpy() for k, x in s.items()}, "0.weight of .* is a numpy array"),
    "sparse": (lambda s: s | {"0.weight": s["0.weight"].to_sparse()}, "0.weight of .* is sparse"),
    "meta": (lambda s: {k: x.to("meta") for k, x in s.items()}, "0.weight of .* has no values"),
    "a typing error": (
        lambda s: {k.replace("2.bias", "2.bais"): x for k, x in s.items()},
        r"'2\.bias' is in the model and not in .*; did you mean '2\.bais'\?",
    ),
    "a path": (lambda s: "model.pt", "a module or a state dict, not a str"),
}


@pytest.mark.parametrize(("change", "words"), CHECKPOINTS.values(), ids=CHECKPOINTS.keys())
def test_checkpoints_that_are_no_weights_are_named(change, words):
    a, b = (m.state_dict() for m in pair(mlp))
    with pytest.raises(WeightsError, match=words):
        rb.linear_path(change(a), change(b), (X, Y), model=mlp(), alphas=3)


class Words(nn.Module):
    """torch's own transformer layer, with padding."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.words, self.body = nn.Embedding(9, 8), nn.TransformerEncoder(layer, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, t):
        return self.head(self.body(self.words(t), src_key_padding_mask=t == 0).mean(1))


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype")
def test_the_fused_path_of_a_transformer_hides_no_layer():
    a, b = pair(Words)
    t = torch.randint(1, 9, (40, 5), generator=torch.Generator().manual_seed(0))
    t[::2, 3:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RebasinWarning)
        _, report = rb.merge(a, b, (t, Y[:40]))
    assert {"A", "B", "naive", "matched"} <= report.scores.keys()
    layers = [layer.name for layer in rb.diagnose(a, b, (t, Y[:40])).layers]
    assert "body.layers.0.linear1" in layers


def test_inputs_of_another_width_are_named():
    with pytest.raises(DataError, match=r"cannot be run on these inputs, \(60, 5\): .*mat1"):
        rb.evaluate(mlp(), (X[:, :5], Y))
