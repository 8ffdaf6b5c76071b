"""Where a network's hidden units are read: the tensors that go into its next weights, cut into
matrices of units and samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..symmetry import PermutationSpec
from ..symmetry.axis_structure import Leaf, Reason
from ..symmetry.pieces import Piece, boxes, pieces
from ..symmetry.trace import Trace
from .objective import Key, slot_dims


@dataclass(frozen=True)
class Reading:
    """One slot of one piece of one activation."""

    value: str  # the graph's node that made the tensor
    key: Key
    piece: Piece
    dims: tuple[int, ...]  # the piece's dimensions that make up the slot
    averaged: tuple[int, ...]  # of other groups, whose order is not known: their mean is read

    @property
    def place(self) -> tuple[Key, tuple]:
        """What is read, and where: the same in every batch, also in one of a single example."""
        named = [not leaf.fixed for leaf in self.piece.leaves]  # a batch of one has no such axis
        strides = tuple(itertools.compress(self.piece.strides, named))
        return self.key, (self.value, self.piece.offsets, strides)

    def units(self, activation: Tensor, *, keep: bool = False) -> Tensor:
        """Return the activation as ``(units, samples)``, perhaps a view.

        With ``keep`` it is a copy, which may be kept while the graph runs on.
        """
        view = self.piece.view(activation)
        order = [
            *self.dims,
            *(d for d in range(view.ndim) if d not in (*self.dims, *self.averaged)),
            *self.averaged,
        ]
        view = view.permute(order)
        if self.averaged:
            view = view.mean(tuple(range(view.ndim - len(self.averaged), view.ndim)))
        units = view.reshape(math.prod(view.shape[: len(self.dims)]), -1)
        if not keep:
            return units
        shared = units.untyped_storage().data_ptr() == activation.untyped_storage().data_ptr()
        return units.clone() if shared else units


def readings(trace: Trace, spec: PermutationSpec) -> dict[tuple[str, str], list[Reading]]:
    """For each place (node, value) of a trace, what is read there for the groups of ``spec``.

    The spec may be written by hand: its groups are recognised by where they occur. A tensor that
    several weights take in is read once.
    """
    names = _same_groups(PermutationSpec(**trace.parts), spec)
    found: dict[tuple[str, str], list[Reading]] = {}
    seen = set()
    for site in dict.fromkeys(site for places in trace.sites.values() for site in places):
        for piece in pieces(site.value, site.terms):
            renamed = tuple(_renamed(leaf, names) for leaf in piece.leaves)
            piece = replace(piece, leaves=renamed)
            slots = slot_dims(piece, spec)
            for dims in slots:
                key = tuple(piece.leaves[d].name for d in dims)
                fibres = [name for name in key if spec.parents.get(name)]
                mark = (site.value, key, piece.offsets, piece.strides)
                if (
                    mark in seen
                    or len(fibres) > 1
                    or not any(piece.axes[d] in site.summed for d in dims)
                ):
                    continue
                seen.add(mark)
                others = tuple(d for other in slots if other is not dims for d in other)
                found.setdefault((site.node, site.value), []).append(
                    Reading(site.value, key, piece, tuple(dims), others)
                )
    return found


def _renamed(leaf: Leaf, names: Mapping[str, str]) -> Leaf:
    if leaf.fixed:
        return leaf
    return (
        Leaf(names[leaf.name], leaf.size)
        if leaf.name in names
        else replace(leaf, reason=Reason(text="are not in the spec"))
    )


def _same_groups(traced: PermutationSpec, spec: PermutationSpec) -> dict[str, str]:
    """Group of the traced spec → the group of the given spec that has the same units."""

    def places(of: PermutationSpec, names: Sequence[str]) -> dict[tuple, str]:
        return {
            (name, axis, box.offset, stride, leaf.size): leaf.name
            for name in names
            for axis, term in enumerate(of.axes[name])
            for box in boxes(term)
            for leaf, stride in zip(box.leaves, box.strides)
            if leaf.name in of.groups
        }

    common = [name for name in traced.axes if name in spec.axes]
    ours = places(spec, common)
    return {group: ours[place] for place, group in places(traced, common).items() if place in ours}
