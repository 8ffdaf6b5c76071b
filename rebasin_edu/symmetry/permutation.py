"""A permutation of a network's hidden units: one table per group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import FileFormatError, SpecError
from ..storage import load_json, save_json

FORMAT = "rebasin_edu.Permutation"
Sizes = Mapping[str, int | tuple[int, ...]]


@dataclass(frozen=True)
class Group:
    """Units that one permutation must reorder together, wherever they occur.

    Attributes:
        occurrences: (parameter or buffer, axis) of every place.
        parents: the groups (or fixed axes) for each of whose units this one has an order of its
            own, outermost first.
        copies: how many orders these are: the product of the parents' sizes.
    """

    name: str
    size: int
    occurrences: tuple[tuple[str, int], ...]
    parents: tuple[str, ...] = ()
    copies: int = 1


class Permutation(Mapping[str, Tensor]):
    """For each group of units, the order they are put in.

    ``permutation[group]`` is a 1-D ``LongTensor`` ``p`` of the group's size: unit ``i`` of the
    permuted network is unit ``p[i]`` of the old one (the paper's ``P`` has its ones at ``(i,
    p[i])``). A *nested* group (a head's width, nested in the heads) has a table of shape ``(parent
    sizes …, size)``: a row for each unit of its parent groups, in their new order.

    >>> p = Permutation({"hidden": [2, 0, 1]})
    >>> (p @ p.inverse()) == Permutation.identity({"hidden": 3})
    True

    Args:
        tables: group name → its order, anything ``torch.as_tensor`` takes. Copied, and kept on the
            CPU; what ``permutation[group]`` gives is a copy too.
        parents: group name → the names of its parent groups, outermost first; only for tables of
            more than one axis.

    Raises:
        SpecError: a row of a table does not hold each of ``0 … size-1`` once, as integers.
    """

    def __init__(
        self, tables: Mapping[str, Any], parents: Mapping[str, Sequence[str]] | None = None
    ):
        self._tables = {name: _table(name, table) for name, table in tables.items()}
        self.parents = {
            name: tuple(names)
            for name, names in (parents or {}).items()
            if names and name in self._tables
        }
        for name, table in self._tables.items():
            depth = len(self.parents.get(name, ()))
            if table.ndim != depth + 1:
                raise SpecError(
                    f"the table of group {name!r} has {table.ndim} axes; with {depth} parent "
                    f"groups it needs {depth + 1}"
                )
            order = torch.arange(table.shape[-1]).expand_as(table)
            if not torch.equal(table.sort(-1).values, order):
                raise SpecError(
                    f"the table of group {name!r} does not hold each of 0 … {table.shape[-1] - 1} "
                    "exactly once"
                )

    @classmethod
    def identity(
        cls, sizes: Sizes, parents: Mapping[str, tuple[str, ...]] | None = None
    ) -> Permutation:
        """Return the permutation that leaves every unit where it is.

        Args:
            sizes: group → its size or, for a nested group, the shape of its table.
            parents: group → its parent groups, outermost first.
        """
        shapes = _shapes(sizes)
        return cls({g: torch.arange(n[-1]).expand(n) for g, n in shapes.items()}, parents)

    @classmethod
    def random(
        cls, sizes: Sizes, seed: int = 0, parents: Mapping[str, tuple[str, ...]] | None = None
    ) -> Permutation:
        """Return a uniformly random permutation; a seed always gives the same one.

        See ``identity`` for the arguments.
        """
        generator = torch.Generator().manual_seed(seed)

        def table(shape: tuple[int, ...]) -> Tensor:
            return torch.rand(shape, generator=generator, dtype=torch.float64).argsort(-1)

        return cls({group: table(shape) for group, shape in _shapes(sizes).items()}, parents)

    def __getitem__(self, group: str) -> Tensor:
        return self._tables[group].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Permutation):
            return NotImplemented
        return (
            self.keys() == other.keys()
            and self.parents == other.parents
            and all(torch.equal(table, other._tables[g]) for g, table in self._tables.items())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        groups = ", ".join(
            f"{name}: {self.moved(name)} of {table.numel()} moved" for name, table in self.items()
        )
        return f"Permutation({groups})"

    def moved(self, group: str) -> int:
        """Return how many units of a group are not where they were."""
        table = self._tables[group]
        return int((table != torch.arange(table.shape[-1])).sum())

    def _parent_index(self, group: str) -> tuple[Tensor, ...]:
        """For each parent group, the old unit at each new index, broadcastable to the leading axes
        of the table.
        """
        parents = self.parents.get(group, ())
        index = []
        for k, parent in enumerate(parents):
            above = [parents.index(name) for name in self.parents.get(parent, ())]
            table = self._tables.get(parent, torch.arange(self._tables[group].shape[k]))
            order = sorted(range(table.ndim), key=lambda axis: [*above, k][axis])
            shape = [1] * len(parents)
            for axis, position in enumerate([*above, k]):
                shape[position] = table.shape[axis]
            index.append(table.permute(order).reshape(shape))
        return tuple(index)

    def inverse(self) -> Permutation:
        """Return the permutation that undoes this one."""
        inverted: dict[str, Tensor] = {}
        for name, table in self._tables.items():
            undone = table.argsort(-1)
            index = (
                torch.broadcast_tensors(*self._parent_index(name)) if name in self.parents else ()
            )
            if index:  # row i of the table moves to where its parents' units came from
                moved = torch.empty_like(undone)
                moved[index] = undone
                undone = moved
            inverted[name] = undone
        return Permutation(inverted, self.parents)

    def __matmul__(self, first: Permutation) -> Permutation:
        """``p @ q``: first ``q``, then ``p``, as one permutation; ``spec.apply(w, p @ q) ==
        spec.apply(spec.apply(w, q), p)``.

        Raises:
            SpecError: the two have different groups, sizes or parents.
        """
        if {n: t.shape for n, t in self.items()} != {
            n: t.shape for n, t in first.items()
        } or self.parents != first.parents:
            raise SpecError(f"these permute different things: {self!r} and {first!r}")
        composed = {}
        for name, table in self._tables.items():
            rows = tuple(index.unsqueeze(-1) for index in self._parent_index(name))
            composed[name] = first._tables[name][rows + (table,)]  # noqa: RUF005 (Python 3.10)
        return Permutation(composed, self.parents)

    def save(self, path: str | os.PathLike) -> None:
        """Write to a JSON file, whole or not at all.

        Raises:
            FileFormatError: the file cannot be written.
        """
        tables = {name: table.tolist() for name, table in self._tables.items()}
        save_json(path, {"parents": self.parents, "tables": tables}, format=FORMAT, version=2)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Permutation:
        """Read what ``save`` wrote, this version's or an earlier one's.

        Raises:
            FileFormatError: the file is not there, is cut off, or holds something else.
        """
        content = load_json(path, format=FORMAT, version=2, upgrades={1: _from_version_1})
        try:
            return cls(content["tables"], content["parents"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise FileFormatError(
                f"{path} is not a whole permutation saved by rebasin_edu: {error}"
            ) from error


def _from_version_1(content: dict) -> dict:
    return {"tables": content.get("tables"), "parents": content.get("rulers")}


def _shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    return {name: (n,) if isinstance(n, int) else tuple(n) for name, n in sizes.items()}


def _table(name: str, table: object) -> Tensor:
    """A copy of a table on the CPU, if it holds integers."""
    found = torch.as_tensor(table)
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise SpecError(
            f"the table of group {name!r} holds {found.dtype} numbers; units are numbered by "
            "integers"
        )
    return found.detach().to("cpu", torch.long, copy=True)
