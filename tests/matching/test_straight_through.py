"""Straight-through matching: lower midpoint loss than where it began, resumable to the same end."""

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from rebasin_edu.errors import DataError, FileFormatError, MatchingInterrupted
from rebasin_edu.lab.models import MLP
from rebasin_edu.matching import straight_through as module
from rebasin_edu.matching import straight_through_matching

from ..oracles import objective
from ..paper_specs import mlp_spec


@pytest.fixture(scope="module")
def trained():
    """Two small networks trained apart on scikit-learn's digits."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    nets = []
    for seed in (1, 2):
        net = MLP(64, (16, 16), 10, seed=seed)
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(12):
            for batch in torch.randperm(len(x), generator=generator).split(200):
                optimiser.zero_grad()
                cross_entropy(net(x[batch]), y[batch]).backward()
                optimiser.step()
        nets.append(net.requires_grad_(False))
    return (*nets, (x, y))


def midpoint_loss(a, b, spec, permutation, data):
    moved = spec.apply(b, permutation)
    middle = {name: (value + moved[name]) / 2 for name, value in a.state_dict().items()}
    return float(cross_entropy(functional_call(a, middle, (data[0],)), data[1]))


def test_it_lowers_the_loss_of_the_midpoint(trained):
    a, b, data = trained
    spec = mlp_spec(a)
    found = straight_through_matching(
        spec, a, b, data, steps=150, batch_size=300, lr=0.1, evaluation=5000, progress=False
    )
    first = straight_through_matching(spec, a, b, data, steps=0, evaluation=5000, progress=False)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert found.scores[0] == pytest.approx(first.scores[0], rel=1e-6)
    assert found.scores[-1] < 0.95 * found.scores[0]
    assert midpoint_loss(a, b, spec, found.permutation, data) == pytest.approx(
        found.scores[-1], rel=1e-4
    )
    assert len(found.scores) == len(found.history)
    assert found.objective == pytest.approx(
        objective(spec, a.state_dict(), b.state_dict(), found.permutation), rel=1e-9
    )
    assert sum(step.gain for step in found.history) == pytest.approx(found.gain, rel=1e-6)


def test_a_broken_run_goes_on_to_the_same_end(trained, tmp_path, monkeypatch):
    a, b, data = trained
    spec = mlp_spec(a)
    options = {"steps": 40, "batch_size": 300, "lr": 0.1, "progress": False}
    whole = straight_through_matching(spec, a, b, data, **options)
    path, real, calls = tmp_path / "ste.pt", module._Midpoint.train_step, []

    def stop(*args):
        calls.append(1)
        if len(calls) == 25:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module._Midpoint, "train_step", stop)
    with pytest.raises(MatchingInterrupted) as stopped:
        straight_through_matching(spec, a, b, data, checkpoint=path, **options)
    assert not stopped.value.matching.converged
    assert stopped.value.matching.scores[-1] <= whole.scores[0]
    monkeypatch.setattr(module._Midpoint, "train_step", real)
    resumed = straight_through_matching(spec, a, b, data, checkpoint=path, **options)
    assert resumed.permutation == whole.permutation
    assert resumed.scores == whole.scores
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileFormatError, match="not a checkpoint"):
        straight_through_matching(spec, a, b, data, checkpoint=path, **options)


def test_data_in_other_forms_and_bad_data(trained):
    a, b, (x, y) = trained
    spec = mlp_spec(a)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 400)
    found = straight_through_matching(
        spec, a.state_dict(), b, loader, model=a, steps=3, progress=False
    )
    assert found.gain > 0
    with pytest.raises(DataError, match="no examples"):
        straight_through_matching(spec, a, b, [], steps=3, progress=False)
    with pytest.raises(DataError, match="pair"):
        straight_through_matching(spec, a, b, [x], steps=3, progress=False)
    with pytest.raises(DataError, match="model="):
        straight_through_matching(spec, a.state_dict(), b, (x, y), steps=3, progress=False)
