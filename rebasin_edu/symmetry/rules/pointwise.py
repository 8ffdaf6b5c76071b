"""Rules for what works element by element, along an axis, or over one: functions, norms,
reductions, constants, pooling.
"""

from __future__ import annotations

import functools

from ..axis_structure import Concat
from ..unification import ONE, Label, chunks, concat, cut, factor, fresh, normal
from .base import Axes, Call, Labels, Uniform, Unstacked, flat, rule, take

THROUGH = (
    "alias clone contiguous detach dropout alpha_dropout feature_dropout feature_alpha_dropout native_dropout to _to_copy lift "
    "lift_fresh lift_fresh_copy conj resolve_conj resolve_neg real positive type_as bernoulli rrelu zero fill nan_to_num"
)
# element by element, but not all of them carry a tag that says so
POINTWISE = (
    "add sub rsub mul div true_divide floor_divide remainder fmod pow float_power sqrt square maximum minimum where copy lerp "
    "masked_fill gelu silu mish relu6 leaky_relu elu selu celu softplus softshrink hardshrink tanhshrink threshold logsigmoid "
    "log_sigmoid hardswish hardsigmoid hardtanh clamp clip addcmul addcdiv bitwise_not logical_not logical_and logical_or "
    "isclose isnan isinf xlogy expm1 __and__ __or__ __xor__"
)
CONSTANTS = "zeros ones full empty new_zeros new_ones new_full new_empty zeros_like ones_like full_like empty_like scalar_tensor"


@rule(*THROUGH.split())
def through(call: Call):
    return next((value for value in call.values()), None)


@rule(*CONSTANTS.split())
def constant(call: Call):
    return Uniform(call.shape)


@rule(*POINTWISE.split())
def pointwise(call: Call):
    values = call.values()
    if all(isinstance(value, Uniform) for value in values):
        return Uniform(call.shape)
    values = [value for value in values if not isinstance(value, Uniform)]
    rowwise = [value for value in values if isinstance(value, Unstacked)]
    if not rowwise:
        return Axes(call.broadcast([value.labels for value in values], call.shape))
    rank, count = len(call.shape), len(rowwise[0].slices)
    axis = rowwise[0].axis + rank - len(rowwise[0].slices[0])
    told = all(
        row.axis + rank - len(row.slices[0]) == axis and len(row.slices) == count for row in rowwise
    )
    if not told or call.shape[axis] != count:
        return Axes(call.broadcast([flat(value) for value in values], call.shape))
    shape = [1 if k == axis else size for k, size in enumerate(call.shape)]
    found = []
    for j in range(count):
        found.append(call.broadcast([_row(call, value, j, axis - rank) for value in values], shape))
    return Unstacked(axis, tuple(found))


def _row(call: Call, value: Axes | Unstacked, j: int, axis: int) -> Labels:
    """The labels of index ``j`` along ``axis`` (counted from the right) of a value that may not
    have that axis.
    """
    if isinstance(value, Unstacked):
        return value.slices[j]
    labels = list(value.labels)
    if len(labels) >= -axis and labels[axis].size != 1:
        labels[axis] = chunks(labels[axis], labels[axis].size)[j]
    return tuple(labels)


@rule("sum", "mean", "amax", "amin", "prod", "nansum", "nanmean", "norm", "linalg_vector_norm", "std", "var", "logsumexp", "all",
      "any", "count_nonzero", "median_none", "frobenius_norm", "aminmax", "var_mean", "std_mean")  # fmt: skip
def reduction(call: Call):
    """Over an axis: its order does not matter."""
    labels = call.axes("self")
    dims = call.dims("dim", len(labels))
    left = tuple(ONE if k in dims else label for k, label in enumerate(labels))
    kept = (
        left
        if call.get("keepdim", False)
        else tuple(label for k, label in enumerate(left) if k not in dims)
    )
    return Axes(kept) if len(call.shapes) == 1 else [Axes(kept) for _ in call.shapes]


@rule("max", "min", "median", "mode", "nanmedian", "kthvalue", "argmax", "argmin")
def indexed_reduction(call: Call):
    """Over an axis too, but the position that is found fixes it, if anyone asks for it."""
    if "other" in call.arguments and call.get("other") is not None:
        return pointwise(call)
    labels = call.axes("self")
    dims = call.dims("dim", len(labels))
    if call.op.startswith("arg") or (len(call.shapes) > 1 and call.used(1)):
        for dim in dims:
            call.fix(labels[dim], "which asks for positions along them")
    left = tuple(ONE if k in dims else label for k, label in enumerate(labels))
    kept = (
        left
        if call.get("keepdim", False)
        else tuple(label for k, label in enumerate(left) if k not in dims)
    )
    return Axes(kept) if len(call.shapes) == 1 else [Axes(kept) for _ in call.shapes]


