"""What a matching did: its objective over time, and which groups it gained from."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from .style import MATCHED, colour_of, describe, new_figure, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..matching import Matching


def draw_matching(matchings: Matching | Mapping[str, Matching], *, groups: int = 20) -> Figure:
    """The history of a matching, or of several on the same pair.

    Left: the gain over the identity, one step for each accepted change, against the seconds since
    the call. Right: what each group (or step, or start) brought, largest first, of the matching
    with the largest gain.

    Args:
        matchings: one ``Matching``, or name → matching.
        groups: show at most this many bars; the rest is summed in one.
    """
    named = dict(matchings) if isinstance(matchings, Mapping) else {"": matchings}
    figure, axes = new_figure("wide", 1, 2)
    left, right = axes[0]
    for position, (name, matching) in enumerate(named.items()):
        colour = MATCHED if len(named) == 1 else colour_of(name, position)[0]
        times = [0.0, *(step.seconds for step in matching.history)]
        gains = [0.0, *accumulate(step.gain for step in matching.history)]
        last = (times[-1], gains[-1])
        times.append(max(matching.seconds, times[-1]))
        left.step(times, [*gains, gains[-1]], where="post", color=colour)
        left.plot(*last, "o", color=colour)
        write(left, name or f"{gains[-1]:.4g}", last, (4, -12), color=colour)
    left.set(xlabel="seconds", ylabel="gain over the identity")
    best_name, best = max(named.items(), key=lambda item: item[1].gain)
    totals: dict[str, float] = {}
    for step in best.history:
        totals[step.group] = totals.get(step.group, 0.0) + step.gain
    bars = sorted(totals.items(), key=lambda item: -item[1])
    if len(bars) > groups:
        others = bars[groups - 1 :]
        bars[groups - 1 :] = [(f"{len(others)} others", sum(gain for _, gain in others))]
    right.barh([name for name, _ in bars][::-1], [gain for _, gain in bars][::-1], color=MATCHED)
    right.tick_params(axis="y", labelsize=7)
    right.set_xlabel("gain of each group" + (f", {best_name}" if best_name else ""))
    return describe(
        figure,
        "The objective over time, and the gain of each group. "
        + "; ".join(f"{name} gains {matching.gain:.4g}" for name, matching in named.items()),
    )
