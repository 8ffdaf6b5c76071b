"""Tensors as strided views: a *box* of an axis and a *piece* of a tensor have one dimension a leaf.

However deeply a term nests, it is a handful of boxes. Permuting, and adding up the gains of a
matching, need nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .axis_structure import Concat, Interleaved, Leaf, Product, Rows, Term


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
    """The boxes of a term: together they cover every position of the axis once (in each row)."""
    if isinstance(term, Leaf):
        return [Box(0, (term,), (1,))] if term.size != 1 else [Box(0, (), ())]
    if isinstance(term, Rows):
        return [box for part in term.parts for box in boxes(part)]
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
    for rows in (term for term in axes if isinstance(term, Rows)):
        return [
            piece for row in range(len(rows.parts)) for piece in _row(parameter, axes, rows, row)
        ]
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


def _row(parameter: str, axes: tuple[Term, ...], rows: Rows, row: int) -> list[Piece]:
    """The pieces at one index of the axis that the rows lie along."""
    here = [term.parts[row] if isinstance(term, Rows) else term for term in axes]
    here[rows.along] = Product(())
    found = pieces(parameter, tuple(here))
    before, after = slice(rows.along), slice(rows.along + 1, None)
    return [replace(p, offsets=(*p.offsets[before], row, *p.offsets[after])) for p in found]
