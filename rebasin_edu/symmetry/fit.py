"""Whether the axes of a spec fit each other, and whether weights fit a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from ..errors import SpecError
from ..weights import nearest
from .axis_structure import Leaf, Term, leaves
from .pieces import Piece
from .propagation import INPUT, OUTPUT

Axes = Mapping[str, tuple[Term, ...]]


def leaves_of(axes: Axes) -> dict[str, Leaf]:
    """Return the leaves of all axes by name.

    Raises:
        SpecError: two of one name differ.
    """
    known: dict[str, Leaf] = {}
    for name, terms in axes.items():
        for axis, term in enumerate(terms):
            for leaf in leaves(term):
                other = known.setdefault(leaf.name, leaf)
                if other != leaf:
                    raise SpecError(
                        f"group {leaf.name!r} has {other.size} units, but {leaf.size} at {name} "
                        f"axis {axis}"
                    )
    return known


def check_parents(pieces: Iterable[Piece], parents: Mapping[str, tuple[str, ...]]) -> None:
    """Raise a ``SpecError`` unless each nested group has its parents beside it, once each."""
    for piece in pieces:
        for dim, leaf in enumerate(piece.leaves):
            for parent in parents.get(leaf.name, ()):
                if piece.parent_dim(dim, parent) is None:
                    raise SpecError(
                        f"group {leaf.name!r} is nested in {parent!r}, which is not there once "
                        f"in {piece.parameter}"
                    )


def check_weights(axes: Axes, state: Mapping[str, Tensor], of: str) -> None:
    """Raise a ``SpecError`` that names the first tensor that is missing or has another size."""
    for name, terms in axes.items():
        if name not in state:
            raise SpecError(f"the {of} have no parameter {name!r}{nearest(name, state)}")
        shape = tuple(state[name].shape)
        if len(shape) != len(terms):
            raise SpecError(
                f"{name} of the {of} has {len(shape)} axes {shape}, the spec has {len(terms)}"
            )
        for axis, (term, size) in enumerate(zip(terms, shape)):
            if term.size != size:
                _unequal(term, size, f"{name} axis {axis} of the {of}")


def check_permutation(
    shapes: Mapping[str, tuple[int, ...]], permutation: Mapping[str, Tensor]
) -> None:
    """Raise a ``SpecError`` unless the permutation has a table of its shape for each group."""
    for group, shape in shapes.items():
        if group not in permutation or tuple(permutation[group].shape) != shape:
            has = tuple(permutation[group].shape) if group in permutation else "none"
            raise SpecError(
                f"group {group!r} needs a table of shape {shape}, the permutation has {has}"
            )
    if foreign := permutation.keys() - shapes.keys():
        raise SpecError(f"the permutation has groups that the spec does not: {sorted(foreign)}")


def _unequal(term: Term, size: int, where: str) -> None:
    """Raise a ``SpecError`` that says what an axis of another size means."""
    reasons = {leaf.reason.text for leaf in leaves(term) if leaf.reason}
    if any(not leaf.fixed for leaf in leaves(term)):
        check_size(str(term), term.size, "the spec", where, size)
    if OUTPUT.text in reasons:
        raise SpecError(f"the outputs differ: {term.size} and {size} classes, in {where}")
    if INPUT.text in reasons:
        raise SpecError(f"the inputs differ: {term.size} and {size} features, in {where}")
    raise SpecError(f"{where} has {size} positions, the spec has {term.size} there")


def check_size(group: str, size: int, first: str, second: str, other: int) -> None:
    """Raise a ``SpecError`` where a group has another size in the second place."""
    if size != other:
        raise SpecError(
            f"group {group!r} has {size} units in {first}, but {second} has {other}: do the widths "
            "differ?"
        )
