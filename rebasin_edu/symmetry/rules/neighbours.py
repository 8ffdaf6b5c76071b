"""Rules for what works on neighbours: pooling, padding, resizing, windows, pixels."""

from __future__ import annotations

import functools

from ..axis_structure import Reason
from ..labels import concat, normal, product, take
from ..unification import factor
from .base import Call, rule
from .values import Axes, Labels

PIXELS = Reason(text="reach pixels that do not fit them")
POOLS = (
    "max_pool# max_pool#_with_indices avg_pool# adaptive_max_pool# adaptive_avg_pool# "
    "_adaptive_avg_pool# fractional_max_pool# max_unpool# lp_pool# reflection_pad# "
    "replication_pad# upsample_nearest# _upsample_nearest_exact# upsample_linear# "
    "upsample_bilinear# upsample_bicubic# upsample_trilinear# _upsample_bilinear#_aa "
    "_upsample_bicubic#_aa"
)


def _pool(call: Call, spatial: int):
    """The last axes are worked on by neighbours; only where one is pooled as a whole its order does
    not matter. What is pooled with its indices keeps them for the unpooling.
    """
    labels = list(call.axes("self" if "self" in call.arguments else "input"))
    for indices in call.optional("indices"):
        for label, other in zip(labels, indices):
            call.same(label, other)
    for k in range(len(labels) - spatial, len(labels)):
        if call.shape[k] != 1 or not call.op.startswith("adaptive_"):
            call.fix(labels[k], "which works on neighbours")
        labels[k] = call.fixed(call.shape[k])
    return Axes(tuple(normal(label) for label in labels))


for _spatial in (1, 2, 3):
    rule(POOLS.replace("#", f"{_spatial}d"))(functools.partial(_pool, spatial=_spatial))


@rule("pad constant_pad_nd")
def pad(call: Call):
    """Positions are added at the ends (or cut off); all equal if constant, else copies that keep
    the axis as it is.
    """
    labels = list(call.axes("self"))
    amounts = call.get("pad")
    for k in range(len(amounts) // 2):
        axis, (before, after) = len(labels) - 1 - k, amounts[2 * k : 2 * k + 2]
        if not before and not after:
            continue
        if call.get("mode", "constant") != "constant":
            call.fix(labels[axis], "which copies neighbours")
            labels[axis] = call.fixed(call.shape[axis])
            continue
        kept = take(labels[axis], max(0, -before), labels[axis].size - max(0, -after))
        ends = [call.padding(size, kept) if size > 0 else concat(()) for size in (before, after)]
        labels[axis] = concat([ends[0], kept, ends[1]])
    return Axes(tuple(labels))


@rule("grid_sampler grid_sampler_2d grid_sampler_3d")
def grid_sampler(call: Call):
    labels, grid = call.axes("input"), call.axes("grid")
    call.same(labels[0], grid[0])
    for label in labels[2:]:
        call.fix(label, "which works on neighbours")
    call.fix(grid[-1])
    return Axes((*labels[:2], *grid[1:-1]))


@rule("affine_grid_generator")
def affine_grid(call: Call):
    """Where a transformed image looks: a place for each pixel, for each matrix."""
    matrices = call.axes("theta")
    for label in matrices[1:]:
        call.fix(label)
    return Axes((matrices[0], *(call.fixed(size) for size in call.shape[1:])))


@rule("pixel_shuffle")
def pixel_shuffle(call: Call):
    *before, channels, height, width = call.axes("self")
    r = int(call.get("upscale_factor"))
    channels, down, across = factor(channels, (channels.size // (r * r), r, r), PIXELS)
    for label in (down, across):
        call.fix(label, "which makes pixels of them")
    height, width = product([normal(height), normal(down)]), product([width, normal(across)])
    return Axes((*before, channels, height, width))


@rule("pixel_unshuffle")
def pixel_unshuffle(call: Call):
    *before, channels, height, width = call.axes("self")
    r = int(call.get("downscale_factor"))
    height, down = factor(height, (height.size // r, r), PIXELS)
    width, across = factor(width, (width.size // r, r), PIXELS)
    return Axes((*before, product([channels, normal(down), normal(across)]), height, width))


@rule("im2col unfold col2im")
def unfold(call: Call):
    """Windows: ``im2col`` gives channels × positions in the window; the images' own axes stay."""
    labels = call.axes("self")
    if call.op == "unfold":
        return _windows(call, labels)
    if call.op == "im2col":
        for label in labels[-2:]:
            call.fix(label, "which works on neighbours")
        inside = call.fixed(call.shape[-2] // labels[-3].size)
        return Axes((*labels[:-3], product([labels[-3], inside]), call.fixed(call.shape[-1])))
    *before, columns, positions = labels
    channels, inside = factor(columns, (call.shape[-3], columns.size // call.shape[-3]), PIXELS)
    for label in (inside, positions):
        call.fix(label, "which works on neighbours")
    return Axes((*before, channels, call.fixed(call.shape[-2]), call.fixed(call.shape[-1])))


def _windows(call: Call, labels: Labels) -> Axes:
    dim = call.dim(len(labels), name="dimension")
    call.fix(labels[dim], "which works on neighbours")
    here = call.fixed(call.shape[dim])
    return Axes((*labels[:dim], here, *labels[dim + 1 :], call.fixed(call.shape[-1])))
