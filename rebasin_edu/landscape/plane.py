"""The loss over the plane through three networks (the paper's first figure)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..batches import Data
from ..errors import FileFormatError, RebasinError
from ..storage import load_json, save_json
from ..weights import Weights, architecture
from .criteria import Criterion, Metrics
from .evaluate import fitting_states, progress_bar, scores
from .path import name_of

FORMAT, VERSION = "rebasin_edu.Plane", 1
Grid = tuple[tuple[float | None, ...], ...]


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
        metrics: name → a grid like ``loss``, where metrics were asked for.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    loss: Grid
    accuracy: Grid
    points: Mapping[str, tuple[float, float]]
    distance: float
    samples: int = 0
    data: str = ""
    meta: Mapping = field(default_factory=dict)
    metrics: Mapping[str, Grid] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every point of the grid was scored."""
        return all(value is not None for row in self.loss for value in row)

    def save(self, file: str | os.PathLike) -> None:
        """Write to a JSON file, whole or not at all."""
        save_json(file, asdict(self), format=FORMAT, version=VERSION)

    @classmethod
    def load(cls, file: str | os.PathLike) -> Plane:
        """Return the plane that ``save`` wrote, complete or not.

        Raises:
            FileFormatError: the file is cut off, holds something else, or is of a version that
                cannot be read.
        """
        content = load_json(file, format=FORMAT, version=VERSION)
        try:
            content |= {name: tuple(content[name]) for name in ("x", "y")}
            for name in ("loss", "accuracy"):
                content[name] = tuple(tuple(row) for row in content[name])
            grids = content.get("metrics", {}).items()
            content["metrics"] = {name: tuple(tuple(row) for row in grid) for name, grid in grids}
            content["points"] = {name: tuple(point) for name, point in content["points"].items()}
            return cls(**content)
        except (KeyError, TypeError) as error:
            raise FileFormatError(f"{file} is not a whole plane: {error}") from error


def loss_plane(
    a: Weights,
    b: Weights,
    c: Weights,
    data: Data,
    *,
    model: nn.Module | None = None,
    names: tuple[str, str, str] = ("A", "B", "π(B)"),
    resolution: int | tuple[int, int] = 25,
    margin: float = 0.3,
    file: str | os.PathLike | None = None,
    loss: Criterion | None = None,
    metrics: Metrics | None = None,
    meta: Mapping | None = None,
    batch_size: int = 500,
    progress: bool = False,
) -> Plane:
    """Return the scores of a grid of networks on the plane through three.

    The first axis is B - A, the second what remains of π(B) - A once its part along the first is
    taken off, both in units of |B - A|.

    Args:
        a, b, c: the three networks, for instance A, B and π(B).
        data: a pair of tensors, or a loader that can be read again.
        model: the architecture, where none of the three is a module; given back as it was.
        names: what the three are called.
        resolution: points of the grid along x, or along x and y.
        margin: how far the grid goes beyond the three points.
        file: where each row is kept as it is done: run the same call again to go on after an
            interruption.
        loss, metrics: what the networks are scored by, as in ``evaluate``.
        meta: kept with the plane, as is the name of the data where ``data.name`` says it.
        batch_size: how many examples at a time.
        progress: show a bar over the rows.

    Raises:
        RebasinError: the three lie on one line, or ``file`` holds another plane.
        WeightsError, DataError: as for ``linear_path``.

    Ref: Git Re-Basin, figure 1.
    """
    model = architecture(model, a, b, c)
    states = fitting_states(model, a, b, c)
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
    sizes = resolution if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    if len(sizes) != 2 or not all(isinstance(n, int) for n in sizes):
        raise RebasinError(f"resolution={resolution!r}: one or two whole numbers are needed")
    columns, rows = sizes
    x = _axis([0.0, 1.0, along], margin, columns)
    y = _axis([0.0, height], margin, rows)
    empty: Grid = tuple((None,) * columns for _ in range(rows))
    about = name_of(data), dict(meta or {})
    grids = dict.fromkeys(metrics or {}, empty)
    plane = _resumed(Plane(x, y, empty, empty, points, math.sqrt(uu), 0, *about, grids), file)
    options: dict[str, Any] = {"loss": loss, "metrics": metrics, "batch_size": batch_size}
    with progress_bar(rows, progress, "row") as advance:
        for k in range(rows):
            if plane.loss[k][0] is None:
                weights = [_coefficients(value, y[k], along, height) for value in x]
                row = scores(model, states, weights, data, **options)
                plane = replace(
                    plane,
                    loss=_with_row(plane.loss, k, [score.loss for score in row]),
                    accuracy=_with_row(plane.accuracy, k, [score.accuracy for score in row]),
                    samples=row[0].samples,
                    metrics={
                        name: _with_row(grid, k, [score.metrics[name] for score in row])
                        for name, grid in plane.metrics.items()
                    },
                )
                if file is not None:
                    plane.save(file)
            advance(1)
    return plane


def _coefficients(x: float, y: float, along: float, height: float) -> tuple[float, float, float]:
    """The coefficients of the three networks at the point ``A + x (B - A) + y (C - A - along
    (B - A)) / height``.
    """
    third = y / height
    second = x - along * third
    return 1 - second - third, second, third


def _axis(values: Sequence[float], margin: float, count: int) -> tuple[float, ...]:
    if count < 2:
        raise RebasinError(f"a grid needs at least 2 points along each axis, not {count}")
    ends = min(values) - margin, max(values) + margin
    return tuple(torch.linspace(*ends, count, dtype=torch.float64).tolist())


def _with_row(table: Grid, k: int, row: Sequence[float]) -> Grid:
    return (*table[:k], tuple(row), *table[k + 1 :])


def _resumed(plane: Plane, file: str | os.PathLike | None) -> Plane:
    """What is stored of this very plane already, or the empty one."""
    if file is None or not Path(file).exists():
        return plane
    stored = Plane.load(file)
    sizes = [(len(each.x), len(each.y), each.data, set(each.metrics)) for each in (stored, plane)]
    pairs = zip((*stored.x, *stored.y, stored.distance), (*plane.x, *plane.y, plane.distance))
    if sizes[0] != sizes[1] or not all(
        math.isclose(p, q, rel_tol=1e-6, abs_tol=1e-6) for p, q in pairs
    ):
        raise RebasinError(
            f"{file} holds another plane (other networks, grid or data): choose another file, or "
            "delete it"
        )
    return stored
