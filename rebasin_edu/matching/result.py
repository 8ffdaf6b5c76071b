"""What every matcher returns."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..errors import FileFormatError
from ..symmetry import Permutation


class Step(NamedTuple):
    """One accepted change: in which sweep, of which group, what the objective gained, and when
    (seconds since the start).
    """

    sweep: int
    group: str
    gain: float
    seconds: float


@dataclass(frozen=True)
class Matching:
    """A permutation of B that brings it near A, and how it was found.

    Attributes:
        permutation: for ``spec.apply(b, permutation)``.
        objective: ``⟨a, permutation(b)⟩`` over the tensors that the spec permutes (weight
            matching), or the sum of the matched similarities (activation matching); float64.
        gain: the objective less that of the identity.
        history: one row for each accepted change; row 0 of a sweep 0 is the start. The gains add up
            to ``gain``.
        converged: no single group can improve on it (False when a limit of sweeps or Ctrl-C ended
            the search).
        seconds: from call to return.
        scores: with several restarts, the number each of them was judged by, in order.
    """

    permutation: Permutation
    objective: float
    gain: float
    method: str
    history: tuple[Step, ...] = ()
    converged: bool = True
    seconds: float = 0.0
    scores: tuple[float, ...] = field(default=())

    @property
    def sweeps(self) -> int:
        """The last sweep in which something changed."""
        return max((step.sweep for step in self.history), default=0)

    def __repr__(self) -> str:
        ending = "converged" if self.converged else "not converged"
        return (
            f"Matching({self.method}: objective {self.objective:.6g}, gain {self.gain:.6g} over the identity, "
            f"{len(self.permutation)} groups, {self.sweeps} sweeps, {ending}, {self.seconds:.2g} s)"
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write to a JSON file, whole or not at all."""
        path = Path(path)
        content = asdict(self) | {
            "format": "rebasin_edu.Matching/1",
            "permutation": {
                "tables": {name: table.tolist() for name, table in self.permutation.items()},
                "rulers": self.permutation.parents,
            },
        }
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(content))
        os.replace(part, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Matching:
        """Read what ``save`` wrote.

        Raises:
            FileFormatError: the file is cut off, or holds something else.
        """
        try:
            content = json.loads(Path(path).read_text())
            if content.pop("format") != "rebasin_edu.Matching/1":
                raise KeyError("format")
            content["permutation"] = Permutation(**content["permutation"])
            content["history"] = tuple(Step(*row) for row in content["history"])
            content["scores"] = tuple(content["scores"])
            return cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"{path} is not a matching saved by rebasin_edu, or it was cut off: {error}"
            ) from error
