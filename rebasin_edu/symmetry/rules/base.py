"""What goes through an operator: values with labels, one operator's call, and the table of rules.

A rule takes a ``Call`` and returns the value of its result, or a list with one for each result. It
makes labels equal, cuts or fixes them on the way. It is entered under the operator's base name
(``add`` for ``add.Tensor`` and ``add_``). A rule that cannot say what a call does raises
``GiveUp``: then everything the call touches stays where it is, and the spec is still right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from ..axis_structure import Reason
from ..labels import Label, atoms, fix, fresh, normal
from ..unification import unify
from .values import Axes, Labels, Value, flat, is_value, size_of


class GiveUp(Exception):
    """A rule does not know what this call does to the order of its axes."""


def base_name(target: Any) -> str:
    """``add`` for ``aten.add_.Tensor``; operators of another namespace keep it."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return getattr(target, "__name__", str(target))
    space, name = schema.name.split("::")
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    return name if space == "aten" else f"{space}::{name}"


def results_of(node: fx.Node) -> list[Any]:
    """What a node gives in the trace, one entry for each result."""
    value = node.meta.get("val")
    return list(value) if isinstance(value, (tuple, list)) else [value]


def shapes_of(node: fx.Node) -> list[tuple[int, ...]]:
    """The shapes of the tensors that a node gives."""
    return [
        tuple(map(size_of, value.shape)) if isinstance(value, torch.Tensor) else ()
        for value in results_of(node)
    ]


class Call:
    """One operator as it is called: arguments by name, and what a rule may do with their labels.

    Args:
        node: the operator in the graph.
        given: its arguments as they stand in the graph.
        arguments: the same with values for nodes.
        seen: called with the labels of each tensor that exists inside the operator.
        read: called with each tensor that goes into a contraction.
    """

    def __init__(
        self,
        node: fx.Node,
        given: dict[str, Any],
        arguments: dict[str, Any],
        seen: Callable[[Labels], None],
        read: Callable[[fx.Node, Any, Labels, tuple[int, ...]], None],
    ):
        self.node, self.given, self.arguments = node, given, arguments
        self.op = base_name(node.target)
        self.name = self.op if "::" in self.op else f"aten.{self.op}"
        self.shapes = shapes_of(node)
        self._seen, self._read = seen, read

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the (first) result."""
        return self.shapes[0]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument; a ``Value`` if it is a tensor."""
        value = self.arguments.get(name)
        if isinstance(value, (list, tuple)):
            return [size_of(one) if isinstance(one, torch.SymInt) else one for one in value]
        if isinstance(value, torch.SymInt):
            return size_of(value)
        return default if value is None else value

    def axes(self, name: str) -> Labels:
        """The labels of a tensor argument, one per axis."""
        if not is_value(self.arguments.get(name)):
            raise GiveUp(f"{name} is no tensor here")
        return flat(self.arguments[name])

    def has(self, name: str) -> bool:
        """Whether a tensor was given under this name."""
        return is_value(self.arguments.get(name))

    def optional(self, *names: str) -> list[Labels]:
        """The labels of those of these tensor arguments that were given."""
        return [self.axes(name) for name in names if self.has(name)]

    def values(self) -> list[Value]:
        """Every tensor argument, lists opened."""
        opened = [
            v for a in self.arguments.values() for v in (a if isinstance(a, (list, tuple)) else [a])
        ]
        return [value for value in opened if is_value(value)]

    def dim(self, rank: int, default: int = -1, name: str = "dim") -> int:
        """An argument that names one axis, counted from the front."""
        return int(self.get(name, default)) % max(1, rank)

    def dims(self, rank: int, name: str = "dim") -> list[int]:
        """An argument that names axes (one, several, none for all), counted from the front."""
        dims = self.get(name)
        if dims is None or dims == []:
            return list(range(rank))
        return [int(dim) % max(1, rank) for dim in (dims if isinstance(dims, list) else [dims])]

    def fix(self, label: Label, why: str = "which mixes their order") -> None:
        """The positions of an axis stay, since this operator (``why``) needs their order."""
        fix(label, Reason(self.name, text=f"reach {self.name}, {why}"))

    def fixed(self, size: int) -> Label:
        """A new axis whose order this operator makes."""
        return fresh(size, Reason(self.name, text=f"are an order that {self.name} makes"))

    def padding(self, size: int, *beside: Label) -> Label:
        """Equal entries beside an axis: they fit any order, unless all of that axis stays. Then
        they only make it as long as another example's, which has values there.
        """
        sides = [normal(label) for label in beside]
        stays = bool(sides) and all(atom.reason for side in sides for atom in atoms(side))
        return self.fixed(size) if stays else fresh(size)

    def all_fixed(self, shape: Sequence[int]) -> Axes:
        """A result every axis of which is an order that this operator makes."""
        return Axes(tuple(self.fixed(size) for size in shape))

    def same(self, a: Label, b: Label) -> None:
        """Two labels of this call are one axis."""
        text = f"reach {self.name}, which pairs axes that are made of different parts"
        unify(a, b, Reason(self.name, text=text))

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
        labels = tuple(normal(label) for label in labels)
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

    def without(self, labels: Labels, dims: Sequence[int]) -> Axes:
        """What is left of a tensor when these axes are reduced (size 1 where ``keepdim``)."""
        kept = self.get("keepdim", False)
        return Axes(
            tuple(
                fresh(1) if k in dims else label
                for k, label in enumerate(labels)
                if kept or k not in dims
            )
        )


Rule = Callable[[Call], Any]
RULES: dict[str, Rule] = {}
KEEPS_UNIFORM: set[str] = set()  # equal entries in, equal entries out


def rule(names: str, *, uniform: bool = False) -> Callable[[Rule], Rule]:
    """Enter a rule into the table under the base names of its operators.

    Args:
        names: the names, with spaces between them.
        uniform: whether it gives constants of equal entries where it takes nothing else.
    """

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names.split(), function))
        KEEPS_UNIFORM.update(names.split() if uniform else ())
        return function

    return enter
