"""Weights in fewer bits, for networks that are stored with the package: half precision, or a byte a
weight.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import choose

PRECISIONS = ("byte", "half", "single")  # the smallest first
SCALE = ":scale"  # a weight in bytes has its scales beside it, under its name and this
LEVELS = 127


def pack(tensors: Mapping[str, Tensor], precision: str) -> dict[str, Tensor]:
    """Return the tensors of a network as they are stored; integers stay as they are.

    ``"half"`` rounds every float to 16 bits. ``"byte"`` stores a weight matrix or kernel ``(out,
    ...)`` as int8 and a scale for each output unit, whose largest weight is ±127; vectors are
    rounded to half.

    Raises:
        ValueError: the precision is unknown.
    """
    choose("precision", precision, PRECISIONS)
    packed = {}
    for name, tensor in tensors.items():
        if precision == "single" or not tensor.is_floating_point():
            packed[name] = tensor
        elif precision == "half" or tensor.dim() < 2:
            packed[name] = tensor.half()
        else:
            scale = (tensor.flatten(1).abs().amax(1) / LEVELS).clamp_min(
                torch.finfo(torch.float32).tiny
            )  # (out,)
            packed[name] = (tensor / _along_units(scale, tensor)).round().to(torch.int8)
            packed[name + SCALE] = scale
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that ``pack`` stored, under their names; bytes come back as float32."""
    tensors = {name: tensor for name, tensor in packed.items() if not name.endswith(SCALE)}
    for name in tensors:
        if name + SCALE in packed:
            tensors[name] = tensors[name] * _along_units(packed[name + SCALE], tensors[name])
    return tensors


def _along_units(scale: Tensor, like: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (like.dim() - 1))
