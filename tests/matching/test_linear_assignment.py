"""The linear assignment problem: exact, for batches, unmoved by rank-one terms."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rebasin_edu.errors import RebasinError
from rebasin_edu.matching import assign


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


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(bad):
    gains = torch.zeros(3, 3)
    gains[1, 2] = bad
    with pytest.raises(RebasinError, match="not finite"):
        assign(gains)
