"""Checks of 09: Is a ResNet linearly mode connected?"""

from __future__ import annotations

import math
from typing import Any

from ..check import NotYet, exercise, function_of, near, plain


@exercise("09-1")
def _(answer: Any) -> str:
    """log10 of the number of permutations of a ResNet20 of a width."""
    symmetries = function_of("09-1", "log10_symmetries", answer)
    for width in (1, 2, 32):
        found = plain(symmetries(width))
        logs = [math.lgamma(n * width + 1) / math.log(10) for n in (16, 32, 64)]
        right = 4 * sum(logs)
        if near(found, right * math.log(10), 1e-6 * right):
            raise NotYet("09-1: that is the natural logarithm; divide by log(10)")
        if near(found, 6 * sum(logs), 1e-6 * right):
            raise NotYet(
                "09-1: one permutation for each of six convolutions is too many: all blocks of a "
                "stage share the one of their residual stream"
            )
        if near(found, 3 * sum(logs), 1e-6 * right):
            raise NotYet("09-1: the inner layers are there; the residual stream is missing")
        if near(found, sum(logs), 1e-6 * right):
            raise NotYet("09-1: the streams are there; each block has an inner layer as well")
        if width > 1 and near(found, 4 * width * sum(
            math.lgamma(n + 1) / math.log(10) for n in (16, 32, 64)), 1e-6 * right):  # fmt: skip
            raise NotYet("09-1: (width · n)! is more than n! to the power of the width")
        if not near(found, right, 1e-6 * right):
            raise NotYet("09-1: sum log10(n!) over 4 permutations a stage, n = 16, 32, 64 · width")
    return "10^551 at ×1, 10^38802 at ×32: the search space grows, and the barrier falls."


@exercise("09-2")
def _(answer: Any) -> str:
    """The width at which a power law through the points comes down to a wanted number."""
    width_for = function_of("09-2", "width_for", answer)
    widths = [1, 2, 4, 8]
    points = [24 * width**-1.5 for width in widths]
    found = plain(width_for(widths, points, 0.375))
    if near(found, 16, 1e-6):
        noisy = plain(width_for(widths, [25.0, 9.0, 3.5, 1.0], 0.5))
        if near(noisy, 13.237, 0.02):
            return "A law through few points: a guess about wider networks, and to be tested."
        raise NotYet("09-2: right for points on one line; fit by least squares, to all points")
    if near(found, math.log(16), 1e-6):
        raise NotYet("09-2: that is the logarithm of the width")
    if isinstance(found, (int, float)) and found < 1:
        raise NotYet("09-2: the points fall with the width: is the slope's sign turned round?")
    raise NotYet("09-2: take the logarithm of both, fit a straight line, solve it for the width")


@exercise("09-3")
def _(answer: Any) -> str:
    """The points that the worst network of a line loses against the mean of both ends."""
    worst = function_of("09-3", "worst", answer)
    found = plain(worst([0.8, 0.5, 0.6, 0.7, 0.9]))
    likely = {
        "those are shares; a point is a hundredth": 0.35,
        "that is the middle; the worst network stands elsewhere here": 25,
        "the mean of both ends, not one of them": 30,
        "the mean of both ends, not the better one": 40,
        "the sign is turned round: what is lost is a positive number": -35,
    }
    for mistake, wrong in likely.items():
        if near(found, wrong, 1e-9):
            raise NotYet(f"09-3: {mistake}")
    if not near(found, 35, 1e-9):
        raise NotYet("09-3: the mean of the first and the last, less the smallest, times 100")
    return "The barrier of the accuracy, as the paper defines that of the loss."
