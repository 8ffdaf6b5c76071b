"""Files that are either whole or not there: safetensors with a JSON header, written beside and
moved into place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import FileFormatError


def atomically(path: str | os.PathLike, write: Callable[[Path], Any]) -> None:
    """Call ``write`` with a path beside ``path`` and move the result into place; on any failure
    nothing changes.

    Raises:
        FileFormatError: the disk is full or the folder cannot be written to; what was at ``path``
            is still there.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        with open(part, "rb") as file:  # on the disk before the name points to it
            os.fsync(file.fileno())
        part.chmod(0o644)  # safetensors writes files that only their owner can read
        os.replace(part, path)
    except OSError as error:
        kept = "the old file there is untouched" if path.exists() else "nothing was written"
        raise FileFormatError(
            f"{path} cannot be written ({error.strerror or error}); {kept}"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def save_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=True) + "\n"
    atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def load_json(path: str | os.PathLike) -> Any:
    """Read a JSON file, or say that it is truncated or foreign."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileFormatError(
            f"{path} cannot be read as JSON ({error}): is it truncated?"
        ) from error


def save_tensors(
    path: str | os.PathLike, tensors: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Write tensors and a description (any JSON) in one safetensors file, atomically."""
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

    atomically(path, write)


def load_tensors(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``save_tensors`` wrote.

    Raises:
        FileFormatError: it is not there, truncated, or another program's.
    """
    from safetensors import safe_open

    try:
        with safe_open(os.fspath(path), framework="pt") as held:
            about = json.loads((held.metadata() or {})["about"])
            return {name: held.get_tensor(name) for name in held.keys()}, about  # noqa: SIM118
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


def pack_optimiser(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by ``parameter number.name``; its settings are not kept, the caller
    has them.
    """
    state = optimiser.state_dict()["state"]
    return {
        f"{i}.{k}": torch.as_tensor(v)
        for i, held in state.items()
        for k, v in held.items()
        if v is not None
    }


def unpack_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``pack_optimiser`` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
