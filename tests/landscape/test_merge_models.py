"""Merging in one call what people have: a recurrent character model, a small vision transformer, a
U-Net that regresses, and bad data.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rebasin_edu.landscape import evaluate, merge
from rebasin_edu.symmetry import PermutationSpec

TEXT = "the quick brown fox jumps over the lazy dog and the dog sleeps under a tall green tree. "


class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.cell = nn.Embedding(32, 12), nn.LSTM(12, 24, batch_first=True)
        self.head = nn.Linear(24, 32)

    def forward(self, text):
        return self.head(self.cell(self.embedding(text))[0])


class Vision(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.place = nn.Conv2d(1, 16, 4, 4), nn.Parameter(torch.randn(4, 16) / 4)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).mT + self.place
        return self.head(self.encoder(tokens).mean(1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.middle = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, 2, padding=1)
        self.up, self.out = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, images):
        skip = self.down(images).relu()
        return self.out(torch.cat([skip, self.up(self.middle(skip).relu()).relu()], 1))


def text():
    codes = torch.tensor([ord(c) % 32 for c in TEXT * 4])
    windows = codes.unfold(0, 17, 1)
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


def stripes():
    """Images of stripes in four directions, in noise."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    waves = torch.stack([x, y, x + y, x - y]).mul(1.2)
    labels = torch.arange(400) % 4
    phases = 6.3 * torch.rand(400, 1, 1, generator=generator)
    images = (waves[labels] + phases).sin() + 0.3 * torch.randn(400, 8, 8, generator=generator)
    return images[:, None], labels


def blurred():
    images, _ = stripes()
    return images, F.avg_pool2d(images, 3, 1, 1)


MODELS = {
    "LSTM": (Characters, text, lambda y, t: F.cross_entropy(y.flatten(0, 1), t.flatten())),
    "ViT": (Vision, stripes, F.cross_entropy),
    "U-Net": (UNet, blurred, F.mse_loss),
}


@pytest.fixture(scope="module", params=MODELS)
def trained(request):
    make, load, loss = MODELS[request.param]
    data, networks = load(), []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make()
        steps = torch.optim.Adam(network.parameters(), 1e-2)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(80):
            index = torch.randint(len(data[0]), (50,), generator=generator)
            steps.zero_grad()
            loss(network(data[0][index]), data[1][index]).backward()
            steps.step()
        networks.append(network.eval())
    return request.param, networks, data


def test_networks_trained_apart_merge_in_one_call(trained):
    name, (a, b), data = trained
    merged, report = merge(a, b, data)
    scores = report.scores
    parents = (scores["A"].loss + scores["B"].loss) / 2
    best = min(score.loss for score in scores.values() if score not in (scores["A"], scores["B"]))
    assert best < scores["naive"].loss
    network = type(a)()
    network.load_state_dict(merged)
    assert evaluate(network, data).loss == pytest.approx(best, rel=0.1)
    below = (scores["A"].accuracy + scores["B"].accuracy) / 2
    below -= max((s for s in scores.values() if s.loss == best), key=lambda s: s.loss).accuracy
    far = best > 1.1 * parents if math.isnan(below) else below > 0.03
    assert any("next try" in note for note in report.notes) == far
    if name == "U-Net":
        assert math.isnan(below) and scores["refit"].loss < 0.5 * scores["matched"].loss


def test_a_network_and_its_shuffle_are_one(trained):
    _, (a, _), data = trained
    spec = PermutationSpec.from_model(a, data[0][:2])
    b = spec.apply(a, spec.random(1))
    merged, report = merge(a, b, data)
    own = report.scores["A"].loss
    assert report.scores["naive"].loss > 1.5 * own
    assert evaluate(merged, data, model=a).loss == pytest.approx(own, rel=0.1)
    assert not any("next try" in note for note in report.notes)
