"""State dicts in between: straight lines, arcs, means, and any weighted sum of several."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from ..symmetry import Weights, as_state

State = dict[str, Tensor]


def lerp(a: Weights, b: Weights, alpha: float) -> State:
    """The point ``(1 - alpha) A + alpha B`` of the straight line through two networks.

    >>> lerp({"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([8.0, 4.0])}, 0.25)
    {'w': tensor([2., 4.])}

    Args:
        a, b: a module or state dict each, of one architecture. Tensors that are not floating point
            (counters) come from ``a``.
        alpha: 0 gives A and 1 gives B, exactly; beyond them the line goes on.

    Returns:
        A new state dict on the device and in the dtype of ``a``.

    Raises:
        WeightsError: names or shapes differ.
    """
    return combine(compatible(a, b), (1 - alpha, alpha))


def slerp(a: Weights, b: Weights, alpha: float, *, buffers: Collection[str] | None = None) -> State:
    """The point of the arc from A to B: all parameters as one vector, turned rather than shortened.

    Two networks trained apart are nearly orthogonal, so that the middle of the straight line is
    about 30 % shorter than its ends; the arc keeps the length. Nearly parallel weights are
    interpolated straight.

    Args:
        a, b, alpha: as for ``lerp``.
        buffers: names that are statistics, not parameters: these are interpolated straight. Taken
            from ``a`` or ``b`` when one of them is a module.

    Ref: Git Re-Basin, section 5, footnote 3.
    """
    if buffers is None:
        buffers = {
            name
            for module in (a, b)
            if isinstance(module, nn.Module)
            for name, _ in module.named_buffers()
        }
    states = compatible(a, b)
    return combine(
        states,
        arc(states, alpha, buffers),
        straight=buffers,
        straight_coefficients=(1 - alpha, alpha),
    )


def mean(weights: Sequence[Weights]) -> State:
    """The mean of any number of networks, entry by entry.

    Raises:
        WeightsError: there are none, or names or shapes differ.
    """
    if not weights:
        raise WeightsError("the mean of no networks was asked for")
    return combine(compatible(*weights), [1 / len(weights)] * len(weights))


def arc(
    states: Sequence[State], alpha: float, buffers: Collection[str] = ()
) -> tuple[float, float]:
    """The coefficients of A and B at ``alpha`` of the arc between them."""
    dot, aa, bb = torch.zeros(3, dtype=torch.float64).tolist()
    for name, x in states[0].items():
        if x.is_floating_point() and name not in buffers:
            x, y = x.double().flatten(), states[1][name].to(x.device).double().flatten()
            dot, aa, bb = dot + float(x @ y), aa + float(x @ x), bb + float(y @ y)
    cosine = dot / math.sqrt(aa * bb) if aa and bb else 1.0
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if min(angle, math.pi - angle) < 1e-4:  # no arc, or every one: straight
        return 1 - alpha, alpha
    return math.sin((1 - alpha) * angle) / math.sin(angle), math.sin(alpha * angle) / math.sin(
        angle
    )


def combine(
    states: Sequence[Mapping[str, Tensor]],
    coefficients: Sequence[float],
    *,
    straight: Collection[str] = (),
    straight_coefficients: Sequence[float] | None = None,
) -> State:
    """The weighted sum of compatible state dicts; a network that has all the weight comes back bit
    for bit.

    Args:
        coefficients: one for each state.
        straight, straight_coefficients: names that are summed with other coefficients.
    """
    made = {}
    for name, first in states[0].items():
        chosen = (
            straight_coefficients
            if straight_coefficients is not None and name in straight
            else coefficients
        )
        if first.is_floating_point():
            made[name] = weighted(
                [first, *(state[name].to(first.device, first.dtype) for state in states[1:])],
                chosen,
            )
        else:
            made[name] = first.clone()
    return made


def weighted(tensors: Sequence[Tensor], coefficients: Sequence[float]) -> Tensor:
    """The weighted sum of tensors, exact at the ends, and exact everywhere when two ends are equal."""
    used = [(c, tensor) for c, tensor in zip(coefficients, tensors) if c != 0]
    if len(used) == 1 and used[0][0] == 1:
        return used[0][1].clone()
    if len(used) == 2 and abs(used[0][0] + used[1][0] - 1) < 1e-12:
        return torch.lerp(used[0][1], used[1][1], used[1][0])
    total = torch.zeros_like(tensors[0])
    for c, tensor in used:
        total.add_(tensor, alpha=c)
    return total


def compatible(*weights: Weights) -> list[State]:
    """The state dicts of several networks, once it is sure that they are of one architecture.

    Raises:
        WeightsError: a name is missing, a shape or a kind of number differs, or a value is
            not finite.
    """
    states = [
        {name: x for name, x in as_state(each).items() if isinstance(x, Tensor)} for each in weights
    ]
    first = states[0]
    for position, state in enumerate(states):
        which = _called(position, len(states))
        if lacking := first.keys() ^ state.keys():
            name = sorted(lacking)[0]
            has, lacks = (
                ("the first network", which) if name in first else (which, "the first network")
            )
            raise WeightsError(
                f"{has} has {name!r} and {lacks} has not ({len(lacking)} such names)"
            )
        for name, x in state.items():
            if x.shape != first[name].shape:
                raise WeightsError(
                    f"{name} is {tuple(first[name].shape)} in the first network and {tuple(x.shape)} in {which}: "
                    "do the widths differ?"
                )
            if x.is_floating_point() != first[name].is_floating_point():
                raise WeightsError(
                    f"{name} is {first[name].dtype} in the first network and {x.dtype} in {which}"
                )
            if x.is_floating_point() and not bool(torch.isfinite(x).all()):
                bad = int((~torch.isfinite(x)).sum())
                raise WeightsError(
                    f"{name} of {which} holds {bad} of {x.numel()} values that are not finite"
                )
    return states


def _called(position: int, count: int) -> str:
    if count <= 2:
        return ("the first network", "the second network")[position]
    return f"network {position + 1} of {count}"
