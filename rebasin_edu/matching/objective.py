"""The objective of weight matching, cut into parts that a matcher can work with.

``⟨a, permutation(b)⟩`` is a sum over the pieces of the spec's tensors. In each piece, the
dimensions that one index vector reorders together become one *slot* (a group; or heads × head
width, whose units move as blocks), and what stays fixed becomes the rest. A piece is then linear in
each slot's permutation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..symmetry import PermutationSpec
from ..symmetry.pieces import Piece
from ..weights import Weights, as_state
from .comparable import comparable, working_dtype

CHUNK = 2**16  # entries compared at once in float64: what stays in a core's cache
Key = tuple[
    str, ...
]  # the leaves that share a slot: (group,), or its parents first: (heads, width)


@dataclass(frozen=True)
class Slot:
    """Dimensions of a piece that one index vector reorders."""

    key: Key
    sizes: tuple[int, ...]
    output: bool  # on axis 0 of its tensor, where torch puts a layer's output units

    @property
    def size(self) -> int:
        return math.prod(self.sizes)


class Part:
    """One piece of one tensor of both networks: ``(slot sizes …, rest)``."""

    def __init__(self, piece: Piece, spec: PermutationSpec, a: Tensor, b: Tensor):
        self.name = piece.parameter
        sets = slot_dims(piece, spec)
        self.slots = tuple(
            Slot(
                tuple(piece.leaves[d].name for d in dims),
                tuple(piece.leaves[d].size for d in dims),
                piece.axes[dims[0]] == 0,
            )
            for dims in sets
        )
        taken = [d for dims in sets for d in dims]
        self._order = taken + [d for d in range(len(piece.leaves)) if d not in taken]
        self._shape = (*(slot.size for slot in self.slots), -1)
        self.piece = piece
        self.whole = piece.view(a), piece.view(b)  # a dimension for each leaf
        self.a, self.b = (self._cut(view) for view in self.whole)

    def _cut(self, view: Tensor) -> Tensor:
        """``(slot sizes …, rest)``; a view where that is possible."""
        return view.permute(self._order).reshape(self._shape) if view.ndim else view.reshape(1)

    @cached_property
    def scale(self) -> float:
        """``‖a‖ ‖b‖``: no permutation's inner product is larger."""
        return float(torch.linalg.vector_norm(self.a) * torch.linalg.vector_norm(self.b))


