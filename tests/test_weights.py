"""State dicts of anything, whether they fit, and a model run on weights that are not its own."""

import threading

import pytest
import torch
from torch import nn

from rebasin_edu import weights
from rebasin_edu.errors import RebasinError, WeightsError


class Tied(nn.Module):
    """An integer buffer first, a tensor under two names, BatchNorm, and two outputs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("positions", torch.arange(3))
        self.up = nn.Linear(3, 3, bias=False)
        self.norm = nn.BatchNorm1d(3)
        self.down = nn.Linear(3, 3, bias=False)
        self.down.weight = self.up.weight

    def forward(self, x):
        return self.down(torch.relu(self.norm(self.up(x)))) + self.positions, x


def test_a_model_runs_on_other_weights_and_stays_as_it_was():
    torch.manual_seed(0)
    model, other, x = Tied().train(), Tied().eval(), torch.randn(5, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twice = {name: value * 2 for name, value in other.state_dict().items()}
    expected = Tied().eval()
    expected.load_state_dict(twice)
    found = weights.run(weights.eval_copy(model), twice, x)
    assert torch.equal(found, expected(x)[0])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert model.norm.training


def test_a_copy_shares_the_tensors_and_nothing_else():
    model = Tied()
    copied = weights.eval_copy(model)
    assert copied.up.weight is model.up.weight
    assert copied.down.weight is copied.up.weight
    assert copied.norm is not model.norm
    with weights.replaced({copied.norm: lambda x: x}), weights.watched({copied.up: print}):
        assert "forward" not in vars(model.norm)
        assert not model.up._forward_hooks
    assert "forward" not in vars(copied.norm)
    assert not copied.up._forward_hooks


def test_a_copy_is_made_of_a_model_with_weight_norm():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.ReLU())
    x = torch.randn(2, 3)
    assert torch.equal(weights.eval_copy(model)(x), model(x))


def test_two_threads_run_one_model_on_weights_of_their_own():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2)), torch.randn(50, 4)
    states = [{n: v * scale for n, v in model.state_dict().items()} for scale in (1.0, 3.0)]
    expected = [weights.run(weights.eval_copy(model), state, x) for state in states]
    wrong = []

    def work(k: int) -> None:
        copied = weights.eval_copy(model)
        wrong.extend(not torch.equal(weights.run(copied, states[k], x), expected[k])
                     for _ in range(200))  # fmt: skip

    threads = [threading.Thread(target=work, args=(k,)) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 400
    assert not any(wrong)


@pytest.mark.parametrize("output", [lambda y: y, lambda y: (y, 1), lambda y: {"logits": y},
                                    lambda y: {"only": y}, lambda y: [y]])  # fmt: skip
def test_the_tensor_of_an_output(output):
    y = torch.ones(2)
    assert weights.output_of(output(y)) is y


@pytest.mark.parametrize("output", [None, 3, (), {"a": torch.ones(1), "b": torch.ones(1)}])
def test_an_output_without_a_tensor_is_said(output):
    with pytest.raises(RebasinError, match="a tensor, or an output with"):
        weights.output_of(output)


def test_weights_that_do_not_fit_the_model():
    model = nn.Linear(2, 3)
    with pytest.raises(WeightsError, match=r"weight of B is \(3, 4\), the model's is \(3, 2\)"):
        weights.state_for(model, nn.Linear(4, 3), name="B")
    with pytest.raises(WeightsError, match="'bias' is in the model and not in the weights"):
        weights.state_for(model, {"weight": model.weight})
    with pytest.raises(WeightsError, match="'extra' is in the weights and not in the model"):
        weights.state_for(model, model.state_dict() | {"extra": torch.ones(1)})
    with pytest.raises(WeightsError, match="not a str"):
        weights.state_for(model, "model.pt")
    assert weights.state_for(model, None).keys() == {"weight", "bias"}


def test_weights_that_do_not_fit_each_other():
    a, b = ({"w": torch.zeros(2), "n": torch.tensor(1)} for _ in range(2))
    assert torch.equal(weights.compatible(a, b, a)[2]["w"], a["w"])
    for change, said in (
        ({"w": torch.zeros(3)}, r"w is \(2,\) in the first network and \(3,\) in the second"),
        ({"w": torch.zeros(2, dtype=torch.long)}, "torch.float32 in the first network and torch.i"),
        ({"w": torch.tensor([1.0, torch.nan])}, "w of the second network holds 1 NaN or infinite"),
        ({"other": torch.zeros(2)}, "'other' is in the second network and not in the first"),
    ):
        with pytest.raises(WeightsError, match=said):
            weights.compatible(a, b | change)


def test_networks_for_other_classes_are_named():
    a, b = (nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, n)) for n in (10, 20))
    for check in (lambda: weights.compatible(a, b), lambda: weights.state_for(a, b)):
        with pytest.raises(WeightsError, match="the outputs differ: 10 and 20 classes"):
            check()


def test_large_finite_values_are_finite():
    weights.check_finite(torch.full((4,), 3e38), "w")
    weights.check_finite(torch.full((4,), 6e4, dtype=torch.half), "w")


def test_device_and_dtype_are_those_of_the_first_floating_tensor():
    state = {"n": torch.tensor(1), "w": torch.zeros(1, dtype=torch.bfloat16)}
    assert weights.device_and_dtype(state) == (torch.device("cpu"), torch.bfloat16)
