"""Rules for what moves entries without computing: reshape, permute, cut, concatenate, expand,
index.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ..unification import (
    ONE,
    Label,
    chunks,
    concat,
    cut,
    deinterleave,
    factor,
    fresh,
    normal,
    product,
)
from .base import Axes, Call, Labels, Uniform, Unstacked, Value, flat, rule, sizes, take, unstacked
from .reshape import WHY, asked_unstacked, permutation_of, reshape


@rule(
    "view",
    "reshape",
    "_unsafe_view",
    "flatten",
    "unflatten",
    "reshape_as",
    "view_as",
    "ravel",
    "_reshape_alias",
)
def view(call: Call):
    value = call.get("self")
    if isinstance(value, Uniform):
        return Uniform(call.shape)
    if "dtype" in call.arguments:
        return call.unknown()[0]
    return reshape(value, sizes(value), call.shape, asked_unstacked(call.node))


@rule("unsqueeze", "squeeze")
def ones(call: Call):
    value = call.get("self")
    if isinstance(value, Uniform):
        return Uniform(call.shape)
    shape = sizes(value)
    rank = len(shape)
    if call.op == "unsqueeze":
        kept = list(range(rank))
        kept.insert(int(call.get("dim")) % (rank + 1), None)
    else:
        dims = call.dims("dim", rank) if "dim" in call.arguments else range(rank)
        kept = [k for k in range(rank) if not (k in dims and shape[k] == 1)]
    return _pick(value, kept)


@rule("permute", "transpose", "swapaxes", "t", "numpy_T", "mT", "adjoint", "movedim", "moveaxis")
def permute(call: Call):
    value = call.get("self")
    if isinstance(value, Uniform):
        return Uniform(call.shape)
    rank = len(sizes(value))
    return _pick(
        value, permutation_of(call.op, [v for k, v in call.arguments.items() if k != "self"], rank)
    )


def _pick(value: Axes | Unstacked, order: Sequence[int | None]) -> Value:
    def pick(labels: Labels) -> Labels:
        return tuple(ONE if k is None else labels[k] for k in order)

    if isinstance(value, Unstacked):
        return Unstacked(list(order).index(value.axis), tuple(pick(row) for row in value.slices))
    return Axes(pick(value.labels))


@rule("expand", "expand_as", "broadcast_to", "repeat", "tile")
def expand(call: Call):
    """New indices along an axis all hold the same: they fit any order. ``repeat`` puts copies side
    by side.
    """
    if isinstance(call.get("self"), Uniform):
        return Uniform(call.shape)
    labels = call.axes("self")
    labels = (ONE,) * (len(call.shape) - len(labels)) + labels
    found = []
    for label, size in zip(labels, call.shape):
        copies = size // label.size if label.size else 1
        found.append(label if copies == 1 else product([fresh(copies), label]))
    return Axes(tuple(found))


@rule("repeat_interleave")
def repeat_interleave(call: Call):
    labels = list(call.axes("self"))
    if not isinstance(call.get("repeats"), int):
        return call.unknown()[0]
    dim = int(call.get("dim", 0))
    labels[dim] = product([labels[dim], fresh(int(call.get("repeats")))])
    return Axes(tuple(labels))


@rule("cat", "concat", "concatenate")
def cat(call: Call):
    values = [value for value in call.get("tensors") if math.prod(sizes(value))]
    dim = int(call.get("dim", 0)) % len(call.shape)
    if all(isinstance(value, Uniform) for value in values):
        return Axes(tuple(fresh(size) for size in call.shape))
    tensors = [flat(value) for value in values]
    if len(tensors) > 1 and all(labels[dim].size == 1 for labels in tensors):
        return unstacked(dim, tensors)
    for labels in tensors[1:]:
        for k in range(len(labels)):
            if k != dim:
                call.same(tensors[0][k], labels[k])
    joined = concat([normal(labels[dim]) for labels in tensors])
    return Axes(tuple(joined if k == dim else normal(label) for k, label in enumerate(tensors[0])))


@rule("stack")
def stack(call: Call):
    dim = int(call.get("dim", 0)) % len(call.shape)
    tensors = [flat(value) for value in call.get("tensors")]
    return unstacked(dim, [(*labels[:dim], ONE, *labels[dim:]) for labels in tensors])


@rule("unbind", "select")
def unbind(call: Call):
    value = call.get("self")
    if isinstance(value, Uniform):
        return (
            Uniform(call.shape)
            if call.op == "select"
            else [Uniform(shape) for shape in call.shapes]
        )
    dim = int(call.get("dim", 0)) % len(sizes(value))
    if isinstance(value, Unstacked) and value.axis == dim:
        found = [tuple(label for k, label in enumerate(row) if k != dim) for row in value.slices]
        return (
            Axes(found[int(call.get("index"))])
            if call.op == "select"
            else [Axes(row) for row in found]
        )
    labels = flat(value)
    if call.op == "select":
        index = int(call.get("index")) % labels[dim].size
        take(labels[dim], index, index + 1)
    else:
        chunks(labels[dim], labels[dim].size)
    left = Axes(tuple(label for k, label in enumerate(labels) if k != dim))
    return left if call.op == "select" else [left for _ in call.shapes]


@rule("slice", "narrow")
def slicing(call: Call):
    value = call.get("self")
    if isinstance(value, Uniform):
        return Uniform(call.shape)
    dim = int(call.get("dim", 0)) % len(sizes(value))
    told, size = isinstance(value, Unstacked) and value.axis == dim, sizes(value)[dim]
    if call.op == "narrow":
        start, step = int(call.get("start")) % size if size else 0, 1
        stop = start + int(call.get("length"))
    else:
        start, stop, step = slice(call.get("start"), call.get("end"), call.get("step", 1)).indices(
            size
        )
    if told:
        return unstacked(dim, value.slices[start:stop:step])

    def sliced(labels: Labels) -> Labels:
        return (*labels[:dim], _stepped(labels[dim], start, stop, step), *labels[dim + 1 :])

    if (start, stop, step) == (0, size, 1):
        return value
    if isinstance(value, Unstacked):
        return Unstacked(value.axis, tuple(sliced(row) for row in value.slices))
    return Axes(sliced(value.labels))


def _stepped(label: Label, start: int, stop: int, step: int) -> Label:
    """Every ``step``-th position from ``start`` on: a strand of the weave that the axis is."""
    count = len(range(start, stop, step))
    if step == 1 or not count:
        return take(label, start, stop) if count else concat(())
    if label.size % step == 0:
        return take(deinterleave(label, step)[start % step], start // step, start // step + count)
    even, rest = cut(take(label, start, stop), (count - 1) * step)
    return (
        concat([*deinterleave(even, step)[:1], cut(rest, 1)[0]]) if count > 1 else cut(rest, 1)[0]
    )


@rule(
    "split",
    "chunk",
    "split_with_sizes",
    "tensor_split",
    "unsafe_split",
    "unsafe_chunk",
    "split_with_sizes_copy",
    "hsplit",
)
def split(call: Call):
    """Cut along an axis into the sizes of the results."""
    value = call.get("self")
    if isinstance(value, Uniform):
        return [Uniform(shape) for shape in call.shapes]
    dim = int(call.get("dim", 0)) % len(call.shapes[0])
    counts = [shape[dim] for shape in call.shapes]
    if isinstance(value, Unstacked) and value.axis == dim:
        ends = list(itertools.accumulate(counts))
        return [unstacked(dim, value.slices[end - size : end]) for end, size in zip(ends, counts)]

    def pieces(labels: Labels) -> list[Labels]:
        found, rest = [], labels[dim]
        for size in counts:
            piece, rest = cut(rest, size)
            found.append((*labels[:dim], piece, *labels[dim + 1 :]))
        return found

    if isinstance(value, Unstacked):
        columns = [pieces(row) for row in value.slices]
        return [
            Unstacked(value.axis, tuple(column[k] for column in columns))
            for k in range(len(counts))
        ]
    return [Axes(piece) for piece in pieces(value.labels)]


@rule("index_select", "embedding", "embedding_bag", "_embedding_bag")
def lookup(call: Call):
    """Unstacked picked by number: that axis stays as it is."""
    table = call.axes("self" if call.op == "index_select" else "weight")
    index = call.axes("index" if call.op == "index_select" else "indices")
    dim = int(call.get("dim", 0)) % max(1, len(table)) if call.op == "index_select" else 0
    call.fix(table[dim], "which picks them by number")
    if call.op.endswith("embedding_bag"):
        out = Axes((call.fixed(call.shape[0]), *table[1:]))
        return (
            out
            if len(call.shapes) == 1
            else [out, *(Axes(tuple(call.fixed(n) for n in s)) for s in call.shapes[1:])]
        )
    return Axes((*table[:dim], *(index or (ONE,) * (call.op == "index_select")), *table[dim + 1 :]))


@rule("index")
def index(call: Call):
    """Indexed axes stay; the result's axes stand where the first index was, or in front if others
    lie between the indices.
    """
    labels, indices = call.axes("self"), list(call.get("indices"))
    picked = [k for k, one in enumerate(indices) if one is not None]
    for k in picked:
        call.fix(labels[k], "which picks them by number")
    tensors = [flat(indices[k]) for k in picked]
    rest = [label for k, label in enumerate(labels) if k not in picked]
    rank = len(call.shape) - len(rest)
    if rank != max(len(t) for t in tensors):  # a mask: as many results as it has true entries
        return call.unknown()[0]
    at = picked[0] if picked == list(range(picked[0], picked[-1] + 1)) else 0
    made = call.broadcast(tensors, call.shape[at : at + rank])
    return Axes((*rest[:at], *made, *rest[at:]))


@rule("gather", "take_along_dim")
def gather(call: Call):
    labels, picks = call.axes("self"), call.axes("index" if call.op == "gather" else "indices")
    dim = int(call.get("dim", 0)) % max(1, len(labels))
    call.fix(labels[dim], "which picks them by number")
    for k, (label, pick) in enumerate(zip(labels, picks)):
        if k != dim and label.size == pick.size:
            call.same(label, pick)
        elif k != dim:
            call.same(cut(label, pick.size)[0], pick)
    return Axes(tuple(normal(pick) for pick in picks))


@rule("pixel_shuffle")
def pixel_shuffle(call: Call):
    *before, channels, height, width = call.axes("self")
    r = int(call.get("upscale_factor"))
    channels, down, across = factor(channels, (channels.size // (r * r), r, r), WHY)
    for label in (down, across):
        call.fix(label, "which makes pixels of them")
    return Axes(
        (
            *before,
            channels,
            product([normal(height), normal(down)]),
            product([normal(width), normal(across)]),
        )
    )


@rule("pixel_unshuffle")
def pixel_unshuffle(call: Call):
    *before, channels, height, width = call.axes("self")
    r = int(call.get("downscale_factor"))
    height, down = factor(height, (height.size // r, r), WHY)
    width, across = factor(width, (width.size // r, r), WHY)
    return Axes((*before, product([channels, normal(down), normal(across)]), height, width))


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call):
    labels, groups = call.axes("self"), int(call.get("groups"))
    shape = [label.size for label in labels]
    apart = [shape[0], groups, shape[1] // groups, *shape[2:]]
    rowwise = reshape(Axes(labels), shape, apart)
    return reshape(
        _pick(rowwise, [0, 2, 1, *range(3, len(apart))]),
        [apart[k] for k in (0, 2, 1, *range(3, len(apart)))],
        shape,
    )


@rule("im2col", "unfold", "col2im")
def unfold(call: Call):
    """Windows: ``im2col`` gives channels × positions in the window; the images' own axes stay."""
    labels = list(call.axes("self"))
    if call.op == "col2im":
        *before, columns, positions = labels
        channels, inside = factor(columns, (call.shape[-3], columns.size // call.shape[-3]), WHY)
        call.fix(inside, "which works on neighbours")
        call.fix(positions, "which works on neighbours")
        return Axes((*before, channels, call.fixed(call.shape[-2]), call.fixed(call.shape[-1])))
    if call.op == "im2col":
        for label in labels[-2:]:
            call.fix(label, "which works on neighbours")
        inside = call.fixed(call.shape[-2] // labels[-3].size)
        return Axes((*labels[:-3], product([labels[-3], inside]), call.fixed(call.shape[-1])))
    dim = int(call.get("dimension")) % len(labels)
    call.fix(labels[dim], "which works on neighbours")
    labels[dim] = call.fixed(call.shape[dim])
    return Axes((*labels, call.fixed(call.shape[-1])))
