"""Checks of 10: Can five networks become one?"""

from __future__ import annotations

from typing import Any

import torch

from ..check import NotYet, exercise, function_of, near, plain


@exercise("10-1")
def _(answer: Any) -> str:
    """How far a merged loss lies below the mean and the best of the single losses."""
    gains = function_of("10-1", "gains", answer)
    merged, singles = 0.3, [0.5, 0.4, 0.9]
    try:
        to_mean, to_best = (float(plain(number)) for number in gains(merged, singles))
    except (TypeError, ValueError):
        raise NotYet("10-1: return two numbers: against the mean, against the best") from None
    if near(to_mean, 0.25, 1e-6) and near(to_best, 0.5, 1e-6):
        raise NotYet("10-1: the two are in the wrong order: first against the mean")
    if near(to_mean, 0.5, 1e-6) and near(to_best, 2 / 3, 1e-6):
        raise NotYet("10-1: the best network is the one with the smallest loss, not the largest")
    if near(to_mean, -0.5, 1e-6) or near(to_best, -0.25, 1e-6):
        raise NotYet("10-1: a loss that is lower is a gain: its sign must be positive")
    if near(to_mean, 50, 1e-3) or near(to_best, 25, 1e-3):
        raise NotYet("10-1: fractions are asked for, not per cent")
    if near(to_mean, 0.3, 1e-6) or near(to_best, 0.1, 1e-6):
        raise NotYet("10-1: a difference depends on the unit: divide it by the single loss")
    if not (near(to_mean, 0.5, 1e-6) and near(to_best, 0.25, 1e-6)):
        raise NotYet("10-1: one minus the merged loss over the mean, and over the smallest loss")
    return "Both numbers are true; which one is told makes the difference."


@exercise("10-2")
def _(answer: Any) -> str:
    """The fraction of units that come home around a triangle of permutations."""
    come_home = function_of("10-2", "come_home", answer)
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randperm(6, generator=generator) for _ in range(2))
    back = second[first].argsort()  # closes the triangle
    swapped = back[torch.tensor([1, 0, 2, 3, 4, 5])]
    for third, wanted in ((back, 1.0), (swapped, 4 / 6)):
        found = plain(come_home(first, second, third))
        if near(found, 6 * wanted, 1e-6):
            raise NotYet("10-2: that is their number; divide it by the number of units")
        if near(found, 1 - wanted, 1e-6):
            raise NotYet("10-2: those are the units that do not come home")
        if not near(found, wanted, 1e-6):
            raise NotYet(
                "10-2: index one permutation with the next, a_to_c[c_to_b[b_to_a]], and compare "
                "the result with 0, 1, 2 and so on"
            )
    return "With one order for all networks this is 1, whichever way around you go."


@exercise("10-3")
def _(answer: Any) -> str:
    """The calibration error of some answers."""
    calibration_error = function_of("10-3", "calibration_error", answer)
    confidence = torch.tensor([0.5, 0.45, 0.9, 1.0, 0.8, 0.95])
    right = torch.tensor([1, 0, 1, 1, 0, 1])
    found = plain(calibration_error(confidence, right, 2))
    wanted = (2 * abs(0.475 - 0.5) + 4 * abs(0.9125 - 0.75)) / 6
    if near(found, (abs(0.475 - 0.5) + abs(0.9125 - 0.75)) / 2, 1e-5):
        raise NotYet("10-3: a bin with more answers counts more: weight by their number")
    if near(found, abs(confidence.mean().item() - 4 / 6), 1e-5):
        raise NotYet(
            "10-3: an overconfident and an underconfident bin must not cancel: sort the answers "
            "into bins, and take abs in each bin"
        )
    if not near(found, wanted, 1e-5):
        raise NotYet("10-3: the distance in each bin, weighted by the share of answers in it")
    empty = plain(calibration_error(confidence, right, 10))
    if not isinstance(empty, float) or empty != empty:
        raise NotYet("10-3: a bin without answers must count nothing")
    return "On the diagonal of the diagram it is zero."
