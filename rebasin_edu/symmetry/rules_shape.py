"""Rules for what moves entries without computing: reshape, permute, cut, concatenate, expand, index."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import fx

from .axes import Woven
from .labels import ONE, Label, atoms, concat, cut, factor, fresh, in_rows, normal, product, unify, unweave, woven
from .labels import rows as cut_rows
from .operators import Axes, Call, Labels, Rows, Uniform, Value, base_name, flat, rule, shapes_of, sizes, take, together

WHY = "reach a reshape that does not fit them"


# ---------------------------------------------------------------------------------------------------------------- reshape


def runs(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Pair the shortest runs of old and new axes with equal products; axes of size 1 belong to none."""
    old_axes, new_axes = [k for k, n in enumerate(old) if n != 1], [k for k, n in enumerate(new) if n != 1]
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


def reshape(value: Axes | Rows, old: Sequence[int], new: Sequence[int], wanted: int | None = None) -> Value:
    """The same entries in another shape. The new axis ``wanted`` is told apart in rows, others only where nothing is lost."""
    pairs = runs(old, new)
    if isinstance(value, Rows):
        for left, right in pairs:
            if left == [value.axis] and len(right) == 1:
                within = [1 if k == value.axis else n for k, n in enumerate(old)]
                shape = [1 if k == right[0] else n for k, n in enumerate(new)]
                return Rows(right[0], tuple(_plain(row, within, shape) for row in value.rows))
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
    return together(axis, found)


def _plain(labels: Labels, old: Sequence[int], new: Sequence[int]) -> Labels:
    found: list[Label] = [ONE] * len(new)
    for left, right in runs(old, new):
        for k, label in zip(right, factor(product(normal(labels[k]) for k in left), [new[k] for k in right], WHY)):
            found[k] = label
    return tuple(found)


def _free_row(whole: Label, sizes: list[int]) -> int | None:
    """Which of the new axes may be told apart at no loss: the label is cut (or woven) like that already."""
    if in_rows(whole, sizes[0]):
        return 0
    return len(sizes) - 1 if isinstance(whole, Woven) and len(whole.parts) == sizes[-1] else None


def _split_rows(whole: Label, sizes: list[int], at: int) -> list[list[Label]]:
    """For each index of axis ``at`` of the new sizes, the labels of all of them (that one with size 1)."""
    count, before, after = sizes[at], sizes[:at], sizes[at + 1 :]
    if math.prod(after) == 1:
        parts = unweave(whole, count, WHY)
        return [[*factor(part, before, WHY), ONE, *[ONE] * len(after)] for part in parts]
    outer, inner = factor(whole, (math.prod(before), count * math.prod(after)), WHY)
    parts = cut_rows(inner, count)
    return [[*factor(outer, before, WHY), ONE, *factor(part, after, WHY)] for part in parts]


def _merge(value: Rows, run: list[int]) -> Axes:
    """Rows whose axis disappears in a run of axes: next to others they concatenate, inside of others they weave."""
    others = [k for k in range(len(value.rows[0])) if k not in run]
    for row in value.rows[1:]:
        for k in others:
            unify(value.rows[0][k], row[k])
    before, after = [k for k in run if k < value.axis], [k for k in run if k > value.axis]
    outers = [product(normal(row[k]) for k in before) for row in value.rows]
    inners = [product(normal(row[k]) for k in after) for row in value.rows]
    labels = list(value.rows[0])
    if inners[0].size == 1:
        merged = woven(outers)
    else:
        for outer in outers[1:]:
            unify(outers[0], outer)
        merged = product([normal(outers[0]), concat([normal(inner) for inner in inners])])
    for k in run:
        labels[k] = ONE
    labels[run[0]] = merged
    return Axes(tuple(labels))


def asked_in_rows(node: fx.Node) -> int | None:
    """The axis of this node's value whose indices are taken out one by one further on (``select``, ``unbind``)."""
    shape = shapes_of(node)[0]
    return next((axis for axis, size in enumerate(shape) if size > 1 and _taken_apart(node, axis)), None)


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
            moved = next((right[0] for left, right in runs(before, shape) if left == [axis] and len(right) == 1), None)
        elif op in ("cumsum", "softmax", "flip", "roll"):
            moved = None
        if moved is not None and _taken_apart(user, moved):
            return True
    return False


def _moved(user: fx.Node, rank: int, axis: int, before: tuple[int, ...], shape: tuple[int, ...]) -> int | None:
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


# ------------------------------------------------------------------------------------------------------------------ rules


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "reshape_as", "view_as", "ravel", "_reshape_alias")
def view(call: Call):
    value = call.get("self")
    if isinstance(value, Uniform):
        return Uniform(call.shape)
    if "dtype" in call.arguments:
        return call.unknown()[0]
    return reshape(value, sizes(value), call.shape, asked_in_rows(call.node))


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
    return _pick(value, permutation_of(call.op, [v for k, v in call.arguments.items() if k != "self"], rank))


def _pick(value: Axes | Rows, order: Sequence[int | None]) -> Value:
    def pick(labels: Labels) -> Labels:
        return tuple(ONE if k is None else labels[k] for k in order)

    if isinstance(value, Rows):
        return Rows(list(order).index(value.axis), tuple(pick(row) for row in value.rows))
    return Axes(pick(value.labels))


