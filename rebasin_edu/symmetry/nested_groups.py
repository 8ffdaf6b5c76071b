"""Nested groups: which atoms may have an order of their own for each unit of another one.

A head's width never appears without its head, in no tensor that the model computes. So each head
may order its own units as it likes: the head *rules* its width. The condition must hold in every
tensor, those inside of operators included, and which of the parent's axes is meant must be clear:
the one in the same product, else the only one there is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from .axis_structure import Product
from .labels import Atom, Label

Box = tuple[Atom, ...]


def leaf_boxes(label: Label) -> set[Box]:
    """The atoms of each box of a normal label (see ``axes.boxes``), each kind of box once."""
    if isinstance(label, Atom):
        return {(label,)}
    if isinstance(label, Product):
        return {
            sum(choice, ())
            for choice in itertools.product(*(leaf_boxes(part) for part in label.parts))
        }
    return set().union(*(leaf_boxes(part) for part in label.parts))


def _where(parent: Atom, axis: int, box: Box, axes: list[set[Box]]) -> int | None:
    """The axis that tells the unit of ``parent`` for an atom in ``box`` on ``axis``: the same if
    the parent is in the box, else the only one with it, else none.
    """
    if parent in box:
        return axis if box.count(parent) == 1 else None
    others = [
        (k, {one.count(parent) for one in boxes})
        for k, boxes in enumerate(axes)
        if k != axis and any(parent in one for one in boxes)
    ]
    return others[0][0] if len(others) == 1 and others[0][1] == {1} else None


def parent_groups(
    tensors: Iterable[tuple[Label, ...]], candidates: set[Atom]
) -> dict[Atom, tuple[Atom, ...]]:
    """For each free atom the atoms that rule it, outermost first.

    Args:
        tensors: the normal labels of every tensor there is.
        candidates: the free atoms that occur in parameters.
    """
    boxed = [[leaf_boxes(label) for label in labels] for labels in dict.fromkeys(tensors)]
    parents: dict[Atom, set[Atom]] = {}
    for axes in boxed:
        for axis, boxes in enumerate(axes):
            for box in boxes:
                for atom in dict.fromkeys(box):
                    if atom not in candidates or parents.get(atom) == set():
                        continue
                    near = (
                        parents[atom]
                        if atom in parents
                        else {a for one in axes for b in one for a in b} - {atom}
                    )
                    parents[atom] = {
                        parent
                        for parent in near
                        if box.count(atom) == 1 and _where(parent, axis, box, axes) is not None
                    }
    chosen = _without_circles(parents)
    while wrong := next(_disagreements(boxed, chosen), None):
        chosen[wrong[0]].discard(wrong[1])
    depth = {atom: len(ruling) for atom, ruling in chosen.items()}
    return {
        atom: tuple(sorted(ruling, key=lambda parent: (depth.get(parent, 0), parent.number)))
        for atom, ruling in chosen.items()
        if ruling
    }


def _without_circles(parents: dict[Atom, set[Atom]]) -> dict[Atom, set[Atom]]:
    """Of two atoms that never part, the smaller is the parent: that leaves the most symmetries."""

    def key(atom: Atom) -> tuple:
        return (not atom.reason, atom.size, atom.number)

    chosen: dict[Atom, set[Atom]] = {atom: set() for atom in parents}

    def above(atom: Atom) -> set[Atom]:
        return set().union(*({parent} | above(parent) for parent in chosen.get(atom, ())))

    for atom in sorted(parents, key=key):
        for parent in sorted(parents[atom], key=key):
            mutual = atom in parents.get(parent, ())
            if (not mutual or key(parent) < key(atom)) and atom not in above(parent):
                chosen[atom].add(parent)
    return chosen


def _disagreements(
    boxed: list[list[set[Box]]], chosen: dict[Atom, set[Atom]]
) -> Iterator[tuple[Atom, Atom]]:
    """An atom and a parent of it that is nested itself, where the two do not have that parent's
    parent on the same axis.
    """
    for atom, ruling in chosen.items():
        for parent in ruling:
            for top in chosen.get(parent, ()):
                if top not in ruling:
                    yield atom, parent
    deep = {atom for atom, ruling in chosen.items() if any(chosen.get(parent) for parent in ruling)}
    for axes in boxed if deep else ():
        for axis, boxes in enumerate(axes):
            for box, atom in ((one, atom) for one in boxes for atom in one if atom in deep):
                for parent in chosen[atom]:
                    home = _where(parent, axis, box, axes)
                    assert home is not None, "a chosen parent is there in every tensor"
                    for top in chosen.get(parent, ()):
                        at = _where(top, axis, box, axes)
                        for parent_box in (one for one in axes[home] if parent in one):
                            if at is None or _where(top, home, parent_box, axes) != at:
                                yield atom, parent
