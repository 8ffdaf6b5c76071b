"""One network's score: against scikit-learn, from data in any form, with the model given back as it
was.
"""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, log_loss
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from rebasin_edu.errors import DataError, WeightsError
from rebasin_edu.landscape import evaluate


def model_of(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(16, 5),
    )


MODEL = model_of()
INPUTS, TARGETS = (
    torch.randn(101, 3, 2, 2, generator=torch.Generator().manual_seed(3)),
    torch.arange(101) % 5,
)


def test_loss_accuracy_and_calibration_are_scikit_learns():
    sharp = {name: x * (4 if name == "5.weight" else 1) for name, x in MODEL.state_dict().items()}
    score = evaluate(sharp, (INPUTS, TARGETS), model=MODEL, batch_size=17)
    copy = model_of()
    copy.load_state_dict(sharp)
    with torch.no_grad():
        p = copy.eval()(INPUTS).double().softmax(-1).numpy()
    named, sure = p.argmax(-1), p.max(-1)
    assert score.loss == pytest.approx(log_loss(TARGETS, p), rel=1e-5)
    assert score.accuracy == accuracy_score(TARGETS, named)
    right, confidence = calibration_curve(named == TARGETS.numpy(), sure, n_bins=15)
    filled = [k for k, n in enumerate(score.reliability.count) if n]
    count = np.array(score.reliability.count)[filled]
    np.testing.assert_allclose(
        np.array(score.reliability.correct)[filled] / count, right, rtol=1e-6
    )
    np.testing.assert_allclose(
        np.array(score.reliability.confidence)[filled] / count, confidence, rtol=1e-5
    )
    assert score.ece == pytest.approx(
        float(np.sum(count / 101 * np.abs(right - confidence))), rel=1e-5
    )
    assert score.samples == 101 == sum(score.reliability.count)


DATASET = TensorDataset(INPUTS, TARGETS)


@pytest.mark.parametrize(
    "data",
    [
        DataLoader(DATASET, batch_size=10),  # a last batch of one
        DataLoader(DATASET, batch_size=100),
        DATASET,
        [(INPUTS[:50], TARGETS[:50]), (INPUTS[50:], TARGETS[50:])],
    ],
    ids=["loader", "last batch of one", "dataset", "list"],
)
def test_any_form_of_data_gives_the_same_numbers(data):
    expected, found = (
        evaluate(MODEL, (INPUTS, TARGETS)),
        evaluate(MODEL, data, batch_size=20),
    )
    assert found.loss == pytest.approx(expected.loss, abs=1e-6)
    assert (found.accuracy, found.samples) == (expected.accuracy, expected.samples)


def test_several_inputs_go_in_as_arguments_or_by_name():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, left, right):
            return {"logits": self.linear(left + right)}

    torch.manual_seed(0)
    model, x, y, t = Two(), torch.randn(6, 4), torch.randn(6, 4), torch.arange(6) % 3
    by_name = evaluate(model, [({"left": x, "right": y}, t)])
    assert by_name == evaluate(model, [((x, y), t)])
    logits = model(x, y)["logits"]
    assert by_name.loss == pytest.approx(
        float(nn.functional.cross_entropy(logits.detach(), t)), rel=1e-6
    )


def test_predictions_at_every_position_count_each():
    torch.manual_seed(0)
    model, x, t = nn.Linear(4, 3), torch.randn(5, 7, 4), torch.randint(0, 3, (5, 7))
    score = evaluate(model, (x, t))
    assert score.samples == 35
    expected = nn.functional.cross_entropy(model(x).detach().reshape(-1, 3), t.reshape(-1))
    assert score.loss == pytest.approx(float(expected), rel=1e-6)


def test_sequences_of_several_lengths_are_not_joined():
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    data = [(torch.randn(2, n, 4), torch.randint(0, 3, (2, n))) for n in (5, 5, 7, 3, 3, 3)]
    flat = (
        torch.cat([x.reshape(-1, 4) for x, _ in data]),
        torch.cat([t.reshape(-1) for _, t in data]),
    )
    assert evaluate(model, data).loss == pytest.approx(evaluate(model, flat).loss, abs=1e-6)
    assert evaluate(model, data).samples == 52


def test_dropout_is_off_and_the_model_comes_back_as_it_was():
    model = model_of(dropout=0.9).train()
    model[2].eval()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    state = torch.get_rng_state()
    first = evaluate(model, (INPUTS, TARGETS))
    assert first == evaluate(model_of(dropout=0.9), (INPUTS, TARGETS), model=model)
    assert [m.training for m in model] == [True, True, False, True, True, True]
    assert all(torch.equal(model.state_dict()[name], x) for name, x in before.items())
    assert torch.equal(state, torch.get_rng_state())


def test_the_model_comes_back_even_when_its_forward_fails():
    model = model_of().train()
    with pytest.raises(DataError, match=r"cannot be run on these inputs, \(4, 7\)"):
        evaluate(model, (torch.randn(4, 7), torch.zeros(4, dtype=torch.long)))
    assert all(m.training for m in model)
    assert all("forward" not in vars(m) for m in model)


def test_double_weights_take_single_data():
    double = {
        name: x.double() if x.is_floating_point() else x for name, x in MODEL.state_dict().items()
    }
    assert evaluate(double, (INPUTS, TARGETS), model=MODEL).loss == pytest.approx(
        evaluate(MODEL, (INPUTS, TARGETS)).loss, abs=1e-6
    )


def test_tied_weights_are_one_tensor_with_two_names():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    data = (torch.randn(9, 4), torch.arange(9) % 4)
    copies = {name: x.clone() for name, x in model.state_dict().items()}
    assert evaluate(copies, data, model=model) == evaluate(model, data)


def used_up():
    batches = iter([(INPUTS, TARGETS)])
    list(batches)
    return batches


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ((INPUTS[:0], TARGETS[:0]), DataError, "no examples"),
        (DataLoader(TensorDataset(INPUTS[:0], TARGETS[:0])), DataError, "no examples"),
        (used_up(), DataError, "used up"),
        ((INPUTS, TARGETS[:7]), DataError, "101 inputs"),
        ([INPUTS], DataError, "has no targets"),
        ((INPUTS, TARGETS + 1), DataError, "from 1 to 5, the network has 5 classes"),
        ((INPUTS, TARGETS - 1), DataError, "from -1"),
        ((INPUTS, TARGETS.float()), DataError, "whole numbers"),
        ((INPUTS, torch.zeros(101, 5, dtype=torch.long)), DataError, "one class for each"),
    ],
)
def test_bad_data_are_named(data, error, words):
    with pytest.raises(error, match=words):
        evaluate(MODEL, data)


def test_labels_out_of_range_are_found_in_later_batches():
    targets = TARGETS.clone()
    targets[77] = 12
    with pytest.raises(DataError, match="12"):
        evaluate(MODEL, (INPUTS, targets), batch_size=10)


def test_weights_of_another_architecture_are_named():
    state = MODEL.state_dict()
    fewer = {name: x for name, x in state.items() if name != "5.bias"}
    with pytest.raises(WeightsError, match=r"'5\.bias'"):
        evaluate(fewer, (INPUTS, TARGETS), model=MODEL)
    with pytest.raises(WeightsError, match="'more' is in the network"):
        evaluate(state | {"more": torch.zeros(1)}, (INPUTS, TARGETS), model=MODEL)
    with pytest.raises(WeightsError, match=r"\(5, 9\).*\(5, 16\)"):
        evaluate(state | {"5.weight": torch.zeros(5, 9)}, (INPUTS, TARGETS), model=MODEL)