class Problem:
    """Two networks, and every way in which the second may be reordered.

    Args:
        spec: the symmetries.
        a, b: the networks; see ``comparable`` for what is refused.
        known: they are what ``comparable`` gave: do not check again.
    """

    def __init__(self, spec: PermutationSpec, a: Weights, b: Weights, *, known: bool = False):
        first_state, second_state = (as_state(a), as_state(b)) if known else comparable(spec, a, b)
        self.spec = spec
        self.parts: list[Part] = []
        self.dtype = working_dtype(first_state)
        for name, tensor in first_state.items():
            first, second = tensor.to(self.dtype), second_state[name].to(self.dtype)
            for piece in spec.pieces[name]:
                if any(leaf.name in spec.groups for leaf in piece.leaves):
                    self.parts.append(Part(piece, spec, first, second))
        self.device = self.parts[0].a.device
        self.keys: dict[Key, int] = {
            slot.key: slot.size for part in self.parts for slot in part.slots
        }
        self.scale = sum(part.scale for part in self.parts)

    @cached_property
    def places(self) -> dict[Key, list[tuple[int, int]]]:
        """Key → where it occurs: (number of the part, number of the slot in it)."""
        places: dict[Key, list[tuple[int, int]]] = {key: [] for key in self.keys}
        for p, part in enumerate(self.parts):
            for s, slot in enumerate(part.slots):
                places[slot.key].append((p, s))
        return places

    @cached_property
    def parts_of(self) -> dict[str, list[int]]:
        """Group → numbers of the parts that it occurs in."""
        numbers: dict[str, list[int]] = {group: [] for group in self.spec.groups}
        for p, part in enumerate(self.parts):
            for name in dict.fromkeys(name for slot in part.slots for name in slot.key):
                if name in numbers:
                    numbers[name].append(p)
        return numbers

    @cached_property
    def scales(self) -> dict[str, float]:
        """Group → the sum of ``‖a‖ ‖b‖`` over the parts that it occurs in."""
        return {
            group: sum(self.parts[p].scale for p in parts) for group, parts in self.parts_of.items()
        }

    def index(self, key: Key, tables: Mapping[str, Tensor]) -> Tensor:
        """For each new position along a slot with this key, the old position: ``(slot size,)``,
        long, on the device.
        """
        return flat_index(self.spec, key, tables).to(self.device)

    def value(self, tables: Mapping[str, Tensor], parts: list[int] | None = None) -> float:
        """``⟨a, permutation(b)⟩`` in float64, over all parts or the given ones."""
        chosen = self.parts if parts is None else [self.parts[p] for p in parts]
        indices = {
            key: self.index(key, tables)
            for key in {slot.key for part in chosen for slot in part.slots}
        }
        total = 0.0
        for part in chosen:
            first, *others = [indices[slot.key] for slot in part.slots]
            rows = max(1, CHUNK // part.a[0].numel())
            for start in range(0, len(first), rows):
                b = part.b.index_select(0, first[start : start + rows])
                for dim, other in enumerate(others, start=1):
                    b = b.index_select(dim, other)
                total += float(
                    torch.dot(part.a[start : start + rows].double().flatten(), b.double().flatten())
                )
        return total

    def difference(self, group: str, new: Tensor, tables: Mapping[str, Tensor]) -> float:
        """How much the objective rises when one group's order becomes ``new``, in float64, from the
        units that move alone.
        """
        old = tables[group]
        rows = (new != old).nonzero().squeeze(1).to(self.device)
        total = 0.0
        for p, s in self.places[(group,)]:
            part = self.parts[p]
            a = part.a.index_select(s, rows)
            for sign, order in ((1, new), (-1, old)):
                b = part.b.index_select(s, order.to(self.device)[rows])
                for t, slot in enumerate(part.slots):
                    if t != s:
                        b = b.index_select(t, self.index(slot.key, tables))
                total += sign * _dot(a, b)
        return total


def flat_index(spec: PermutationSpec, key: Key, tables: Mapping[str, Tensor]) -> Tensor:
    """The order of the units of a slot, flattened with its first leaf outermost: new position → old
    position.
    """
    if len(key) == 1:
        return tables[key[0]]
    sizes = [spec.leaves[name].size for name in key]
    flat = torch.zeros(sizes, dtype=torch.long)
    for dim, name in enumerate(key):
        table = tables.get(name, torch.arange(sizes[dim]))
        own = [key.index(parent) for parent in spec.parents.get(name, ())] if name in tables else []
        own.append(dim)
        order = sorted(range(len(own)), key=own.__getitem__)
        shape = [sizes[d] if d in own else 1 for d in range(len(key))]
        flat = flat + table.permute(order).reshape(shape) * math.prod(sizes[dim + 1 :])
    return flat.reshape(-1)


def _dot(a: Tensor, b: Tensor) -> float:
    """Inner product in float64, a cache-sized chunk at a time."""
    rows = max(1, CHUNK // max(1, a[0].numel()))
    return sum(
        float(torch.dot(x.double().flatten(), y.double().flatten()))
        for x, y in zip(a.split(rows), b.split(rows))
    )


def slot_dims(piece: Piece, spec: PermutationSpec) -> list[list[int]]:
    """The dimensions of the piece's groups, those that a parent ties together in one list, parents
    first.
    """
    sets: list[set[int]] = []
    for dim, leaf in enumerate(piece.leaves):
        if leaf.name in spec.groups:
            dims = (piece.parent_dim(dim, parent) for parent in spec.parents.get(leaf.name, ()))
            tied = {dim, *(d for d in dims if d is not None)}
            for other in [other for other in sets if other & tied]:
                sets.remove(other)
                tied |= other
            sets.append(tied)

    def depth(dim: int) -> tuple[int, int]:
        return len(spec.parents.get(piece.leaves[dim].name, ())), dim

    return [sorted(dims, key=depth) for dims in sets]
