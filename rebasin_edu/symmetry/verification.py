"""Verification of a spec on the model itself: other orders of the hidden units, the same outputs.

A model's own weights hide mistakes (a head of zeros hides all that is behind it), and generic ones
never enter a branch that only large values take. So the outputs are compared on several *fillings*:
generic values around one, generic values of both signs, and the model's own weights, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from torch import Tensor, nn

from ..batches import Inputs
from ..errors import SpecError
from .axis_structure import Reason
from .example import Outputs, listed, warn
from .filling import TOLERANCE, Filling
from .permutation import Group, Permutation

NOISE = 1e3  # a change this many times that of a last bit is no rounding; right specs of nets of
# sines, tanh and ReLU, of 2 to 8 layers, give at most 2 times (108 cases)
HIDDEN = 1e-4  # where a last bit of the weights changes the outputs by more, nothing is verified
KINDS = ("positive", "signed")
SCALES = (0.1, 0.03, 0.01)  # smaller weights, for networks that blow up rounding otherwise


Spec = TypeVar("Spec", bound="Symmetries")


class Symmetries(Protocol):
    """What is verified: a ``PermutationSpec``."""

    @property
    def groups(self) -> dict[str, Group]: ...
    def identity(self) -> Permutation: ...
    def random(self, seed: int = 0) -> Permutation: ...
    def validate(self, weights: nn.Module, *, of: str = "weights") -> dict[str, Tensor]: ...
    def moved(self, name: str, tensor: Tensor, permutation: Permutation) -> Tensor: ...
    def without(self: Spec, groups: Mapping[str, Reason | None]) -> Spec: ...


Verdict = dict[str, tuple[float, bool]]  # group → (change, whether one order is right)


class Violation(SpecError):
    """Some groups change the outputs.

    Attributes:
        groups: each of them with the size of the change, and whether it is right with one order for
            all units of its parents.
    """

    def __init__(self, message: str, groups: Verdict):
        super().__init__(message)
        self.groups = groups


def verified(spec: Spec, model: nn.Module, inputs: Inputs, outputs: Outputs) -> Spec:
    """Return the spec without the groups that violate the symmetry, with a warning for them."""
    while True:
        try:
            verify(spec, model, inputs, outputs=outputs)
            return spec
        except Violation as error:
            changes = [f"{group} ({change:.1e})" for group, (change, _) in error.groups.items()]
            warn(
                "groups that violate the symmetry stay where they are, or have one order for all "
                f"units of their parents; they change the outputs by: {listed(changes)}"
            )
            reasons: dict[str, Reason | None] = {}
            for group, (change, one_order) in error.groups.items():
                text = f"violate the symmetry: they change the outputs by {change:.1e}"
                reason = Reason(tensor=f"units of {group}", text=text)
                reasons[group] = None if one_order else reason
            spec = spec.without(reasons)


def verify(
    spec: Symmetries,
    model: nn.Module,
    inputs: Inputs,
    seeds: int = 2,
    tolerance: float = TOLERANCE,
    outputs: Outputs = None,
) -> float:
    """Return the largest relative change of the outputs; see ``PermutationSpec.check``.

    Raises:
        Violation: an output changed by more than rounding explains.
    """
    spec.validate(model, of="model")
    changes: list[float] = []
    error: Exception | None = None
    noticed = False
    fillings = [(KINDS[seed % 2], seed, 1.0) for seed in range(seeds)] + [("own", seeds, 1.0)]
    for kind, seed, scale in fillings + [("positive", 0, scale) for scale in SCALES]:
        if changes and scale != 1:
            break
        try:
            filling = Filling(model, inputs, outputs, kind, seed, scale)
        except Exception as failure:  # not every model runs on weights of both signs, for example
            error = failure
            continue
        if filling.random and not noticed:
            noticed = True
            warn(
                f"the model draws random numbers ({listed(sorted(filling.random))}): its outputs "
                "keep their distribution, which is verified with equal numbers for all"
            )
        change = None if filling.empty else _compare(spec, filling, seed, tolerance)
        changes += [] if change is None else [change]
    if not changes:
        why = f": {type(error).__name__}: {error}" if error else ""
        raise SpecError(
            "the model gives no number on these inputs, or nothing but NaN, so that its spec "
            f"cannot be verified{why}"
        ) from error
    return max(changes)


def _change(spec: Symmetries, filling: Filling, permutation: Permutation) -> float:
    return filling.run(lambda name, x: spec.moved(name, x, permutation))


def _compare(spec: Symmetries, filling: Filling, seed: int, tolerance: float) -> float | None:
    """The change under one random permutation, ``None`` where rounding hides it, or a
    ``Violation``.
    """
    permutation, limit = spec.random(seed), max(tolerance, filling.tolerance)
    change = _change(spec, filling, permutation)
    if change <= limit:
        return change
    noise = filling.noise()
    if HIDDEN < noise < math.inf:
        return None
    limit = max(limit, NOISE * noise if noise < HIDDEN else 0.0)
    if change <= limit:
        return change
    verdict = _violating(spec, filling, permutation, limit)
    group, (alone, _) = max(verdict.items(), key=lambda item: item[1][0])
    raise Violation(
        f"the outputs change by {change:.1e} (relative) when the hidden units are reordered by "
        f"this spec; group {group!r} alone changes them by {alone:.1e}: it occurs at "
        f"{spec.groups[group].occurrences}",
        verdict,
    )


def _violating(spec: Symmetries, filling: Filling, full: Permutation, limit: float) -> Verdict:
    """The groups that change the outputs, found by bisection, with their change."""
    identity = spec.identity()
    single = {  # the first order of a nested group for all its parents' units
        name: full[name].flatten(0, -2)[:1].expand(full[name].shape) for name in full.parents
    }

    def change(groups: Iterable[str], tables: Mapping[str, Tensor]) -> float:
        moved = {name: tables[name] for name in groups}
        return _change(spec, filling, Permutation({**identity, **moved}, identity.parents))

    verdict: Verdict = {}
    remaining = list(spec.groups)
    while remaining and (not verdict or not change(remaining, full) <= limit):
        suspects = remaining
        while len(suspects) > 1:
            half = suspects[: len(suspects) // 2]
            suspects = suspects[len(half) :] if change(half, full) <= limit else half
        (group,) = suspects
        one_order = group in single and change([group], single) <= limit
        verdict[group] = (change([group], full), one_order)
        remaining.remove(group)
    return verdict
