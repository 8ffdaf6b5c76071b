"""Labels while a model is traced: atoms, and how they are put together and cut.

The terms are those of ``axis_structure`` (products, concatenations, interleavings) with an ``Atom``
where a finished spec has a ``Leaf``. An atom is a union-find node: it may be *bound* to another
atom, or to a structure that was seen inside it later.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from .axis_structure import Axis, Concat, Interleaved, Product, Reason, Rows

ONE: Product[Any] = Product(())  # an axis of size 1: the empty product
_OUTSIDE: Iterator[int] = itertools.count()  # for labels that belong to no propagation
_ages: ContextVar[Iterator[int]] = ContextVar("_ages", default=_OUTSIDE)


def new_ages() -> None:
    """Count the ages of atoms from zero: each propagation has its own, also on another thread."""
    _ages.set(itertools.count())


class Atom:
    """Positions of one axis whose order is still free, or (with a ``reason``) fixed."""

    __slots__ = ("bound", "number", "reason", "size")

    def __init__(self, size: int, reason: Reason | None = None):
        self.size, self.reason = size, reason
        self.bound: Label | None = None
        self.number = next(
            _ages.get()
        )  # its age: the older one stands for both when two are made one

    def __repr__(self) -> str:
        return f"{'!' if self.reason else ''}a{self.number}({self.size})"


Label = Axis[Atom]


def fresh(size: int, reason: Reason | None = None) -> Label:
    """An axis of this size about which nothing is known yet (or which is fixed from the start)."""
    return ONE if size == 1 else Atom(size, reason)


def product(parts: Iterable[Label]) -> Label:
    """The product of labels, nested ones flattened and axes of size 1 left out."""
    flat = [
        inner for part in parts for inner in (part.parts if isinstance(part, Product) else (part,))
    ]
    flat = [part for part in flat if part.size != 1]
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


def concat(parts: Iterable[Label]) -> Label:
    """The concatenation of labels, nested ones flattened and empty ones left out."""
    flat = [
        inner for part in parts for inner in (part.parts if isinstance(part, Concat) else (part,))
    ]
    flat = [part for part in flat if part.size]
    return flat[0] if len(flat) == 1 else Concat(tuple(flat))


def interleaved(parts: Sequence[Label]) -> Label:
    """Labels of equal size taking turns; single units taking turns are a concatenation."""
    if len(parts) == 1:
        return parts[0]
    return concat(parts) if parts[0].size == 1 else Interleaved(tuple(parts))


def normal(label: Label) -> Label:
    """The label with every bound atom replaced by what it is bound to."""
    if isinstance(label, Atom):
        if label.bound is None:
            return ONE if label.size == 1 else label
        label.bound = normal(label.bound)
        return label.bound
    parts = tuple(normal(part) for part in label.parts)
    if isinstance(label, Rows):
        return parts[0] if parts.count(parts[0]) == len(parts) else Rows(parts, label.along)
    if isinstance(label, Product):
        return product(parts)
    return concat(parts) if isinstance(label, Concat) else interleaved(parts)


def atoms(label: Label) -> Iterator[Atom]:
    """The atoms of a normal label, outermost and leftmost first."""
    if isinstance(label, Atom):
        yield label
    else:
        for part in label.parts:
            yield from atoms(part)


def fix(label: Label, reason: Reason) -> None:
    """Every position of this label must stay where it is. The first reason is kept."""
    for atom in atoms(normal(label)):
        atom.reason = atom.reason or reason


def bind(atom: Atom, label: Label) -> None:
    """From now on the atom is what the label says."""
    atom.bound = label
    if atom.reason:
        fix(label, atom.reason)


def cut(label: Label, at: int) -> tuple[Label, Label]:
    """The first ``at`` positions and the rest. A cut inside an atom leaves two smaller ones."""
    label = normal(label)
    if at <= 0:
        return Concat(()), label
    if at >= label.size:
        return label, Concat(())
    if isinstance(label, Atom):
        left, right = fresh(at), fresh(label.size - at)
        bind(label, Concat((left, right)))
        return left, right
    if isinstance(label, Concat):
        ends = list(itertools.accumulate(part.size for part in label.parts))
        k = next(k for k, end in enumerate(ends) if end > at)
        left, right = cut(label.parts[k], at - (ends[k] - label.parts[k].size))
        return concat([*label.parts[:k], left]), concat([right, *label.parts[k + 1 :]])
    if isinstance(label, Interleaved):
        count = len(label.parts)
        whole, extra = divmod(at, count)
        if not extra:
            firsts, seconds = zip(*(cut(part, whole) for part in label.parts))
            return interleaved(firsts), interleaved(seconds)
        befores, _, afters = zip(*(_around(part, whole) for part in label.parts))
        left = interleaved(befores) if whole else Concat(())
        right = interleaved(afters) if afters[0].size else Concat(())
        return concat([left, *[ONE] * extra]), concat([*[ONE] * (count - extra), right])
    outer, inner = label.parts[0], product(label.parts[1:])
    whole, extra = divmod(at, inner.size)
    if not extra:
        left, right = cut(outer, whole)
        return product([left, inner]), product([right, inner])
    before, _, after = _around(outer, whole)
    left, right = cut(inner, extra)
    inner = normal(inner)
    return (
        concat([product([before, inner]) if before.size else before, left]),
        concat([right, product([after, inner]) if after.size else after]),
    )


def take(label: Label, start: int, stop: int) -> Label:
    """The positions ``start … stop-1`` of an axis."""
    return cut(cut(label, stop)[0], start)[1]


def _around(label: Label, at: int) -> tuple[Label, Label, Label]:
    before, rest = cut(label, at)
    middle, after = cut(rest, 1)
    return before, middle, after


def split(label: Label, sizes: Sequence[int]) -> list[Label]:
    """The label cut into pieces of these sizes, one after another."""
    label = normal(label)
    if isinstance(label, Atom) and len(sizes) > 1:
        pieces = [fresh(size) for size in sizes]
        bind(label, concat(pieces))
        return pieces
    if isinstance(label, Interleaved):
        count = len(label.parts)
        if not any(size % count for size in sizes):
            columns = [split(part, [size // count for size in sizes]) for part in label.parts]
            return [interleaved(column) for column in zip(*columns)]
    if isinstance(label, Product) and label.parts:
        inner = product(label.parts[1:])
        if not any(size % inner.size for size in sizes):
            outers = split(label.parts[0], [size // inner.size for size in sizes])
            return [product([outer, inner]) if outer.size else outer for outer in outers]
    if isinstance(label, Concat):
        return _split_concat(label, sizes)
    pieces = []
    for size in sizes[:-1]:
        piece, label = cut(label, size)
        pieces.append(piece)
    return [*pieces, label]


def _split_concat(label: Concat[Atom], sizes: Sequence[int]) -> list[Label]:
    """Cut every part at once where a piece ends in it, and put the pieces together."""
    ends = [*itertools.accumulate(sizes)]
    shares: list[tuple[int, Label]] = []  # (number of the piece, a share of it)
    start, k = 0, 0
    for part in label.parts:
        stop, places = start + part.size, [start]
        first = k
        while k < len(ends) and ends[k] < stop:
            places.append(ends[k])
            k += 1
        local = [b - a for a, b in zip(places, [*places[1:], stop])]
        shares += zip(range(first, k + 1), split(part, local))
        start = stop
    return [concat([share for number, share in shares if number == k]) for k in range(len(sizes))]


def chunks(label: Label, count: int) -> list[Label]:
    """The label cut into ``count`` equal pieces, one after another."""
    return split(label, [label.size // count] * count)


def is_chunked(label: Label, count: int) -> bool:
    """Whether the label is cut already at every one of ``count`` equal pieces, so that telling them
    apart loses nothing.
    """
    label = normal(label)
    if not isinstance(label, Concat):
        return False
    ends = set(itertools.accumulate(part.size for part in label.parts))
    return set(range(label.size // count, label.size, label.size // count)) <= ends
