"""Groups that rule others: heads and their widths, convolution groups and their channels.

A head moves as a block, and each head may order its own units as it likes. So matching heads is an
assignment inside an assignment: for every pair (head of A, head of B) the best order of the units,
then the best pairing of the heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..symmetry import Permutation, PermutationSpec
from .linear_assignment import assign
from .objective import Key, Part, Problem


class Keyed(Protocol):
    """What ``vertex`` needs of a problem."""

    spec: PermutationSpec
    keys: Mapping[Key, int]
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class Move:
    """Groups that are matched in one step.

    ``kind`` is ``"plain"`` for a group alone, ``"family"`` for a group with all that it rules, and
    ``"rows"`` for a group whose parents are held, with one order for each unit of them (what it
    rules itself moves along in blocks).
    """

    kind: str
    groups: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.groups[0]


def moves(spec: PermutationSpec) -> list[Move]:
    """How the groups of a spec are matched: every group is in one move."""
    rules: dict[str, list[str]] = {}
    for group, parents in spec.parents.items():
        for parent in parents:
            rules.setdefault(parent, []).append(group)

    found, taken = [], set()
    for group in spec.groups:
        below = [fibre for fibre in rules.get(group, ()) if fibre in spec.groups]
        if (
            below
            and not spec.parents.get(group)
            and all(spec.parents[f] == (group,) and f not in rules for f in below)
        ):
            found.append(Move("family", (group, *below)))
            taken.update(found[-1].groups)
    for group in spec.groups:
        if group not in taken:
            found.append(
                Move("rows" if spec.parents.get(group) or group in rules else "plain", (group,))
            )
    order = list(spec.groups)
    return sorted(found, key=lambda move: order.index(move.name))


def solve(
    problem: Problem,
    move: Move,
    gains: Callable[[Key], Tensor],
    tables: Mapping[str, Tensor],
    *,
    beside: bool = True,
) -> dict[str, Tensor]:
    """New orders for the groups of one move, all others held.

    Args:
        gains: key → its gain matrix ``(n, n)``.
        tables: the present orders.
        beside: count the places where two fibres of one parent stand side by side, which ``gains``
            cannot.
    """
    if move.kind == "plain":
        return {move.name: assign(gains((move.name,))).cpu()}
    if move.kind == "family":
        return _match_family(problem, move, gains, tables, beside)
    return follow(problem, move.name, assign(row_gains(problem, move.name, tables)).cpu(), tables)


def vertex(
    problem: Keyed, parts: Iterable[Move], gains: Mapping[Key, Tensor], tables: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The orders that have the largest sum of gains, where each key's gains depend on no other
    order.

    Args:
        gains: for each key that ``keys_of`` names for these moves.
        tables: the present orders, which groups without a move keep.
    """
    tables = dict(tables)
    for move in parts:
        if move.kind == "rows":  # fixed parents stay where they are: only the diagonal blocks count
            (key,) = keys_of(problem, move)
            shape = problem.spec.shapes[move.name]
            blocks = gains[key].reshape(-1, shape[-1], gains[key].shape[0] // shape[-1], shape[-1])
            tables[move.name] = (
                assign(torch.diagonal(blocks, dim1=0, dim2=2).movedim(-1, 0)).cpu().reshape(shape)
            )
        else:
            tables.update(solve(problem, move, gains.__getitem__, tables, beside=False))
    return tables


def keys_of(problem: Keyed, move: Move) -> list[Key]:
    """The keys whose gains decide a move, those that the problem has."""
    if move.kind == "plain":
        keys = [(move.name,)]
    elif move.kind == "family":
        keys = [(move.name,), *((move.name, fibre) for fibre in move.groups[1:])]
    else:
        parents = problem.spec.parents.get(move.name, ())
        if not parents or any(parent in problem.spec.groups for parent in parents):
            return []
        keys = [
            key for key in problem.keys if key[-1] == move.name and set(key) == {move.name, *parents}
        ]
        keys = keys if len(keys) == 1 else []
    return [key for key in keys if key in problem.keys]


def _match_family(
    problem: Problem,
    move: Move,
    gains: Callable[[Key], Tensor],
    tables: Mapping[str, Tensor],
    beside: bool,
) -> dict[str, Tensor]:
    """New orders for a group and all it rules, the others held.

    Exact where no tensor holds two groups of the same parent. Where one does (a grouped
    convolution's inputs and outputs) the pair's orders are found one after the other, so it is a
    proposal.
    """
    root, *fibres = move.groups
    heads = problem.spec.groups[root].size
    value = (
        gains((root,)).cpu().double()
        if (root,) in problem.keys
        else torch.zeros(heads, heads, dtype=torch.float64)
    )
    back = tables[root].argsort()
    # fibre → (heads of A, heads of B, units): the best order for each pair; at first the present
    # one of B's head
    pairs = {fibre: tables[fibre][back].expand(heads, -1, -1) for fibre in fibres}
    for fibre in fibres:
        n = problem.spec.groups[fibre].size
        guide, counted = torch.zeros(
            2, heads, heads, n, n, dtype=problem.dtype, device=problem.device
        )
        if (root, fibre) in problem.keys:
            guide += gains((root, fibre)).reshape(heads, n, heads, n).transpose(1, 2)
            counted += guide
        for part, s in shared(problem, root, fibre) if beside else ():
            block = _shared_gains(problem, part, s, fibre, pairs, tables)
            guide += block
            if not {f for f in part.slots[s].key if f in fibres[fibres.index(fibre) + 1 :]}:
                counted += block
        pairs[fibre] = assign(guide).cpu()
        value = value + counted.cpu().double().gather(-1, pairs[fibre].unsqueeze(-1)).sum((-1, -2))
    order = assign(value)
    return {root: order, **{fibre: pairs[fibre][torch.arange(heads), order] for fibre in fibres}}


def shared(problem: Problem, root: str, fibre: str) -> list[tuple[Part, int]]:
    """Where a fibre stands beside another one of its parent, in one slot: (part, number of the
    slot).
    """
    return [
        (part, s)
        for part in problem.parts
        for s, slot in enumerate(part.slots)
        if len(slot.key) > 2 and root in slot.key and fibre in slot.key
    ]


def _shared_gains(
    problem: Problem,
    part: Part,
    s: int,
    fibre: str,
    pairs: Mapping[str, Tensor],
    tables: Mapping[str, Tensor],
) -> Tensor:
    """What each pair of units of ``fibre`` adds in such a place, the slot's other fibres ordered as
    in ``pairs``.

    Returns:
        ``(heads of A, heads of B, units of A, units of B)``.
    """
    slot = part.slots[s]
    b = part.b
    for t, other in enumerate(part.slots):
        if t != s:
            b = b.index_select(t, problem.index(other.key, tables))
    a, b = (x.movedim(s, 0).flatten(1).reshape(*slot.sizes, -1) for x in (part.a, b))
    own = slot.key.index(fibre)
    found = []
    for head in range(slot.sizes[0]):
        moved = b
        for dim, name in enumerate(slot.key[1:], start=1):
            if dim != own:
                index = pairs[name][head].to(b.device)  # (heads of B, units)
                shape = [1] * b.ndim
                shape[0], shape[dim] = index.shape
                moved = torch.take_along_dim(moved, index.reshape(shape), dim)
        left = a[head].movedim(own - 1, 0).flatten(1)  # (units of A, rest)
        found.append(
            left @ moved.movedim(own, 1).flatten(2).transpose(-1, -2)
        )  # (heads of B, units of A, units of B)
    return torch.stack(found)


def row_gains(problem: Problem, group: str, tables: Mapping[str, Tensor]) -> Tensor:
    """For each unit of the group's parents, what is gained by each pairing: ``(parent sizes …, n,
    n)``; what it rules moves along.

    Places in which the group occurs twice are left out: there it is a proposal.
    """
    spec = problem.spec
    alone = spec.identity()
    alone = Permutation({**alone, group: tables[group]}, spec.parents)
    before = alone.inverse() @ Permutation(
        tables, spec.parents
    )  # the present permutation but for this group's own order
    total = torch.zeros(
        *tables[group].shape, spec.groups[group].size, dtype=problem.dtype, device=problem.device
    )
    for p in problem.parts_of[group]:
        part = problem.parts[p]
        dims = part.piece.dims(group)
        if len(dims) == 1:
            ruling = [part.piece.parent_dim(dims[0], parent) for parent in spec.parents.get(group, ())]
            a = part.whole[0]
            b = part.piece.permuted(part.whole[1], dict(before), spec.parents)
            order = [*ruling, dims[0], *(d for d in range(a.ndim) if d not in (*ruling, dims[0]))]
            a, b = (x.permute(order).reshape(*total.shape[:-1], -1) for x in (a, b))
            total += a @ b.transpose(-1, -2)
    return total


def follow(
    problem: Problem, group: str, order: Tensor, tables: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """All orders once ``group`` has a new one and carries what it rules."""
    spec = problem.spec
    identity = spec.identity()
    old = Permutation({**identity, group: tables[group]}, spec.parents)
    new = Permutation({**identity, group: order}, spec.parents)
    return dict(new @ old.inverse() @ Permutation(tables, spec.parents))
