"""What every matcher returns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import FileFormatError
from ..storage import load_json, save_json
from ..symmetry import Permutation, PermutationSpec

FORMAT = "rebasin_edu.Matching"


class Step(NamedTuple):
    """One accepted change.

    In which sweep, of which group, what the objective gained, and when (seconds since the start).
    """

    sweep: int
    group: str
    gain: float
    seconds: float


@dataclass(frozen=True)
class Matching:
    """A permutation of B that brings it near A, and how the search went.

    Attributes:
        permutation: for ``spec.apply(b, permutation)``.
        objective: ``⟨a, permutation(b)⟩`` over the tensors that the spec permutes, or the sum of
            the matched similarities (activation matching); float64.
        gain: the objective less that of the identity.
        history: one row for each accepted change; row 0 of a sweep 0 is the start. The gains add up
            to ``gain``.
        converged: the search came to its own end: no single group can improve on the result. False
            when a limit on sweeps or steps, or Ctrl-C, ended it.
        seconds: from call to return.
        scores: with several restarts, the number each of them was judged by, in order; of
            straight-through matching, the midpoint's loss at each row of the history.
    """

    permutation: Permutation
    objective: float
    gain: float
    method: str
    history: tuple[Step, ...] = ()
    converged: bool = True
    seconds: float = 0.0
    scores: tuple[float, ...] = field(default=())

    @classmethod
    def of(
        cls,
        spec: PermutationSpec,
        tables: Mapping[str, Tensor],
        objective: float,
        base: float,
        method: str,
        history: Iterable[Step],
        **more: Any,
    ) -> Matching:
        """Return the matching of these orders of the groups; ``base`` is the identity's objective.

        A history whose first step is the start (sweep 0) may leave its gain open (NaN): it is what
        the other steps do not explain.
        """
        rows = list(history)
        if rows and rows[0].gain != rows[0].gain:
            rows[0] = rows[0]._replace(gain=objective - base - sum(s.gain for s in rows[1:]))
        permutation = Permutation(tables, spec.parents)
        return cls(permutation, objective, objective - base, method, tuple(rows), **more)

    @property
    def sweeps(self) -> int:
        """The last sweep in which something changed."""
        return max((step.sweep for step in self.history), default=0)

    def __repr__(self) -> str:
        ending = "converged" if self.converged else "not converged"
        return (
            f"Matching({self.method}: objective {self.objective:.6g}, gain {self.gain:.6g} over "
            f"the identity, {len(self.permutation)} groups, {self.sweeps} sweeps, {ending}, "
            f"{self.seconds:.2g} s)"
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write to a JSON file, whole or not at all."""
        tables = {name: table.tolist() for name, table in self.permutation.items()}
        permutation = {"tables": tables, "parents": self.permutation.parents}
        content = asdict(self) | {"permutation": permutation}
        save_json(path, content, format=FORMAT, version=2)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Matching:
        """Return the matching in a file that ``save`` wrote, of this version or an older one.

        Raises:
            FileFormatError: the file is cut off, or holds something else.
        """
        content = load_json(path, format=FORMAT, version=2, upgrades={1: _from_version_1})
        try:
            content["permutation"] = Permutation(**content["permutation"])
            content["history"] = tuple(Step(*row) for row in content["history"])
            content["scores"] = tuple(content["scores"])
            return cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"{path} is not a matching saved by rebasin_edu: {error}"
            ) from error


def _from_version_1(content: dict) -> dict:
    permutation = dict(content.get("permutation") or {})
    permutation["parents"] = permutation.pop("rulers", permutation.pop("parents", None))
    return content | {"permutation": permutation}
