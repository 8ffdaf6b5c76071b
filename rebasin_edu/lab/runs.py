"""Stored runs: the numbers that a notebook shows and that took longer to make than a reader waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rebasin_edu.lab import checkpoints
from rebasin_edu.lab.zoo import stored_dir

NEEDED = ("data", "recipe", "seeds", "machine", "versions", "seconds", "command")


class RunError(ValueError):
    """A stored run is not there, or does not say how it was made."""


def load_run(name: str) -> dict[str, Any]:
    """A run that comes with the package: its numbers, and how they were made (recipe, seeds, machine, command).

    Raises:
        RunError: there is no run of this name, or its file is damaged.
    """
    path = _folder() / f"{name}.json"
    if not path.is_file():
        raise RunError(f"no stored run {name!r}; there are {sorted(each.stem for each in _folder().glob('*.json'))}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"the stored run {name!r} is damaged: {error}") from error


def save_run(name: str, run: dict[str, Any]) -> Path:
    """Store a run with the package, whole or not at all; it must say how it was made."""
    if missing := [field for field in NEEDED if field not in run]:
        raise RunError(f"a stored run says how it was made; {name!r} lacks {', '.join(missing)}")
    _folder().mkdir(parents=True, exist_ok=True)
    path = _folder() / f"{name}.json"
    checkpoints.save_json(path, run)
    return path


def _folder() -> Path:
    return stored_dir() / "runs"
