"""Groups with nested groups: heads and their widths, convolution groups and their channels.

A head moves as a block, and each head may order its units as it likes. Write ``π`` for the order of
the heads and ``σ_h`` for the order of the units inside head ``h`` of A. Where a tensor holds the
slot (head, unit), with gain ``C[(h, i), (k, j)]`` for matching unit ``i`` of A's head ``h`` with
unit ``j`` of B's head ``k``, the objective is a sum over the heads

    ``Σ_h V[h, π(h)]``  with  ``V[h, k] = C₀[h, k] + max_σ Σ_i C[(h, i), (k, σ(i))]``,

since the best ``σ`` for the pair ``(h, k)`` depends on no other pair. So matching heads is an
assignment inside an assignment: the inner ones give ``V``, for every pair of heads, the outer one
pairs the heads. This is exact as long as one nested group occurs in a slot. Where two nested groups
of the same parent share a slot (the inputs and outputs of a grouped convolution), the gains of one
depend on the order of the other: they are solved in turn, and the result is a proposal, which the
descent accepts only if the true objective rises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

import torch
from torch import Tensor

from ..symmetry import Permutation
from .group_steps import GroupStep, Keyed, keys_of
from .linear_assignment import assign
from .objective import Key, Part, Problem


def solve(
    problem: Problem,
    step: GroupStep,
    gains: Callable[[Key], Tensor],
    tables: Mapping[str, Tensor],
    *,
    shared_tensors: bool = True,
) -> dict[str, Tensor]:
    """Return new orders for the groups of one step, all others fixed.

    Args:
        gains: key → its gain matrix ``(n, n)``.
        tables: the present orders.
        shared_tensors: count the tensors in which two nested groups of one parent share a slot,
            which ``gains`` cannot.
    """
    if step.kind == "plain":
        return {step.name: assign(gains((step.name,))).cpu()}
    if step.kind == "block":
        return _match_block(problem, step, gains, tables, shared_tensors)
    return follow(problem, step.name, assign(row_gains(problem, step.name, tables)).cpu(), tables)


def vertex(
    problem: Keyed,
    parts: Iterable[GroupStep],
    gains: Mapping[Key, Tensor],
    tables: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Return the orders with the largest sum of gains, each key's gains being independent.

    Args:
        gains: for each key that ``keys_of`` names for these moves.
        tables: the present orders, which groups without a move, or without gains, keep.
    """
    tables = dict(tables)
    for step in (each for each in parts if keys_of(problem, each)):
        if step.kind == "within_parent":  # the parents stay: only the diagonal blocks count
            (key,) = keys_of(problem, step)
            shape = problem.spec.shapes[step.name]
            blocks = gains[key].reshape(-1, shape[-1], gains[key].shape[0] // shape[-1], shape[-1])
            tables[step.name] = (
                assign(torch.diagonal(blocks, dim1=0, dim2=2).movedim(-1, 0)).cpu().reshape(shape)
            )
        else:
            # of what has gains at hand and no shared tensors, only spec and keys are asked
            whole = cast(Problem, problem)
            tables.update(solve(whole, step, gains.__getitem__, tables, shared_tensors=False))
    return tables


def _match_block(
    problem: Problem,
    step: GroupStep,
    gains: Callable[[Key], Tensor],
    tables: Mapping[str, Tensor],
    shared_tensors: bool,
) -> dict[str, Tensor]:
    """Return new orders for a group and all its nested groups, the others fixed.

    Exact where no slot holds two groups of the same parent, a proposal where one does: see the head
    of this file.
    """
    root, *nested = step.groups
    heads = problem.spec.groups[root].size
    value = (
        gains((root,)).cpu().double()
        if (root,) in problem.keys
        else torch.zeros(heads, heads, dtype=torch.float64)
    )
    back = tables[root].argsort()
    # nested group → (heads of A, heads of B, units): the best order for each pair; at first the
    # present one of B's head
    pairs = {inner: tables[inner][back].expand(heads, -1, -1) for inner in nested}
    for inner in nested:
        n = problem.spec.groups[inner].size
        guide, counted = torch.zeros(
            2, heads, heads, n, n, dtype=problem.dtype, device=problem.device
        )
        if (root, inner) in problem.keys:
            guide += gains((root, inner)).reshape(heads, n, heads, n).transpose(1, 2)
            counted += guide
        for part, s in shared(problem, root, inner) if shared_tensors else ():
            block = _shared_gains(problem, part, s, inner, pairs, tables)
            guide += block
            if not {f for f in part.slots[s].key if f in nested[nested.index(inner) + 1 :]}:
                counted += block
        pairs[inner] = assign(guide).cpu()
        value = value + counted.cpu().double().gather(-1, pairs[inner].unsqueeze(-1)).sum((-1, -2))
    order = assign(value)
    return {root: order, **{inner: pairs[inner][torch.arange(heads), order] for inner in nested}}


def shared(problem: Problem, root: str, inner: str) -> list[tuple[Part, int]]:
    """Return where a nested group shares a slot with another one of its parent.

    Each is a part and the number of the slot in it.
    """
    return [
        (part, s)
        for part in problem.parts
        for s, slot in enumerate(part.slots)
        if len(slot.key) > 2 and root in slot.key and inner in slot.key
    ]


def _shared_gains(
    problem: Problem,
    part: Part,
    s: int,
    inner: str,
    pairs: Mapping[str, Tensor],
    tables: Mapping[str, Tensor],
) -> Tensor:
    """Return what each pair of units of ``inner`` adds in such a slot.

    The slot's other nested groups are ordered as in ``pairs``. The shape is ``(heads of A, heads of
    B, units of A, units of B)``.
    """
    slot = part.slots[s]
    b = part.b
    for t, other in enumerate(part.slots):
        if t != s:
            b = b.index_select(t, problem.index(other.key, tables))
    a, b = (x.movedim(s, 0).flatten(1).reshape(*slot.sizes, -1) for x in (part.a, b))
    position = slot.key.index(inner)
    gains = []
    for head in range(slot.sizes[0]):
        moved = b
        for dim, name in enumerate(slot.key[1:], start=1):
            if dim != position:
                index = pairs[name][head].to(b.device)  # (heads of B, units)
                shape = [1] * b.ndim
                shape[0], shape[dim] = index.shape
                moved = torch.take_along_dim(moved, index.reshape(shape), dim)
        units_of_a = a[head].movedim(position - 1, 0).flatten(1)  # (units of A, rest)
        units_of_b = moved.movedim(position, 1).flatten(2)  # (heads of B, units of B, rest)
        gains.append(units_of_a @ units_of_b.transpose(-1, -2))
    return torch.stack(gains)


def row_gains(problem: Problem, group: str, tables: Mapping[str, Tensor]) -> Tensor:
    """Return what each pairing gains inside each unit of the parents: ``(parent sizes …, n, n)``.

    Groups nested in this one move along. Tensors in which the group occurs twice are left out:
    there the result is a proposal.
    """
    spec = problem.spec
    alone = Permutation({**spec.identity(), group: tables[group]}, spec.parents)
    # the present permutation without this group's order
    before = alone.inverse() @ Permutation(tables, spec.parents)
    total = torch.zeros(
        *tables[group].shape, spec.groups[group].size, dtype=problem.dtype, device=problem.device
    )
    for p in problem.parts_of[group]:
        part = problem.parts[p]
        dims = part.piece.dims(group)
        if len(dims) == 1:
            parents = spec.parents.get(group, ())
            above = (part.piece.parent_dim(dims[0], name) for name in parents)
            outer = [dim for dim in above if dim is not None]
            a = part.whole[0]
            b = part.piece.permuted(part.whole[1], dict(before), spec.parents)
            order = [*outer, dims[0], *(d for d in range(a.ndim) if d not in (*outer, dims[0]))]
            a, b = (x.permute(order).reshape(*total.shape[:-1], -1) for x in (a, b))
            total += a @ b.transpose(-1, -2)
    return total


def follow(
    problem: Problem, group: str, order: Tensor, tables: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return all orders once ``group`` has a new one and its nested groups have moved along."""
    spec = problem.spec
    identity = spec.identity()
    old = Permutation({**identity, group: tables[group]}, spec.parents)
    new = Permutation({**identity, group: order}, spec.parents)
    return dict(new @ old.inverse() @ Permutation(tables, spec.parents))
