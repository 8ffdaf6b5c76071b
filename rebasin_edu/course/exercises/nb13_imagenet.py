"""Checks of 13: Does it scale to ResNet50?"""

from __future__ import annotations

import math
from random import Random
from typing import Any

from ..check import NotYet, exercise, function_of, near, plain


def _line(draw: Random) -> list[float]:
    """Nine accuracies: two high ends, lowest off the middle."""
    first, last = draw.randint(700, 750), draw.randint(760, 799)
    low, inner = draw.randint(20, 90), [draw.randint(300, 600) for _ in range(6)]
    place = draw.choice((1, 2, 4, 5))
    inner.insert(place, low)
    return [tenths / 10 for tenths in (first, *inner, last)]


@exercise("13-1", _line)
def _(answer: Any, line: list[float]) -> str:
    """The accuracy barrier of nine points."""
    ends, low = (line[0] + line[-1]) / 2, min(line)
    if near(answer, ends - low, 1e-6):
        return "For the accuracy the barrier is a hole: its depth below the mean of the ends."
    if near(answer, low - ends, 1e-6):
        raise NotYet("13-1: a barrier is positive where the line is worse than its ends")
    if near(answer, line[0] - low, 1e-6) or near(answer, line[-1] - low, 1e-6):
        raise NotYet("13-1: that subtracts from one end; take the mean of both")
    if near(answer, ends - line[4], 1e-6):
        raise NotYet("13-1: that is the middle; the lowest point lies elsewhere")
    if near(answer, (ends - low) / 100, 1e-6):
        raise NotYet("13-1: in points: the accuracies are in per cent already")
    raise NotYet("13-1: the mean of the first and the last number, less the smallest of the nine")


@exercise("13-2")
def _(answer: Any) -> str:
    """By what share a barrier fell."""
    drop = function_of("13-2", "drop", answer)
    naive, matched = [1.0, 4.0, 9.0, 3.0], [2.0, 3.0, 3.5, 2.0]  # barriers 7 and 1.5
    found = plain(drop(naive, matched))
    if near(found, 1.5 / 7, 1e-6):
        raise NotYet("13-2: that is the share that is left; asked for is what is gone")
    if near(found, 1 - 3.5 / 9, 1e-6):
        raise NotYet("13-2: those are the highest losses; take off the mean of the ends first")
    if near(found, 1 - 2.5 / 8, 1e-6) or near(found, 1 - 1.5 / 8, 1e-6):
        raise NotYet("13-2: the ends of a line may differ: take the mean of both")
    if near(found, 5.5, 1e-6):
        raise NotYet("13-2: a share: divide by the naive barrier")
    if near(found, 100 * (1 - 1.5 / 7), 1e-3):
        raise NotYet("13-2: a fraction, not per cent")
    if not near(found, 1 - 1.5 / 7, 1e-6):
        raise NotYet("13-2: one minus the matched barrier over the naive barrier")
    return "With the nine points of the loss it is 0.78; with those of the accuracy, 0.67."


@exercise("13-3")
def _(answer: Any) -> str:
    """log10 of the number of permutations of a stage of residual blocks."""
    exponent = function_of("13-3", "exponent", answer)
    widths, stream = [64, 64, 64, 64], 256

    def log10(numbers: list[int]) -> float:
        return sum(math.lgamma(n + 1) for n in numbers) / math.log(10)

    found, wanted = plain(exponent(widths, stream)), log10([*widths, stream])
    if near(found, wanted * math.log(10), 1e-3):
        raise NotYet("13-3: that is the natural logarithm; divide by math.log(10)")
    if near(found, log10([*widths, *[stream] * 4]), 1e-3) or near(
        found, log10([*widths, *[stream] * 2]), 1e-3
    ):
        raise NotYet("13-3: all blocks add to one stream: its order is chosen once")
    if near(found, log10(widths), 1e-3):
        raise NotYet("13-3: the stream has an order too")
    if near(found, log10([sum(widths) + stream]), 1e-3):
        raise NotYet("13-3: units do not change layers: add the logarithms of n! of each layer")
    if not near(found, wanted, 1e-6):
        raise NotYet("13-3: add log10(n!) over the inner layers, and once for the stream")
    return "Summed over ResNet50's stages this gives 10^25638, not 10^55109."
