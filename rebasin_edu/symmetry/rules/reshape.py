"""Reshape: pair the axes of two shapes, split and merge labels, unstack what is taken apart later.

Query, key and value often come from one matrix: one axis is reshaped to ``(3, heads, width)`` and
taken apart along the 3. Making a product of the axis would tie the three widths; so it is cut into
three slices, each with labels of its own (``Unstacked``).
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Any

from torch import fx

from ..axis_structure import Interleaved, Reason
from ..labels import ONE, Label, atoms, chunks, concat, interleaved, is_chunked, normal, product
from ..unification import deinterleave, factor, unify
from .base import base_name, shapes_of
from .values import Axes, Labels, Unstacked, unstacked

MISFIT = Reason(text="reach a reshape that does not fit them")


def runs(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Pair the shortest runs of old and new axes with equal products; axes of size 1 belong to
    none.
    """
    old_axes = [k for k, n in enumerate(old) if n != 1]
    new_axes = [k for k, n in enumerate(new) if n != 1]
    pairs, i, j = [], 0, 0
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
        pairs.append((left, right))
        i, j = i + 1, j + 1
    return pairs


def reshape(
    value: Axes | Unstacked, old: Sequence[int], new: Sequence[int], wanted: int | None = None
) -> Axes | Unstacked:
    """The same entries in another shape. The new axis ``wanted`` is unstacked, others only where
    nothing is lost.
    """
    pairs = runs(old, new)
    if isinstance(value, Unstacked):
        for left, right in pairs:
            if left == [value.axis] and len(right) == 1:
                within = [1 if k == value.axis else n for k, n in enumerate(old)]
                shape = [1 if k == right[0] else n for k, n in enumerate(new)]
                slices = [_each_run(labels, within, shape) for labels in value.slices]
                return Unstacked(right[0], tuple(slices))
        value = _merge(value, next(left for left, _ in pairs if value.axis in left))
    labels: list[Label] = [ONE] * len(new)
    apart: tuple[int, list[list[Label]], list[int]] | None = None
    for left, right in pairs:
        whole, sizes = product(value.labels[k] for k in left), [new[k] for k in right]
        at = _asked(whole, sizes, right, wanted) if apart is None and len(sizes) > 1 else None
        if at is not None:
            apart = right[at], _slices(whole, sizes, at), right
        else:
            for k, label in zip(right, factor(whole, sizes, MISFIT)):
                labels[k] = label
    labels = [normal(label) for label in labels]
    if apart is None:
        return Axes(tuple(labels))
    axis, split, right = apart
    slices = []
    for parts in split:
        full = list(labels)
        for k, label in zip(right, parts):
            full[k] = normal(label)
        slices.append(tuple(full))
    return unstacked(axis, slices)


def _each_run(labels: Labels, old: Sequence[int], new: Sequence[int]) -> Labels:
    """The labels in another shape, nothing unstacked."""
    result: list[Label] = [ONE] * len(new)
    for left, right in runs(old, new):
        parts = factor(product(labels[k] for k in left), [new[k] for k in right], MISFIT)
        for k, label in zip(right, parts):
            result[k] = label
    return tuple(result)


def _asked(whole: Label, sizes: list[int], axes: list[int], wanted: int | None) -> int | None:
    """Which of the new axes is to be unstacked: the wanted one, if anything is free, else one
    where the label is cut (or interleaved) like that already, so that nothing is lost.
    """
    whole = normal(whole)
    if wanted in axes and any(not atom.reason for atom in atoms(whole)):
        return axes.index(wanted)
    if is_chunked(whole, sizes[0]):
        return 0
    last = isinstance(whole, Interleaved) and len(whole.parts) == sizes[-1]
    return len(sizes) - 1 if last else None


def _slices(whole: Label, sizes: list[int], at: int) -> list[list[Label]]:
    """For each index of axis ``at`` of the new sizes, the labels of all of them (that one with size
    1).
    """
    count, before, after = sizes[at], sizes[:at], sizes[at + 1 :]
    if math.prod(after) == 1:
        parts = deinterleave(whole, count, MISFIT)
        return [[*factor(part, before, MISFIT), ONE, *[ONE] * len(after)] for part in parts]
    outer, inner = factor(whole, (math.prod(before), count * math.prod(after)), MISFIT)
    parts = chunks(inner, count)
    return [[*factor(outer, before, MISFIT), ONE, *factor(part, after, MISFIT)] for part in parts]


def _merge(value: Unstacked, run: list[int]) -> Axes:
    """Slices whose axis disappears in a run of axes: next to others they concatenate, inside of
    others they are interleaved.
    """
    others = [k for k in range(len(value.slices[0])) if k not in run]
    for labels in value.slices[1:]:
        for k in others:
            unify(value.slices[0][k], labels[k])
    before, after = [k for k in run if k < value.axis], [k for k in run if k > value.axis]
    outers = [product(normal(labels[k]) for k in before) for labels in value.slices]
    inners = [product(normal(labels[k]) for k in after) for labels in value.slices]
    merged = list(value.slices[0])
    for k in run:
        merged[k] = ONE
    if inners[0].size == 1:
        merged[run[0]] = interleaved(outers)
    else:
        for outer in outers[1:]:
            unify(outers[0], outer)
        inner = concat([normal(inner) for inner in inners])
        merged[run[0]] = product([normal(outers[0]), inner])
    return Axes(tuple(merged))


