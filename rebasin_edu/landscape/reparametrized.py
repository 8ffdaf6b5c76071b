"""Weights that are computed from others: what they need to stay right in an average of networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import WeightsError

STEPS = 200  # of power iteration at most; a gap of 5 % between singular values needs about 140
Tensors = Mapping[str, Tensor]


def iterate_spectral_norms(state: dict[str, Tensor], start: Tensors) -> None:
    """Find the singular vectors of spectrally normalised weights anew, in place.

    ``torch.nn.utils.spectral_norm``, the old one and the parametrization, keeps them as buffers and
    in eval mode takes them as they are. An average of two networks' vectors is no singular vector
    of the averaged weight, as an average of statistics is not its statistics.

    Args:
        start: a state dict whose vectors are begun at.

    Ref: Miyato et al. (2018), algorithm 1.
    """
    for weight, left, right in _spectral_norms(state):
        w, u = state[weight].double(), start[left].double()
        axis = 0 if w.shape[0] == len(u) else 1  # a transposed convolution has its outputs there
        matrix = w.movedim(axis, 0).flatten(1)
        for _ in range(STEPS):
            v = F.normalize(matrix.T @ u, dim=0)
            before, u = u, F.normalize(matrix @ v, dim=0)
            if float((u - before).abs().max()) < 1e-7:
                break
        state[left], state[right] = u.to(state[left]), v.to(state[right])


def check_masks(states: Sequence[Tensors]) -> None:
    """Raise a ``WeightsError`` if two networks are pruned by different masks."""
    for name, mask in states[0].items():
        weight = name.removesuffix("_mask")
        if weight == name or f"{weight}_orig" not in states[0]:
            continue
        if any(not torch.equal(mask, state[name].to(mask.device)) for state in states):
            raise WeightsError(
                f"the networks are pruned by different masks, {name}, whose mean is no mask: make "
                "the pruning permanent first, torch.nn.utils.prune.remove(module, "
                f"{weight.rpartition('.')[2]!r})"
            )


def _spectral_norms(state: Tensors) -> Iterator[tuple[str, str, str]]:
    """The names of each spectrally normalised weight and of its left and right singular vector."""
    for name in state:
        for left, right, original in (("_u", "_v", "_orig"), (".0._u", ".0._v", ".original")):
            place = name.removesuffix(left)
            if place != name and place + right in state and place + original in state:
                yield place + original, name, place + right
