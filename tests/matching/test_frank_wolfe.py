"""Frank-Wolfe: the line search is exact, the end is a permutation, and nothing is random."""

import pytest
import torch

from rebasin_edu.errors import MatchingInterrupted
from rebasin_edu.lab.models import ResNet20
from rebasin_edu.matching import frank_wolfe_matching, weight_matching
from rebasin_edu.matching.objective import Problem
from rebasin_edu.matching.relaxation import Relaxation

from ..oracles import objective
from ..paper_specs import resnet20_spec


def relaxed_value(problem: Problem, matrices: dict) -> float:
    """The objective at doubly stochastic matrices, by multiplying them out."""
    total = 0.0
    for part in problem.parts:
        b = part.b.double()
        for dim, slot in enumerate(part.slots):
            b = torch.tensordot(matrices[slot.key].double(), b.movedim(dim, 0), 1).movedim(0, dim)
        total += float((part.a.double() * b).sum())
    return total


@pytest.mark.parametrize("start", [None, "random"])
def test_each_step_is_an_exact_line_search_over_doubly_stochastic_matrices(start):
    model_a, model_b = ResNet20(0.5, seed=1), ResNet20(0.5, seed=2)
    spec = resnet20_spec(model_a)
    problem = Problem(spec, model_a.state_dict(), model_b.state_dict())
    relaxation = Relaxation(problem, None if start is None else dict(spec.random(3)))
    assert relaxation.value == pytest.approx(relaxed_value(problem, relaxation.matrices), rel=1e-5)
    for _ in range(8):
        before = {key: matrix.clone() for key, matrix in relaxation.matrices.items()}
        value = relaxation.value
        if not relaxation.step(1e-7):
            break
        after = relaxation.matrices
        assert relaxation.value == pytest.approx(relaxed_value(problem, after), rel=1e-5)
        assert relaxation.value > value
        for matrix in after.values():
            assert matrix.min() >= 0
            assert torch.allclose(matrix.sum(0), torch.ones(len(matrix)), atol=1e-5)
            assert torch.allclose(matrix.sum(1), torch.ones(len(matrix)), atol=1e-5)
        for share in (0.9, 0.97, 1.02):  # no other point of the segment is higher
            there = {key: before[key] + share * (after[key] - before[key]) for key in after}
            if min(float(matrix.min()) for matrix in there.values()) >= -1e-7:
                assert relaxed_value(problem, there) <= relaxation.value + 1e-5 * abs(
                    relaxation.value
                )


def test_the_history_adds_up_and_nothing_is_random():
    model_a, model_b = ResNet20(0.5, seed=1), ResNet20(0.5, seed=2)
    spec, a, b = resnet20_spec(model_a), model_a.state_dict(), model_b.state_dict()
    found = frank_wolfe_matching(spec, a, b)
    torch.manual_seed(5)
    assert frank_wolfe_matching(spec, a, b).permutation == found.permutation
    assert found.objective == pytest.approx(objective(spec, a, b, found.permutation), rel=1e-9)
    assert sum(step.gain for step in found.history) == pytest.approx(found.gain, rel=1e-4)
    rough = frank_wolfe_matching(spec, a, b, polish=False)
    assert rough.objective <= found.objective
    assert frank_wolfe_matching(spec, a, b, start="identity").gain > 0


@pytest.mark.parametrize("start", ["output_first", "input_first", "random", "given"])
def test_from_a_permutation_it_never_ends_below_it(start):
    model_a, model_b = ResNet20(0.5, seed=1), ResNet20(0.5, seed=2)
    spec, a, b = resnet20_spec(model_a), model_a.state_dict(), model_b.state_dict()
    begun = spec.random(3) if start == "given" else start
    found = frank_wolfe_matching(spec, a, b, start=begun, seed=5)
    assert found.history[0].group == f"start: {start}"
    assert found.objective == pytest.approx(objective(spec, a, b, found.permutation), rel=1e-9)
    assert found.gain > found.history[0].gain
    if start in ("given", "random"):
        there = begun if start == "given" else spec.random(5)
        value = objective(spec, a, b, there) - objective(spec, a, b, spec.identity())
        assert found.history[0].gain == pytest.approx(value, rel=1e-4, abs=1e-4)


def test_planted_through_noise_where_descent_fails():
    exact = {"barycentre": 0, "identity": 0}
    for seed in range(4):
        model = ResNet20(1, seed=seed)
        spec, a = resnet20_spec(model), model.state_dict()
        generator = torch.Generator().manual_seed(seed)
        b = {
            n: x + 4 * x.square().mean().sqrt() * torch.randn(x.shape, generator=generator)
            for n, x in a.items()
        }
        truth = spec.random(seed)
        b = spec.apply(b, truth)
        exact["barycentre"] += frank_wolfe_matching(spec, a, b).permutation == truth.inverse()
        exact["identity"] += (
            weight_matching(spec, a, b, start="identity").permutation == truth.inverse()
        )
    assert exact["barycentre"] == 4
    assert exact["identity"] <= 2


def test_ctrl_c_gives_what_was_reached(monkeypatch):
    model_a, model_b = ResNet20(0.5, seed=1), ResNet20(0.5, seed=2)
    spec, a, b = resnet20_spec(model_a), model_a.state_dict(), model_b.state_dict()
    real, calls = Relaxation.step, []

    def step(self, tolerance):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, tolerance)

    monkeypatch.setattr(Relaxation, "step", step)
    with pytest.raises(MatchingInterrupted) as stopped:
        frank_wolfe_matching(spec, a, b)
    found = stopped.value.matching
    assert not found.converged
    assert found.objective == pytest.approx(objective(spec, a, b, found.permutation), rel=1e-9)
