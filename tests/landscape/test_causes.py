"""Eight planted causes in three architectures: what is wrong is named. See the table it prints."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rebasin_edu.batches import Batch
from rebasin_edu.landscape import CAUSES, diagnose
from rebasin_edu.landscape.causes import GAP
from rebasin_edu.landscape.similarity import prediction_gap
from rebasin_edu.matching import activation_matching, weight_matching
from rebasin_edu.symmetry import PermutationSpec


class Dense(nn.Module):
    def __init__(self, width, norm):
        super().__init__()
        self.first, self.second = nn.Linear(64, width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) if norm else nn.Identity() for _ in "12")
        self.head = nn.Linear(width, 8)

    def forward(self, x):
        x = self.norms[0](self.first(x.flatten(1))).relu()
        return self.head(self.norms[1](self.second(x)).relu())


class Convolutional(nn.Module):
    def __init__(self, width, norm):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, width, 5, 2, 2), nn.Conv2d(width, width, 3, 2, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) if norm else nn.Identity() for _ in "12")
        self.head = nn.Linear(4 * width, 8)

    def forward(self, x):
        x = self.norms[0](self.first(x)).relu()
        return self.head(self.norms[1](self.second(x)).relu().flatten(1))


class Residual(Convolutional):
    def __init__(self, width, norm):
        super().__init__(width, norm)
        self.third = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x):
        x = self.norms[0](self.first(x)).relu()
        x = x + self.third(self.norms[1](self.second(F.interpolate(x, scale_factor=2))).relu())
        return self.head(F.avg_pool2d(x.relu(), 2).flatten(1))


ARCHITECTURES = (Dense, Convolutional, Residual)
GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.arange(400) % 8


def stripes():
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    waves = torch.stack([x, y, x + y, x - y])
    waves = torch.cat([0.8 * waves, 1.6 * waves])
    phases = 6.3 * torch.rand(400, 1, 1, generator=GENERATOR)
    noise = 0.5 * torch.randn(400, 8, 8, generator=GENERATOR)
    return ((waves[LABELS] + phases).sin() + noise)[:, None]


STRIPES, NOISE = stripes(), torch.randn(80, 1, 8, 8, generator=GENERATOR)


def trained(network, images, labels, seed, steps=60, rate=1e-2):
    network, generator = copy.deepcopy(network).train(), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    for _ in range(steps):
        index = torch.randint(len(images), (100,), generator=generator)
        optimiser.zero_grad()
        F.cross_entropy(network(images[index]), labels[index]).backward()
        optimiser.step()
    return network.eval()


def new(make, seed, width=24, norm=False):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(width, norm)


def relative(network, seed, noise):
    """A network with noise on its weights, in units of each tensor's standard deviation."""
    network, generator = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for x in network.parameters():
            if x.ndim > 1:
                x += noise * x.std() * torch.randn(x.shape, generator=generator)
    return network


def larger(network, factor=20):
    """The same function with larger weights before each BatchNorm: the variance of an average is
    then far from the average of the variances.
    """
    with torch.no_grad():
        for layer, norm in zip((network.first, network.second), network.norms):
            for x in (layer.weight, layer.bias, norm.running_mean):
                x *= factor
            norm.running_var *= factor**2
    return network


def planted(make):
    """Cause → arguments of ``diagnose`` on a pair that has it."""
    a = trained(new(make, 0), STRIPES, LABELS, 0)
    spec, data = PermutationSpec.from_model(a, STRIPES[:2]), (STRIPES, LABELS)
    child = trained(a, STRIPES, LABELS, 1, steps=10, rate=1e-3)
    shuffled = spec.apply(child, spec.random(1))
    found = weight_matching(spec, a, shuffled)
    yield "healthy", (a, shuffled, data, spec, found)
    yield "already aligned", (a, child, data, spec, weight_matching(spec, a, child))
    yield "poor matching", (a, shuffled, data, spec, spec.identity())
    axes = {
        "first.weight": ("group", *[None] * (a.first.weight.ndim - 1)),
        "first.bias": ("group",),
    }
    wrong = PermutationSpec.from_axes(axes, a)
    yield "wrong spec", (a, child, data, wrong, wrong.random(0))
    few, many = LABELS < 4, LABELS > 3
    halves = [trained(new(make, 0), STRIPES[part], LABELS[part], 0) for part in (few, many)]
    found = activation_matching(spec, *halves, STRIPES, model=a)
    yield "different data", (*halves, data, spec, found)
    cousin = trained(relative(a, 2, 2.0), STRIPES, LABELS, 2)
    found = activation_matching(spec, a, cousin, STRIPES, model=a)
    yield "variance collapse", (a, cousin, data, spec, found)
    a = trained(new(make, 0, norm=True), STRIPES, LABELS, 0)
    spec = PermutationSpec.from_model(a, STRIPES[:2])
    cousin = larger(trained(relative(a, 2, 2.0), STRIPES, LABELS, 2))
    found = activation_matching(spec, a, cousin, STRIPES, model=a)
    yield "stale statistics", (a, cousin, data, spec, found)
    pair = [trained(new(make, seed, 8), NOISE, LABELS[:80], seed, 250) for seed in (0, 1)]
    spec = PermutationSpec.from_model(pair[0], NOISE[:2])
    found = activation_matching(spec, *pair, NOISE, model=pair[0])
    yield "too narrow", (*pair, (NOISE, LABELS[:80]), spec, found)


@pytest.fixture(scope="module")
def table():
    """(architecture, planted cause) → the diagnosis."""
    rows = {}
    for make in ARCHITECTURES:
        for cause, (a, b, data, spec, permutation) in planted(make):
            found = diagnose(a, b, data, model=a, spec=spec, permutation=permutation)
            rows[make.__name__, cause] = found
    return rows


def test_at_least_22_of_24_planted_causes_are_named(table):
    assert len(table) == 3 * len(CAUSES) == 24
    lines = [f"{' '.join(key):32} {found.cause}" for key, found in table.items()]
    print("\n".join(lines))
    assert sum(found.cause == cause for (_, cause), found in table.items()) >= 22, lines


def test_networks_that_learned_little_of_the_same_data_are_not_said_to_have_different_data():
    made = ARCHITECTURES[0]
    pair = [trained(new(made, seed), STRIPES, LABELS, seed, steps=3, rate=1e-3) for seed in (0, 1)]
    data = [Batch(STRIPES, LABELS)]
    gap = prediction_gap(pair[0], *(network.state_dict() for network in pair), data)
    assert gap > GAP, "their errors fall on different classes"
    found = diagnose(*pair, (STRIPES, LABELS), model=pair[0])
    assert found.cause != "different data"


def test_the_first_sentence_names_the_cause_and_a_remedy(table):
    for found in table.values():
        start = CAUSES[found.cause].split("{")[0].split(":")[0]
        assert found.verdict[0].startswith(start)
        if found.cause != "healthy":
            assert ";" in found.verdict[0] and found.verdict[0].endswith(".")
