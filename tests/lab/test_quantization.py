"""Weights in fewer bits: what comes back is near, and what cannot be rounded is as it was."""

import pytest
import torch

from rebasin_edu.lab import ResNet20
from rebasin_edu.lab.quantization import LEVELS, PRECISIONS, pack, unpack


@pytest.fixture
def weights():
    torch.manual_seed(0)
    model = ResNet20(0.25, norm="batch")
    model.stem.weight.data[1] *= 1e-3  # units of very different sizes have scales of their own
    model.stem.weight.data[2] = 0
    return model.state_dict()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_was_packed_comes_back_under_its_names(weights, precision):
    back = unpack(pack(weights, precision))
    assert list(back) == list(weights)
    for name, tensor in weights.items():
        assert back[name].shape == tensor.shape
        if not tensor.is_floating_point():
            assert torch.equal(back[name], tensor)
            assert back[name].dtype == tensor.dtype


def test_a_byte_is_off_by_at_most_half_a_step_of_its_unit(weights):
    packed = pack(weights, "byte")
    kernels = [name for name, tensor in weights.items() if tensor.dim() > 1]
    assert all(packed[name].dtype == torch.int8 for name in kernels)
    back = unpack(packed)
    for name in kernels:
        step = (weights[name].flatten(1).abs().amax(1) / LEVELS).view(-1, 1)
        off = (back[name] - weights[name]).flatten(1).abs()
        assert (off <= step * 0.5 * (1 + 1e-4)).all()
    assert (back["stem.weight"][2] == 0).all()


def test_single_keeps_every_bit_and_packing_twice_changes_nothing(weights):
    assert all(
        torch.equal(tensor, weights[name])
        for name, tensor in unpack(pack(weights, "single")).items()
    )
    once = unpack(pack(weights, "byte"))
    twice = unpack(pack(once, "byte"))
    assert all(torch.allclose(twice[name], once[name], rtol=1e-6) for name in once)


def test_bytes_take_half_of_half(weights):
    def size(precision):
        return sum(
            tensor.numel() * tensor.element_size() for tensor in pack(weights, precision).values()
        )

    assert size("single") == pytest.approx(2 * size("half"), rel=0.01)
    assert size("byte") < 0.6 * size("half")


def test_an_unknown_precision_is_named(weights):
    with pytest.raises(
        ValueError, match="'quarter' is not known; choose one of 'byte', 'half', 'single'"
    ):
        pack(weights, "quarter")
