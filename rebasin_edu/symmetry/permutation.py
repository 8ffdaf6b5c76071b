"""A permutation of a network's hidden units: one table per group."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import SpecError


class Permutation(Mapping):
    """For each group of units, the order they are put in.

    ``permutation[group]`` is a 1-D ``LongTensor`` ``p`` of the group's size: unit ``i`` of the
    permuted network is unit ``p[i]`` of the old one (the paper's ``P`` has its ones at ``(i,
    p[i])``). A group that is *ruled* by other groups (a head's width by the heads) has a table of
    shape ``(parent sizes …, size)``: a row for each unit of its parents, in their new order.

    >>> p = Permutation({"hidden": [2, 0, 1]})
    >>> (p @ p.inverse()) == Permutation.identity({"hidden": 3})
    True

    Args:
        tables: group name → its order, anything ``torch.as_tensor`` takes. Copied, and kept on the
            CPU.
        parents: group name → the names of the groups that rule it, outermost first; only for tables
            of more than one axis.

    Raises:
        SpecError: a row of a table does not hold each of ``0 … size-1`` once.
    """

    def __init__(
        self, tables: Mapping[str, Tensor], parents: Mapping[str, tuple[str, ...]] | None = None
    ):
        self._tables = {
            name: torch.as_tensor(table).detach().to("cpu", torch.long).clone()
            for name, table in tables.items()
        }
        self.parents = {
            name: tuple(ruling)
            for name, ruling in (parents or {}).items()
            if ruling and name in self._tables
        }
        for name, table in self._tables.items():
            depth = len(self.parents.get(name, ()))
            if table.ndim != depth + 1:
                raise SpecError(
                    f"the table of group {name!r} has {table.ndim} axes; with {depth} parents it needs {depth + 1}"
                )
            if not torch.equal(
                table.sort(-1).values, torch.arange(table.shape[-1]).expand_as(table)
            ):
                raise SpecError(
                    f"the table of group {name!r} does not hold each of 0 … {table.shape[-1] - 1} exactly once"
                )

    @classmethod
    def identity(
        cls,
        sizes: Mapping[str, int | tuple[int, ...]],
        parents: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Permutation:
        """The permutation that leaves every unit where it is; a size is a number or, for a ruled
        group, the table's shape.
        """
        shapes = {
            name: (size,) if isinstance(size, int) else tuple(size) for name, size in sizes.items()
        }
        return cls(
            {name: torch.arange(shape[-1]).expand(shape) for name, shape in shapes.items()}, parents
        )

    @classmethod
    def random(
        cls,
        sizes: Mapping[str, int | tuple[int, ...]],
        seed: int = 0,
        parents: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Permutation:
        """A uniformly random permutation of every group; the same seed gives the same one."""
        generator = torch.Generator().manual_seed(seed)
        shapes = {
            name: (size,) if isinstance(size, int) else tuple(size) for name, size in sizes.items()
        }
        return cls(
            {
                name: torch.rand(shape, generator=generator, dtype=torch.float64).argsort(-1)
                for name, shape in shapes.items()
            },
            parents,
        )

    def __getitem__(self, group: str) -> Tensor:
        return self._tables[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Permutation):
            return NotImplemented
        return self.keys() == other.keys() and all(
            torch.equal(table, other[name]) for name, table in self.items()
        )

    __hash__ = None

    def __repr__(self) -> str:
        groups = ", ".join(
            f"{name}: {self.moved(name)} of {table.numel()} moved" for name, table in self.items()
        )
        return f"Permutation({groups})"

    def moved(self, group: str) -> int:
        """How many units of a group are not where they were."""
        table = self._tables[group]
        return int((table != torch.arange(table.shape[-1])).sum())

    def _parent_index(self, group: str) -> tuple[Tensor, ...]:
        """For each parent of ``group``, the old unit at each new index, broadcastable to the leading
        axes of the table.
        """
        ruling = self.parents.get(group, ())
        index = []
        for k, parent in enumerate(ruling):
            above = [ruling.index(name) for name in self.parents.get(parent, ())]
            table = self._tables.get(parent, torch.arange(self._tables[group].shape[k]))
            order = sorted(range(table.ndim), key=lambda axis: [*above, k][axis])
            shape = [1] * len(ruling)
            for axis, position in enumerate([*above, k]):
                shape[position] = table.shape[axis]
            index.append(table.permute(order).reshape(shape))
        return tuple(index)

    def inverse(self) -> Permutation:
        """The permutation that undoes this one."""
        inverted: dict[str, Tensor] = {}
        for name, table in self._tables.items():
            undone = table.argsort(-1)
            index = (
                torch.broadcast_tensors(*self._parent_index(name)) if name in self.parents else ()
            )
            if index:  # row i of the table moves to where its ruling units came from
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
            composed[name] = first[name][(*rows, table)]
        return Permutation(composed, self.parents)

    def save(self, path: str | os.PathLike) -> None:
        """Write to a JSON file, whole or not at all."""
        path = Path(path)
        content = {
            "format": "rebasin_edu.Permutation/1",
            "rulers": self.parents,
            "tables": {n: t.tolist() for n, t in self.items()},
        }
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(content))
        os.replace(part, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Permutation:
        """Read what ``save`` wrote.

        Raises:
            SpecError: the file is cut off, or holds something else.
        """
        try:
            content = json.loads(Path(path).read_text())
            if content["format"] != "rebasin_edu.Permutation/1":
                raise KeyError(content["format"])
            return cls(content["tables"], content["rulers"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SpecError(
                f"{path} is not a permutation saved by rebasin_edu, or it was cut off: {error}"
            ) from error
