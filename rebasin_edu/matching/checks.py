"""What is checked before two networks are matched, and the errors when they cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..errors import SpecError, WeightsError
from ..symmetry import PermutationSpec, Weights


def checked(spec: PermutationSpec, networks: Mapping[str, Weights]) -> dict[str, dict[str, Tensor]]:
    """The tensors that the spec permutes, of each network, once they are known to be comparable.

    Args:
        spec: the symmetries.
        networks: what to call each network in an error → its weights; at least one.

    Returns:
        For each network, name → tensor, buffers and tensors without a group left out.

    Raises:
        SpecError: the spec has no groups, a parameter is missing or has another size.
        WeightsError: integer, boolean or complex weights; two devices or dtypes.
        WeightsError: a NaN or an infinity; names the tensor.
    """
    if not spec.groups:
        raise SpecError(
            "the spec has no groups: there is nothing that may be reordered, so nothing to match"
        )
    names = [
        name
        for name in spec.axes
        if name not in spec.buffers
        and any(leaf.name in spec.groups for piece in spec.pieces[name] for leaf in piece.leaves)
    ]
    if not names:
        raise SpecError("the spec permutes buffers only: there are no parameters to match")
    states = {}
    for who, weights in networks.items():
        whole = spec.validate(weights, of=f"weights of {who}")
        states[who] = {name: whole[name] for name in names}
    first = next(iter(states))
    for who, state in states.items():
        for name, tensor in state.items():
            if not tensor.is_floating_point():
                raise WeightsError(
                    f"{name} of {who} is {tensor.dtype}: only real floating-point weights can be matched"
                )
            other = states[first][name]
            if tensor.device != other.device:
                raise WeightsError(
                    f"{name} is on {other.device} in {first} and on {tensor.device} in {who}: move both to one device"
                )
            if tensor.dtype != other.dtype:
                raise WeightsError(
                    f"{name} is {other.dtype} in {first} and {tensor.dtype} in {who}: cast one of them"
                )
            if (
                not torch.isfinite(tensor.sum(dtype=torch.float32))
                and not torch.isfinite(tensor).all()
            ):
                count = int((~torch.isfinite(tensor)).sum())
                raise WeightsError(
                    f"{name} of {who} holds {count} NaN or infinite values of {tensor.numel()}"
                )
    return states


def working_dtype(tensors: Iterable[Tensor]) -> torch.dtype:
    """What is computed in: float64 where a tensor is float64, float32 for all else (half precision
    included).
    """
    return (
        torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    )