@rule("sort", "topk", "msort")
def sorting(call: Call):
    """Sorted values do not know the old order, their indices do."""
    labels = list(call.axes("self"))
    dim = int(call.get("dim", 0 if call.op == "msort" else -1)) % max(1, len(labels))
    if len(call.shapes) > 1 and call.used(1):
        call.fix(labels[dim], "which asks for positions along them")
    labels[dim] = call.fixed(call.shape[dim])
    return (
        Axes(tuple(labels)) if len(call.shapes) == 1 else [Axes(tuple(labels)) for _ in call.shapes]
    )


@rule(
    "cumsum",
    "cumprod",
    "logcumsumexp",
    "cummax",
    "cummin",
    "flip",
    "fliplr",
    "flipud",
    "roll",
    "argsort",
    "renorm",
    "diff",
)
def ordered(call: Call):
    """Works along an axis in its order."""
    labels = list(call.axes("self"))
    for dim in call.dims("dims" if "dims" in call.arguments else "dim", len(labels)):
        call.fix(labels[dim])
        labels[dim] = call.fixed(call.shape[dim]) if call.op != "roll" else normal(labels[dim])
    return (
        Axes(tuple(labels)) if len(call.shapes) == 1 else [Axes(tuple(labels)) for _ in call.shapes]
    )


@rule("tril", "triu")
def triangle(call: Call):
    labels = call.axes("self")
    for label in labels[-2:]:
        call.fix(label)
    return Axes(labels)


@rule(
    "softmax",
    "log_softmax",
    "_softmax",
    "_log_softmax",
    "softmin",
    "special_softmax",
    "_safe_softmax",
)
def softmax(call: Call):
    labels = call.axes("self")
    dim = int(call.get("dim", -1)) % max(1, len(labels))
    call.seen(*(label for k, label in enumerate(labels) if k != dim))
    return Axes(labels)


