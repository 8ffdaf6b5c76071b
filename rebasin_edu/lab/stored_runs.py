"""Stored runs: numbers that a notebook shows and that took longer to make than a reader waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import FileFormatError
from ..storage import load_json, save_json
from .datasets import Dataset
from .metadata import machine, versions
from .recipe import Recipe
from .zoo import stored_dir

NEEDED = ("data", "recipe", "seeds", "machine", "versions", "seconds", "command")
FORMAT = "rebasin_edu run"


def load_run(name: str) -> dict[str, Any]:
    """Return a run that comes with the package: its numbers, and how they were made (recipe,
    seeds, machine, command).

    Raises:
        FileFormatError: there is no run of this name, or its file is damaged.
    """
    names = sorted(path.stem for path in _folder().glob("*.json"))
    if name not in names:
        raise FileFormatError(f"no stored run {name!r}; there are {names}")
    try:
        unchanged = {0: dict}  # what version 1 of this package stored names no format
        return load_json(_folder() / f"{name}.json", format=FORMAT, upgrades=unchanged)
    except FileFormatError as error:
        raise FileFormatError(f"the stored run {name!r} is damaged: {error}") from error


def run_metadata(
    data: Dataset,
    recipe: Recipe,
    seeds: Sequence[Sequence[int]],
    started: float,
    command: str,
    **numbers: Any,
) -> dict[str, Any]:
    """Return a run for ``save_run``: its numbers, and how they were made.

    Args:
        data: what the networks are scored on; ``samples`` counts its test examples.
        recipe: of the first network; what differs in others stands with their numbers.
        seeds: of each pair (or group) of networks.
        started: ``time.perf_counter()`` when it began.
        command: makes the run anew.
    """
    return {
        "data": data.name,
        "samples": len(data.test.targets),
        "recipe": recipe.to_dict(),
        "seeds": [list(group) for group in seeds],
        "machine": machine(data.device),
        "versions": versions(),
        "seconds": round(time.perf_counter() - started, 1),
        "command": command,
        **numbers,
    }


def save_run(name: str, run: dict[str, Any]) -> Path:
    """Store a run with the package, whole or not at all; it must say how it was made."""
    if missing := [field for field in NEEDED if field not in run]:
        raise FileFormatError(
            f"a stored run says how it was made; {name!r} lacks {', '.join(missing)}"
        )
    path = _folder() / f"{name}.json"
    save_json(path, run, format=FORMAT)
    return path


def _folder() -> Path:
    return stored_dir() / "runs"
