"""State dicts between networks: straight lines, arcs, means, and any weighted sum of several."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import RebasinError, WeightsError
from ..weights import STATISTICS, State, Weights, compatible, restored
from .reparametrized import check_masks, iterate_spectral_norms


def lerp(a: Weights, b: Weights, alpha: float) -> State:
    """Return the state dict ``(1 - alpha) A + alpha B`` on the straight line through two networks.

    >>> lerp({"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([8.0, 4.0])}, 0.25)
    {'w': tensor([2., 4.])}

    Args:
        a, b: a module or state dict each, of one architecture. Tensors that are not floating point
            (counters) come from ``a``.
        alpha: 0 gives A and 1 gives B, bit for bit; beyond them the line goes on.

    Returns:
        A new state dict on the device and in the dtype of ``a``.

    Raises:
        WeightsError: names or shapes differ, or a value is not finite.
        RebasinError: alpha is not a finite number.
    """
    alpha = finite(alpha)
    return restored(combine(compatible(a, b), (1 - alpha, alpha)), a)


def slerp(a: Weights, b: Weights, alpha: float, *, buffers: Collection[str] | None = None) -> State:
    """Return the state dict at ``alpha`` of the arc from A to B, the parameters as one vector.

    Two networks trained apart are nearly orthogonal, so that the middle of the straight line is
    about 30 % shorter than its endpoints; the arc keeps the length. Nearly parallel weights are
    interpolated straight.

    Args:
        a, b, alpha: as for ``lerp``.
        buffers: names of statistics that are no parameters: these are interpolated straight.
            ``None`` takes the buffers of ``a`` and ``b`` where they are modules, and the running
            statistics of BatchNorm, which state dicts show by their names.

    Raises:
        WeightsError: names or shapes differ, or a value is not finite.

    Ref: Git Re-Basin, section 5, footnote 3.
    """
    states, alpha = compatible(a, b), finite(alpha)
    if buffers is None:
        modules = [each for each in (a, b) if isinstance(each, nn.Module)]
        buffers = {name for module in modules for name, _ in module.named_buffers()}
        buffers |= statistics_of(states[0])
    straight = (1 - alpha, alpha)
    coefficients = arc(states, alpha, buffers)
    mixed = combine(states, coefficients, straight=buffers, straight_coefficients=straight)
    return restored(mixed, a)


def mean(networks: Sequence[Weights]) -> State:
    """Return the mean of any number of networks, entry by entry, as a state dict.

    Raises:
        WeightsError: there are none, or names or shapes differ, or a value is not finite.
    """
    if not networks:
        raise WeightsError("the mean of no networks was asked for")
    mixed = combine(compatible(*networks), [1 / len(networks)] * len(networks))
    return restored(mixed, networks[0])


def finite(alpha: Any, name: str = "alpha") -> float:
    """Return a number as a float, if it is finite, or raise a ``RebasinError``."""
    number = alpha.item() if isinstance(alpha, Tensor) and alpha.numel() == 1 else alpha
    if not isinstance(number, Real) or not math.isfinite(number):
        raise RebasinError(f"{name}={alpha!r:.60}: a finite number is needed")
    return float(number)


def statistics_of(state: Mapping[str, Tensor]) -> set[str]:
    """Return the names of BatchNorm's running statistics: a mean and a variance of one place."""
    places = {name.removesuffix(".running_mean") for name in state if "running_mean" in name}
    places = {place for place in places if f"{place}.running_var" in state}
    return {f"{place}.{kind}" for place in places for kind in STATISTICS} & set(state)


def arc(
    states: Sequence[State], alpha: float, buffers: Collection[str] = ()
) -> tuple[float, float]:
    """Return the coefficients of A and B at ``alpha`` of the arc between them."""
    dot, aa, bb = 0.0, 0.0, 0.0
    for name, x in states[0].items():
        y = states[1][name]
        if x.is_complex():
            x, y = torch.view_as_real(x), torch.view_as_real(y)
        if x.is_floating_point() and name not in buffers:
            x, y = x.double().flatten(), y.to(x.device).double().flatten()
            products = float(x @ y), float(x @ x), float(y @ y)
            if all(map(math.isfinite, products)):  # a mask of -inf is no parameter
                dot, aa, bb = dot + products[0], aa + products[1], bb + products[2]
    cosine = dot / math.sqrt(aa * bb) if aa and bb else 1.0
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if min(angle, math.pi - angle) < 1e-4:  # no arc, or every arc: straight
        return 1 - alpha, alpha
    sine = math.sin(angle)
    return math.sin((1 - alpha) * angle) / sine, math.sin(alpha * angle) / sine


def combine(
    states: Sequence[Mapping[str, Tensor]],
    coefficients: Sequence[float],
    *,
    straight: Collection[str] = (),
    straight_coefficients: Sequence[float] | None = None,
) -> State:
    """Return the weighted sum of compatible state dicts.

    A network that has all the weight comes back bit for bit; tensors that are not floating point
    come from the first network.

    Args:
        coefficients: one for each state.
        straight, straight_coefficients: names that are summed with other coefficients.
    """
    total = {}
    for name, first in states[0].items():
        if not (first.is_floating_point() or first.is_complex()):
            total[name] = first.clone()
            continue
        others = (state[name].to(first.device, first.dtype) for state in states[1:])
        is_straight = straight_coefficients is not None and name in straight
        chosen = straight_coefficients if is_straight else coefficients
        total[name] = weighted([first, *others], chosen or coefficients)
    if sum(c != 0 for c in coefficients) > 1:
        check_masks(states)
        iterate_spectral_norms(total, states[0])
    return total


def weighted(tensors: Sequence[Tensor], coefficients: Sequence[float]) -> Tensor:
    """Return the weighted sum of tensors: exact where one has all the weight, and where all that
    share it are equal (an infinite mask among them).
    """
    used = [(c, tensor) for c, tensor in zip(coefficients, tensors) if c != 0]
    if len(used) == 1 and used[0][0] == 1:
        return used[0][1].clone()
    if len(used) == 2 and abs(used[0][0] + used[1][0] - 1) < 1e-12:
        first, second = used[0][1], used[1][1]
        mixed = torch.lerp(first, second, used[1][0])
        return torch.where(first == second, first, mixed)
    total = torch.zeros_like(tensors[0])
    for c, tensor in used:
        total.add_(tensor, alpha=c)
    if used and abs(sum(c for c, _ in used) - 1) < 1e-12:
        same = [tensor == used[0][1] for _, tensor in used]
        total = torch.where(torch.stack(same).all(0), used[0][1], total)
    return total
