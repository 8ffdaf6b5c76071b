"""Specs written by hand: from the entries that a person writes to the terms of every axis."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping

from torch import Tensor

from ..errors import SpecError
from .axis_structure import Concat, Interleaved, Leaf, Product, Reason, Term
from .spec import two_sizes


def terms(axes: Mapping[str, tuple], state: Mapping[str, Tensor]) -> dict[str, tuple[Term, ...]]:
    """The terms of every axis; see ``PermutationSpec.from_axes`` for the entries."""
    sizes: dict[
        str, tuple[int, str, int]
    ] = {}  # group → (size, parameter, axis) where it was first seen whole
    for name, entries in axes.items():
        if name not in state:
            near = difflib.get_close_matches(name, state, n=1)
            raise SpecError(
                f"the spec names {name!r}, which the weights do not have"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
        if len(entries) != state[name].ndim:
            raise SpecError(
                f"{name} has {state[name].ndim} axes {tuple(state[name].shape)}, the spec writes {len(entries)}"
            )
        for axis, entry in enumerate(entries):
            if isinstance(entry, str):
                size = state[name].shape[axis]
                known, first, at = sizes.setdefault(entry, (size, name, axis))
                if known != size:
                    raise SpecError(
                        two_sizes(entry, known, f"{first} axis {at}", f"{name} axis {axis}", size)
                    )

    def term(entry, size: int, where: str) -> Term:
        if entry is None or isinstance(entry, int):
            return Leaf(
                f"fixed: {where}" + (f" × {entry}" if entry else ""),
                size,
                Reason(text="are written as fixed"),
            )
        if isinstance(entry, str):
            return Leaf(entry, size)
        if isinstance(entry, (Leaf, Product, Concat, Interleaved)):
            return entry
        parts = [part if isinstance(part, int) else sizes.get(part, (None,))[0] for part in entry]
        if parts.count(None) == 1 and isinstance(entry, tuple):
            parts[parts.index(None)] = size // math.prod(part for part in parts if part is not None)
        whole = (math.prod if isinstance(entry, tuple) else sum)(
            part for part in parts if part is not None
        )
        if None in parts or whole != size:
            raise SpecError(
                f"{where} has {size} entries, the spec writes {entry!r} with sizes {parts}"
            )
        made = tuple(
            term(part, n, f"{where} part {k}") for k, (part, n) in enumerate(zip(entry, parts))
        )
        return Product(made) if isinstance(entry, tuple) else Concat(made)

    return {
        name: tuple(
            term(entry, state[name].shape[axis], f"{name} axis {axis}")
            for axis, entry in enumerate(entries)
        )
        for name, entries in axes.items()
    }
