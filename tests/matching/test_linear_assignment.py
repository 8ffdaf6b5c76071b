"""The linear assignment problem: exact, for batches, unmoved by rank-one terms."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rebasin_edu as rb
from rebasin_edu.errors import RebasinError
from rebasin_edu.matching import assign, linear_assignment


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(0, 10_000))
def test_no_permutation_is_better(n, seed):
    gains = torch.randn(n, n, generator=torch.Generator().manual_seed(seed))
    best = max(sum(gains[i, p[i]] for i in range(n)) for p in itertools.permutations(range(n)))
    found = assign(gains)
    assert sorted(found.tolist()) == list(range(n))
    assert gains[torch.arange(n), found].sum() == pytest.approx(float(best), rel=1e-5, abs=1e-5)


def test_a_batch_is_solved_matrix_by_matrix():
    gains = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    found = assign(gains)
    assert found.shape == (2, 3, 5)
    assert all(torch.equal(found[i, j], assign(gains[i, j])) for i in range(2) for j in range(3))


def test_terms_of_rank_one_change_nothing():
    generator = torch.Generator().manual_seed(1)
    gains = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    offset = 1e3 * torch.randn(40, 1, generator=generator) + 1e3 * torch.randn(
        1, 40, generator=generator
    )
    assert torch.equal(assign(gains), assign(gains + offset))


def nearly_solved(n, seed=0):
    """Gains as late in a descent: most rows have a column of their own."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return noise + 8 * torch.eye(n, dtype=torch.float64)[torch.randperm(n, generator=generator)]


def total(gains, found):
    return float(gains.double()[torch.arange(len(gains)), found].sum())


def of_trained_networks():
    """What the hidden units of the stored MLPs gain by their incoming weights, at the identity."""
    a, b = (rb.load_or_train(rb.Recipe().with_seed(seed)).state_dict() for seed in (0, 1))
    return [a[name] @ b[name].T for name in a if a[name].ndim == 2 and len(a[name]) == 512]


@pytest.mark.parametrize("kind", ["nearly solved", "random", "dead units", "integers", "trained"])
def test_both_solvers_find_the_same_sum(kind, monkeypatch):
    """lap's is not given matrices that it is slow on, such as those with many dead units."""
    pytest.importorskip("lap")
    dead = nearly_solved(64)
    dead[:20], dead[:, 30:45] = 0, 0
    integers = torch.randint(5, (64, 64), generator=torch.Generator().manual_seed(3)).float()
    matrices = {
        "nearly solved": [nearly_solved(n) for n in (32, 33, 200)],
        "random": [torch.randn(64, 64, generator=torch.Generator().manual_seed(2))],
        "dead units": [dead],
        "integers": [integers],
        "trained": of_trained_networks() if kind == "trained" else [],
    }[kind]
    for gains in matrices:
        found = assign(gains)
        assert sorted(found.tolist()) == list(range(len(gains)))
        monkeypatch.setattr(linear_assignment, "LARGE", 10**9)  # scipy's always
        assert total(gains, found) == pytest.approx(total(gains, assign(gains)), rel=1e-9)
        monkeypatch.undo()
    assert matrices


def test_lap_solves_what_is_nearly_solved(monkeypatch):
    lap = pytest.importorskip("lap")
    called = []
    solver = lap.lapjv
    monkeypatch.setattr(lap, "lapjv", lambda *x, **y: called.append(len(x[0])) or solver(*x, **y))
    assign(nearly_solved(40))
    assign(nearly_solved(20))  # small
    assign(torch.ones(40, 40))  # all rows want the same column
    assert called == [40]


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(bad, size):
    gains = nearly_solved(size)
    gains[1, 2] = bad
    with pytest.raises(RebasinError, match="not finite"):
        assign(gains)
