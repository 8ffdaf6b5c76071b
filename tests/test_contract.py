"""The contract of the public face: every function takes every awkward model, names mean one thing.

Each cell of the table (function × model) gives a result, or an error of ours that is named here.
"""

import copy
import inspect

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import rebasin_edu as rb

CLASSES, EXAMPLES = 3, 41  # batches of 20: the last one holds a single example


class Plain(nn.Module):
    """Two hidden layers, BatchNorm, and an integer buffer before all else."""

    def __init__(self, units=8):
        super().__init__()
        self.register_buffer("steps", torch.arange(5))
        self.up = nn.Linear(6, units)
        self.norm = nn.BatchNorm1d(units)
        self.middle = nn.Linear(units, units)
        self.head = nn.Linear(units, CLASSES)

    def body(self, x):
        return torch.relu(self.middle(torch.relu(self.norm(self.up(x)))))

    def forward(self, x):
        return self.head(self.body(x))


class Tied(Plain):
    """One tensor under two names."""

    def __init__(self):
        super().__init__()
        self.again = nn.Linear(8, 8)
        self.again.weight = self.middle.weight

    def body(self, x):
        return torch.relu(self.again(super().body(x)))


class TwoInputs(Plain):
    def forward(self, left, right):
        return self.head(self.body(left + 0.5 * right))


class ByName(Plain):
    """Keyword arguments, and an output with ``logits`` as language models give it."""

    def forward(self, *, values, shift):
        return {"logits": self.head(self.body(values + shift)), "moved": values + shift}


class Activated(nn.BatchNorm1d):
    def forward(self, x):
        return torch.relu(super().forward(x))


class InsideNorm(Plain):
    """A norm with its activation inside; a mask of minus infinity; something that is no tensor."""

    def __init__(self):
        super().__init__()
        self.norm = Activated(8)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        assert state == {"version": 1}

    def forward(self, x):
        return super().forward(x) + self.mask.exp().sum()


class Sequences(Plain):
    """Sequences of any length ``(examples, length, 6)``, their positions averaged at the end."""

    def forward(self, x):
        hidden = torch.relu(self.norm(self.up(x).mT).mT)
        return self.head(torch.relu(self.middle(hidden)).mean(1))


def inputs_for(model, n=EXAMPLES):
    generator = torch.Generator().manual_seed(0)
    dtype = next(model.parameters()).dtype
    x = torch.randn(n, 6, generator=generator).to(dtype)
    if isinstance(model, TwoInputs):
        return x, x.flip(0)
    if isinstance(model, ByName):
        return {"values": x, "shift": x.flip(0)}
    return x


def first(inputs, stop, start=0):
    if isinstance(inputs, dict):
        return {name: x[start:stop] for name, x in inputs.items()}
    return tuple(x[start:stop] for x in inputs) if isinstance(inputs, tuple) else inputs[start:stop]


MODELS = {
    "plain": Plain,
    "tied": Tied,
    "two inputs": TwoInputs,
    "by name": ByName,
    "bfloat16": lambda: Plain().bfloat16(),
    "float64": lambda: Plain().double(),
    "activation inside": InsideNorm,
}


class Examples(Dataset):
    def __init__(self, inputs, targets):
        self.inputs, self.targets = inputs, targets

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        part = first(self.inputs, i + 1, i)
        if isinstance(part, dict):
            return {name: x[0] for name, x in part.items()}, self.targets[i]
        return (tuple(x[0] for x in part) if isinstance(part, tuple) else part[0]), self.targets[i]


def pair(inputs, targets):
    return inputs, targets


def batches(inputs, targets):
    return [
        (first(inputs, start + 20, start), targets[start : start + 20])
        for start in range(0, len(targets), 20)
    ]


def with_labels(inputs, targets):
    if not isinstance(inputs, dict):
        return batches(inputs, targets)
    return [{**part, "labels": labels} for part, labels in batches(inputs, targets)]


FORMS = {
    "pair": pair,
    "list of batches": batches,
    "dataset": Examples,
    "loader": lambda x, y: DataLoader(Examples(x, y), batch_size=20),
    "mappings with labels": with_labels,
}


