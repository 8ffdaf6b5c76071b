"""Many networks in one order: consistent around cycles, rising, back from planted permutations."""

import importlib

import pytest
import torch

from rebasin_edu.errors import MatchingInterrupted, RebasinError, WeightsError
from rebasin_edu.lab.models import MLP, ResNet20
from rebasin_edu.matching import merge_many

from ..paper_specs import mlp_spec, resnet20_spec


def pairs_objective(spec, states, permutations) -> float:
    moved = [spec.apply(state, permutation) for state, permutation in zip(states, permutations)]
    names = {name for group in spec.groups.values() for name, _ in group.occurrences} - spec.buffers
    return sum(
        float((moved[i][n].double() * moved[j][n].double()).sum())
        for i in range(len(moved))
        for j in range(i)
        for n in names
    )


@pytest.mark.parametrize("universe", [False, True])
def test_the_objective_rises_and_cycles_close(universe):
    models = [ResNet20(0.25, seed=seed) for seed in range(4)]
    spec, states = resnet20_spec(models[0]), [model.state_dict() for model in models]
    found = merge_many(spec, models, universe=universe)
    assert found.converged
    assert all(step.gain > 0 for step in found.history if step.sweep > 0)
    assert found.objective == pytest.approx(
        pairs_objective(spec, states, found.permutations), rel=1e-9
    )
    start = pairs_objective(spec, states, [spec.identity()] * 4)
    assert found.gain == pytest.approx(found.objective - start, rel=1e-6)
    assert sum(step.gain for step in found.history) == pytest.approx(found.gain, rel=1e-4)
    assert found.between(0, 2) @ found.between(2, 3) @ found.between(3, 0) == spec.identity()
    moved = [spec.apply(state, p) for state, p in zip(states, found.permutations)]
    for name, value in found.weights.items():
        assert torch.allclose(value, sum(state[name] for state in moved) / 4, atol=1e-6)


def test_the_universe_is_deterministic_and_better():
    models = [MLP(30, (24, 24), 5, seed=seed) for seed in range(3)]
    spec = mlp_spec(models[0])
    first = merge_many(spec, models, universe=True, seed=1)
    assert merge_many(spec, models, universe=True, seed=2).permutations == first.permutations
    plain = sorted(merge_many(spec, models, seed=seed).objective for seed in range(3))
    assert first.objective > plain[1]


@pytest.mark.parametrize("universe", [False, True])
def test_planted_permutations_come_back(universe):
    model = MLP(20, (16, 12), 5, seed=0)
    spec, a = mlp_spec(model), model.state_dict()
    generator = torch.Generator().manual_seed(0)
    noise = lambda x: 0.1 * x.square().mean().sqrt() * torch.randn(x.shape, generator=generator)  # noqa: E731
    noisy = [{name: x + noise(x) for name, x in a.items()} for _ in range(4)]
    truths = [spec.random(seed) for seed in range(4)]
    found = merge_many(
        spec, [spec.apply(state, truth) for state, truth in zip(noisy, truths)], universe=universe
    )
    for i in range(4):
        assert found.permutations[i] @ truths[i] == found.permutations[0] @ truths[0]


def test_whole_numbers_and_dtypes_stay():
    models = [ResNet20(0.5, norm="batch", seed=seed).bfloat16() for seed in range(3)]
    models[0].stem_norm.num_batches_tracked.fill_(7)
    found = merge_many(resnet20_spec(models[0]), models)
    state = models[0].state_dict()
    assert {n: x.dtype for n, x in found.weights.items()} == {n: x.dtype for n, x in state.items()}
    assert int(found.weights["stem_norm.num_batches_tracked"]) == 7


def test_bad_input_and_ctrl_c(monkeypatch):
    models = [MLP(6, (5, 4), 3, seed=seed) for seed in range(3)]
    spec = mlp_spec(models[0])
    with pytest.raises(RebasinError, match="there are 1"):
        merge_many(spec, models[:1])
    with pytest.raises(WeightsError, match="network 2"):
        merge_many(spec, [*models[:2], MLP(6, (5, 4), 3, seed=2).double()])
    module = importlib.import_module("rebasin_edu.matching.merge_many")  # the name is a function's
    real, calls = module._Merging.visit, []

    def visit(self, i, sweep):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, i, sweep)

    monkeypatch.setattr(module._Merging, "visit", visit)
    with pytest.raises(MatchingInterrupted) as stopped:
        merge_many(spec, models)
    found = stopped.value.matching
    assert not found.converged
    assert found.gain > 0