def asked_unstacked(node: fx.Node, but: Container[fx.Node] | None = None) -> int | None:
    """The axis of this node's value whose indices are taken out one by one further on (``select``,
    ``unbind``, the layers of a recurrent start state). With ``but`` only where everything else
    than these nodes does so.
    """
    shape = shapes_of(node)[0]
    axes = (axis for axis, size in enumerate(shape) if size > 1)
    return next((axis for axis in axes if _taken_apart(node, axis, but)), None)


PERMUTES = "permute transpose swapaxes swapdims movedim moveaxis t numpy_T"
RESHAPES = "view reshape _unsafe_view flatten unflatten"
CUTS = "split chunk split_with_sizes tensor_split unsafe_split unsafe_chunk"
RECURRENT = "lstm gru rnn_tanh rnn_relu"
WIDENS = "add sub mul div where expand expand_as broadcast_to repeat"  # other axes than this one


def taken_out(node: fx.Node) -> tuple[int, int | None] | None:
    """The axis of its first argument whose indices an operator gives one by one, and which of them
    (``None``: all); ``None`` for other operators.
    """
    op = base_name(node.target)
    if op not in ("select", "unbind", *CUTS.split()) or not isinstance(node.args[0], fx.Node):
        return None
    shape, results = shapes_of(node.args[0])[0], shapes_of(node)
    at = 1 if op in ("select", "unbind") else 2  # where the axis stands
    given: Any = node.kwargs.get("dim", node.args[at] if len(node.args) > at else 0)
    dim = given % len(shape)
    if op == "select":
        index: Any = node.kwargs.get("index", node.args[-1])
        return (dim, index % shape[dim]) if isinstance(index, int) else None
    return (dim, None) if len(results) == shape[dim] else None


def _taken_apart(node: fx.Node, axis: int, but: Container[fx.Node] | None) -> bool:
    waiting, known, found = [(node, axis)], {(node, axis)}, False
    while waiting:
        node, axis = waiting.pop()
        for user in node.users:
            moved = _after(user, node, axis)
            if moved is None and but is not None:
                return False
            if moved is True and (but is None or user in but):
                return but is None
            found |= moved is True
            if moved is not None and moved is not True and (user, moved) not in known:
                known.add((user, moved))
                waiting.append((user, moved))
    return found


def _after(user: fx.Node, node: fx.Node, axis: int) -> int | bool | None:
    """Where an axis of a node is after an operator, if it is still there as it was; ``True`` where
    its indices are taken out one by one.
    """
    op = base_name(user.target)
    if user.op != "call_function" or not user.args:
        return None
    if op in RECURRENT.split():
        start: Any = user.args[1]
        starts = node in (start if isinstance(start, (list, tuple)) else [start])
        return True if starts and axis == 0 else None
    old, new = shapes_of(node)[0], shapes_of(user)[0]
    if op in WIDENS.split():
        axis += len(new) - len(old)
        return axis if new[axis] == old[axis - len(new)] else None
    if user.args[0] is not node:
        return None
    if taken := taken_out(user):
        return True if taken[0] == axis else None
    if op in ("unsqueeze", "squeeze"):  # axes of size 1 come or go
        nth = sum(n != 1 for n in old[:axis])
        return [k for k, n in enumerate(new) if n != 1][nth]
    if op in PERMUTES.split():
        return permutation_of(op, user.args[1:], len(old)).index(axis)
    if op in RESHAPES.split():
        pairs = runs(old, new)
        return next((r[0] for left, r in pairs if left == [axis] and len(r) == 1), None)
    return axis if new == old and op not in ("cumsum", "softmax", "flip", "roll") else None


def permutation_of(op: str, arguments: Sequence[Any], rank: int) -> list[int]:
    """For each new axis the old one."""
    order = list(range(rank))
    if op in ("t", "numpy_T", "mT", "mH", "matrix_H", "adjoint"):
        a, b = (0, rank - 1) if op == "t" else (rank - 2, rank - 1)
        if op == "numpy_T":
            return order[::-1]
        if rank >= 2:
            order[a], order[b] = order[b], order[a]
    elif op.startswith("permute"):
        order = [dim % rank for dim in arguments[0]]
    elif op in ("movedim", "moveaxis"):
        pair = [[a] if isinstance(a, int) else list(a) for a in arguments[:2]]
        sources, targets = ([dim % rank for dim in dims] for dims in pair)
        rest = iter(k for k in order if k not in sources)
        order = [sources[targets.index(k)] if k in targets else next(rest) for k in range(rank)]
    elif rank:
        a, b = arguments[0] % rank, arguments[1] % rank
        order[a], order[b] = order[b], order[a]
    return order
