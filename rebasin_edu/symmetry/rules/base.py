"""What goes through an operator: values with labels, the call of one operator, and the table of
rules.

A rule takes a ``Call`` and returns the value of its result. It makes labels equal, cuts or fixes
them on the way. Rules stand in ``rules_pointwise``, ``rules_shape`` and ``rules_contract`` under
the operator's base name (``add`` for ``add.Tensor``, ``add_``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import fx

from ..axis_structure import Reason
from ..unification import Label, cut, fix, fresh, normal, unify

Labels = tuple[Label, ...]


@dataclass(frozen=True)
class Axes:
    """A tensor with one label per axis."""

    labels: Labels


@dataclass(frozen=True)
class Unstacked:
    """A tensor each of whose indices along ``axis`` has labels of its own (that axis has size 1 in
    each of them).

    Query, key and value that come from one matrix are told apart like this, and so are stacked
    tensors.
    """

    axis: int
    slices: tuple[Labels, ...]


@dataclass(frozen=True)
class Uniform:
    """A constant whose values are all equal: it fits any order, each time it is used."""

    shape: tuple[int, ...]


Value = Axes | Unstacked | Uniform | None


def flat(value: Value) -> Labels:
    """One label per axis: rows told apart are tied together, a uniform constant takes labels that
    fit anything.
    """
    if isinstance(value, Uniform):
        return tuple(fresh(size) for size in value.shape)
    if isinstance(value, Unstacked):
        for row in value.slices[1:]:
            for a, b in zip(value.slices[0], row):
                unify(a, b)
        labels = list(value.slices[0])
        labels[value.axis] = fresh(len(value.slices), Reason(text="are taken apart one by one"))
        return tuple(normal(label) for label in labels)
    return tuple(normal(label) for label in value.labels)


def unstacked(axis: int, rows: Sequence[Labels]) -> Value:
    """``Unstacked``, or plain axes when there is only one."""
    return Unstacked(axis, tuple(rows)) if len(rows) > 1 else Axes(rows[0])


def sizes(value: Value) -> tuple[int, ...]:
    """The shape of a value."""
    if isinstance(value, Uniform):
        return tuple(value.shape)
    if isinstance(value, Unstacked):
        return tuple(
            len(value.slices) if axis == value.axis else label.size
            for axis, label in enumerate(value.slices[0])
        )
    return tuple(label.size for label in value.labels)


def base_name(target: object) -> str:
    """``add`` for ``aten.add_.Tensor``; operators of another namespace keep it."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return getattr(target, "__name__", str(target))
    space, name = schema.name.split("::")
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    return name if space == "aten" else f"{space}::{name}"


def shapes_of(node: fx.Node) -> list[tuple[int, ...]]:
    """The shapes of the tensors that a node gives."""
    value = node.meta.get("val")
    values = value if isinstance(value, (tuple, list)) else [value]
    return [
        tuple(int(size) for size in v.shape) if isinstance(v, torch.Tensor) else () for v in values
    ]


class Call:
    """One operator as it is called: arguments by name, and what a rule may do with their labels."""

    def __init__(
        self,
        node: fx.Node,
        given: dict[str, object],
        arguments: dict[str, object],
        seen: Callable,
        read: Callable,
    ):
        self.node, self.given, self.arguments = node, given, arguments
        self.op = base_name(node.target)
        self.shapes = shapes_of(node)
        self._seen, self._read = seen, read

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the (first) result."""
        return self.shapes[0]

    def get(self, name: str, default: object = None) -> object:
        """An argument, a ``Value`` if it is a tensor."""
        value = self.arguments.get(name)
        return default if value is None else value

    def axes(self, name: str) -> Labels | None:
        """The labels of a tensor argument, one per axis; ``None`` where it was not given."""
        value = self.arguments.get(name)
        return None if value is None else flat(value)

    def values(self) -> list[Value]:
        """Every tensor argument, lists opened."""
        opened = [
            v for a in self.arguments.values() for v in (a if isinstance(a, (list, tuple)) else [a])
        ]
        return [value for value in opened if isinstance(value, (Axes, Unstacked, Uniform))]

    def dims(self, name: str, rank: int) -> list[int]:
        """An argument that names axes (one, several, none for all), counted from the front."""
        dims = self.arguments.get(name)
        if dims is None or dims == []:
            return list(range(rank))
        return (
            [dim % rank for dim in (dims if isinstance(dims, (list, tuple)) else [dims])]
            if rank
            else []
        )

    def fix(self, label: Label, why: str = "which mixes their order") -> None:
        """The positions of an axis stay, since this operator (``why``) needs their order."""
        fix(label, Reason(self.name, text=f"reach {self.name}, {why}"))

    def same(self, a: Label, b: Label) -> None:
        """Two labels of this call are one axis."""
        text = f"reach {self.name}, which pairs axes that are made of different parts"
        unify(a, b, Reason(self.name, text=text))

    @property
    def name(self) -> str:
        return self.op if "::" in self.op else f"aten.{self.op}"

    def fixed(self, size: int, why: str = "are an order that {} makes") -> Label:
        return fresh(size, Reason(self.name, text=why.format(self.name)))

    def seen(self, *labels: Label) -> None:
        """A tensor that exists only inside the operator (statistics, the full product of a
        contraction).
        """
        self._seen(labels)

    def read(
        self, name: str, labels: Labels, summed: Sequence[int], position: int | None = None
    ) -> None:
        """This argument goes into a contraction over its axes ``summed``: here the activations of
        its groups are read.
        """
        argument = self.given[name] if position is None else self.given[name][position]
        self._read(self.node, argument, labels, tuple(axis % len(labels) for axis in summed))

    def used(self, result: int) -> bool:
        """Whether a result of this call is used by anything."""
        return any(
            user.args[1] == result and user.users
            for user in self.node.users
            if base_name(user.target) == "getitem"
        )

    def broadcast(self, tensors: Sequence[Labels], shape: Sequence[int]) -> Labels:
        """Element by element: axes are one from the right, sizes of 1 fit anything."""
        labels = []
        for axis, size in enumerate(shape):
            here = [
                t[axis - len(shape) + len(t)] for t in tensors if axis - len(shape) + len(t) >= 0
            ]
            here = [label for label in here if label.size != 1]
            for other in here[1:]:
                self.same(here[0], other)
            labels.append(normal(here[0]) if here and size != 1 else fresh(size))
        return tuple(labels)

    def unknown(self) -> list[Axes]:
        """No rule: whatever it touches stays where it is."""
        for value in self.values():
            for label in flat(value):
                self.fix(label, "for which there is no rule")
        return [Axes(tuple(self.fixed(size) for size in shape)) for shape in self.shapes]


Rule = Callable[[Call], object]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule into the table under the base names of its operators."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def take(label: Label, start: int, stop: int) -> Label:
    """The positions ``start … stop-1`` of an axis."""
    return cut(cut(label, stop)[0], start)[1]
