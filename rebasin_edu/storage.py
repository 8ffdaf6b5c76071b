"""The one place that writes files: whole or not at all, with a format and a version in each."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from .errors import FileFormatError

Path_ = str | os.PathLike
Upgrades = Mapping[int, Callable[[dict], dict]]


def write_atomically(path: Path_, write: Callable[[Path], Any]) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part.

    ``write`` is called with a temporary path of a unique name in the same folder, which is made if
    need be; the result is moved into place. Whatever fails, nothing is left behind.

    Raises:
        FileFormatError: the disk is full or the folder cannot be written to; what was at ``path``
            is still there.
    """
    path, part = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
        part = Path(name)
        os.close(handle)
        write(part)
        with open(part, "rb") as file:  # on the disk before the name points to it
            os.fsync(file.fileno())
        part.chmod(0o644)  # temporary files are readable by their owner alone
        os.replace(part, path)
    except OSError as error:
        kept = "the old file there is untouched" if path.exists() else "nothing was written"
        why = error.strerror or error
        raise FileFormatError(f"{path} cannot be written ({why}); {kept}") from error
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink()


def save_json(path: Path_, content: Mapping, *, format: str, version: int = 1) -> None:
    """Write a mapping as a JSON file that names its format and version."""
    tagged = {"format": format, "version": version, **content}
    text = json.dumps(_to_json(tagged), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def load_json(
    path: Path_, *, format: str, version: int = 1, upgrades: Upgrades | None = None
) -> dict[str, Any]:
    """Return the content of a JSON file that ``save_json`` wrote, without its format and version.

    A file that names no format is of version 0: ``upgrades`` may read it.

    Args:
        upgrades: old version → a function that makes the content of the next version from it.

    Raises:
        FileFormatError: the file is not there, is cut off, holds something else, or is of a version
            that cannot be read.
    """
    content = _read_json(path)
    kind, _, old_version = str(content.get("format", format)).partition("/")  # "Name/1" until 0.1
    if kind != format:
        raise FileFormatError(f"{path} should hold a {format}, it holds a {kind}")
    found = content.get("version", int(old_version or 0))
    if not isinstance(found, int) or found > version:
        raise FileFormatError(
            f"{path} is of version {found}, this package reads up to {version}: update rebasin_edu"
        )
    content = {key: value for key, value in content.items() if key not in ("format", "version")}
    while found < version:
        if found not in (upgrades or {}):
            raise FileFormatError(
                f"{path} is of version {found} of {format}, which this package does not read: "
                "is it another file, or was it cut off? Make it again"
            )
        content, found = (upgrades or {})[found](content), found + 1
    return _from_json(content)


def save_tensors(path: Path_, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors, and a description that JSON can hold, as one safetensors file."""
    from safetensors.torch import save_file

    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"about": json.dumps(dict(about))}

    def write(part: Path) -> None:
        try:
            save_file(flat, part, metadata=header)
        except OSError:
            raise
        except Exception as error:  # safetensors wraps a full disk in an error of its own
            raise OSError(str(error)) from error

    write_atomically(path, write)


def load_tensors(path: Path_) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the description in a file that ``save_tensors`` wrote.

    Raises:
        FileFormatError: it is not there, truncated, or another program's.
    """
    from safetensors import safe_open

    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except KeyError as error:
        raise FileFormatError(
            f"{path} is a safetensors file, but not one of ours: it does not say what it is"
        ) from error
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} does not exist") from error
    except Exception as error:
        raise FileFormatError(
            f"{path} is not a whole safetensors file ({error}): truncated or foreign?"
        ) from error


def _read_json(path: Path_) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} cannot be read as JSON ({error}): is it cut off?") from error
    if not isinstance(content, dict):
        raise FileFormatError(f"{path} holds a {type(content).__name__}, not a stored result")
    return content


def _to_json(value: Any) -> Any:
    """JSON has no infinity and no NaN: such numbers are written as ``{"number": "inf"}``."""
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": repr(value)}
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"number"}:
            return float(value["number"])
        return {key: _from_json(item) for key, item in value.items()}
    return [_from_json(item) for item in value] if isinstance(value, list) else value
