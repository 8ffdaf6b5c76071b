"""Values that go from operator to operator: tensors with labels for their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import sympy

from ..axis_structure import Reason
from ..labels import Label, fresh, normal
from ..unification import unify

Labels = tuple[Label, ...]


@dataclass(frozen=True)
class Axes:
    """A tensor with one label per axis."""

    labels: Labels


@dataclass(frozen=True)
class Unstacked:
    """A tensor each of whose indices along ``axis`` has labels of its own (that axis has size 1 in
    each of them).

    Query, key and value that come from one matrix are unstacked, and so are stacked tensors.
    """

    axis: int
    slices: tuple[Labels, ...]


@dataclass(frozen=True)
class Uniform:
    """A constant whose values are all equal: it fits any order, each time it is used."""

    shape: tuple[int, ...]


Value = Axes | Unstacked | Uniform


def is_value(value: Any) -> TypeGuard[Value]:
    """Whether this is a tensor's value, and not another argument."""
    return isinstance(value, (Axes, Unstacked, Uniform))


def size_of(size: Any) -> int:
    """A size as a number. One that depends on values is a large prime, so that what is computed
    from it fits in the same way.
    """
    if isinstance(size, int):
        return size
    expression = size.node.expr
    numbers = {s: sympy.prime(1230 + int(s.name.strip("usz"))) for s in expression.free_symbols}
    return int(expression.subs(numbers))


def flat(value: Value) -> Labels:
    """One label per axis: unstacked slices are made equal, a uniform constant takes new
    ones."""
    if isinstance(value, Uniform):
        return tuple(fresh(size) for size in value.shape)
    if isinstance(value, Unstacked):
        for labels in value.slices[1:]:
            for a, b in zip(value.slices[0], labels):
                unify(a, b)
        first = list(value.slices[0])
        reason = Reason(text="are taken apart one by one")
        first[value.axis] = fresh(len(value.slices), reason)
        return tuple(normal(label) for label in first)
    return tuple(normal(label) for label in value.labels)


def unstacked(axis: int, slices: Sequence[Labels]) -> Axes | Unstacked:
    """``Unstacked``, or plain axes when there is only one slice."""
    return Unstacked(axis, tuple(slices)) if len(slices) > 1 else Axes(slices[0])


def sizes(value: Value) -> tuple[int, ...]:
    """The shape of a value."""
    if isinstance(value, Uniform):
        return value.shape
    if isinstance(value, Unstacked):
        return tuple(
            len(value.slices) if axis == value.axis else label.size
            for axis, label in enumerate(value.slices[0])
        )
    return tuple(label.size for label in value.labels)
