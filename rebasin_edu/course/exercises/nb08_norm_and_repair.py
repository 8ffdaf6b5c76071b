"""Checks of 08: Why did my ResNet collapse at alpha = 0.5?"""

from __future__ import annotations

from typing import Any

import torch

from ..check import NotYet, exercise, function_of, near, plain


@exercise("08-1")
def _(answer: Any) -> str:
    """Believed and real standard deviation of two averaged units (2 and 2, correlation 0.28)."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise NotYet("08-1: give two numbers in a tuple: (believed, real)")
    believed, real = (plain(each) for each in answer)
    if near(believed, 4, 1e-6):
        raise NotYet("08-1: 4 is the variance; the standard deviation is its root")
    if not near(believed, 2, 1e-6):
        raise NotYet("08-1: believed: the mean of both variances, and then the root")
    if near(real, 2.56, 1e-6):
        raise NotYet("08-1: 2.56 is the real variance; take the root")
    if near(real, 2, 1e-6):
        raise NotYet("08-1: 2 would be real at a correlation of 1; here it is 0.28")
    if near(real, 2**0.5, 1e-3):
        raise NotYet("08-1: that is for uncorrelated units; a correlation of 0.28 keeps more")
    if not near(real, 1.6, 1e-6):
        raise NotYet("08-1: real: put 2, 2 and 0.28 into the law at alpha = 1/2")
    return "BatchNorm divides by 2 where it should divide by 1.6: a fifth is gone in one layer."


@exercise("08-2")
def _(answer: Any) -> str:
    """Mean and variance over batches of unequal lengths, one batch at a time."""
    statistics = function_of("08-2", "statistics", answer)
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(n, 3, generator=generator).double() + n for n in (2, 5, 9)]
    whole = torch.cat(parts)
    found = statistics(parts)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise NotYet("08-2: return two tensors: the mean and the variance")
    mean, variance = (torch.as_tensor(each).double() for each in found)
    right = whole.var(0, correction=0)

    def same(x: torch.Tensor, y: torch.Tensor) -> bool:
        return x.shape == y.shape and torch.allclose(x, y, rtol=1e-5)

    if same(mean, torch.stack([part.mean(0) for part in parts]).mean(0)):
        raise NotYet("08-2: a batch of 9 counts more than one of 2: weight the means by the rows")
    if not same(mean, whole.mean(0)):
        raise NotYet("08-2: the mean is the sum of all rows over the number of all rows")
    within = torch.stack([part.var(0, correction=0) for part in parts])
    shares = torch.tensor([2, 5, 9]).double() / 16
    if same(variance, within.mean(0)) or same(variance, shares @ within):
        raise NotYet(
            "08-2: that is the mean of the batches' variances: the variance between the batches "
            "is missing"
        )
    if same(variance, right.sqrt()):
        raise NotYet("08-2: that is the standard deviation; return its square")
    if not same(variance, right) and not same(variance, right * 16 / 15):
        raise NotYet("08-2: the variance is the mean of the squares less the square of the mean")
    return "This is what re-estimating does: no batch has to fit beside another into memory."


@exercise("08-3")
def _(answer: Any) -> str:
    """The best bias of a linear layer with given weights."""
    fit_bias = function_of("08-3", "fit_bias", answer)
    generator = torch.Generator().manual_seed(1)
    x, w0 = torch.randn(50, 4, generator=generator) + 1, torch.randn(3, 4, generator=generator)
    t = torch.randn(50, 3, generator=generator) + 2
    found, right = torch.as_tensor(fit_bias(x, t, w0)), (t - x @ w0.T).mean(0)
    if found.shape != (3,):
        raise NotYet(f"08-3: a bias has one number a unit, shape (3,), not {tuple(found.shape)}")
    if torch.allclose(found, t.mean(0), atol=1e-4):
        raise NotYet("08-3: the weights give something already: take x @ w0.T from t first")
    if torch.allclose(found, -right, atol=1e-4):
        raise NotYet("08-3: the sign is turned round: target less what is there")
    if torch.allclose(found, right * 50, atol=1e-3):
        raise NotYet("08-3: that is a sum over the images; the best constant is their mean")
    if not torch.allclose(found, right, atol=1e-4):
        raise NotYet("08-3: the mean of t - x @ w0.T over the images, unit by unit")
    return "The mean is set right, and the scale is not: REPAIR's first half."
