"""The loss over the plane through three networks (the paper's first figure)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from ..errors import RebasinError
from ..symmetry import Weights
from . import results
from .batches import Data
from .combinations import scores
from .interpolation import compatible
from .running import state_for

FORM, VERSION = "rebasin_edu.Plane", 1
UPGRADES: dict = {}  # old version → what makes the next one of its content


@dataclass(frozen=True)
class Plane:
    """Scores on a grid over a plane; A is at (0, 0) and the second network at (1, 0), in units of
    their distance.

    Attributes:
        x, y: coordinates of the grid's columns and rows.
        loss, accuracy: ``[row][column]``; ``None`` where not yet computed.
        points: name → its coordinates.
        distance: length of one unit, in weight space.
        samples, data, meta: as in ``Curve``.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    loss: tuple[tuple[float | None, ...], ...]
    accuracy: tuple[tuple[float | None, ...], ...]
    points: Mapping[str, tuple[float, float]]
    distance: float
    samples: int = 0
    data: str = ""
    meta: Mapping = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return all(value is not None for row in self.loss for value in row)

    def save(self, path: str | os.PathLike) -> None:
        """Write to a JSON file, whole or not at all."""
        results.write(path, FORM, VERSION, asdict(self))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Plane:
        """Read what ``save`` wrote, complete or not.

        Raises:
            FileFormatError: the file is cut off, holds something else, or is of a version that cannot
                be read.
        """
        content = results.read(path, FORM, VERSION, UPGRADES)
        try:
            content |= {name: tuple(content[name]) for name in ("x", "y")}
            content |= {
                name: tuple(tuple(row) for row in content[name]) for name in ("loss", "accuracy")
            }
            content["points"] = {name: tuple(point) for name, point in content["points"].items()}
            return cls(**content)
        except (KeyError, TypeError) as error:
            raise results.FileFormatError(f"{path} is not a whole plane: {error}") from error


def loss_plane(
    model: nn.Module,
    a: Weights,
    b: Weights,
    c: Weights,
    data: Data,
    *,
    names: tuple[str, str, str] = ("A", "B", "π(B)"),
    resolution: int | tuple[int, int] = 25,
    margin: float = 0.3,
    path: str | os.PathLike | None = None,
    data_name: str = "",
    meta: Mapping | None = None,
    batch_size: int = 500,
    progress: bool = True,
) -> Plane:
    """Score a grid of networks on the plane through three.

    The first axis is B - A, the second what is left of π(B) - A once its part along the first is
    gone, both in units of |B - A|.

    Args:
        model: the architecture; given back as it was.
        a, b, c: the three networks, for instance A, B and π(B).
        data: a pair of tensors, or a loader that can be read again.
        resolution: points of the grid along x, or along x and y.
        margin: how far the grid goes beyond the three points.
        path: a file that keeps each row as it is done: run the same call again to go on after an
            interruption.
        progress: show a bar over the rows.

    Raises:
        RebasinError: the three lie on one line, or ``path`` holds another plane.
        WeightsError, DataError: as for ``linear_path``.

    Ref: Git Re-Basin, figure 1.
    """
    parts = zip((a, b, c), ("first network", "second network", "third network"))
    states = compatible(*(state_for(model, weights, of=of) for weights, of in parts))
    own = [name for name, _ in model.named_parameters() if name in states[0]]
    u, v = ([states[k][name].double() - states[0][name].double() for name in own] for k in (1, 2))
    uu, uv, vv = (
        sum(float((p * q).sum()) for p, q in zip(left, right))
        for left, right in ((u, u), (u, v), (v, v))
    )
    if uu == 0 or vv - uv**2 / uu <= 1e-10 * max(uu, vv):
        raise RebasinError(
            "these three networks lie on one line (or two of them are the same): they span no plane"
        )
    along, height = uv / uu, math.sqrt(vv / uu - (uv / uu) ** 2)
    points = dict(zip(names, ((0.0, 0.0), (1.0, 0.0), (along, height))))
    columns, rows = (resolution, resolution) if isinstance(resolution, int) else resolution
    x = _axis([0.0, 1.0, along], margin, columns)
    y = _axis([0.0, height], margin, rows)
    empty = tuple((None,) * columns for _ in range(rows))
    plane = Plane(x, y, empty, empty, points, math.sqrt(uu), 0, data_name, dict(meta or {}))
    plane = _resumed(plane, path)
    with _bar(rows, progress) as bar:
        for k in range(rows):
            if plane.loss[k][0] is None:
                weights = [_coefficients(value, y[k], along, height) for value in x]
                found = scores(model, states, weights, data, batch_size=batch_size)
                plane = replace(
                    plane,
                    loss=_with_row(plane.loss, k, [score.loss for score in found]),
                    accuracy=_with_row(plane.accuracy, k, [score.accuracy for score in found]),
                    samples=found[0].samples,
                )
                if path is not None:
                    plane.save(path)
            bar.update(1)
    return plane


def _coefficients(x: float, y: float, along: float, height: float) -> tuple[float, float, float]:
    """What the three networks weigh at a point; the point is ``A + x (B - A) + y (C - A - along (B
    - A)) / height``.
    """
    third = y / height
    second = x - along * third
    return 1 - second - third, second, third


def _axis(values: Sequence[float], margin: float, count: int) -> tuple[float, ...]:
    if count < 2:
        raise RebasinError(f"a grid needs at least 2 points along each axis, not {count}")
    return tuple(
        torch.linspace(
            min(values) - margin, max(values) + margin, count, dtype=torch.float64
        ).tolist()
    )


def _with_row(table: tuple, k: int, row: Sequence[float]) -> tuple:
    return (*table[:k], tuple(row), *table[k + 1 :])


def _resumed(plane: Plane, path: str | os.PathLike | None) -> Plane:
    """What is stored of this very plane already, or the empty one."""
    if path is None or not Path(path).exists():
        return plane
    stored = Plane.load(path)
    blank = replace(stored, loss=plane.loss, accuracy=plane.accuracy, samples=0)
    same = len(blank.x) == len(plane.x) and len(blank.y) == len(plane.y)
    near = all(
        math.isclose(p, q, abs_tol=1e-6) for p, q in zip((*blank.x, *blank.y), (*plane.x, *plane.y))
    )
    if not (
        same
        and near
        and math.isclose(blank.distance, plane.distance, rel_tol=1e-6)
        and blank.data == plane.data
    ):
        raise RebasinError(
            f"{path} holds another plane (other networks, grid or data): choose another file, or delete it"
        )
    return stored


def _bar(total: int, shown: bool):
    from tqdm.auto import tqdm

    return tqdm(total=total, desc="loss plane", unit="row", leave=False, disable=not shown)
