"""The small transformers, their text, and the symmetries that the notebook derives by hand."""

import math

import pytest
import torch
from torch.func import functional_call

from rebasin_edu.course import load_gpt, load_text, load_vit
from rebasin_edu.course.transformers import GPT, ViT
from rebasin_edu.errors import DataError, FileFormatError, RebasinError
from rebasin_edu.lab import load_data, train
from rebasin_edu.landscape import evaluate
from rebasin_edu.symmetry import PermutationSpec

CHARACTERS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5, 8, 9, 7, 9, 3]])


def generic(model, seed=0):
    """The model in float64 with random numbers in every tensor, the norms' scales among them."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.double().state_dict().values():
        tensor.copy_(
            0.3 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64) + 0.2
        )
    return model.eval()


def gpt():
    return generic(GPT(10, width=12, depth=2, heads=3, context=8))


def vit():
    return generic(ViT(width=12, classes=5, depth=2, heads=3, channels=1, size=8))


CASES = {
    "gpt": (gpt, CHARACTERS),
    "vit": (vit, torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()),
}


def out(model, state, inputs):
    with torch.no_grad():
        return functional_call(model, state, inputs)


def factorial(n):
    return math.lgamma(n + 1) / math.log(10)


@pytest.mark.parametrize("name", CASES)
def test_a_transformers_permutations_are_heads_their_insides_the_mlps_and_one_stream(name):
    make, inputs = CASES[name]
    model = make()
    spec = PermutationSpec.from_model(model, inputs)
    block = factorial(3) + 2 * 3 * factorial(4) + factorial(24)
    assert spec.log10_symmetries() == pytest.approx(factorial(12) + 2 * block)
    assert spec.check(model, inputs, seeds=3) < 1e-9


def folded(state):
    """Each norm's scale in the columns of what reads it, and ones in its place."""
    readers = {"norm1": ("q", "k", "v"), "norm2": ("up",), "norm": ("head",)}
    new = dict(state)
    for name, scale in state.items():
        norm = name.split(".")[-2] if "." in name else ""
        for reader in readers.get(norm, ()):
            at = name.replace(f"{norm}.weight", f"{reader}.weight")
            new[at] = new[at] * scale
            new[name] = torch.ones_like(scale)
    return new


def turned(state, rotation):
    """The stream in other coordinates: what writes to it is turned, what reads it turned back."""
    new = dict(state)
    for name, weights in state.items():
        if name.endswith(("o.weight", "down.weight", "patches.weight")):
            new[name] = torch.einsum("ij,j...->i...", rotation, weights)
        elif weights.ndim > 1:
            new[name] = weights @ rotation.T
    return new


@pytest.mark.parametrize("name", CASES)
def test_an_orthogonal_map_of_the_stream_is_exact_once_the_scales_are_folded(name):
    make, inputs = CASES[name]
    model = make()
    state = model.state_dict()
    wanted = out(model, state, inputs)
    generator = torch.Generator().manual_seed(2)
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))[0]
    assert torch.allclose(out(model, folded(state), inputs), wanted, atol=1e-10)
    assert torch.allclose(out(model, turned(folded(state), rotation), inputs), wanted, atol=1e-10)
    assert not torch.allclose(out(model, turned(state, rotation), inputs), wanted, atol=1e-2)
    stretched = turned(folded(state), 2 * rotation)  # invertible, and not orthogonal
    assert not torch.allclose(out(model, stretched, inputs), wanted, atol=1e-2)


@pytest.mark.parametrize("name", CASES)
def test_any_invertible_map_inside_a_head_is_exact(name):
    make, inputs = CASES[name]
    model = make()
    state = dict(model.state_dict())
    wanted = out(model, state, inputs)
    generator = torch.Generator().manual_seed(3)
    change = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)  # one for each head
    for block in ("blocks.0.", "blocks.1."):
        qk, vo = (torch.block_diag(*maps) for maps in change)
        state[block + "q.weight"] = qk @ state[block + "q.weight"]
        state[block + "k.weight"] = qk.inverse().T @ state[block + "k.weight"]
        state[block + "v.weight"] = vo @ state[block + "v.weight"]
        state[block + "o.weight"] = state[block + "o.weight"] @ vo.inverse()
    assert torch.allclose(out(model, state, inputs), wanted, atol=1e-8)


def test_a_gpt_does_not_see_what_comes_later():
    model = gpt()
    later = CHARACTERS.clone()
    later[:, 5:] = 0
    with torch.no_grad():
        before, after = model(CHARACTERS), model(later)
    assert before.shape == (2, 10, 8)
    assert torch.equal(before[:, :, :5], after[:, :, :5])
    assert not torch.allclose(before[:, :, 5:], after[:, :, 5:])


def test_sizes_that_do_not_divide_are_named():
    with pytest.raises(RebasinError, match="width 10 cannot be cut into 3 heads"):
        GPT(5, width=10, heads=3)
    with pytest.raises(RebasinError, match="images of 10 pixels cannot be cut into patches of 4"):
        ViT(size=10)


def test_a_vit_can_be_trained():
    data = load_data("digits")
    vit = ViT(width=16, depth=1, channels=1, size=8, seed=0)
    trained = train(vit, data, epochs=3, batch_size=50, lr=3e-3)
    assert trained.history[-1]["test_accuracy"] > 0.5


def test_the_stored_vits_know_images_that_they_have_not_seen():
    images = load_data("cifar10-2k").test
    for seed in (0, 1, 2):
        assert evaluate(load_vit(seed), images).accuracy > 0.55
    with pytest.raises(FileFormatError, match="no vit of seed 99"):
        load_vit(99)


def test_the_text_has_two_parts_and_one_alphabet():
    text = load_text()
    assert text.decode(text.encode("To be, or not")) == "To be, or not"
    assert len(text.test) == pytest.approx(len(text.train) / 9, rel=1e-3)
    assert int(text.train.max()) < len(text.alphabet) == 73
    pieces, following = text.windows("test", 5, context=20, seed=1)
    assert pieces.shape == following.shape == (5, 20)
    assert torch.equal(pieces[:, 1:], following[:, :-1])
    assert torch.equal(pieces, text.windows("test", 5, context=20, seed=1)[0])
    with pytest.raises(DataError, match="'é' is not in the alphabet"):
        text.encode("é")
    with pytest.raises(RebasinError, match="part='valid'"):
        text.windows("valid", 3)


def test_the_stored_gpts_have_learnt_the_text():
    text = load_text()
    pieces, following = text.windows("test", 100)
    for seed in (0, 1, 2):
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(load_gpt(seed)(pieces), following)
        assert loss < 2.1  # 4.29 is a guess among 73 characters
    with pytest.raises(FileFormatError, match="no gpt of seed 99"):
        load_gpt(99)