def setting(name, form="pair"):
    """Three networks of one architecture, the spec, and data."""
    networks = []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        networks.append(MODELS[name]().train())
    inputs = inputs_for(networks[0])
    targets = torch.randint(CLASSES, (EXAMPLES,), generator=torch.Generator().manual_seed(1))
    spec = rb.PermutationSpec.from_model(networks[0], first(inputs, 4))
    return networks, spec, FORMS[form](inputs, targets), first(inputs, 4)


FUNCTIONS = {
    "evaluate": lambda n, spec, data, x: rb.evaluate(n[0], data).loss,
    "linear_path": lambda n, spec, data, x: sum(rb.linear_path(n[0], n[1], data, alphas=3).loss),
    "repaired path": lambda n, spec, data, x: sum(
        rb.linear_path(n[0], n[1], data, alphas=3, repair="auto", train_data=data).loss
    ),
    "loss_plane": lambda n, spec, data, x: sum(
        sum(row) for row in rb.loss_plane(*n, data, resolution=3).loss
    ),
    "weight_matching": lambda n, spec, data, x: rb.weight_matching(spec, n[0], n[1]).objective,
    "activation_matching": lambda n, spec, data, x: (
        rb.activation_matching(spec, n[0], n[1], data).objective
    ),
    "straight_through_matching": lambda n, spec, data, x: (
        rb.straight_through_matching(spec, n[0], n[1], data, steps=2).objective
    ),
    "merge_many": lambda n, spec, data, x: rb.merge_many(spec, n).objective,
    "reestimate_batchnorm": lambda n, spec, data, x: rb.reestimate_batchnorm(n[0], data)[
        "norm.running_var"
    ].sum(),
    "repair_statistics": lambda n, spec, data, x: (
        rb.repair_statistics(n[0], n[1], data).weights["up.weight"].sum()
    ),
    "refit": lambda n, spec, data, x: rb.refit(n[0], n[1], data).weights["head.weight"].sum(),
    "diagnose": lambda n, spec, data, x: rb.diagnose(n[0], n[1], data).scores["merged"].loss,
    "merge": lambda n, spec, data, x: rb.merge(n[0], n[1], data, inputs=x)[0]["up.weight"].sum(),
    "lerp": lambda n, spec, data, x: rb.lerp(n[0], n[1], 0.5)["up.weight"].sum(),
    "slerp": lambda n, spec, data, x: rb.slerp(n[0], n[1], 0.5)["up.weight"].sum(),
    "mean": lambda n, spec, data, x: rb.mean(n)["up.weight"].sum(),
}


def snapshot(networks):
    states = [
        {k: x.clone() for k, x in network.state_dict().items() if isinstance(x, torch.Tensor)}
        for network in networks
    ]
    modes = [[module.training for module in network.modules()] for network in networks]
    patched = [["forward" in vars(module) for module in network.modules()] for network in networks]
    hooks = [[len(m._forward_hooks) for m in network.modules()] for network in networks]
    return states, (modes, patched, hooks)


def call(function, name, form="pair"):
    networks, spec, data, x = setting(name, form)
    before, rest = snapshot(networks)
    rng = torch.get_rng_state()
    value = float(FUNCTIONS[function](networks, spec, data, x))
    assert torch.isfinite(torch.tensor(value))
    after, rest_after = snapshot(networks)
    for old, new in zip(before, after):
        assert all(torch.equal(old[k], new[k]) for k in old), "a network was changed"
    assert rest == rest_after, "a module was left in another mode, patched or hooked"
    assert torch.equal(rng, torch.get_rng_state()), "the global random state was moved"
    return value


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_takes_every_model(function, name):
    call(function, name)


