"""Rules for what works over an axis or along it: sums, sorts, transforms, softmax, norms."""

from __future__ import annotations

from ..axis_structure import Concat
from ..labels import ONE, Label, concat, cut, normal
from ..unification import factor
from .base import Call, rule
from .pointwise import pointwise
from .values import Axes, flat


@rule(
    "sum mean amax amin prod nansum nanmean norm linalg_vector_norm linalg_norm linalg_matrix_norm "
    "std var logsumexp special_logsumexp all any count_nonzero frobenius_norm nuclear_norm aminmax "
    "var_mean std_mean"
)
def reduction(call: Call):
    """Over an axis: its order does not matter."""
    labels = call.axes("A" if "A" in call.arguments else "self")
    return call.without(labels, call.dims(len(labels)))


@rule("max min median mode nanmedian kthvalue argmax argmin")
def indexed_reduction(call: Call):
    """Over an axis too, but the position that is chosen fixes it, if anyone asks for it."""
    if call.has("other"):
        return pointwise(call)
    labels = call.axes("self")
    dims = call.dims(len(labels))
    if call.op.startswith("arg") or (len(call.shapes) > 1 and call.used(1)):
        for dim in dims:
            call.fix(labels[dim], "which asks for positions along them")
    return call.without(labels, dims)


@rule("quantile nanquantile")
def quantile(call: Call):
    """A reduction for each of the quantiles asked for."""
    labels = call.axes("self")
    asked = flat(call.get("q")) if call.has("q") else ()
    return Axes((*asked, *call.without(labels, call.dims(len(labels))).labels))


@rule("sort topk msort")
def sorting(call: Call):
    """Sorted values do not know the old order, their indices do."""
    labels = list(call.axes("self"))
    dim = call.dim(len(labels), 0 if call.op == "msort" else -1)
    if len(call.shapes) > 1 and call.used(1):
        call.fix(labels[dim], "which asks for positions along them")
    labels[dim] = call.fixed(call.shape[dim])
    return Axes(tuple(labels))


@rule(
    "cumsum cumprod logcumsumexp cummax cummin flip fliplr flipud roll argsort diff renorm "
    "trapezoid cumulative_trapezoid rot90 bucketize searchsorted"
)
def ordered(call: Call):
    """Works along an axis in its order."""
    labels = list(call.axes("self"))
    if call.op in ("bucketize", "searchsorted", "trapezoid", "cumulative_trapezoid", "rot90"):
        for value in call.values():
            for label in flat(value):
                call.fix(label)
        return call.all_fixed(call.shape)
    dims = call.dims(len(labels), "dims" if "dims" in call.arguments else "dim")
    if call.op in ("fliplr", "flipud", "argsort", "diff") and "dim" not in call.arguments:
        dims = [{"fliplr": 1, "flipud": 0}.get(call.op, len(labels) - 1)]
    for dim in dims:
        call.fix(labels[dim])
        labels[dim] = call.fixed(call.shape[dim]) if call.op != "roll" else normal(labels[dim])
    return Axes(tuple(labels))


TRANSFORMS = "fft ifft rfft irfft hfft ihfft"
COMPLEX = " ".join(
    f"fft_{name}{axes}" for name in TRANSFORMS.split() for axes in ("", "2", "n") if name
)


@rule(f"{COMPLEX} fft_fftshift fft_ifftshift _fft_r2c _fft_c2r _fft_c2c")
def fourier(call: Call):
    """Mixes the axes it goes along; units on other axes stay free."""
    labels = list(call.axes("self"))
    rank = len(labels)
    if call.op.removeprefix("fft_") in TRANSFORMS.split():
        dims = [call.dim(rank)]
    elif call.op.endswith("2"):
        dims = call.dims(rank) if call.get("dim") else [rank - 2, rank - 1]
    elif call.get("s") and not call.get("dim"):
        dims = list(range(rank - len(call.get("s")), rank))
    else:
        dims = call.dims(rank)
    for dim in dims:
        call.fix(labels[dim])
        labels[dim] = call.fixed(call.shape[dim])
    return Axes(tuple(labels))


@rule("tril triu")
def triangle(call: Call):
    labels = call.axes("self")
    for label in labels[-2:]:
        call.fix(label)
    return Axes(labels)


