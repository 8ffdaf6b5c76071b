"""Whether two networks can be matched: real weights of one kind, on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import SpecError, WeightsError
from ..symmetry import PermutationSpec
from ..weights import State, Weights, check_finite


def comparable(
    spec: PermutationSpec, *networks: Weights, names: Sequence[str] = ("a", "b")
) -> list[State]:
    """Return the parameters that the spec permutes, of each network, if they can be compared.

    Args:
        names: what an error calls each network.

    Raises:
        SpecError: the spec permutes no parameter, or one is missing or has another size.
        WeightsError: weights that are not real floating numbers, hold NaN or infinity, or are of
            two devices or dtypes.
    """
    if not isinstance(spec, PermutationSpec):
        raise SpecError(f"a PermutationSpec comes first, (spec, a, b), not a {type(spec).__name__}")
    moving = [
        name
        for name in spec.axes
        if name not in spec.buffers
        and any(leaf.name in spec.groups for piece in spec.pieces[name] for leaf in piece.leaves)
    ]
    if not moving:
        nothing = "permutes buffers only" if spec.groups else "has no groups, nothing to reorder"
        raise SpecError(f"the spec {nothing}: there are no parameters to match")
    states: list[State] = []
    for called, network in zip(names, networks):
        whole = spec.validate(network, of=f"weights of {called}")
        states.append({name: whole[name] for name in moving})
        for name, x in states[-1].items():
            if not x.is_floating_point():
                raise WeightsError(f"{name} of {called} is {x.dtype}: only real floating-point "
                                   "weights can be matched")  # fmt: skip
            other = states[0][name]
            if x.device != other.device:
                raise WeightsError(f"{name} is on {other.device} in {names[0]} and on {x.device} "
                                   f"in {called}: move both to one device")  # fmt: skip
            if x.dtype != other.dtype:
                raise WeightsError(f"{name} is {other.dtype} in {names[0]} and {x.dtype} in "
                                   f"{called}: cast one of them")  # fmt: skip
            check_finite(x, f"{name} of {called}")
    return states


def working_dtype(state: Mapping[str, Tensor]) -> torch.dtype:
    """Return what is computed in: float64 if a tensor is, float32 for all else, halves included."""
    wide = any(x.dtype == torch.float64 for x in state.values() if isinstance(x, Tensor))
    return torch.float64 if wide else torch.float32
