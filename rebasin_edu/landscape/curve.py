"""Loss, accuracy and calibration along a path from one network to another, and what barrier stands
there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from torch import nn

from ..errors import RebasinError
from ..symmetry import Weights
from . import results
from .batches import Data
from .combinations import scores
from .interpolation import arc, compatible
from .metrics import Reliability, Score
from .running import state_for

FORM, VERSION = "rebasin_edu.Curve", 1
UPGRADES: dict = {}  # old version → what makes the next one of its content


class Barrier(NamedTuple):
    """How much worse it gets on the way: in units of the loss, and of the accuracy (1 is all);
    positive is worse.
    """

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Curve:
    """Scores along a path; alpha 0 is A, alpha 1 is B.

    ``curve[alpha]`` is the score at one of the alphas: ``curve[0]`` is A's and ``curve[1]`` is B's.

    Attributes:
        alphas: where on the path; outside [0, 1] it goes on beyond the ends.
        loss, accuracy, ece: at each alpha; see ``Score``.
        samples: how many predictions each number is a mean of.
        label: what B was: ``"naive"``, ``"matched"``, …
        data: name of the data set.
        path: ``"lerp"`` or ``"slerp"``.
        meta: anything else worth keeping (recipe, seeds, method).
        reliability: the calibration bins at each alpha.
    """

    alphas: tuple[float, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    ece: tuple[float, ...]
    samples: int = 0
    label: str = ""
    data: str = ""
    path: str = "lerp"
    meta: Mapping = field(default_factory=dict)
    reliability: tuple[Reliability, ...] = ()

    def __post_init__(self):
        for name in ("loss", "accuracy", "ece"):
            if len(getattr(self, name)) != len(self.alphas):
                raise RebasinError(
                    f"there are {len(self.alphas)} alphas and {len(getattr(self, name))} values of {name}"
                )

    def __len__(self) -> int:
        return len(self.alphas)

    def __getitem__(self, alpha: float) -> Score:
        k = self._index(alpha)
        bins = self.reliability[k] if self.reliability else Reliability((), (), ())
        return Score(self.loss[k], self.accuracy[k], self.ece[k], self.samples, bins)

    def _index(self, alpha: float) -> int:
        for k, known in enumerate(self.alphas):
            if abs(known - alpha) < 1e-9:
                return k
        raise RebasinError(f"this curve was not measured at alpha = {alpha:g}; it has {len(self)} alphas from "
                         f"{min(self.alphas, default=0):g} to {max(self.alphas, default=0):g}")  # fmt: skip

    @property
    def barrier(self) -> Barrier:
        """The paper's: the worst point of [0, 1] against the mean of the two ends; never negative.

        For the accuracy the same, upside down: mean of the ends minus the lowest point.

        Ref: Git Re-Basin, definition 2.2.
        """
        a, b = self[0.0], self[1.0]
        return Barrier(
            _worst(self.loss[k] - (a.loss + b.loss) / 2 for k in self._inside),
            _worst((a.accuracy + b.accuracy) / 2 - self.accuracy[k] for k in self._inside),
        )

    @property
    def barrier_to_line(self) -> Barrier:
        """Against the straight line between the ends: the largest height of the curve above it;
        never negative.

        This is how Entezari et al. (2022), Theus et al. (2025) and others count. Where the ends are
        equally good it is the paper's number.
        """
        a, b = self[0.0], self[1.0]
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
        """At alpha = 1/2 alone against the mean of the ends, as REPAIR and ZipIt count; negative
        when the middle is better.
        """
        a, b, middle = self[0.0], self[1.0], self[0.5]
        return Barrier(
            middle.loss - (a.loss + b.loss) / 2, (a.accuracy + b.accuracy) / 2 - middle.accuracy
        )

    @property
    def barriers(self) -> dict[str, Barrier]:
        """The three definitions in use, by name."""
        named = {"paper": self.barrier, "line": self.barrier_to_line}
        return named | {"midpoint": self.barrier_at_midpoint} if 0.5 in self.alphas else named

    @property
    def _inside(self) -> list[int]:
        return [k for k, alpha in enumerate(self.alphas) if 0 <= alpha <= 1]

    def save(self, path: str | os.PathLike) -> None:
        """Write to a JSON file, whole or not at all."""
        results.write(path, FORM, VERSION, asdict(self))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Curve:
        """Read what ``save`` wrote.

        Raises:
            FileFormatError: the file is cut off, holds something else, or is of a version that cannot
                be read.
        """
        return cls.from_dict(results.read(path, FORM, VERSION, UPGRADES), path)

    @classmethod
    def from_dict(cls, content: dict, path: str | os.PathLike = "this") -> Curve:
        """A curve of the plain lists and numbers that ``dataclasses.asdict`` makes of one."""
        try:
            listed = {
                name: tuple(content.pop(name)) for name in ("alphas", "loss", "accuracy", "ece")
            }
            bins = tuple(
                Reliability(**{k: tuple(v) for k, v in each.items()})
                for each in content.pop("reliability", ())
            )
            return cls(**listed, reliability=bins, **content)
        except (KeyError, TypeError) as error:
            raise results.FileFormatError(f"{path} is not a whole curve: {error}") from error


def linear_path(
    model: nn.Module,
    a: Weights,
    b: Weights,
    data: Data,
    *,
    alphas: int | Sequence[float] = 25,
    path: str = "lerp",
    label: str = "",
    data_name: str = "",
    meta: Mapping | None = None,
    batch_size: int = 500,
    batched: bool | None = None,
    share: bool = True,
    progress: bool = False,
) -> Curve:
    """Score the networks on the straight line from A to B.

    The data are read once for all alphas. A first layer's output is linear in alpha, so two
    products serve them all; on an accelerator many alphas are computed in one batched call. The
    numbers are the same either way.

    Args:
        model: the architecture; given back as it was.
        a, b: a module or state dict each.
        data: a pair of tensors ``(inputs, targets)``, or a loader, dataset or list of such batches.
        alphas: how many, evenly from 0 to 1, or the values themselves (below 0 and above 1 is
            extrapolation).
        path: ``"lerp"``, or ``"slerp"`` for the arc.
        label, data_name, meta: kept with the curve.
        batched: many alphas in one ``vmap`` call; ``None`` decides by the device.
        share: let layers that act on the data serve all alphas.

    Raises:
        WeightsError: A and B do not fit each other or the model, or hold values that are not
            finite.
        DataError: no data, no pairs, or (``DataError``) targets that are not classes of the
            model.
        RebasinError: an alpha is not a finite number, or the path has an unknown name.
    """
    alphas = evenly(alphas)
    states = compatible(
        state_for(model, a, of="first network"), state_for(model, b, of="second network")
    )
    line = [(1 - alpha, alpha) for alpha in alphas]
    buffers = frozenset(name for name, _ in model.named_buffers())
    if path not in ("lerp", "slerp"):
        raise RebasinError(f"path={path!r} is not known; choose 'lerp' or 'slerp'")
    found = scores(
        model,
        states,
        line if path == "lerp" else [arc(states, alpha, buffers) for alpha in alphas],
        data,
        straight=buffers,
        straight_coefficients=line,
        batch_size=batch_size,
        batched=batched,
        share=share,
        progress=progress,
    )
    loss, accuracy, ece, samples, bins = zip(
        *((s.loss, s.accuracy, s.ece, s.samples, s.reliability) for s in found)
    )
    return Curve(
        alphas, loss, accuracy, ece, samples[0], label, data_name, path, dict(meta or {}), bins
    )


def _worst(heights: Iterable[float]) -> float:
    heights = list(heights)
    return math.nan if any(math.isnan(height) for height in heights) else max(heights)


def evenly(alphas: int | Sequence[float]) -> tuple[float, ...]:
    """That many alphas evenly from 0 to 1, or the given ones, checked."""
    if isinstance(alphas, int):
        if alphas < 2:
            raise RebasinError(f"alphas={alphas}: a path needs at least its two ends")
        return tuple(k / (alphas - 1) for k in range(alphas))
    alphas = tuple(float(alpha) for alpha in alphas)
    if not alphas or not all(map(math.isfinite, alphas)):
        raise RebasinError(f"alphas={alphas}: at least one finite number is needed")
    return alphas