@rule(
    "softmax log_softmax _softmax _log_softmax softmin special_softmax special_log_softmax "
    "_safe_softmax"
)
def softmax(call: Call):
    labels = call.axes("self")
    dim = call.dim(len(labels))
    call.seen(*(label for k, label in enumerate(labels) if k != dim))
    return Axes(labels)


@rule("glu")
def glu(call: Call):
    labels = list(call.axes("self"))
    dim = call.dim(len(labels))
    half, gate = cut(labels[dim], labels[dim].size // 2)
    call.same(half, gate)
    labels[dim] = normal(half)
    return Axes(tuple(labels))


@rule("layer_norm rms_norm native_layer_norm _fused_rms_norm")
def layer_norm(call: Call):
    labels = call.axes("input")
    depth = len(call.get("normalized_shape"))
    batch = labels[: len(labels) - depth]
    for vector in call.optional("weight", "bias"):
        for label, other in zip(labels[len(batch) :], vector):
            call.same(label, other)
    call.seen(*batch)
    statistics = Axes(batch + (ONE,) * depth)
    return [Axes(labels), *[statistics] * (len(call.shapes) - 1)]


@rule("_weight_norm _weight_norm_interface")
def weight_norm(call: Call):
    """A direction and a length for each index of one axis."""
    labels, lengths = call.axes("v"), call.axes("g")
    call.broadcast([labels, lengths], call.shape)
    call.seen(*lengths)
    return [Axes(labels), Axes(lengths)][: len(call.shapes)]


@rule(
    "batch_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
    "instance_norm _batch_norm_no_update _batch_norm_with_update"
)
def batch_norm(call: Call):
    labels = call.axes("input")
    for vector in call.optional("weight", "bias", "running_mean", "running_var"):
        call.same(labels[1], vector[0])
    call.seen(*(labels[:2] if call.op == "instance_norm" else labels[1:2]))
    return [Axes(labels), *(Axes((labels[1],) * len(shape)) for shape in call.shapes[1:])]


@rule("group_norm native_group_norm")
def group_norm(call: Call):
    """Each group of channels is normalised by itself: groups move as blocks; a concatenation is cut
    at the ends of blocks.
    """
    labels = list(call.axes("input"))
    count = int(call.get("num_groups", call.get("group")))
    blocks = _into_blocks(labels[1], count)
    labels = [normal(label) for label in labels]
    for vector in call.optional("weight", "bias"):
        call.same(labels[1], vector[0])
    call.seen(labels[0], normal(blocks))
    statistics = Axes((labels[0], normal(blocks)))
    return [Axes(tuple(labels)), *[statistics] * (len(call.shapes) - 1)]


def _into_blocks(label: Label, count: int) -> Label:
    """Cut an axis into ``count`` equal blocks and tie nothing that need not be: the label of the
    blocks.
    """
    width = label.size // count
    blocks: list[Label] = []
    chunk: list[Label] = []  # the pieces of a block that no part of the axis fills alone
    label = normal(label)
    for part in label.parts if isinstance(label, Concat) else (label,):
        while part.size:
            missing = width - sum(piece.size for piece in chunk) % width if chunk else 0
            head, part = cut(part, missing) if chunk else cut(part, part.size - part.size % width)
            if chunk:
                chunk.append(head)
                if sum(piece.size for piece in chunk) == width:
                    blocks, chunk = [*blocks, ONE], []
            else:
                if head.size:
                    blocks.append(factor(head, (head.size // width, width))[0])
                if part.size:
                    chunk, part = [part], concat(())
    return concat(blocks)


@rule("cosine_similarity pairwise_distance")
def similarity(call: Call):
    """A number for each pair of vectors along one axis."""
    pair = [call.axes("x1"), call.axes("x2")]
    rank = max(len(labels) for labels in pair)
    padded = [(ONE,) * (rank - len(labels)) + labels for labels in pair]
    labels = call.broadcast(pair, [max(a.size, b.size) for a, b in zip(*padded)])
    call.seen(*labels)
    return call.without(labels, [call.dim(rank, 1 if call.op == "cosine_similarity" else -1)])
