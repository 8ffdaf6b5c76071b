"""Labels while a model is traced: atoms that operators make equal, and that are refined before they
are fixed.

The terms are those of ``axes`` (products, concatenations, weaves) with an ``Atom`` where a finished
spec has a ``Leaf``. An atom is a union-find node: it may be *bound* to another atom, or to a
structure that was found inside it later. ``unify`` makes two terms one; what only one of them knows
(a cut, a split into rows and columns) the other one learns. Only what fits no structure is fixed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .axis_structure import Axis, Concat, Interleaved, Product, Reason

UNEQUAL = Reason(text="are two axes that do not fit each other")
TURNS = Reason(text="are taken in turns that do not fit")
RESHAPE = Reason(text="reach a reshape that does not fit them")

ONE: Product[Any] = Product(())  # an axis of size 1: the empty product


class Atom:
    """Positions of one axis whose order is still free, or (with a ``reason``) fixed."""

    counter = itertools.count()
    __slots__ = ("bound", "number", "reason", "size")

    def __init__(self, size: int, reason: Reason | None = None):
        self.size, self.reason = size, reason
        self.bound: Label | None = None
        self.number = next(Atom.counter)  # age: the older one stands for both when two become equal

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
    """The weave of labels of equal size; single units taking turns are a concatenation."""
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


def _bind(atom: Atom, label: Label) -> None:
    atom.bound = label
    if atom.reason:
        fix(label, atom.reason)


def unify(a: Label, b: Label, reason: Reason = UNEQUAL) -> None:
    """Make two labels of equal size one: the symmetries that are left are those that both allow."""
    a, b = normal(a), normal(b)
    if a is b or a == b:
        return
    if a.size != b.size:
        raise ValueError(f"labels of sizes {a.size} and {b.size} were made equal")
    if isinstance(a, Atom) and isinstance(b, Atom):
        old, new = (a, b) if a.number < b.number else (b, a)
        old.reason = old.reason or new.reason
        new.bound = old
    elif isinstance(a, Atom):
        _bind(a, b)
    elif isinstance(b, Atom):
        _bind(b, a)
    elif isinstance(a, Concat) or isinstance(b, Concat):
        whole, other = (a, b) if isinstance(a, Concat) else (b, a)
        for part, piece in zip(whole.parts, split(other, [part.size for part in whole.parts])):
            unify(part, piece, reason)
    elif isinstance(a, Interleaved) or isinstance(b, Interleaved):
        whole, other = (a, b) if isinstance(a, Interleaved) else (b, a)
        for part, twin in zip(whole.parts, deinterleave(other, len(whole.parts), reason)):
            unify(part, twin, reason)
    else:
        sizes = tuple(part.size for part in a.parts)
        for part, twin in zip(a.parts, factor(b, sizes, reason)):
            unify(part, twin, reason)


def cut(label: Label, at: int) -> tuple[Label, Label]:
    """The first ``at`` positions and the rest. A cut inside an atom leaves two smaller ones."""
    label = normal(label)
    if at <= 0:
        return Concat(()), label
    if at >= label.size:
        return label, Concat(())
    if isinstance(label, Atom):
        left, right = fresh(at), fresh(label.size - at)
        _bind(label, Concat((left, right)))
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
            halves = [cut(part, whole) for part in label.parts]
            return interleaved([left for left, _ in halves]), interleaved(
                [right for _, right in halves]
            )
        thirds = [_around(part, whole) for part in label.parts]
        before, after = ([third[k] for third in thirds] for k in (0, 2))
        left = [interleaved(before)] if whole else []
        right = [interleaved(after)] if after[0].size else []
        return concat([*left, *[ONE] * extra]), concat([*[ONE] * (count - extra), *right])
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
        _bind(label, concat(pieces))
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


def deinterleave(label: Label, count: int, reason: Reason = TURNS) -> list[Label]:
    """The ``count`` parts that take turns on this axis."""
    label = normal(label)
    size = label.size // count
    if size == 1:
        return chunks(label, count)
    if isinstance(label, Interleaved) and len(label.parts) % count == 0:
        return [interleaved(label.parts[k::count]) for k in range(count)]
    if isinstance(label, Atom):
        parts = [fresh(size) for _ in range(count)]
        _bind(label, Interleaved(tuple(parts)))
        return parts
    if isinstance(label, Concat) and all(part.size % count == 0 for part in label.parts):
        columns = [deinterleave(part, count, reason) for part in label.parts]
        return [concat([column[k] for column in columns]) for k in range(count)]
    if isinstance(label, Interleaved) and count % len(label.parts) == 0 and size > 1:
        each = [deinterleave(part, count // len(label.parts), reason) for part in label.parts]
        return [each[k % len(each)][k // len(each)] for k in range(count)]
    if isinstance(label, Product):
        inner = label.parts[-1]
        if inner.size % count == 0:
            parts = (
                chunks(inner, count) if inner.size == count else deinterleave(inner, count, reason)
            )
            outer = product(normal(part) for part in label.parts[:-1])
            return [product([outer, part]) for part in parts]
        if count % inner.size == 0:
            chunks(inner, inner.size)
            return [
                part
                for part in deinterleave(product(label.parts[:-1]), count // inner.size, reason)
                for _ in range(inner.size)
            ]
    fix(label, reason)
    return [fresh(size, reason) for _ in range(count)]


def factor(label: Label, sizes: Sequence[int], reason: Reason = RESHAPE) -> list[Label]:
    """The factors of these sizes, outermost first. An atom becomes a product; a concatenation
    shares its inner factor.
    """
    label = normal(label)
    if label.size != math.prod(sizes):
        raise ValueError(f"a label of size {label.size} cannot have factors {tuple(sizes)}")
    if sum(size != 1 for size in sizes) <= 1:
        return [label if size != 1 else ONE for size in sizes]
    if isinstance(label, Atom):
        parts = [fresh(size) for size in sizes]
        _bind(label, product(parts))
        return parts
    if isinstance(label, Product):
        return _align(list(label.parts), sizes, reason)
    outer, inner = sizes[0], math.prod(sizes[1:])
    if outer == 1:
        return [ONE, *factor(label, sizes[1:], reason)]
    if inner == 1:
        return [*factor(label, sizes[:1], reason), *[ONE] * (len(sizes) - 1)]
    if isinstance(label, Concat):
        outer_label, inner_label = _factor_concat(label, inner, reason)
        return [outer_label, *factor(inner_label, sizes[1:], reason)]
    count = len(
        label.parts
    )  # a weave: whole rows of it belong to one outer unit, or one part to one inner unit
    if inner % count == 0:
        split = [factor(part, (outer, inner // count), reason) for part in label.parts]
        for other, _ in split[1:]:
            unify(split[0][0], other, reason)
        return [
            split[0][0],
            *factor(interleaved([normal(part) for _, part in split]), sizes[1:], reason),
        ]
    fix(label, reason)
    return [fresh(size, reason) for size in sizes]


def _factor_concat(label: Concat, inner: int, reason: Reason) -> tuple[Label, Label]:
    """A concatenation as (rows × inner): its parts keep rows of their own where they are whole
    rows.
    """
    outers, inners, chunk = [], [], []
    for part in label.parts:
        chunk.append(part)
        size = sum(part.size for part in chunk)
        if size % inner:
            continue
        if len(chunk) == 1:
            outer, within = factor(part, (size // inner, inner), reason)
            outers.append(outer)
            inners.append(within)
        else:
            outers += [ONE] * (size // inner)
            inners += chunks(concat(chunk), size // inner)
        chunk = []
    for within in inners[1:]:
        unify(inners[0], within, reason)
    return normal(concat(outers)), normal(inners[0])


def _align(parts: list[Label], sizes: Sequence[int], reason: Reason) -> list[Label]:
    """Pair the factors of a product with wanted sizes, splitting a factor only where the runs of
    both demand it.
    """
    found: list[Label] = []
    parts = list(parts)
    for position, size in enumerate(sizes):
        taken: list[Label] = []
        left = size
        while left > 1:
            part = normal(parts.pop(0))
            if left % part.size == 0:
                taken.append(part)
                left //= part.size
            elif part.size % left == 0:
                outer, inner = factor(part, (left, part.size // left), reason)
                taken.append(outer)
                parts.insert(0, inner)
                left = 1
            else:
                wanted = sizes[position:]
                for each in (*taken, part, *parts):
                    fix(each, reason)
                return [*found, *(fresh(size, reason) for size in wanted)]
        found.append(product(taken))
    return [normal(part) for part in found]