@rule("glu")
def glu(call: Call):
    labels = list(call.axes("self"))
    dim = int(call.get("dim", -1)) % len(labels)
    half, gate = cut(labels[dim], labels[dim].size // 2)
    call.same(half, gate)
    labels[dim] = normal(half)
    return Axes(tuple(labels))


@rule("layer_norm", "rms_norm", "native_layer_norm", "_fused_rms_norm")
def layer_norm(call: Call):
    labels = call.axes("input")
    depth = len(call.get("normalized_shape"))
    for name in ("weight", "bias"):
        for own, label in zip(call.axes(name) or (), labels[len(labels) - depth :]):
            call.same(label, own)
    call.seen(*labels[: len(labels) - depth])
    return (
        Axes(labels)
        if len(call.shapes) == 1
        else [Axes(labels), *[Axes(labels[:-depth] + (ONE,) * depth)] * 2]
    )


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(call: Call):
    """A direction and a length for each index of one axis."""
    labels, lengths = call.axes("v"), call.axes("g")
    call.broadcast([labels, lengths], call.shape)
    call.seen(*lengths)
    return Axes(labels) if len(call.shapes) == 1 else [Axes(labels), Axes(lengths)]


@rule(
    "batch_norm",
    "native_batch_norm",
    "_native_batch_norm_legit_no_training",
    "instance_norm",
    "_batch_norm_no_update",
)
def batch_norm(call: Call):
    labels = call.axes("input")
    for name in ("weight", "bias", "running_mean", "running_var"):
        if (own := call.axes(name)) is not None:
            call.same(labels[1], own[0])
    call.seen(*(labels[:2] if call.op == "instance_norm" else labels[1:2]))
    return (
        Axes(labels)
        if len(call.shapes) == 1
        else [Axes(labels), *(Axes((labels[1],) * len(s)) for s in call.shapes[1:])]
    )


@rule("group_norm", "native_group_norm")
def group_norm(call: Call):
    """Each group of channels is normalised by itself: groups move as blocks; a concatenation is cut
    at the ends of blocks.
    """
    labels = list(call.axes("input"))
    count = int(call.get("num_groups", call.get("group")))
    blocks = into_blocks(labels[1], count)
    labels = [normal(label) for label in labels]
    for name in ("weight", "bias"):
        if (own := call.axes(name)) is not None:
            call.same(labels[1], own[0])
    call.seen(labels[0], normal(blocks))
    statistics = Axes((labels[0], normal(blocks)))
    return (
        Axes(tuple(labels))
        if len(call.shapes) == 1
        else [Axes(tuple(labels)), statistics, statistics]
    )


def into_blocks(label: Label, count: int) -> Label:
    """Cut an axis into ``count`` equal blocks and tie nothing that need not be: the label of the
    blocks.
    """
    width, found, chunk = label.size // count, [], []
    label = normal(label)
    for part in label.parts if isinstance(label, Concat) else (label,):
        while part.size:
            missing = width - sum(piece.size for piece in chunk) % width if chunk else 0
            head, part = cut(part, missing) if chunk else cut(part, part.size - part.size % width)
            if chunk:
                chunk.append(head)
                if sum(piece.size for piece in chunk) == width:
                    found, chunk = [*found, ONE], []
            else:
                if head.size:
                    found.append(factor(head, (head.size // width, width))[0])
                if part.size:
                    chunk, part = [part], concat(())
    return concat(found)


@rule("prelu", "_prelu_kernel")
def prelu(call: Call):
    labels, weight = call.axes("self"), call.axes("weight")
    if len(weight) == 1 and weight[0].size != 1:
        call.same(labels[1 if len(labels) > 1 else 0], weight[0])
    elif len(weight) > 1:
        call.broadcast([labels, weight], call.shape)
    return Axes(labels)


@rule("arange", "linspace", "logspace", "eye", "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "tril_indices",
      "triu_indices", "one_hot", "complex", "logit_table", "hann_window", "bartlett_window", "tensor")  # fmt: skip
def made(call: Call):
    """A constant with values of its own."""
    return Axes(tuple(call.fixed(size) for size in call.shape))


def _pool(call: Call, spatial: int):
    """The last axes are worked on by neighbours; only where one is pooled as a whole its order does
    not matter.
    """
    labels = list(call.axes("self" if "self" in call.arguments else "input"))
    for k in range(len(labels) - spatial, len(labels)):
        if call.shape[k] != 1 or not call.op.startswith("adaptive_"):
            call.fix(labels[k], "which works on neighbours")
        labels[k] = call.fixed(call.shape[k])
    return (
        Axes(tuple(labels)) if len(call.shapes) == 1 else [Axes(tuple(labels)) for _ in call.shapes]
    )


POOLS = (
    "max_pool# max_pool#_with_indices avg_pool# adaptive_max_pool# adaptive_avg_pool# _adaptive_avg_pool# fractional_max_pool# "
    "reflection_pad# replication_pad# upsample_nearest# _upsample_nearest_exact# upsample_linear# upsample_bilinear# "
    "upsample_bicubic# upsample_trilinear# _upsample_bilinear#_aa _upsample_bicubic#_aa"
)
for _spatial in (1, 2, 3):
    rule(*(name.replace("#", f"{_spatial}d") for name in POOLS.split()))(
        functools.partial(_pool, spatial=_spatial)
    )


@rule("pad", "constant_pad_nd")
def pad(call: Call):
    """Positions are added at the ends (or cut off); all equal if constant, else copies that keep
    the axis as it is.
    """
    labels = list(call.axes("self"))
    amounts = list(call.get("pad"))
    for k in range(len(amounts) // 2):
        axis, (before, after) = len(labels) - 1 - k, amounts[2 * k : 2 * k + 2]
        if not before and not after:
            continue
        if call.get("mode", "constant") != "constant":
            call.fix(labels[axis], "which copies neighbours")
            labels[axis] = call.fixed(call.shape[axis])
            continue
        kept = take(labels[axis], max(0, -before), labels[axis].size - max(0, -after))
        ends = [fresh(size) if size > 0 else concat(()) for size in (before, after)]
        labels[axis] = concat([ends[0], kept, ends[1]])
    return Axes(tuple(labels))


@rule("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sampler(call: Call):
    labels, grid = call.axes("input"), call.axes("grid")
    call.same(labels[0], grid[0])
    for label in labels[2:]:
        call.fix(label, "which works on neighbours")
    call.fix(grid[-1])
    return Axes((*labels[:2], *grid[1:-1]))


@rule("cosine_similarity", "pairwise_distance")
def similarity(call: Call):
    names = ("x1", "x2")
    shapes = [call.axes(name) for name in names]
    rank = max(len(s) for s in shapes)
    sizes = [
        max((s[k - rank].size for s in shapes if len(s) >= rank - k), default=1)
        for k in range(rank)
    ]
    labels = call.broadcast(shapes, sizes)
    dim = int(call.get("dim", 1 if call.op == "cosine_similarity" else -1)) % rank
    call.seen(*labels)
    return Axes(
        tuple(label for k, label in enumerate(labels) if k != dim or call.get("keepdim", False))
    )
