"""Data in any form gives the same batches."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from rebasin_edu.batches import Batch, batches, call_arguments, count, first, nbytes
from rebasin_edu.errors import DataError

X, Y = torch.arange(20.0).reshape(10, 2), torch.arange(10)
WITH_TARGETS = {
    "pair": (X, Y),
    "dataset": TensorDataset(X, Y),
    "loader": DataLoader(TensorDataset(X, Y), 3),
    "list of batches": [(X[:3], Y[:3]), (X[3:], Y[3:])],
    "list of lists": [[X[:3], Y[:3]], [X[3:], Y[3:]]],
    "one large batch": [(X, Y)],
    "generator": lambda: ((X[k : k + 1], Y[k : k + 1]) for k in range(10)),
}
WITHOUT = {
    "tensor": X,
    "list of tensors": [X[:3], X[3:6], X[6:]],
    "dataset of inputs": TensorDataset(X),
    "loader of inputs": DataLoader(X, 4),
}


def joined(stream):
    stream = list(stream)
    targets = None if stream[0].targets is None else torch.cat([batch.targets for batch in stream])
    return torch.cat([batch.inputs for batch in stream]), targets


@pytest.mark.parametrize("name", WITH_TARGETS)
@pytest.mark.parametrize("size", [1, 4, 100])
def test_every_form_holds_the_same_examples(name, size):
    data = WITH_TARGETS[name]
    data = data() if callable(data) else data
    x, y = joined(batches(data, size))
    assert torch.equal(x, X)
    assert torch.equal(y, Y)


@pytest.mark.parametrize("name", [*WITH_TARGETS, *WITHOUT])
def test_where_targets_are_not_used_they_may_be_missing(name):
    data = (WITH_TARGETS | WITHOUT)[name]
    data = data() if callable(data) else data
    x, y = joined(batches(data, 4, targets=False))
    assert torch.equal(x, X)
    assert y is None


@pytest.mark.parametrize("name", WITHOUT)
def test_where_targets_are_needed_their_absence_is_said(name):
    with pytest.raises(DataError, match="targets"):
        list(batches(WITHOUT[name], 4))


def test_batches_are_of_the_size_asked_for():
    assert [len(y) for _, y in batches((X, Y), 4)] == [4, 4, 2]
    assert [len(y) for _, y in batches([(X, Y)], 4)] == [4, 4, 2]
    assert [len(y) for _, y in batches([(X[k : k + 1], Y[k : k + 1]) for k in range(9)], 3)] == [
        3
    ] * 3


def test_a_last_batch_of_one_joins_the_one_before_it():
    assert [len(y) for _, y in batches((X, Y), 3)] == [3, 3, 4]
    assert [len(y) for _, y in batches((X[:1], Y[:1]), 3)] == [1]


@pytest.mark.parametrize("name", WITH_TARGETS)
def test_no_more_examples_than_asked_for(name):
    data = WITH_TARGETS[name]
    data = data() if callable(data) else data
    x, _ = joined(batches(data, 4, num_samples=7))
    assert torch.equal(x, X[:7])


def test_several_inputs_and_mappings():
    two = [((X[:4], X[:4] + 1), Y[:4]), ((X[4:], X[4:] + 1), Y[4:])]
    found = list(batches(two, 100))
    assert [count(inputs) for inputs, _ in found] == [4, 6]
    assert all(torch.equal(inputs[1], inputs[0] + 1) for inputs, _ in found)
    whole = list(batches(((X, X + 1), Y), 4))
    assert [count(inputs) for inputs, _ in whole] == [4, 4, 2]
    words = {"input_ids": X.long(), "attention_mask": X > 3, "labels": Y}
    inputs, targets = next(batches([words]))
    assert inputs.keys() == {"input_ids", "attention_mask"}
    assert torch.equal(targets, Y)
    inputs, targets = next(batches([({"x": X}, Y)], num_samples=3))
    assert inputs["x"].shape == (3, 2)
    assert len(targets) == 3


def test_sequences_of_unequal_length_stay_apart():
    data = [(torch.zeros(2, n), torch.zeros(2, n).long()) for n in (3, 5, 5, 4)]
    assert [x.shape for x, _ in batches(data, 4)] == [(2, 3), (4, 5), (2, 4)]


def test_inputs_are_moved_and_targets_are_not_cast():
    inputs, targets = next(batches(({"x": X, "ids": Y}, Y), dtype=torch.float64))
    assert inputs["x"].dtype == torch.float64
    assert inputs["ids"].dtype == targets.dtype == torch.int64


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((X[:0], Y[:0]), "no examples"),
        ([], "no examples"),
        (iter(()), "used up"),
        ([X, Y], r"write \(inputs, targets\) for a pair"),
        ((X, Y[:3]), "10 inputs and targets of shape"),
        ((X, torch.tensor(3)), "targets of shape"),
        ([(X, X, Y)], r"write \(\(x1, x2"),
        (["text"], "this one is a str"),
        ([3], "this one is a int"),
        (None, "data=None"),
        ("mnist", "data='mnist'"),
        (3.5, "data=3.5"),
    ],
)
def test_what_is_not_data_is_said_in_words(data, said):
    with pytest.raises(DataError, match=said):
        list(batches(data))


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"num_samples": 0}])
def test_at_least_one_example(arguments):
    with pytest.raises(DataError, match="at least one example"):
        list(batches((X, Y), **arguments))


def test_what_inputs_stand_for():
    assert call_arguments(X) == ((X,), {})
    assert call_arguments([X, Y]) == ((X, Y), {})
    assert call_arguments({"x": X}) == ((), {"x": X})
    assert first((X, {"y": Y}), 3)[1]["y"].tolist() == [0, 1, 2]
    assert nbytes({"x": X, "y": (Y,)}) == 20 * 4 + 10 * 8
    assert isinstance(next(batches((X, Y))), Batch)
