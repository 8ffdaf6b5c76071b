"""What an axis of a tensor is made of: leaves, and what products and concatenations make of them.

A hidden layer's outputs are one *leaf* (a group of units that may be reordered). After a flatten
each unit owns a block of consecutive entries: a *product*. After a concatenation two layers stand
side by side on one axis: a *concatenation*. After a channel shuffle their units alternate: they
are *interleaved*. Terms nest, so every axis of every parameter is described by one term.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar, Union


@dataclass(frozen=True)
class Reason:
    """Why positions must stay where they are.

    Attributes:
        operator: the operator that needs their order, as in ``"aten.roll"``, or empty.
        tensor: the tensor they lie in or met, or the place there; or empty.
        text: a verb and what follows: "reach aten.roll, which mixes their order".
        expected: whether it is a matter of course (inputs, outputs, kernels), or units are lost.
    """

    operator: str = ""
    tensor: str = ""
    text: str = ""
    expected: bool = False

    def __str__(self) -> str:
        return f"{self.tensor} {self.text}".strip()


@dataclass(frozen=True)
class Leaf:
    """A set of positions with one order: a group of units, or (with a ``reason``) positions that
    must stay where they are.
    """

    name: str
    size: int
    reason: Reason | None = None

    @property
    def fixed(self) -> bool:
        return self.reason is not None

    def __str__(self) -> str:
        return "·" if self.fixed else self.name


class HasSize(Protocol):
    """Anything with a number of positions."""

    @property
    def size(self) -> int: ...


End = TypeVar(
    "End", bound=HasSize
)  # what an axis ends in: a Leaf in a finished spec, an Atom during a trace


@dataclass(frozen=True)
class Product(Generic[End]):
    """Every combination of the parts, the first one outermost (slowest): what flatten and reshape
    make.
    """

    parts: tuple[Axis[End], ...]

    @cached_property
    def size(self) -> int:
        return math.prod(part.size for part in self.parts)

    def __str__(self) -> str:
        return (
            " × ".join(
                f"({part})" if isinstance(part, (Concat, Interleaved)) else _sized(part)
                for part in self.parts
            )
            or "1"
        )


@dataclass(frozen=True)
class Concat(Generic[End]):
    """The parts one after another: what ``torch.cat`` makes."""

    parts: tuple[Axis[End], ...]

    @cached_property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def __str__(self) -> str:
        return " ++ ".join(_sized(part) for part in self.parts)


@dataclass(frozen=True)
class Interleaved(Generic[End]):
    """Parts of equal size taking turns: unit ``i`` of part ``j`` of ``p`` stands at ``i * p + j``
    (a channel shuffle).
    """

    parts: tuple[Axis[End], ...]

    def __post_init__(self):
        sizes = [part.size for part in self.parts]
        if len(set(sizes)) > 1:
            raise ValueError(f"interleaved parts must have equal sizes, these have {sizes}")

    @cached_property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def __str__(self) -> str:
        return " ⋈ ".join(_sized(part) for part in self.parts)


@dataclass(frozen=True)
class Rows(Generic[End]):
    """Another term for each index along another axis of the tensor: the layers of a recurrent
    start state. Only a whole axis of a tensor is one, never a part of an axis.
    """

    parts: tuple[Axis[End], ...]
    along: int

    @property
    def size(self) -> int:
        return self.parts[0].size

    def __str__(self) -> str:
        return " | ".join(map(str, self.parts))


Axis = Union[End, Product[End], Concat[End], Interleaved[End], Rows[End]]  # noqa: UP007  (generic at run time)
Term = Axis[Leaf]


def _sized(term: HasSize) -> str:
    return str(term.size) if isinstance(term, Leaf) and term.fixed else str(term)


def leaves(term: Term) -> list[Leaf]:
    """The leaves of a term, outermost and leftmost first, repeated where they repeat."""
    return (
        [term] if isinstance(term, Leaf) else [leaf for part in term.parts for leaf in leaves(part)]
    )
