"""Bad inputs to the public functions: each ends in one sentence of ours, before any long work.

None of them may give a result: a number that comes from a mistake looks like any other.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import rebasin_edu as rb
from rebasin_edu.errors import RebasinError

X = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 3
D = (X, Y)


def net(seed=0, units=6, classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(5, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Linear(units, classes)
        ).eval()


A, B, C = net(0), net(1), net(2)
SPEC = rb.PermutationSpec.from_model(A, X[:2])
MATCH = rb.weight_matching(SPEC, A, B)
CURVE = rb.linear_path(A, B, D, alphas=3)


def nan_at(x, value=torch.nan):
    x = x.clone()
    x[3, 2] = value
    return x


def state(network, **change):
    return {**network.state_dict(), **change}


def lacks(network, name):
    return {k: x for k, x in network.state_dict().items() if k != name}


PATH = lambda data, **k: rb.linear_path(A, B, data, alphas=3, **k)  # noqa: E731
MERGE = lambda data=D, **k: rb.merge(A, B, data, inputs=X[:2], **k)  # noqa: E731

BAD = {
    # data
    "no data": lambda: PATH(None),
    "data are a path": lambda: PATH("images.npz"),
    "data are a number": lambda: rb.evaluate(A, 3),
    "an empty pair": lambda: PATH((X[:0], Y[:0])),
    "an empty list": lambda: PATH([]),
    "an iterator that is used up": lambda: rb.evaluate(A, iter([])),
    "a list of two tensors": lambda: rb.activation_matching(SPEC, A, B, [X, X]),
    "a list of inputs and targets": lambda: PATH([X, Y]),
    "three tensors": lambda: rb.activation_matching(SPEC, A, B, (X, X, Y)),
    "numpy inputs": lambda: PATH((X.numpy(), Y.numpy())),
    "numpy targets": lambda: PATH((X, Y.numpy())),
    "inputs of another width": lambda: PATH((torch.randn(40, 9), Y)),
    "inputs without targets": lambda: PATH(X),
    "a NaN example": lambda: MERGE((nan_at(X), Y)),
    "an infinite example": lambda: rb.reestimate_batchnorm(A, nan_at(X, torch.inf)),
    "a NaN example to repair on": lambda: rb.repair_statistics(A, B, nan_at(X)),
    "a NaN example to match on": lambda: rb.activation_matching(SPEC, A, B, nan_at(X)),
    "a batch of batches of three": lambda: rb.evaluate(A, [(X, X, Y)]),
    "words as examples": lambda: rb.evaluate(A, [("a", Y)]),
    "one example of statistics": lambda: rb.reestimate_batchnorm(A, X[:1]),
    "a whole data set of the package": lambda: PATH(rb.load_data("digits")),
    # targets
    "fewer targets": lambda: PATH((X, Y[:30])),
    "one target": lambda: rb.evaluate(A, (X, torch.tensor(1))),
    "a class of -1": lambda: PATH((X, Y - 1)),
    "a class of -1 in a merge": lambda: MERGE((X, Y - 1)),
    "a class too high": lambda: PATH((X, Y + 1)),
    "classes in the millions": lambda: PATH((X, Y * 3_000_000)),
    "classes in floating point": lambda: PATH((X, Y.float())),
    "a NaN class": lambda: PATH((X, torch.full((40,), torch.nan))),
    "a class of 0.9": lambda: PATH((X, Y + 0.9)),
    "true and false": lambda: PATH((X, Y > 1)),
    "complex targets": lambda: PATH((X, Y + 0j)),
    "targets in words": lambda: rb.evaluate(A, [(X[:2], ["cat", "dog"])]),
    "a NaN to regress on": lambda: PATH((X, nan_at(X[:, :3]))),
    "targets that broadcast": lambda: rb.evaluate(net(classes=1), (X, X[:, 0])),
    "targets that broadcast in a loss": lambda: rb.evaluate(
        net(classes=1), (X, X[:, 0]), loss=F.mse_loss
    ),
    "classes on two axes": lambda: rb.evaluate(
        nn.Linear(5, 4), (torch.randn(7, 4, 5), torch.zeros(7, 4, dtype=torch.long))
    ),
    # losses and numbers
    "a loss by name": lambda: rb.evaluate(A, D, loss="mse"),
    "metrics in a list": lambda: rb.evaluate(A, D, metrics=[F.mse_loss]),
    "a loss of other shapes": lambda: MERGE(loss=F.binary_cross_entropy_with_logits),
    "a loss without targets": lambda: MERGE(X, loss=F.mse_loss),
    "batch_size=0": lambda: rb.evaluate(A, D, batch_size=0),
    "batch_size=2.5": lambda: rb.evaluate(A, D, batch_size=2.5),
    "num_samples=0": lambda: MERGE(num_samples=0),
    "num_samples=True": lambda: MERGE(num_samples=True),
    "alphas in words": lambda: PATH(D, kind="lerp") and rb.linear_path(A, B, D, alphas="25"),
    "one alpha": lambda: rb.linear_path(A, B, D, alphas=1),
    "a half of an alpha": lambda: rb.linear_path(A, B, D, alphas=0.5),
    "true alphas": lambda: rb.linear_path(A, B, D, alphas=True),
    "alphas in a table": lambda: rb.linear_path(A, B, D, alphas=[[0, 1]]),
    "an infinite alpha": lambda: rb.linear_path(A, B, D, alphas=[0, math.inf]),
    "alpha=NaN": lambda: rb.lerp(A, B, math.nan),
    "alpha in words": lambda: rb.lerp(A, B, "0.5"),
    "merge at alpha=NaN": lambda: MERGE(alpha=math.nan),
    "an unknown repair": lambda: MERGE(repair="REPAIR"),
    "an unknown method": lambda: MERGE(method="weight"),
    "an unknown kind": lambda: PATH(D, kind="cubic"),
    "a repair without data": lambda: rb.merge(A, B, inputs=X[:2], repair="rescale"),
    "a path repaired without data": lambda: PATH(D, repair="auto"),
    "a plane of one point": lambda: rb.loss_plane(A, B, C, D, resolution=1),
    "a plane of 2.5 points": lambda: rb.loss_plane(A, B, C, D, resolution=2.5),
    "a plane through a line": lambda: rb.loss_plane(A, B, rb.lerp(A, B, 0.5), D, resolution=2),
    # weights
    "no weights": lambda: rb.weight_matching(SPEC, None, B),
    "no network": lambda: rb.evaluate(None, D),
    "a path for weights": lambda: rb.weight_matching(SPEC, "a.pt", "b.pt"),
    "a list for weights": lambda: rb.lerp([A], B, 0.5),
    "the mean of none": lambda: rb.mean([]),
    "one network to merge": lambda: rb.merge(A, train_data=D),
    "one network to merge many": lambda: rb.merge_many(SPEC, [A]),
    "numpy weights": lambda: rb.weight_matching(
        SPEC, {k: x.numpy() for k, x in A.state_dict().items()}, B
    ),
    "sparse weights": lambda: rb.weight_matching(
        SPEC, A, state(B, **{"0.weight": B[0].weight.detach().to_sparse()})
    ),
    "meta weights": lambda: rb.weight_matching(
        SPEC, {k: x.to("meta") for k, x in A.state_dict().items()}, B
    ),
    "NaN weights": lambda: rb.lerp(A, state(B, **{"0.bias": torch.full((6,), torch.nan)}), 0.5),
    "infinite weights": lambda: rb.weight_matching(
        SPEC, A, state(B, **{"0.bias": torch.full((6,), torch.inf)})
    ),
    "whole numbers as weights": lambda: rb.lerp(A, state(B, **{"0.bias": torch.arange(6)}), 0.5),
    "another width": lambda: rb.weight_matching(SPEC, A, net(units=8)),
    "other classes": lambda: rb.weight_matching(SPEC, A, net(classes=4)),
    "a path to other classes": lambda: rb.linear_path(A, net(classes=4), D),
    "a missing parameter": lambda: rb.linear_path(A, lacks(B, "0.bias"), D),
    "another parameter": lambda: rb.lerp(A, state(B, more=torch.ones(1)), 0.5),
    "no model": lambda: rb.evaluate(A.state_dict(), D),
    "arguments in another order": lambda: rb.weight_matching(A, SPEC, B),
    "a matching for a spec": lambda: rb.activation_matching(MATCH, A, B, D),
    # symmetries
    "no inputs": lambda: rb.PermutationSpec.from_model(A, None),
    "a state dict to trace": lambda: rb.PermutationSpec.from_model(A.state_dict(), X[:2]),
    "inputs that do not fit": lambda: rb.PermutationSpec.from_model(A, torch.randn(2, 9)),
    "a permutation of other groups": lambda: SPEC.apply(B, rb.Permutation({"x": [0, 1]})),
    "a permutation that is none": lambda: rb.Permutation({"x": [0, 0]}),
    "a permutation in floating point": lambda: rb.Permutation({"x": [0.0, 1.0]}),
    "a permutation without its spec": lambda: rb.diagnose(A, B, D, permutation=MATCH),
    # recipes, data sets, curves, figures
    "an unknown data set": lambda: rb.load_data("nope"),
    "a path for a data set": lambda: rb.load_data("../mnist"),
    "an unknown field": lambda: rb.Recipe(widht=8),
    "momentum=5": lambda: rb.Recipe(momentum=5.0, optimiser="sgd"),
    "epochs=True": lambda: rb.Recipe(epochs=True),
    "seed=1.5": lambda: rb.Recipe(seed=1.5),
    "width=inf": lambda: rb.Recipe(width=math.inf),
    "size=0": lambda: rb.Recipe(size=0),
    "a recipe in words": lambda: rb.load_or_train("mlp"),
    "training on a pair": lambda: rb.train(A, D),
    "an unknown run": lambda: rb.load_run("../secret"),
    "a curve that was not measured there": lambda: CURVE.at(0.3),
    "a curve of words": lambda: rb.Curve((0.0, 1.0), ("a", "b"), (1.0, 1.0), (0.0, 0.0)),
    "a curve of other lengths": lambda: rb.Curve((0.0, 1.0), (1.0,), (1.0, 1.0), (0.0, 0.0)),
    "no curves": lambda: rb.show.explore({}),
    "a metric that is not drawn": lambda: rb.show.explore(CURVE, metrics=("ece",)),
    "no attempts": lambda: rb.lab.sweep([rb.Recipe()], attempts=0),
}


def sentence(call):
    """The error of a call, if it is one of ours or lists the choices of an option."""
    try:
        result = call()
    except RebasinError as error:
        return str(error)
    except ValueError as error:
        if "choose one of" in str(error) or "is needed" in str(error):
            return str(error)
        raise AssertionError("a raw error") from error
    raise AssertionError(f"no error, it gave {result!r:.100}")


@pytest.mark.parametrize("call", BAD.values(), ids=BAD.keys())
def test_bad_inputs_end_in_one_sentence(call):
    words = sentence(call)
    assert 10 < len(words) < 1200


def test_what_is_unusual_and_right_is_taken():
    loss = PATH(D).loss
    assert PATH((X, Y.byte())).loss == loss
    assert rb.linear_path(A, B, D, alphas=np.int64(3)).loss == loss
    assert PATH((X, Y.tolist())).loss == loss
    assert PATH(TensorDataset(X, Y)).loss == pytest.approx(loss)
    left_out = torch.where(torch.arange(40) < 20, -100, Y)
    assert PATH((X, left_out)).loss == pytest.approx(PATH((X[20:], Y[20:])).loss)
    assert rb.load_data("digits", data_dir=None).classes
    named = rb.show.draw_curves({"$x_{$": CURVE, "_b": CURVE})
    assert len(named.axes[0].get_legend().get_texts()) == 2
    named.savefig("/dev/null", format="png")