@rule("expand", "expand_as", "broadcast_to", "repeat", "tile")
def expand(call: Call):
    """New indices along an axis all hold the same: they fit any order. ``repeat`` puts copies side by side."""
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
        return together(dim, tensors)
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
    return together(dim, [(*labels[:dim], ONE, *labels[dim:]) for labels in tensors])


@rule("unbind", "select")
def unbind(call: Call):
    value = call.get("self")
    if isinstance(value, Uniform):
        return Uniform(call.shape) if call.op == "select" else [Uniform(shape) for shape in call.shapes]
    dim = int(call.get("dim", 0)) % len(sizes(value))
    if isinstance(value, Rows) and value.axis == dim:
        found = [tuple(label for k, label in enumerate(row) if k != dim) for row in value.rows]
        return Axes(found[int(call.get("index"))]) if call.op == "select" else [Axes(row) for row in found]
    labels = flat(value)
    if call.op == "select":
        index = int(call.get("index")) % labels[dim].size
        take(labels[dim], index, index + 1)
    else:
        cut_rows(labels[dim], labels[dim].size)
    left = Axes(tuple(label for k, label in enumerate(labels) if k != dim))
    return left if call.op == "select" else [left for _ in call.shapes]


@rule("slice", "narrow")
def slicing(call: Call):
    value = call.get("self")
    if isinstance(value, Uniform):
        return Uniform(call.shape)
    dim = int(call.get("dim", 0)) % len(sizes(value))
    told, size = isinstance(value, Rows) and value.axis == dim, sizes(value)[dim]
    if call.op == "narrow":
        start, step = int(call.get("start")) % size if size else 0, 1
        stop = start + int(call.get("length"))
    else:
        start, stop, step = slice(call.get("start"), call.get("end"), call.get("step", 1)).indices(size)
    if told:
        return together(dim, value.rows[start:stop:step])

    def sliced(labels: Labels) -> Labels:
        return (*labels[:dim], _stepped(labels[dim], start, stop, step), *labels[dim + 1 :])

    if (start, stop, step) == (0, size, 1):
        return value
    if isinstance(value, Rows):
        return Rows(value.axis, tuple(sliced(row) for row in value.rows))
    return Axes(sliced(value.labels))


def _stepped(label: Label, start: int, stop: int, step: int) -> Label:
    """Every ``step``-th position from ``start`` on: a strand of the weave that the axis is."""
    count = len(range(start, stop, step))
    if step == 1 or not count:
        return take(label, start, stop) if count else concat(())
    if label.size % step == 0:
        return take(unweave(label, step)[start % step], start // step, start // step + count)
    even, rest = cut(take(label, start, stop), (count - 1) * step)
    return concat([*unweave(even, step)[:1], cut(rest, 1)[0]]) if count > 1 else cut(rest, 1)[0]


@rule("split", "chunk", "split_with_sizes", "tensor_split", "unsafe_split", "unsafe_chunk", "split_with_sizes_copy", "hsplit")
def split(call: Call):
    """Cut along an axis into the sizes of the results."""
    value = call.get("self")
    if isinstance(value, Uniform):
        return [Uniform(shape) for shape in call.shapes]
    dim = int(call.get("dim", 0)) % len(call.shapes[0])
    counts = [shape[dim] for shape in call.shapes]
    if isinstance(value, Rows) and value.axis == dim:
        ends = list(itertools.accumulate(counts))
        return [together(dim, value.rows[end - size : end]) for end, size in zip(ends, counts)]

    def pieces(labels: Labels) -> list[Labels]:
        found, rest = [], labels[dim]
        for size in counts:
            piece, rest = cut(rest, size)
            found.append((*labels[:dim], piece, *labels[dim + 1 :]))
        return found

    if isinstance(value, Rows):
        columns = [pieces(row) for row in value.rows]
        return [Rows(value.axis, tuple(column[k] for column in columns)) for k in range(len(counts))]
    return [Axes(piece) for piece in pieces(value.labels)]


@rule("index_select", "embedding", "embedding_bag", "_embedding_bag")
def lookup(call: Call):
    """Rows picked by number: that axis stays as it is."""
    table = call.axes("self" if call.op == "index_select" else "weight")
    index = call.axes("index" if call.op == "index_select" else "indices")
    dim = int(call.get("dim", 0)) % max(1, len(table)) if call.op == "index_select" else 0
    call.fix(table[dim], "which picks them by number")
    if call.op.endswith("embedding_bag"):
        out = Axes((call.fixed(call.shape[0]), *table[1:]))
        return out if len(call.shapes) == 1 else [out, *(Axes(tuple(call.fixed(n) for n in s)) for s in call.shapes[1:])]
    return Axes((*table[:dim], *(index or (ONE,) * (call.op == "index_select")), *table[dim + 1 :]))


@rule("index")
def index(call: Call):
    """Indexed axes stay; the result's axes stand where the first index was, or in front if others lie between the indices."""
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
    return Axes((*before, channels, product([normal(height), normal(down)]), product([normal(width), normal(across)])))


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
    return reshape(_pick(rowwise, [0, 2, 1, *range(3, len(apart))]), [apart[k] for k in (0, 2, 1, *range(3, len(apart)))], shape)


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
