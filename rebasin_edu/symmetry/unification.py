"""Making labels one, and seeing more structure in them: the symbolic part of a trace.

``unify`` makes two labels one; what only one of them knows (a cut, a split into rows and columns)
the other one learns. Only what fits no structure is fixed: refine before you fix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .axis_structure import Concat, Interleaved, Product, Reason
from .labels import (
    ONE,
    Atom,
    Label,
    bind,
    chunks,
    concat,
    fix,
    fresh,
    interleaved,
    normal,
    product,
    split,
)

UNEQUAL = Reason(text="are two axes that do not fit each other")
TURNS = Reason(text="are taken in turns that do not fit")
RESHAPE = Reason(text="reach a reshape that does not fit them")


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
        bind(a, b)
    elif isinstance(b, Atom):
        bind(b, a)
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
        bind(label, Interleaved(tuple(parts)))
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
        bind(label, product(parts))
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
