"""Results on disk: one JSON file each, whole or not at all, with the version of its form."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import FileFormatError


def write(path: str | os.PathLike, form: str, version: int, content: Mapping) -> None:
    """Write ``content`` to ``path``; a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(
            json.dumps(
                {"format": form, "version": version, **_plain(content)}, allow_nan=False, indent=1
            )
        )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read(
    path: str | os.PathLike, form: str, version: int, upgrades: Mapping[int, Callable[[dict], dict]]
) -> dict:
    """Read what ``write`` wrote, brought to ``version`` by ``upgrades`` (old version → what makes
    the next of it).

    Raises:
        FileFormatError: the file is cut off, holds something else, or is of a version that cannot be
            read; says which.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(
            f"{path} is not a results file, or it was cut off: {error}"
        ) from error
    if not isinstance(content, dict) or content.get("format") != form:
        found = content.get("format") if isinstance(content, dict) else None
        raise FileFormatError(f"{path} should hold a {form}, it holds {found or 'something else'}")
    found = content.get("version", 0)
    if not isinstance(found, int) or found > version:
        raise FileFormatError(
            f"{path} is of version {found}, this package reads up to {version}: update rebasin_edu"
        )
    while found < version:
        if found not in upgrades:
            raise FileFormatError(
                f"{path} is of version {found}, which this package no longer reads: compute it again"
            )
        content, found = upgrades[found](content), found + 1
    return _numbers(
        {key: value for key, value in content.items() if key not in ("format", "version")}
    )


def _plain(value: object) -> object:
    """JSON has no infinity: such numbers become words in a field of their own kind."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": repr(value)}
    return value


def _numbers(value: object) -> object:
    if isinstance(value, dict):
        return (
            float(value["number"])
            if value.keys() == {"number"}
            else {k: _numbers(v) for k, v in value.items()}
        )
    return [_numbers(item) for item in value] if isinstance(value, list) else value
