"""Paths with every network repaired, paths on state dicts alone, and many threads on one model."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from rebasin_edu.errors import DataError, WeightsError
from rebasin_edu.lab.models import MLP, ResNet20
from rebasin_edu.landscape import (
    diagnose,
    evaluate,
    lerp,
    linear_path,
    reestimate_batchnorm,
    refit,
    repair_statistics,
)

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = (
    torch.randn(40, 3, 8, 8, generator=GENERATOR),
    torch.randint(0, 4, (40,), generator=GENERATOR),
)
OTHERS = (
    torch.randn(60, 3, 8, 8, generator=GENERATOR),
    torch.randint(0, 4, (60,), generator=GENERATOR),
)
MAKERS = {
    "batchnorm": lambda seed: ResNet20(0.25, 4, "batch", seed=seed),
    "layernorm": lambda seed: ResNet20(0.25, 4, "layer", seed=seed),
    "none": lambda seed: MLP(192, (12, 12), 4, seed=seed),
}


def pair(name):
    networks = []
    for seed in (1, 2):
        model = MAKERS[name](seed).train()
        with torch.no_grad():
            model(OTHERS[0])  # running statistics of its own
        networks.append(model.eval())
    return networks


@pytest.mark.parametrize("name", MAKERS)
def test_endpoints_are_the_parents_and_the_middle_is_repaired(name):
    a, b = pair(name)
    plain = linear_path(a, b, IMAGES, alphas=3)
    options = {"repair": "auto", "train_data": OTHERS[0]}  # no labels
    repaired = linear_path(a, b, IMAGES, alphas=3, **options)
    assert repaired.alphas == plain.alphas
    assert repaired.meta["repair"] == ("batchnorm" if name == "batchnorm" else "rescale")
    for end in (0, 1):
        assert repaired.at(end).loss == pytest.approx(plain.at(end).loss, abs=1e-6)
    if name == "batchnorm":
        middle = reestimate_batchnorm(lerp(a, b, 0.5), OTHERS, model=a)
    else:
        middle = repair_statistics(a, b, OTHERS).weights
    score = evaluate(middle, IMAGES, model=a)
    assert repaired.at(0.5).loss == pytest.approx(score.loss, rel=1e-5)
    assert repaired.at(0.5).loss != pytest.approx(plain.at(0.5).loss, rel=1e-4)
    assert repaired.samples == 40


@pytest.mark.parametrize("repair", ["rescale", "refit"])
def test_a_repair_can_be_chosen(repair):
    a, b = pair("batchnorm")
    method = {"rescale": repair_statistics, "refit": refit}[repair]
    about = {"meta": {"seeds": [1, 2]}, "label": "repaired"}
    curve = linear_path(a, b, IMAGES, repair=repair, train_data=OTHERS, alphas=[0, 0.5, 1], **about)
    assert curve.meta == {"repair": repair, "seeds": [1, 2]}
    assert curve.label == "repaired"
    wanted = evaluate(method(a, b, OTHERS).weights, IMAGES, model=a)
    assert curve.at(0.5).loss == pytest.approx(wanted.loss, rel=1e-5)
    assert curve.at(1).loss == pytest.approx(evaluate(b, IMAGES).loss, abs=1e-6)


def test_what_cannot_be_repaired_is_said():
    a, b = pair("batchnorm")
    with pytest.raises(ValueError, match=r"repair='both' is not known; choose one of None, 'auto'"):
        linear_path(a, b, IMAGES, repair="both", train_data=OTHERS)
    with pytest.raises(DataError, match="no examples"):
        linear_path(a, b, IMAGES, repair="auto", train_data=[])
    with pytest.raises(DataError, match="needs train_data"):
        linear_path(a, b, IMAGES, repair="auto")


def test_arguments_are_left_alone_and_data_may_be_read_once():
    a, b = pair("batchnorm")
    before = [copy.deepcopy(network.state_dict()) for network in (a, b)]
    stream = iter([IMAGES])
    linear_path(a, b, stream, repair="auto", train_data=OTHERS, alphas=3)
    for network, old in zip((a, b), before):
        assert all(torch.equal(x, old[name]) for name, x in network.state_dict().items())


def test_state_dicts_need_a_model():
    a, b = pair("none")
    states = a.state_dict(), b.state_dict()
    assert linear_path(*states, IMAGES, model=a, alphas=3) == linear_path(a, b, IMAGES, alphas=3)
    assert linear_path(a.state_dict(), b, IMAGES, alphas=2).at(0) == evaluate(a, IMAGES)
    with pytest.raises(WeightsError, match="model="):
        linear_path(*states, IMAGES)


def test_a_number_of_alphas_may_be_of_any_integer_type():
    a, b = pair("none")
    curve = linear_path(a, b, IMAGES, alphas=np.int64(5))
    assert curve.alphas == (0, 0.25, 0.5, 0.75, 1)


def test_threads_may_share_one_model():
    """Each call works on a copy of its own: nothing is patched in place."""
    a, b = pair("batchnorm")
    a.train()
    a.stem_norm.eval()
    modes = [module.training for module in a.modules()]
    calls = {
        "path": lambda: linear_path(a, b, IMAGES, alphas=3).loss,
        "repaired": lambda: (
            linear_path(a, b, IMAGES, alphas=3, repair="rescale", train_data=OTHERS).loss
        ),
        "statistics": lambda: float(reestimate_batchnorm(a, OTHERS)["stem_norm.running_var"].sum()),
        "diagnosis": lambda: diagnose(a, b, IMAGES).scores["merged"].loss,
    }
    wanted = {name: call() for name, call in calls.items()}
    work = [name for _ in range(10) for name in calls]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda name: calls[name](), work))
    assert results == [wanted[name] for name in work]
    assert [module.training for module in a.modules()] == modes
    assert all("forward" not in vars(module) for module in a.modules())
    assert all(not module._forward_hooks for module in a.modules())


def test_a_regression_is_scored_by_its_squared_error():
    torch.manual_seed(0)
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    x, y = torch.randn(10, 3), torch.randn(10, 2)
    for batched in (False, True):
        curve = linear_path(a, b, (x, y), alphas=3, batched=batched)
        wanted = nn.functional.mse_loss(a(x), y).item()
        assert curve.at(0).loss == pytest.approx(wanted, rel=1e-6)
        assert np.isnan(curve.at(0).accuracy)
