"""The parts of a spec as plain data: names, reasons and terms for every axis, from labels or from
what a person writes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from torch import Tensor

from ..errors import SpecError
from ..weights import nearest
from .axis_structure import Concat, Interleaved, Leaf, Product, Reason, Rows, Term
from .fit import check_size
from .labels import Atom, Label, atoms, normal
from .nested_groups import parent_groups
from .propagation import Propagation

STAYS = Reason(text="stay where they are")
WRITTEN = Reason(text="are written as fixed")


class SpecParts(TypedDict):
    """The arguments of a ``PermutationSpec``."""

    axes: dict[str, tuple[Term, ...]]
    parents: dict[str, tuple[str, ...]]
    buffers: frozenset[str]
    left_out: dict[str, str]


def assemble(walk: Propagation) -> tuple[SpecParts, dict[str, list[tuple]]]:
    """Return the parts of a spec, and for each group where its activations are read: (node, value,
    terms, summed axes).
    """
    state = {
        name: tuple(map(normal, walk.state.labels[name]))
        for name in walk.state.parameters
        if name in walk.state.order
    }
    free = {
        atom
        for labels in state.values()
        for label in labels
        for atom in atoms(label)
        if not atom.reason
    }
    nesting = parent_groups((tuple(map(normal, labels)) for labels in walk.tensors), free)
    keep = {parent for parents in nesting.values() for parent in parents}
    leaf_of = _leaves(state, walk.state.order)

    def term(labels: tuple[Label, ...], where: str) -> tuple[Term, ...]:
        return tuple(
            _term(label, leaf_of, keep, f"{where} axis {axis}") for axis, label in enumerate(labels)
        )

    parts = SpecParts(
        axes={name: term(labels, name) for name, labels in state.items()},
        parents={
            leaf_of[atom].name: tuple(leaf_of[parent].name for parent in parents)
            for atom, parents in nesting.items()
        },
        buffers=frozenset(walk.state.buffers & state.keys()),
        left_out=walk.left_out,
    )
    sites: dict[str, list[tuple]] = {leaf_of[atom].name: [] for atom in leaf_of if atom in free}
    for node, value, raw, summed in walk.reads:
        labels = tuple(map(normal, raw))
        inside = (atom for label in labels for atom in atoms(label) if atom in free)
        if groups := dict.fromkeys(leaf_of[atom].name for atom in inside):
            here = term(labels, value)
            for group in groups:
                sites[group].append((node, value, here, summed))
    return parts, sites


def _leaves(state: Mapping[str, tuple[Label, ...]], order: Mapping[str, int]) -> dict[Atom, Leaf]:
    """A leaf for each atom, named after the first matrix that has it, in the order of use."""
    leaf_of: dict[Atom, Leaf] = {}
    taken: set[str] = set()

    def rank(name: str) -> tuple[bool, int]:
        return sum(label.size > 1 for label in state[name]) < 2, order[name]

    for name in sorted(state, key=rank):
        for axis, label in enumerate(state[name]):
            for atom, path, words in _places(label):
                if atom in leaf_of:
                    continue
                if atom.reason:
                    reason = replace(atom.reason, tensor=f"{words} {_at(name, axis, path)}")
                    leaf = Leaf(f"fixed: {name} axis {axis}{path}", atom.size, reason)
                else:
                    leaf = Leaf(_unused(_owner(name) + path, axis, taken), atom.size)
                    taken.add(leaf.name)
                leaf_of[atom] = leaf
    return leaf_of


def _owner(name: str) -> str:
    module, _, last = name.rpartition(".")
    return module if last in ("weight", "bias") and module else name


def _unused(name: str, axis: int, taken: set[str]) -> str:
    numbered = (f"{name} axis {axis} #{k}" for k in itertools.count(2))
    names = itertools.chain((name, f"{name} axis {axis}"), numbered)
    return next(each for each in names if each not in taken)


def _at(name: str, axis: int, path: str) -> str:
    inside = path if "." in path or "::" in path else ""  # in a product units are counted afresh
    return f"of {_owner(name)}{inside}" if axis == 0 else f"of {name} axis {axis}{inside}"


def _places(label: Label, path: str = "", start: int = 0) -> Iterator[tuple[Atom, str, str]]:
    """Each atom of a label with a path for its name and words for where it is."""
    if isinstance(label, Atom):
        yield label, path, f"units {start}-{start + label.size - 1}"
        return
    moving = [any(not atom.reason for atom in atoms(part)) for part in label.parts]
    for k, part in enumerate(label.parts):
        if isinstance(label, Concat):
            yield from _places(part, f"{path}[{start}:{start + part.size}]", start)
            start += part.size
        elif isinstance(label, Interleaved):
            yield from _places(part, f"{path}[{k}::{len(label.parts)}]", start)
        elif isinstance(label, Rows):
            yield from _places(part, f"{path}[{k}]")
        elif sum(moving) == 1 and moving[k]:
            yield from _places(part, path)
        elif k == len(label.parts) - 1:
            yield from _places(part, path + ".within")
        else:
            number = str(k + 1) if len(label.parts) > 2 else ""
            yield from _places(part, f"{path}.blocks{number}")


def _term(label: Label, leaf_of: Mapping[Atom, Leaf], keep: set[Atom], where: str) -> Term:
    """The label with leaves for atoms; neighbours that stay where they are, and are no parents,
    become one leaf.
    """
    if label.size == 1:
        return Product(())
    if _still(label, leaf_of, keep):
        inside = [leaf_of[atom] for atom in atoms(label) if atom in leaf_of]
        if inside and isinstance(label, Atom):
            return inside[0]
        reasons = list(dict.fromkeys(leaf.reason for leaf in inside if leaf.reason))
        reasons.sort(key=lambda reason: reason.expected)
        return Leaf(f"fixed: {where}, {label.size}", label.size, (reasons or [STAYS])[0])
    if isinstance(label, Atom):
        return leaf_of[label]
    if isinstance(label, (Interleaved, Rows)):
        here = (f"{where}[{k}::]" for k in range(len(label.parts)))
        parts = tuple(_term(part, leaf_of, keep, at) for part, at in zip(label.parts, here))
        return Interleaved(parts) if isinstance(label, Interleaved) else Rows(parts, label.along)
    kind: Any = type(label)
    runs = itertools.groupby(label.parts, key=lambda part: _still(part, leaf_of, keep))
    merged: list[Label] = [
        part for still, run in runs for part in ([kind(tuple(run))] if still else run)
    ]
    return kind(
        tuple(_term(part, leaf_of, keep, f"{where} part {k}") for k, part in enumerate(merged))
    )


def _still(label: Label, leaf_of: Mapping[Atom, Leaf], keep: set[Atom]) -> bool:
    """Whether nothing in it moves, and nothing in it is the parent of something that does."""
    return all((atom.reason or atom not in leaf_of) and atom not in keep for atom in atoms(label))


def written_axes(
    axes: Mapping[str, tuple], state: Mapping[str, Tensor]
) -> dict[str, tuple[Term, ...]]:
    """Return the terms of every axis; see ``PermutationSpec.from_axes`` for the entries."""
    sizes: dict[str, tuple[int, str]] = {}  # group → its size, and where it was first seen whole
    for name, entries in axes.items():
        if name not in state:
            raise SpecError(
                f"the spec names {name!r}, which the weights do not have{nearest(name, state)}"
            )
        if isinstance(entries, str):
            raise SpecError(
                f"the entries of {name} are the text {entries!r}, one is needed for each axis: "
                f"write ({entries!r},), with a comma"
            )
        shape = tuple(state[name].shape)
        if len(entries) != len(shape):
            raise SpecError(f"{name} has {len(shape)} axes {shape}, the spec writes {len(entries)}")
        for axis, entry in enumerate(entries):
            where = f"{name} axis {axis}"
            if isinstance(entry, str) and (shape[axis], where) != (
                first := sizes.setdefault(entry, (shape[axis], where))
            ):
                check_size(entry, first[0], first[1], where, shape[axis])
    return {
        name: tuple(
            _written(entry, size, f"{name} axis {axis}", sizes)
            for axis, (entry, size) in enumerate(zip(entries, state[name].shape))
        )
        for name, entries in axes.items()
    }


def _written(entry: Any, size: int, where: str, sizes: Mapping[str, tuple[int, str]]) -> Term:
    """The term of one entry that a person wrote for an axis of this size."""
    if isinstance(entry, int) and entry != size:
        raise SpecError(f"{where} has {size} entries, the spec writes {entry}")
    if entry is None or isinstance(entry, int):
        return Leaf(f"fixed: {where}" + (f" × {entry}" if entry else ""), size, WRITTEN)
    if isinstance(entry, str):
        return Leaf(entry, size)
    if isinstance(entry, (Leaf, Product, Concat, Interleaved)):
        return entry
    kind, total = (Product, math.prod) if isinstance(entry, tuple) else (Concat, sum)
    parts = [part if isinstance(part, int) else sizes.get(part, (None,))[0] for part in entry]
    if parts.count(None) == 1 and kind is Product:
        parts[parts.index(None)] = size // math.prod(n for n in parts if n is not None)
    known = [n for n in parts if n is not None]
    if len(known) < len(parts) or total(known) != size:
        raise SpecError(f"{where} has {size} entries, the spec writes {entry!r} with sizes {parts}")
    return kind(
        tuple(
            _written(part, n, f"{where} part {k}", sizes)
            for k, (part, n) in enumerate(zip(entry, known))
        )
    )
