"""The rule for convolutions of every kind."""

from __future__ import annotations

from typing import Any

from ..axis_structure import Reason
from ..labels import fix, normal, product
from ..unification import factor
from .base import Call, rule
from .contraction import SIZES
from .values import Axes


@rule(
    "conv1d conv2d conv3d convolution _convolution conv_transpose1d conv_transpose2d "
    "conv_transpose3d"
)
def convolution(call: Call):
    """Channels are contracted within each group; a kernel's positions stay, and so do those it
    slides over (if it is not 1).
    """
    x, weight = call.axes("input"), call.axes("weight")
    groups, spatial = int(call.get("groups", 1)), len(weight) - 2
    transposed = "transpose" in call.op or bool(call.get("transposed", False))
    before, channels, field = x[: -spatial - 1], x[-spatial - 1], x[-spatial:]
    group, inside = factor(channels, (groups, channels.size // groups), SIZES)
    if transposed:
        call.same(weight[0], product([normal(group), normal(inside)]))
        outside = weight[1]
    else:
        call.same(weight[1], inside)
        blocks, outside = factor(weight[0], (groups, weight[0].size // groups), SIZES)
        call.same(blocks, group)
    group, inside, outside = normal(group), normal(inside), normal(outside)
    for label in weight[2:]:
        fix(label, Reason(call.name, text="are the positions of a kernel", expected=True))
    call.seen(*before, group, inside, outside)
    call.read("input", x, [len(before)])
    out = normal(product([group, outside]))
    for bias in call.optional("bias"):
        call.same(out, bias[0])
    stride, padding, extra = (
        _each(call.get(name), spatial, default)
        for name, default in (("stride", 1), ("padding", 0), ("output_padding", 0))
    )
    slid = []
    for k, label in enumerate(field):
        if weight[2 + k].size == 1 and (stride[k], padding[k], extra[k]) == (1, 0, 0):
            slid.append(normal(label))
        else:
            call.fix(label, "which works on neighbours")
            slid.append(call.fixed(call.shape[len(call.shape) - spatial + k]))
    return Axes((*before, normal(out), *slid))


def _each(value: Any, count: int, default: int) -> list[int]:
    if value is None or value == []:
        return [default] * count
    if isinstance(value, str):
        return [1 if value == "same" else 0] * count
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return values * count if len(values) == 1 else values