TAKE_DATA = [
    name
    for name in FUNCTIONS
    if name not in ("weight_matching", "merge_many", "lerp", "slerp", "mean")
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("function", TAKE_DATA)
@pytest.mark.parametrize("name", ["plain", "two inputs", "by name"])
def test_every_form_of_data_gives_the_same(function, name, form):
    value = call(function, name, form)
    assert value == pytest.approx(call(function, name, "pair"), rel=2e-3)


@pytest.mark.parametrize("function", TAKE_DATA)
def test_batches_of_unequal_length_go_everywhere(function):
    networks = []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        networks.append(Sequences().eval())
    data = [(torch.randn(20, n, 6), torch.arange(20) % CLASSES) for n in (4, 7, 4)]
    spec = rb.PermutationSpec.from_model(networks[0], data[0][0][:4])
    value = float(FUNCTIONS[function](networks, spec, data, data[0][0][:4]))
    assert torch.isfinite(torch.tensor(value))
    by_example = [(x[i], t) for x, targets in data for i, t in enumerate(targets)]

    class Ragged(Dataset):
        def __len__(self):
            return len(by_example)

        def __getitem__(self, i):
            return by_example[i]

    again = float(FUNCTIONS[function](networks, spec, Ragged(), data[0][0][:4]))
    assert again == pytest.approx(value, rel=0.2, abs=0.2)


NEED_NO_TARGETS = ["activation_matching", "reestimate_batchnorm", "repair_statistics", "refit"]


@pytest.mark.parametrize("function", [*NEED_NO_TARGETS, "straight_through_matching"])
def test_what_needs_no_targets_asks_for_none(function):
    networks, spec, (inputs, _), x = setting("plain")
    assert torch.isfinite(torch.tensor(float(FUNCTIONS[function](networks, spec, inputs, x))))


@pytest.mark.parametrize("function", TAKE_DATA)
def test_state_dicts_need_the_model_and_the_error_says_so(function):
    networks, spec, data, x = setting("plain")
    states = [network.state_dict() for network in networks]
    with pytest.raises(rb.errors.RebasinError, match="model="):
        FUNCTIONS[function](states, spec, data, x)


@pytest.mark.parametrize("function", TAKE_DATA)
def test_no_data_is_said(function):
    networks, spec, (inputs, targets), x = setting("plain")
    with pytest.raises(rb.errors.DataError):
        FUNCTIONS[function](networks, spec, (inputs[:0], targets[:0]), x)


def functions():
    listed = [getattr(rb, name) for name in rb.__all__]
    listed += [
        rb.PermutationSpec.from_model,
        rb.PermutationSpec.from_axes,
        rb.PermutationSpec.check,
    ]
    return {f.__qualname__: inspect.signature(f) for f in listed if inspect.isroutine(f)}


def test_an_argument_has_one_default_everywhere():
    """Save those that are listed: a method's own choice of an option."""
    own = {"method", "repair", "num_samples", "steps", "alphas", "names", "resolution", "start"}
    defaults = {}
    for name, signature in functions().items():
        for parameter in signature.parameters.values():
            if parameter.default is not inspect.Parameter.empty and parameter.name not in own:
                defaults.setdefault(parameter.name, {})[name] = parameter.default
    for parameter, values in defaults.items():
        assert len({repr(value) for value in values.values()}) == 1, f"{parameter}: {values}"


def test_options_are_given_by_name():
    for name, signature in functions().items():
        for parameter in signature.parameters.values():
            if parameter.default is not inspect.Parameter.empty and parameter.default is not None:
                kinds = (inspect.Parameter.KEYWORD_ONLY,)
                assert parameter.kind in kinds, f"{name}({parameter.name}=…) may be positional"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model_inputs", "inputs"), ("example_inputs", "inputs"), ("args", "inputs"),
        ("samples", "num_samples"), ("path", "kind or file"), ("train", "train_data"),
        ("dataset", "data"), ("weights", "network"), ("models", "networks"), ("say", "logging"),
    ],
)  # fmt: skip
def test_no_second_name_for_one_thing(old, new):
    allowed = {"PermutationSpec.from_axes", "activation_matching"}
    wrong = [name for name, s in functions().items() if old in s.parameters and name not in allowed]
    assert not [name for name in wrong if name not in ("load_or_train", "train")], (
        f"{old} should be {new}"
    )


def test_networks_are_not_copied_by_a_deep_copy_of_the_spec():
    _, spec, _, _ = setting("plain")
    assert copy.deepcopy(spec).groups == spec.groups
