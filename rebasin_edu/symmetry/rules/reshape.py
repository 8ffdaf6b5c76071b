"""Reshape: pair the axes of two shapes, split and merge labels, and tell rows apart where they are
taken apart later.

Query, key and value often come from one matrix: one axis is reshaped to ``(3, heads, width)`` and
taken apart along the 3. Making a product of the axis would tie the three widths; so it is cut into
three rows, each with labels of its own (``Unstacked``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import fx

from ..axis_structure import Interleaved, Reason
from ..unification import (
    ONE,
    Label,
    atoms,
    chunks,
    concat,
    deinterleave,
    factor,
    interleaved,
    is_chunked,
    normal,
    product,
    unify,
)
from .base import Axes, Labels, Unstacked, Value, base_name, shapes_of, unstacked

WHY = Reason(text="reach a reshape that does not fit them")


def runs(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Pair the shortest runs of old and new axes with equal products; axes of size 1 belong to
    none.
    """
    old_axes, new_axes = (
        [k for k, n in enumerate(old) if n != 1],
        [k for k, n in enumerate(new) if n != 1],
    )
    found, i, j = [], 0, 0
    while i < len(old_axes) and j < len(new_axes):
        left, right = [old_axes[i]], [new_axes[j]]
        a, b = old[old_axes[i]], new[new_axes[j]]
        while a != b:
            if a < b:
                i += 1
                left.append(old_axes[i])
                a *= old[old_axes[i]]
            else:
                j += 1
                right.append(new_axes[j])
                b *= new[new_axes[j]]
        found.append((left, right))
        i, j = i + 1, j + 1
    return found


def reshape(
    value: Axes | Unstacked, old: Sequence[int], new: Sequence[int], wanted: int | None = None
) -> Value:
    """The same entries in another shape. The new axis ``wanted`` is told apart in rows, others only
    where nothing is lost.
    """
    pairs = runs(old, new)
    if isinstance(value, Unstacked):
        for left, right in pairs:
            if left == [value.axis] and len(right) == 1:
                within = [1 if k == value.axis else n for k, n in enumerate(old)]
                shape = [1 if k == right[0] else n for k, n in enumerate(new)]
                return Unstacked(
                    right[0], tuple(_plain(row, within, shape) for row in value.slices)
                )
        merged = next(left for left, _ in pairs if value.axis in left)
        value = _merge(value, merged)
    labels: list[Label] = [ONE] * len(new)
    told: tuple[int, list[list[Label]], list[int]] | None = None
    for left, right in pairs:
        whole, sizes = product(normal(value.labels[k]) for k in left), [new[k] for k in right]
        split = None
        if told is None and len(sizes) > 1:
            loose = wanted in right and any(not atom.reason for atom in atoms(whole))
            at = right.index(wanted) if loose else _free_row(whole, sizes)
            split = None if at is None else _split_rows(whole, sizes, at)
        if split is not None:
            told = (right[at], split, right)
        else:
            for k, label in zip(right, factor(whole, sizes, WHY)):
                labels[k] = label
    labels = [normal(label) for label in labels]
    if told is None:
        return Axes(tuple(labels))
    axis, split, right = told
    found = []
    for row in split:
        full = list(labels)
        for k, label in zip(right, row):
            full[k] = normal(label)
        found.append(tuple(full))
    return unstacked(axis, found)


def _plain(labels: Labels, old: Sequence[int], new: Sequence[int]) -> Labels:
    found: list[Label] = [ONE] * len(new)
    for left, right in runs(old, new):
        for k, label in zip(
            right, factor(product(normal(labels[k]) for k in left), [new[k] for k in right], WHY)
        ):
            found[k] = label
    return tuple(found)


def _free_row(whole: Label, sizes: list[int]) -> int | None:
    """Which of the new axes may be told apart at no loss: the label is cut (or woven) like that
    already.
    """
    if is_chunked(whole, sizes[0]):
        return 0
    return (
        len(sizes) - 1 if isinstance(whole, Interleaved) and len(whole.parts) == sizes[-1] else None
    )


