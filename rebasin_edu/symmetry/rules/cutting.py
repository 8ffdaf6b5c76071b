"""Rules for what cuts an axis, and for what is written into a part of one."""

from __future__ import annotations

import itertools

from ..labels import ONE, Label, chunks, concat, cut, split, take
from ..unification import deinterleave
from .base import Call, rule
from .values import Axes, Labels, Unstacked, flat, sizes, unstacked


@rule("unbind select unbind_copy select_copy", uniform=True)
def unbind(call: Call):
    """The indices of an axis one by one, that axis gone."""
    value = call.get("self")
    dim = call.dim(len(sizes(value)), 0)
    select = call.op.startswith("select")
    if isinstance(value, Unstacked) and value.axis == dim:
        slices = [Axes((*labels[:dim], *labels[dim + 1 :])) for labels in value.slices]
        return slices[int(call.get("index"))] if select else slices
    labels = flat(value)
    if select:
        index = int(call.get("index")) % labels[dim].size
        take(labels[dim], index, index + 1)
    else:
        chunks(labels[dim], labels[dim].size)
    return Axes((*labels[:dim], *labels[dim + 1 :]))


@rule("slice narrow slice_copy", uniform=True)
def slicing(call: Call):
    value = call.get("self")
    dim = call.dim(len(sizes(value)), 0)
    start, stop, step = _bounds(call, sizes(value)[dim])
    if isinstance(value, Unstacked) and value.axis == dim:
        return unstacked(dim, value.slices[start:stop:step])

    def sliced(labels: Labels) -> Labels:
        return (*labels[:dim], _stepped(labels[dim], start, stop, step), *labels[dim + 1 :])

    if (start, stop, step) == (0, sizes(value)[dim], 1):
        return value
    if isinstance(value, Unstacked):
        return Unstacked(value.axis, tuple(map(sliced, value.slices)))
    return Axes(sliced(flat(value)))


def _bounds(call: Call, size: int) -> tuple[int, int, int]:
    if call.op == "narrow":
        start = int(call.get("start")) % size if size else 0
        return start, start + int(call.get("length")), 1
    return slice(call.get("start"), call.get("end"), call.get("step", 1)).indices(size)


def _stepped(label: Label, start: int, stop: int, step: int) -> Label:
    """Every ``step``-th position from ``start`` on: a part of the axis, interleaved with others."""
    count = len(range(start, stop, step))
    if step == 1 or not count:
        return take(label, start, stop) if count else concat(())
    if label.size % step == 0:
        parts = deinterleave(label, step)
        return take(parts[start % step], start // step, start // step + count)
    even, rest = cut(take(label, start, stop), (count - 1) * step)
    return (
        concat([*deinterleave(even, step)[:1], cut(rest, 1)[0]]) if count > 1 else cut(rest, 1)[0]
    )


@rule("select_scatter slice_scatter")
def write_slice(call: Call):
    """A tensor with a slice of one axis written over."""
    labels, source = call.axes("self"), call.axes("src")
    dim = call.dim(len(labels), 0)
    if call.op == "select_scatter":
        index = int(call.get("index")) % labels[dim].size
        source = (*source[:dim], ONE, *source[dim:])
        place = take(labels[dim], index, index + 1)
    else:
        place = _stepped(labels[dim], *_bounds(call, labels[dim].size))
    for k, (label, other) in enumerate(zip(labels, source)):
        call.same(place if k == dim else label, other)
    return Axes(labels)


@rule(
    "split chunk split_with_sizes tensor_split unsafe_split unsafe_chunk unsafe_split_with_sizes "
    "split_with_sizes_copy split_copy hsplit vsplit",
    uniform=True,
)
def split_axis(call: Call):
    """Cut along an axis into the sizes of the results."""
    value = call.get("self")
    rank = len(call.shapes[0])
    dim = call.dim(rank, {"hsplit": min(1, rank - 1)}.get(call.op, 0))
    counts = [shape[dim] for shape in call.shapes]
    if isinstance(value, Unstacked) and value.axis == dim:
        ends = list(itertools.accumulate(counts))
        return [unstacked(dim, value.slices[end - size : end]) for end, size in zip(ends, counts)]

    def pieces(labels: Labels) -> list[Labels]:
        parts = split(labels[dim], counts)
        return [(*labels[:dim], part, *labels[dim + 1 :]) for part in parts]

    if isinstance(value, Unstacked):
        columns = zip(*map(pieces, value.slices))
        return [Unstacked(value.axis, column) for column in columns]
    return [Axes(piece) for piece in pieces(flat(value))]
