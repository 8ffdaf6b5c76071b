"""Slow, plain and independent: the algorithms as the paper prints them, and brute force, to test
the fast ones against.
"""

from __future__ import annotations

import itertools
import random

import torch
from scipy.optimize import linear_sum_assignment

from rebasin_edu.symmetry import Permutation, PermutationSpec


def objective(spec: PermutationSpec, a: dict, b: dict, permutation: Permutation) -> float:
    """``⟨a, permutation(b)⟩`` in float64 over the parameters of the spec."""
    moved = spec.apply(b, permutation)
    names = [
        name
        for name in spec.axes
        if name not in spec.buffers
        and any(leaf.name in spec.groups for piece in spec.pieces[name] for leaf in piece.leaves)
    ]
    return sum(float((a[name].double() * moved[name].double()).sum()) for name in names)


def algorithm_1(
    spec: PermutationSpec, a: dict, b: dict, *, seed: int = 0, max_sweeps: int = 100
) -> tuple[Permutation, int]:
    """PermutationCoordinateDescent as printed: from the identity, every group anew in each sweep,
    in random order.

    Only for specs whose axes are whole groups, as in the paper. As in the authors' code, all
    tensors that a group touches count, and a sweep without an improvement of more than 1e-12 is the
    last.

    Returns:
        The permutation and the number of sweeps.
    """
    order = list(spec.groups)
    tables = {group: torch.arange(spec.groups[group].size) for group in order}
    touches = {
        group: [
            (piece, dim)
            for name in spec.axes
            if name not in spec.buffers
            for piece in spec.pieces[name]
            for dim in piece.dims(group)
        ]
        for group in order
    }
    rng = random.Random(seed)
    for sweep in range(1, max_sweeps + 1):  # noqa: B007
        progress = False
        rng.shuffle(order)
        for group in order:
            n = spec.groups[group].size
            gains = torch.zeros(n, n)
            for piece, dim in touches[group]:
                left, right = piece.view(a[piece.parameter]), piece.view(b[piece.parameter])
                for other, leaf in enumerate(piece.leaves):
                    if other != dim and leaf.name in tables:
                        right = right.index_select(other, tables[leaf.name])
                gains += (
                    left.movedim(dim, 0).reshape(n, -1) @ right.movedim(dim, 0).reshape(n, -1).T
                )
            found = torch.from_numpy(linear_sum_assignment(gains.numpy(), maximize=True)[1])
            rows = torch.arange(n)
            progress |= float(gains[rows, found].sum() - gains[rows, tables[group]].sum()) > 1e-12
            tables[group] = found
        if not progress:
            break
    return Permutation(tables), sweep


def brute_force(spec: PermutationSpec, a: dict, b: dict) -> tuple[Permutation, float]:
    """The best of all permutations, by trying them all."""
    choices = []
    for shape in spec.shapes.values():
        rows = list(itertools.permutations(range(shape[-1])))
        copies = torch.Size(shape[:-1]).numel()
        choices.append(
            [torch.tensor(rows).reshape(shape) for rows in itertools.product(rows, repeat=copies)]
        )
    best = None
    for tables in itertools.product(*choices):
        permutation = Permutation(dict(zip(spec.groups, tables)), spec.parents)
        value = objective(spec, a, b, permutation)
        if best is None or value > best[1]:
            best = permutation, value
    return best
