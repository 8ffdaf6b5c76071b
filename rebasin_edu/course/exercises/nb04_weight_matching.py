"""Checks of 04: What if each layer's permutation depends on the next?"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from ..check import NotYet, exercise, function_of, near


@exercise("04-1", lambda draw: draw.choice([0.05, 0.1, 0.15, 0.2, 0.25, 0.3]))
def _(answer: Any, epsilon: float) -> str:
    """What the midpoint of the greedy example multiplies its input by, for the epsilon given."""
    if near(answer, 0.25 + (1 + epsilon) ** 2 / 4, 1e-4):
        return "Half of what either network does, though a perfect match exists."
    if near(answer, 1 + epsilon / 2, 1e-4):
        raise NotYet(
            "04-1: that is after coordinate descent, which swaps both layers; greedy leaves "
            "them as they are"
        )
    if near(answer, 0.5005, 1e-4):
        raise NotYet("04-1: that is for epsilon = 0.001; yours is larger")
    if near(answer, 0.5, 1e-4):
        raise NotYet("04-1: nearly: keep the terms with epsilon, (1 + epsilon) appears twice")
    raise NotYet(
        "04-1: average each of the three matrices of A and B as they stand, then multiply the "
        "averages"
    )


@exercise("04-2")
def _(answer: Any) -> str:
    """The similarity matrix of a middle layer, its neighbours in given orders."""
    middle_gains = function_of("04-2", "middle_gains", answer)
    w_a, w_b, after_a, after_b = _numbers((4, 4), (4, 4), (4, 4), (4, 4))
    before, after = torch.tensor([1, 2, 0, 3]), torch.tensor([3, 0, 1, 2])
    gains = middle_gains(w_a, w_b, before, after_a, after_b, after)
    right = w_a @ w_b[:, before].T + after_a.T @ after_b[after]
    if not isinstance(gains, Tensor) or gains.shape != right.shape:
        raise NotYet(
            "04-2: the gains are a tensor with a row for each unit of A and a column for each "
            "unit of B: here (4, 4)"
        )
    likely = {
        "the columns of after_b belong to the layer itself: its rows follow the layer after": (
            w_a @ w_b[:, before].T + after_a.T @ after_b[:, after]
        ),
        "the rows of w_b belong to the layer itself: its columns follow the layer before": (
            w_a @ w_b[before].T + after_a.T @ after_b[after]
        ),
        "the gains are transposed: rows are units of A, columns units of B": right.T,
        "the neighbours still stand in B's old orders": w_a @ w_b.T + after_a.T @ after_b,
        "only the incoming weights count so far: the layer after has a say, too": w_a
        @ w_b[:, before].T,
        "only the outgoing weights count so far: the layer before has a say, too": after_a.T
        @ after_b[after],
        "an order was used where its inverse stood: B's units must come into the orders given": (
            w_a @ w_b[:, before.argsort()].T + after_a.T @ after_b[after.argsort()]
        ),
    }
    for mistake, wrong in likely.items():
        if torch.allclose(gains, wrong, atol=1e-5):
            raise NotYet(f"04-2: {mistake}")
    if not torch.allclose(gains, right, atol=1e-5):
        raise NotYet(
            "04-2: add two products: incoming weights of A and B, and outgoing weights of A and B"
        )
    return "What comes in and what goes out, with both neighbours fixed."


@exercise("04-3")
def _(answer: Any) -> str:
    """A coordinate descent for two hidden layers without biases."""
    align = function_of("04-3", "align", answer)
    a, b = (_numbers((5, 4), (5, 5), (3, 5), seed=seed) for seed in (7, 8))
    kept = [tensor.clone() for tensor in (*a, *b)]
    found = align(a, b)
    if any(not torch.equal(x, y) for x, y in zip(kept, (*a, *b))):
        raise NotYet("04-3: a or b was changed on the way: work on copies")
    try:
        orders = [torch.as_tensor(order).tolist() for order in found]
        valid = len(orders) == 2 and all(sorted(order) == list(range(5)) for order in orders)
    except (TypeError, ValueError, RuntimeError):
        valid = False
    if not valid:
        raise NotYet(
            "04-3: return two orders, one for each hidden layer: each holds every unit once"
        )
    here = _inner(a, b, *orders)
    for number in (0, 1):
        best = max(
            _inner(a, b, *(list(p) if k == number else orders[k] for k in (0, 1)))
            for p in itertools.permutations(range(5))
        )
        if best > here + 1e-4:
            raise NotYet(
                f"04-3: layer {number + 1} could still improve alone: go on until neither changes, "
                "and give each layer the permutation that the other one has now, not the one "
                "before this sweep"
            )
    start = _inner(a, b, range(5), range(5))
    return f"Neither layer can improve alone: the objective went from {start:.2f} to {here:.2f}."


@exercise("04-4", lambda draw: draw.choice([2, 3, 4, 8, 16, 20]))
def _(answer: Any, factor: int) -> str:
    """The first epoch whose mean matched barrier is the one after epoch 1 over more than factor."""
    from ...lab import load_run

    rows = [pair["epochs"] for pair in load_run("mnist-mlp-onset")["pairs"]]
    means = [sum(row["matched"]["loss_barrier"] for row in each) / len(each) for each in zip(*rows)]
    right = next(epoch for epoch in range(1, len(means)) if means[epoch] < means[1] / factor)
    if near(answer, right, 1e-9):
        return f"From {means[1]:.2f} after epoch 1 to {means[right]:.3f} after epoch {right}."
    if near(answer, 0, 1e-9):
        raise NotYet("04-4: epoch 0 does not count: untrained networks have nothing to lose")
    if near(answer, right - 1, 1e-9):
        raise NotYet("04-4: one epoch early: the first number in the list is that of epoch 0")
    if isinstance(answer, float) and answer < 1:
        raise NotYet("04-4: that looks like a barrier; the question is after which epoch")
    raise NotYet(
        "04-4: go through the epochs from 1 on and stop at the first mean below that of "
        f"epoch 1 over {factor}"
    )


def _numbers(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def _inner(a: list[Tensor], b: list[Tensor], p1: Any, p2: Any) -> float:
    p1, p2 = torch.as_tensor(list(p1)), torch.as_tensor(list(p2))
    moved = (b[0][p1], b[1][p2][:, p1], b[2][:, p2])
    return float(sum((x * y).sum() for x, y in zip(a, moved)))
