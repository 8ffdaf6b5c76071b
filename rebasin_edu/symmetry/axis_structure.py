"""What an axis of a tensor is made of: leaves, and what products and concatenations make of them.

A hidden layer's outputs are one *leaf* (a group of units that may be reordered). After a flatten
each unit owns a block of consecutive entries: a *product*. After a concatenation two layers stand
side by side on one axis: a *concatenation*. After a channel shuffle their units alternate: they
are *interleaved*. Terms nest, so every axis of every parameter is described by one term.

However deeply it nests, a term is a handful of *boxes*: strided views of the axis with one
dimension per leaf. A *piece* is the same for a whole tensor. Permuting, and adding up the costs of
a matching, need nothing else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar, Union

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reason:
    """Why positions must stay where they are.

    Attributes:
        operator: the operator that needs their order, as in ``"aten.roll"``, or empty.
        tensor: the tensor they lie in or met, or the place there; or empty.
        text: a verb and what follows: "reach aten.roll, which mixes their order".
        expected: whether it is a matter of course (inputs, outputs, kernels), or units are lost.
    """

    operator: str = ""
    tensor: str = ""
    text: str = ""
    expected: bool = False

    def __str__(self) -> str:
        return f"{self.tensor} {self.text}".strip()


@dataclass(frozen=True)
class Leaf:
    """A set of positions with one order: a group of units, or (with a ``reason``) positions that
    must stay where they are.
    """

    name: str
    size: int
    reason: Reason | None = None

    @property
    def fixed(self) -> bool:
        return self.reason is not None

    def __str__(self) -> str:
        return "·" if self.fixed else self.name


class HasSize(Protocol):
    """Anything with a number of positions."""

    @property
    def size(self) -> int: ...


End = TypeVar(
    "End", bound=HasSize
)  # what an axis ends in: a Leaf in a finished spec, an Atom during a trace


@dataclass(frozen=True)
class Product(Generic[End]):
    """Every combination of the parts, the first one outermost (slowest): what flatten and reshape
    make.
    """

    parts: tuple[Axis[End], ...]

    @cached_property
    def size(self) -> int:
        return math.prod(part.size for part in self.parts)

    def __str__(self) -> str:
        return (
            " × ".join(
                f"({part})" if isinstance(part, (Concat, Interleaved)) else _sized(part)
                for part in self.parts
            )
            or "1"
        )


@dataclass(frozen=True)
class Concat(Generic[End]):
    """The parts one after another: what ``torch.cat`` makes."""

    parts: tuple[Axis[End], ...]

    @cached_property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def __str__(self) -> str:
        return " ++ ".join(_sized(part) for part in self.parts)


@dataclass(frozen=True)
class Interleaved(Generic[End]):
    """Parts of equal size taking turns: unit ``i`` of part ``j`` of ``p`` stands at ``i * p + j``
    (a channel shuffle).
    """

    parts: tuple[Axis[End], ...]

    def __post_init__(self):
        sizes = [part.size for part in self.parts]
        if len(set(sizes)) > 1:
            raise ValueError(f"interleaved parts must have equal sizes, these have {sizes}")

    @cached_property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def __str__(self) -> str:
        return " ⋈ ".join(_sized(part) for part in self.parts)


Axis = Union[End, Product[End], Concat[End], Interleaved[End]]  # noqa: UP007  (generic at run time)
Term = Axis[Leaf]


def _sized(term: HasSize) -> str:
    return str(term.size) if isinstance(term, Leaf) and term.fixed else str(term)


def leaves(term: Term) -> list[Leaf]:
    """The leaves of a term, outermost and leftmost first, repeated where they repeat."""
    return (
        [term] if isinstance(term, Leaf) else [leaf for part in term.parts for leaf in leaves(part)]
    )


@dataclass(frozen=True)
class Box:
    """Positions ``offset + sum(index_k * stride_k)`` of one axis, ``index_k`` running over the
    units of leaf ``k``.
    """

    offset: int
    leaves: tuple[Leaf, ...]
    strides: tuple[int, ...]

    def moved(self, scale: int, offset: int) -> Box:
        return Box(
            self.offset * scale + offset,
            self.leaves,
            tuple(stride * scale for stride in self.strides),
        )


def boxes(term: Term) -> list[Box]:
    """The boxes of a term: together they cover every position of the axis once."""
    if isinstance(term, Leaf):
        return [Box(0, (term,), (1,))] if term.size != 1 else [Box(0, (), ())]
    if isinstance(term, Concat):
        starts = itertools.accumulate((part.size for part in term.parts), initial=0)
        return [
            box.moved(1, start) for part, start in zip(term.parts, starts) for box in boxes(part)
        ]
    if isinstance(term, Interleaved):
        return [
            box.moved(len(term.parts), j)
            for j, part in enumerate(term.parts)
            for box in boxes(part)
        ]
    found = [Box(0, (), ())]
    for part in term.parts:
        found = [
            Box(outer.offset * part.size + inner.offset, outer.leaves + inner.leaves,
                tuple(stride * part.size for stride in outer.strides) + inner.strides)
            for outer in found for inner in boxes(part)
        ]  # fmt: skip
    return found


@dataclass(frozen=True)
class Piece:
    """A strided view of a tensor with one dimension per leaf; the pieces of a tensor cover each
    entry once.
    """

    parameter: str
    leaves: tuple[Leaf, ...]
    axes: tuple[int, ...]  # the tensor's axis that each leaf lies on
    strides: tuple[int, ...]  # in steps of that axis
    offsets: tuple[int, ...]  # one for each axis of the tensor

    def view(self, tensor: Tensor) -> Tensor:
        """The piece of ``tensor`` as a view of shape ``(leaf sizes …)``."""
        start = sum(offset * tensor.stride(axis) for axis, offset in enumerate(self.offsets))
        strides = tuple(
            stride * tensor.stride(axis) for stride, axis in zip(self.strides, self.axes)
        )
        return tensor.as_strided(
            tuple(leaf.size for leaf in self.leaves), strides, tensor.storage_offset() + start
        )

    def dims(self, name: str) -> list[int]:
        """The dimensions of the view that belong to the leaf of this name."""
        return [dim for dim, leaf in enumerate(self.leaves) if leaf.name == name]

    def parent_dim(self, dim: int, parent: str) -> int | None:
        """Where in the view the parent of dimension ``dim`` lies: on the same axis if it is
        there, else anywhere.
        """
        found = self.dims(parent)
        same_axis = [d for d in found if self.axes[d] == self.axes[dim]]
        if len(same_axis) == 1:
            return same_axis[0]
        return found[0] if len(found) == 1 else None

    def permuted(
        self, view: Tensor, tables: Mapping[str, Tensor], parents: Mapping[str, tuple[str, ...]]
    ) -> Tensor:
        """``view`` with every leaf in its new order: entry ``i`` along a leaf is the old entry
        ``table[i]``.

        A leaf with parents has a table of shape ``(parent sizes …, leaf size)``; its row is chosen
        by the *new* indices of its parents.
        """
        if not any(parents.get(leaf.name) and leaf.name in tables for leaf in self.leaves):
            for dim, leaf in enumerate(self.leaves):
                if leaf.name in tables:
                    view = view.index_select(dim, tables[leaf.name].to(view.device))
            return view
        index = []
        for dim, leaf in enumerate(self.leaves):
            table, dims = torch.arange(leaf.size), [dim]
            if leaf.name in tables:
                table = tables[leaf.name]
                places = [self.parent_dim(dim, parent) for parent in parents.get(leaf.name, ())]
                dims = [*(place for place in places if place is not None), dim]
            order = sorted(range(len(dims)), key=dims.__getitem__)  # as in the view
            shape = [1] * len(self.leaves)
            for k in dims:
                shape[k] = self.leaves[k].size
            index.append(table.permute(order).reshape(shape).to(view.device))
        return view[tuple(index)]


def pieces(parameter: str, axes: tuple[Term, ...]) -> list[Piece]:
    """The pieces of a tensor whose axes have these terms."""
    found = []
    for combination in itertools.product(*(boxes(term) for term in axes)):
        found.append(
            Piece(
                parameter,
                tuple(leaf for box in combination for leaf in box.leaves),
                tuple(axis for axis, box in enumerate(combination) for _ in box.leaves),
                tuple(stride for box in combination for stride in box.strides),
                tuple(box.offset for box in combination),
            )
        )
    return found