def _split_rows(whole: Label, sizes: list[int], at: int) -> list[list[Label]]:
    """For each index of axis ``at`` of the new sizes, the labels of all of them (that one with size
    1).
    """
    count, before, after = sizes[at], sizes[:at], sizes[at + 1 :]
    if math.prod(after) == 1:
        parts = deinterleave(whole, count, WHY)
        return [[*factor(part, before, WHY), ONE, *[ONE] * len(after)] for part in parts]
    outer, inner = factor(whole, (math.prod(before), count * math.prod(after)), WHY)
    parts = chunks(inner, count)
    return [[*factor(outer, before, WHY), ONE, *factor(part, after, WHY)] for part in parts]


def _merge(value: Unstacked, run: list[int]) -> Axes:
    """Unstacked whose axis disappears in a run of axes: next to others they concatenate, inside of
    others they weave.
    """
    others = [k for k in range(len(value.slices[0])) if k not in run]
    for row in value.slices[1:]:
        for k in others:
            unify(value.slices[0][k], row[k])
    before, after = [k for k in run if k < value.axis], [k for k in run if k > value.axis]
    outers = [product(normal(row[k]) for k in before) for row in value.slices]
    inners = [product(normal(row[k]) for k in after) for row in value.slices]
    labels = list(value.slices[0])
    if inners[0].size == 1:
        merged = interleaved(outers)
    else:
        for outer in outers[1:]:
            unify(outers[0], outer)
        merged = product([normal(outers[0]), concat([normal(inner) for inner in inners])])
    for k in run:
        labels[k] = ONE
    labels[run[0]] = merged
    return Axes(tuple(labels))


def asked_unstacked(node: fx.Node) -> int | None:
    """The axis of this node's value whose indices are taken out one by one further on (``select``,
    ``unbind``).
    """
    shape = shapes_of(node)[0]
    return next(
        (axis for axis, size in enumerate(shape) if size > 1 and _taken_apart(node, axis)), None
    )


def _taken_apart(node: fx.Node, axis: int) -> bool:
    for user in node.users:
        if user.op != "call_function" or not user.args or user.args[0] is not node:
            continue
        op, rank = base_name(user.target), len(shapes_of(node)[0])
        before, shape = shapes_of(node)[0], shapes_of(user)[0]
        dims = [a for a in user.args[1:] if isinstance(a, int)]
        if op in ("select", "unbind"):
            if (dims[0] % rank if dims else 0) == axis:
                return True
            continue
        moved: int | None = axis if shape == before else None
        if op in ("permute", "transpose", "movedim", "unsqueeze", "squeeze", "t", "numpy_T"):
            moved = _moved(user, rank, axis, before, shape)
        elif op in ("view", "reshape", "_unsafe_view", "flatten", "unflatten"):
            moved = next(
                (
                    right[0]
                    for left, right in runs(before, shape)
                    if left == [axis] and len(right) == 1
                ),
                None,
            )
        elif op in ("cumsum", "softmax", "flip", "roll"):
            moved = None
        if moved is not None and _taken_apart(user, moved):
            return True
    return False


def _moved(
    user: fx.Node, rank: int, axis: int, before: tuple[int, ...], shape: tuple[int, ...]
) -> int | None:
    """Where an axis is after a permutation of axes, or after axes of size 1 came or went."""
    if base_name(user.target) in ("unsqueeze", "squeeze"):
        nth = sum(n != 1 for n in before[:axis])
        return [k for k, n in enumerate(shape) if n != 1][nth]
    order = permutation_of(base_name(user.target), user.args[1:], rank)
    return order.index(axis)


def permutation_of(op: str, arguments: Sequence, rank: int) -> list[int]:
    """For each new axis the old one."""
    order = list(range(rank))
    if op in ("t", "numpy_T", "mT", "matrix_H", "adjoint"):
        a, b = (0, rank - 1) if op == "t" else (rank - 2, rank - 1)
        if op == "numpy_T":
            return order[::-1]
        if rank >= 2:
            order[a], order[b] = order[b], order[a]
    elif op == "permute":
        order = [dim % rank for dim in arguments[0]]
    elif op in ("movedim", "moveaxis"):
        sources, targets = ([a] if isinstance(a, int) else list(a) for a in arguments[:2])
        sources, targets = [s % rank for s in sources], [t % rank for t in targets]
        rest = iter(k for k in order if k not in sources)
        order = [sources[targets.index(k)] if k in targets else next(rest) for k in range(rank)]
    else:
        a, b = arguments[0] % rank, arguments[1] % rank
        order[a], order[b] = order[b], order[a]
    return order
