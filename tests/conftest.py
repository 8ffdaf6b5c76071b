"""Fixtures that more than one room uses."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """One thread of computation: sums in one order, so that results can be compared to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """Every device that is here: tests that take it run on the CPU, and on a GPU where one is."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    return torch.device(request.param)
