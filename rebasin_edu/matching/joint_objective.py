"""Activations and weights in one objective: correlations of units, and cosines of their weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..symmetry import PermutationSpec
from ..symmetry.axis_structure import Leaf, Product, Reason, Term
from ..weights import Weights
from .comparable import comparable, working_dtype
from .moments import Moments
from .objective import Key, Problem


def joint_problem(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    gains: Mapping[Key, Tensor],
    moments: Mapping[tuple[Key, tuple], Moments],
    weights: float,
) -> Problem:
    """Return the problem whose objective is the sum of similarities plus ``weights`` × cosines.

    Each unit's incoming weights are multiplied by the standard deviation of what they receive (so
    that a norm's scale counts where it acts) and divided by their norm: the inner product of two
    units is then a cosine, which can be added to a correlation. A similarity matrix ``C`` joins as
    one more tensor, ``C`` in A and the identity in B, whose inner product is ``sum_i C[i, p[i]]``.

    Args:
        gains: key → similarity of every unit of A and of B, summed over the sites.
        moments: what they were computed from.
    """
    dtype = working_dtype(comparable(spec, a)[0])
    spread: dict[Key, Tensor] = {}  # (networks, units): variances, summed over the sites
    for (key, _), each in moments.items():
        spread[key] = spread.get(key, torch.zeros_like(each.var)) + each.var
    axes: dict[str, tuple[Term, ...]] = {}
    first, second = (
        {
            name: _cosines(x.to(dtype), spec.axes[name], number, spread)
            for name, x in state.items()
            if x.ndim > 1
        }
        for number, state in enumerate(comparable(spec, a, b))
    )
    first = {name: weights * x for name, x in first.items()}
    for key, matrix in gains.items():
        leaves = tuple(spec.leaves[name] for name in key)
        name = f"similarity of {' × '.join(key)}"
        fixed = Leaf(f"{name}, columns", len(matrix), Reason(text="stay"))
        axes[name] = (leaves[0] if len(leaves) == 1 else Product(leaves), fixed)
        first[name] = matrix.to(dtype)
        second[name] = torch.eye(len(matrix), dtype=dtype, device=matrix.device)
    joint = PermutationSpec({**spec.axes, **axes}, parents=spec.parents, buffers=spec.buffers)
    return Problem(joint, first, second, known=True)


def _cosines(x: Tensor, terms: tuple[Term, ...], number: int, spread: Mapping) -> Tensor:
    """Weights times the standard deviation of their inputs, each row divided by its norm."""
    variance = spread.get((terms[1].name,)) if isinstance(terms[1], Leaf) else None
    if variance is not None:
        shape = (-1, *(1,) * (x.ndim - 2))
        x = x * variance[number].sqrt().to(x.dtype).reshape(shape)
    norm = torch.linalg.vector_norm(x.flatten(1), dim=1).clamp_min(torch.finfo(x.dtype).tiny)
    return x / norm.reshape(-1, *(1,) * (x.ndim - 1))
