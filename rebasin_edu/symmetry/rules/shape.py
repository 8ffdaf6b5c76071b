"""Rules for what moves whole axes without computing: reshape, permute, expand, concatenate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..labels import ONE, concat, fresh, product
from .base import Call, GiveUp, rule
from .reshape import asked_unstacked, permutation_of, reshape, runs
from .values import Axes, Labels, Uniform, Unstacked, Value, flat, sizes, unstacked


def _labelled(value: Value) -> Axes | Unstacked:
    """A value with labels: a constant takes new ones."""
    return value if isinstance(value, Unstacked) else Axes(flat(value))


@rule(
    "view reshape _unsafe_view flatten unflatten reshape_as view_as ravel _reshape_alias view_copy",
    uniform=True,
)
def view(call: Call):
    if "dtype" in call.arguments:
        raise GiveUp("other numbers from the same bits")
    value = _labelled(call.get("self"))
    for labels in value.slices if isinstance(value, Unstacked) else (value.labels,):
        for left, right in runs(sizes(value), call.shape):
            if len(left) > 1 and len(right) > 1:  # for a moment the whole run is one axis
                others = [label for k, label in enumerate(labels) if k not in left]
                call.seen(*others, product(labels[k] for k in left))
    return reshape(value, sizes(value), call.shape, asked_unstacked(call.node))


@rule("view_as_real view_as_complex")
def complex_parts(call: Call):
    """A last axis for the real and the imaginary part, in this order."""
    labels = call.axes("self")
    if call.op == "view_as_real":
        return Axes((*labels, call.fixed(2)))
    call.fix(labels[-1], "which makes complex numbers of them")
    return Axes(labels[:-1])


@rule("unsqueeze squeeze atleast_1d atleast_2d", uniform=True)
def ones(call: Call):
    """Axes of size 1 come or go."""
    value = _labelled(call.get("self"))
    shape = sizes(value)
    rank = len(shape)
    kept: list[int | None] = list(range(rank))
    if call.op == "unsqueeze":
        kept.insert(int(call.get("dim")) % (rank + 1), None)
    elif call.op.startswith("atleast"):
        kept = [*[None] * (len(call.shape) - rank), *kept]
    else:
        dims = call.dims(rank) if "dim" in call.arguments else range(rank)
        kept = [k for k in range(rank) if not (k in dims and shape[k] == 1)]
    return pick(value, kept)


@rule(
    "permute transpose swapaxes swapdims t numpy_T mT mH matrix_H adjoint movedim moveaxis "
    "permute_copy transpose_copy",
    uniform=True,
)
def permute(call: Call):
    value = _labelled(call.get("self"))
    arguments = [call.get(name) for name in call.arguments if name != "self"]
    return pick(value, permutation_of(call.op, arguments, len(sizes(value))))


def pick(value: Axes | Unstacked, order: Sequence[int | None]) -> Axes | Unstacked:
    """The axes of a value in another order; None is a new one of size 1."""

    def picked(labels: Labels) -> Labels:
        return tuple(ONE if k is None else labels[k] for k in order)

    if isinstance(value, Unstacked):
        return Unstacked(list(order).index(value.axis), tuple(map(picked, value.slices)))
    return Axes(picked(value.labels))


@rule("expand expand_as broadcast_to repeat tile expand_copy", uniform=True)
def expand(call: Call):
    """New indices along an axis all hold the same: they fit any order. ``repeat`` puts copies side
    by side.
    """
    value = call.get("self")
    new = len(call.shape) - len(sizes(value))
    if isinstance(value, Unstacked) and len(value.slices) == call.shape[value.axis + new]:
        axis = value.axis + new
        shape = [1 if k == axis else size for k, size in enumerate(call.shape)]
        return Unstacked(axis, tuple(_repeated(labels, shape) for labels in value.slices))
    return Axes(_repeated(flat(value), call.shape))


def _repeated(labels: Labels, shape: Sequence[int]) -> Labels:
    labels = (ONE,) * (len(shape) - len(labels)) + labels
    copies = [size // label.size if label.size else 1 for label, size in zip(labels, shape)]
    return tuple(
        label if count == 1 else product([fresh(count), label])
        for label, count in zip(labels, copies)
    )


@rule("repeat_interleave", uniform=True)
def repeat_interleave(call: Call):
    if not isinstance(call.get("repeats"), int):
        if not call.has("self"):
            return call.all_fixed(call.shape)
        labels = list(call.axes("self"))
        dim = call.dim(len(labels), 0)
        for label in (labels[dim], *flat(call.get("repeats"))):
            call.fix(label, "which repeats each as often as a number says")
        labels[dim] = call.fixed(call.shape[dim])
        return Axes(tuple(labels))
    labels = list(call.axes("self"))
    if call.get("dim") is None:
        raise GiveUp("all axes in one")
    dim = call.dim(len(labels))
    labels[dim] = product([labels[dim], fresh(int(call.get("repeats")))])
    return Axes(tuple(labels))


@rule("cat concat concatenate")
def cat(call: Call):
    values = [value for value in call.get("tensors") if math.prod(sizes(value))]
    dim = call.dim(len(call.shape), 0)
    beside = [flat(value)[dim] for value in values if not isinstance(value, Uniform)]
    tensors = []
    for value in values:
        labels = flat(value)
        if isinstance(value, Uniform):
            labels = (*labels[:dim], call.padding(labels[dim].size, *beside), *labels[dim + 1 :])
        tensors.append(labels)
    return _cat(call, tensors, dim)


def _cat(call: Call, tensors: Sequence[Labels], dim: int) -> Value:
    if len(tensors) > 1 and all(labels[dim].size == 1 for labels in tensors):
        return unstacked(dim, tensors)
    for labels in tensors[1:]:
        for k in range(len(labels)):
            if k != dim:
                call.same(tensors[0][k], labels[k])
    joined = concat([labels[dim] for labels in tensors])
    return Axes((*tensors[0][:dim], joined, *tensors[0][dim + 1 :]))


@rule("vstack row_stack hstack dstack column_stack")
def stack_along(call: Call):
    """Like ``cat``, with missing axes of size 1 added first."""
    depth, dim = {"dstack": (3, 2), "hstack": (1, 1), "column_stack": (2, 1)}.get(call.op, (2, 0))
    tensors = []
    for labels in map(flat, call.get("tensors")):
        if call.op == "column_stack" and len(labels) == 1:
            labels = (*labels, ONE)
        labels = (ONE,) * (min(depth, 2) - len(labels)) + labels
        tensors.append(labels + (ONE,) * (depth - len(labels)))
    return _cat(call, tensors, min(dim, len(tensors[0]) - 1))


@rule("stack")
def stack(call: Call):
    dim = call.dim(len(call.shape), 0)
    tensors = [flat(value) for value in call.get("tensors")]
    return unstacked(dim, [(*labels[:dim], ONE, *labels[dim:]) for labels in tensors])


@rule("diagonal diagonal_copy linalg_diagonal trace")
def diagonal(call: Call):
    """Two axes of one matrix become one."""
    labels = call.axes("self")
    default = -2 if call.op == "linalg_diagonal" else 0
    names = (("dim1", default), ("dim2", default + 1))
    pair = [int(call.get(name, k)) % len(labels) for name, k in names]
    a, b = (labels[k] for k in pair)
    if call.get("offset", 0) or a.size != b.size:
        raise GiveUp("beside the main diagonal of a square matrix")
    call.same(a, b)
    rest = tuple(label for k, label in enumerate(labels) if k not in pair)
    return Axes(rest if call.op == "trace" else (*rest, a))


@rule("diag_embed")
def diagonal_matrix(call: Call):
    labels = call.axes("self")
    if (call.get("offset", 0), call.get("dim1", -2), call.get("dim2", -1)) != (0, -2, -1):
        raise GiveUp("into other axes than the last two")
    return Axes((*labels, labels[-1]))


@rule("channel_shuffle native_channel_shuffle", uniform=True)
def channel_shuffle(call: Call):
    labels, groups = call.axes("self"), int(call.get("groups"))
    shape = [label.size for label in labels]
    apart = [shape[0], groups, shape[1] // groups, *shape[2:]]
    order = [0, 2, 1, *range(3, len(apart))]
    moved = pick(reshape(Axes(labels), shape, apart), order)
    return reshape(moved, [apart[k] for k in order], shape)
