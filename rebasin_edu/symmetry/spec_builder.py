"""From labels to a finished spec: names for the groups, words for what is fixed, terms for every
axis.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .axis_structure import Concat, Interleaved, Leaf, Product, Reason, Term
from .nested_groups import parent_groups
from .spec import PermutationSpec
from .unification import Atom, Label, atoms, normal

Labels = tuple[Label, ...]


def assemble(
    state: Mapping[str, Labels],
    order: Mapping[str, int],
    tensors: Iterable[Labels],
    reads: Sequence[tuple[str, str, Labels, tuple[int, ...]]],
    buffers: frozenset[str],
    left_out: Mapping[str, str],
) -> tuple[PermutationSpec, dict[str, list[tuple]]]:
    """The spec, and for each group the places where its activations are read.

    Args:
        state: the labels of each parameter and buffer that is used.
        order: when each of them is first used: a group is named after the matrix that brings it.
        tensors: the labels of every tensor there is, for the fibres.
        reads: (node, value, labels, summed axes) of every tensor that goes into a contraction.
        buffers: which names of ``state`` are buffers.
        left_out: names that are not used, with the reason.
    """
    state = {name: tuple(normal(label) for label in labels) for name, labels in state.items()}
    free = {
        atom
        for labels in state.values()
        for label in labels
        for atom in atoms(label)
        if not atom.reason
    }
    ruling = parent_groups((tuple(normal(label) for label in labels) for labels in tensors), free)
    keep = {parent for parents in ruling.values() for parent in parents}
    found: dict[Atom, Leaf] = {}
    taken: set[str] = set()
    for name in sorted(
        state, key=lambda name: (sum(label.size > 1 for label in state[name]) < 2, order[name])
    ):
        for axis, label in enumerate(state[name]):
            for atom, path, words in _places(label):
                if atom in found:
                    continue
                if atom.reason:
                    leaf = Leaf(
                        f"fixed: {name} axis {axis}{path}",
                        atom.size,
                        replace(atom.reason, tensor=f"{words} {_at(name, axis, path)}"),
                    )
                else:
                    leaf = Leaf(_unused(_owner(name) + path, axis, taken), atom.size)
                    taken.add(leaf.name)
                found[atom] = leaf
    terms = {
        name: tuple(
            _term(label, found, keep, f"{name} axis {axis}") for axis, label in enumerate(labels)
        )
        for name, labels in state.items()
    }
    parents = {
        found[atom].name: tuple(found[parent].name for parent in parents)
        for atom, parents in ruling.items()
    }
    spec = PermutationSpec(
        terms, parents=parents, buffers=buffers & state.keys(), left_out=left_out
    )
    sites: dict[str, list[tuple]] = {name: [] for name in spec.groups}
    for node, value, labels, summed in reads:
        labels = tuple(normal(label) for label in labels)
        groups = dict.fromkeys(
            found[atom].name for label in labels for atom in atoms(label) if atom in free
        )
        if groups:
            here = tuple(
                _term(label, found, keep, f"{value} axis {axis}")
                for axis, label in enumerate(labels)
            )
            for group in groups:
                sites[group].append((node, value, here, summed))
    return spec, sites


def _owner(name: str) -> str:
    module, _, last = name.rpartition(".")
    return module if last in ("weight", "bias") and module else name


def _unused(name: str, axis: int, taken: set[str]) -> str:
    tries = [name, f"{name} axis {axis}", *(f"{name} axis {axis} #{k}" for k in range(2, 10_000))]
    return next(one for one in tries if one not in taken)


def _at(name: str, axis: int, path: str) -> str:
    inside = (
        path if "." in path or "::" in path else ""
    )  # inside a product units are counted afresh
    return f"of {_owner(name)}{inside}" if axis == 0 else f"of {name} axis {axis}{inside}"


def _places(label: Label, path: str = "", start: int = 0) -> Iterable[tuple[Atom, str, str]]:
    """Each atom of a label with a path for its name and words for where it is."""
    if isinstance(label, Atom):
        yield label, path, f"units {start}-{start + label.size - 1}"
        return
    moving = [any(not atom.reason for atom in atoms(part)) for part in label.parts]
    for k, part in enumerate(label.parts):
        if isinstance(label, Concat):
            yield from _places(part, f"{path}[{start}:{start + part.size}]", start)
            start += part.size
        elif isinstance(label, Interleaved):
            yield from _places(part, f"{path}[{k}::{len(label.parts)}]", start)
        elif sum(moving) == 1 and moving[k]:
            yield from _places(part, path)
        elif k == len(label.parts) - 1:
            yield from _places(part, path + ".within")
        else:
            yield from _places(
                part, path + ".blocks" + (str(k + 1) if len(label.parts) > 2 else "")
            )


def _term(label: Label, found: Mapping[Atom, Leaf], keep: set[Atom], where: str) -> Term:
    """The label with leaves for atoms; neighbours that stay where they are, and rule nothing,
    become one leaf.
    """
    if label.size == 1:
        return Product(())
    inside = list(atoms(label))
    if _still(label, found, keep):
        known = next((found[atom] for atom in inside if atom in found), None)
        if known is not None and isinstance(label, Atom):
            return known
        reasons = dict.fromkeys(str(found[atom].reason) for atom in inside if atom in found)
        return Leaf(
            f"fixed: {where}, {label.size}",
            label.size,
            Reason(text="; ".join(reasons) or "stay where they are"),
        )
    if isinstance(label, Atom):
        return found[label]
    if isinstance(label, Interleaved):
        return Interleaved(
            tuple(_term(part, found, keep, f"{where}[{k}::]") for k, part in enumerate(label.parts))
        )
    kind = type(label)
    runs = itertools.groupby(label.parts, key=lambda part: _still(part, found, keep))
    parts = [part for still, run in runs for part in ([kind(tuple(run))] if still else run)]
    return kind(
        tuple(_term(part, found, keep, f"{where} part {k}") for k, part in enumerate(parts))
    )


def _still(label: Label, found: Mapping[Atom, Leaf], keep: set[Atom]) -> bool:
    """Whether nothing in it moves, and nothing in it rules something that does."""
    return all((atom.reason or atom not in found) and atom not in keep for atom in atoms(label))
