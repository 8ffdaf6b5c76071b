"""Checks of 05: Can we train the permutation?"""

from __future__ import annotations

from typing import Any

import torch

from ..check import NotYet, exercise, function_of, near, plain


@exercise("05-1")
def _(answer: Any) -> str:
    """The value of one tensor, the gradient to another."""
    through = function_of("05-1", "through", answer)
    value = torch.tensor([1.0, 5.0], requires_grad=True)
    theta = torch.tensor([2.0, -1.0], requires_grad=True)
    found = through(value * 1.0, theta)
    if not isinstance(found, torch.Tensor) or found.shape != value.shape:
        raise NotYet("05-1: return a tensor of the same shape")
    if not torch.allclose(found, value):
        raise NotYet(
            "05-1: forward, it must have the numbers of value: what is added to it must be zero"
        )
    if not found.requires_grad:
        raise NotYet("05-1: nothing has a gradient here: detach only one of the two thetas")
    to_value, to_theta = torch.autograd.grad(
        (found * torch.tensor([3.0, 4.0])).sum(), (value, theta), allow_unused=True
    )
    if to_theta is None or not torch.allclose(to_theta, torch.tensor([3.0, 4.0])):
        raise NotYet(
            "05-1: theta must get exactly the gradient that comes in, as if the projection "
            "were the identity"
        )
    if to_value is not None and to_value.abs().max() > 0:
        raise NotYet("05-1: value gets a gradient, too: detach it")
    return "Honest on the way forward, and a useful lie on the way back."


@exercise("05-2")
def _(answer: Any) -> str:
    """What the best of N descents is, by objective and by loss."""
    best_of = function_of("05-2", "best_of", answer)
    objectives, losses = [3.0, 5.0, 4.0, 9.0], [0.5, 0.8, 0.3, 0.1]
    try:
        by_objective, by_loss = (float(plain(number)) for number in best_of(objectives, losses, 3))
    except (TypeError, ValueError):
        raise NotYet("05-2: return two numbers, both of them losses") from None
    if near(by_objective, 0.1, 1e-9) or near(by_loss, 0.1, 1e-9):
        raise NotYet("05-2: only the first count descents are known yet")
    if near(by_objective, 5.0, 1e-9):
        raise NotYet(
            "05-2: that is the best objective; what is asked for is the loss of the descent "
            "that has it"
        )
    if near(by_objective, 0.5, 1e-9):
        raise NotYet(
            "05-2: that descent has the smallest objective; a larger one is nearer in weights"
        )
    if near(by_objective, 0.3, 1e-9) and near(by_loss, 0.8, 1e-9):
        raise NotYet("05-2: the two are in the wrong order: first the one chosen by objective")
    if not (near(by_objective, 0.8, 1e-9) and near(by_loss, 0.3, 1e-9)):
        raise NotYet("05-2: take the loss at the largest objective, and the smallest loss")
    return "The first can get worse as N grows; the second never does."


@exercise("05-3")
def _(answer: Any) -> str:
    """One step of the straight-through method for one matrix."""
    step = function_of("05-3", "step", answer)
    generator = torch.Generator().manual_seed(0)
    theta, b, target = (torch.randn(4, 3, generator=generator) for _ in range(3))
    kept, asked = theta.clone(), []

    def project(theta: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        asked.append(theta.detach().clone())
        return torch.tensor([2, 0, 3, 1])

    def loss_at(rows: torch.Tensor) -> torch.Tensor:
        return ((rows - target) ** 2).sum()

    found = step(theta, b, project, loss_at, 0.1)
    if not torch.equal(theta, kept):
        raise NotYet("05-3: theta itself was changed: return a new one")
    if not isinstance(found, torch.Tensor) or found.shape != theta.shape:
        raise NotYet("05-3: return the new theta, of the same shape")
    if not asked or not torch.equal(asked[0], kept):
        raise NotYet("05-3: project theta, as it is now, onto a permutation of b")
    likely = {
        "theta has not moved: does its gradient get through?": kept,
        "the gradient is that at theta itself: the loss must see the permuted b": kept
        - 0.2 * (kept - target),
        "the loss must see b in its new order, b[order]": kept - 0.2 * (b - target),
        "that goes uphill: subtract the gradient": kept + 0.2 * (b[[2, 0, 3, 1]] - target),
        "the permutation's place was taken by its inverse": kept - 0.2 * (b[[1, 3, 0, 2]] - target),
        "the step was made from the permuted b: it is theta that moves": b[[2, 0, 3, 1]]
        - 0.2 * (b[[2, 0, 3, 1]] - target),
    }
    for mistake, wrong in likely.items():
        if torch.allclose(found, wrong, atol=1e-5):
            raise NotYet(f"05-3: {mistake}")
    if not torch.allclose(found, kept - 0.2 * (b[[2, 0, 3, 1]] - target), atol=1e-5):
        raise NotYet(
            "05-3: new theta = theta - lr · gradient, the gradient taken where the permuted b is"
        )
    return (
        "Theta moves by a gradient that was measured elsewhere: at the permutation it stands for."
    )
