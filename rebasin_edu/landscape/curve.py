"""Loss, accuracy and calibration along a path between two networks, and the barrier on it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import Any, NamedTuple

from ..errors import FileFormatError, RebasinError
from ..storage import load_json, save_json
from .metrics import Reliability, Score

FORMAT, VERSION = "rebasin_edu.Curve", 2


class Barrier(NamedTuple):
    """How much worse a path gets: in units of the loss, and of the accuracy (1 is all)."""

    loss: float
    accuracy: float


@dataclass(frozen=True, repr=False)
class Curve:
    """Scores along a path from A (alpha 0) to B (alpha 1), in the order of the alphas.

    ``curve.at(alpha)`` is the score at one of the alphas, and iterating gives all scores in order.

    Attributes:
        alphas: where on the path; outside [0, 1] it goes on beyond the endpoints.
        loss, accuracy, ece: at each alpha; see ``Score``.
        samples: how many predictions each number is a mean of.
        label: what B was: ``"naive"``, ``"matched"``, …
        data: name of the data set.
        kind: ``"lerp"`` or ``"slerp"``.
        meta: anything else worth keeping (recipe, seeds, method); ``meta["repair"]`` names the
            repair that each network between the endpoints went through.
        reliability: the calibration bins at each alpha.
        metrics: name → its values, where metrics were asked for.
    """

    alphas: tuple[float, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    ece: tuple[float, ...]
    samples: int = 0
    label: str = ""
    data: str = ""
    kind: str = "lerp"
    meta: Mapping = field(default_factory=dict)
    reliability: tuple[Reliability, ...] = field(default=(), repr=False)
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = {name: getattr(self, name) for name in ("alphas", "loss", "accuracy", "ece")}
        for name, values in {**columns, **self.metrics}.items():
            if len(values) != len(self.alphas):
                raise RebasinError(
                    f"there are {len(self.alphas)} alphas and {len(values)} values of {name}"
                )
            if wrong := [x for x in values if isinstance(x, bool) or not isinstance(x, Real)]:
                raise RebasinError(f"{name} of a curve are numbers, not {wrong[0]!r:.40}")

    def __repr__(self) -> str:
        inside = [self.loss[k] for k in self._inside]
        high = f", highest loss {max(inside):.4g}" if inside else ""
        return f"Curve({self.label!r}, {len(self.alphas)} alphas{high}, {self.samples} samples)"

    @classmethod
    def of_scores(cls, alphas: Sequence[float], scores: Sequence[Score], **about: Any) -> Curve:
        """Return the curve of these scores; ``about`` are its other attributes."""
        listed = ((s.loss, s.accuracy, s.ece, s.reliability) for s in scores)
        loss, accuracy, ece, bins = zip(*listed)
        metrics = {name: tuple(s.metrics[name] for s in scores) for name in scores[0].metrics}
        about |= {"reliability": bins, "metrics": metrics}
        return cls(tuple(alphas), loss, accuracy, ece, scores[0].samples, **about)

    def __iter__(self) -> Iterator[Score]:
        return (self._score(k) for k in range(len(self.alphas)))

    def at(self, alpha: float) -> Score:
        """Return the score at one of the alphas.

        Raises:
            RebasinError: the curve was not measured there.
        """
        for k, known in enumerate(self.alphas):
            if abs(known - alpha) < 1e-9:
                return self._score(k)
        low, high = min(self.alphas, default=0), max(self.alphas, default=0)
        raise RebasinError(
            f"this curve was not measured at alpha = {alpha:g}; it has {len(self.alphas)} alphas "
            f"from {low:g} to {high:g}"
        )

    def _score(self, k: int) -> Score:
        bins = self.reliability[k] if self.reliability else Reliability((), (), ())
        metrics = {name: values[k] for name, values in self.metrics.items()}
        return Score(self.loss[k], self.accuracy[k], self.ece[k], self.samples, bins, metrics)

    @property
    def barrier(self) -> Barrier:
        """The paper's barrier: the worst point of [0, 1] against the mean of the endpoints.

        For the accuracy the same, upside down: mean of the endpoints minus the lowest point. It is
        never negative.

        Ref: Git Re-Basin, definition 2.2.
        """
        a, b = self.at(0), self.at(1)
        return Barrier(
            _worst(self.loss[k] - (a.loss + b.loss) / 2 for k in self._inside),
            _worst((a.accuracy + b.accuracy) / 2 - self.accuracy[k] for k in self._inside),
        )

    @property
    def barrier_to_line(self) -> Barrier:
        """The largest height of the curve above the straight line between its endpoints.

        This is how Entezari et al. (2022), Theus et al. (2025) and others count; never negative.
        Where the endpoints are equally good it is the paper's number.
        """
        a, b = self.at(0), self.at(1)
        return Barrier(
            _worst(
                self.loss[k] - a.loss - self.alphas[k] * (b.loss - a.loss) for k in self._inside
            ),
            _worst(
                a.accuracy + self.alphas[k] * (b.accuracy - a.accuracy) - self.accuracy[k]
                for k in self._inside
            ),
        )

    @property
    def barrier_at_midpoint(self) -> Barrier:
        """The height at alpha = 1/2 alone above the mean of the endpoints, as REPAIR and ZipIt
        count; negative when the middle is better.
        """
        a, b, middle = self.at(0), self.at(1), self.at(0.5)
        return Barrier(
            middle.loss - (a.loss + b.loss) / 2, (a.accuracy + b.accuracy) / 2 - middle.accuracy
        )

    @property
    def barriers(self) -> dict[str, Barrier]:
        """The three definitions in use, by name; the midpoint where it was measured."""
        named = {"paper": self.barrier, "line": self.barrier_to_line}
        return named | {"midpoint": self.barrier_at_midpoint} if 0.5 in self.alphas else named

    @property
    def _inside(self) -> list[int]:
        return [k for k, alpha in enumerate(self.alphas) if 0 <= alpha <= 1]

    def save(self, file: str | os.PathLike) -> None:
        """Write to a JSON file, whole or not at all."""
        save_json(file, asdict(self), format=FORMAT, version=VERSION)

    @classmethod
    def load(cls, file: str | os.PathLike) -> Curve:
        """Return the curve that ``save`` wrote.

        Raises:
            FileFormatError: the file is cut off, holds something else, or is of a version that
                cannot be read.
        """
        content = load_json(file, format=FORMAT, version=VERSION, upgrades={1: _from_version_1})
        return cls.from_dict(content, name=str(file))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, name: str = "this") -> Curve:
        """Return a curve of the plain lists and numbers that ``dataclasses.asdict`` makes of one.

        Raises:
            FileFormatError: something is missing.
        """
        try:
            listed = {key: tuple(content[key]) for key in ("alphas", "loss", "accuracy", "ece")}
            listed["reliability"] = tuple(
                Reliability(**{key: tuple(values) for key, values in bins.items()})
                for bins in content.get("reliability", ())
            )
            own = {name: tuple(values) for name, values in content.get("metrics", {}).items()}
            return cls(**{**content, **listed, "metrics": own})
        except (KeyError, TypeError, AttributeError, RebasinError) as error:
            raise FileFormatError(f"{name} is not a whole curve: {error}") from error


def _from_version_1(content: dict) -> dict:
    """``path`` is ``kind`` now, and a repair has the name of the function that does it."""
    content = {**content, "kind": content.get("path", "lerp"), "meta": dict(content["meta"])}
    content.pop("path", None)
    if "mend" in content["meta"]:
        repair = content["meta"].pop("mend")
        content["meta"]["repair"] = "rescale" if repair == "repair" else repair
    return content


def _worst(heights: Iterable[float]) -> float:
    heights = list(heights)
    return math.nan if any(math.isnan(height) for height in heights) else max(heights)
