"""Checkpoints as plain state dicts, read without running any code that is in them."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import FileFormatError
from ..lab.quantization import unpack
from ..weights import State

INSIDE = ("state_dict", "model_state_dict", "model", "weights")  # where programs put the weights
PREFIXES = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before each name


def read_checkpoint(path: str | os.PathLike) -> State:
    """Return the state dict in a checkpoint: safetensors, or ``torch.save`` of tensors.

    A ``torch.save`` file is a pickle, which can hold calls of any function. It is read with
    ``weights_only=True``, which refuses every call but those that make tensors.

    Raises:
        FileFormatError: there is no such file, it is damaged, it holds no state dict, or it would
            run code when it is read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path} does not exist")
    read = _read_safetensors if path.suffix == ".safetensors" else _read_pickle
    return _state(read(path), path)


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    try:
        return unpack(load_file(path))  # the package's own networks hold fewer bits a weight
    except Exception as error:
        raise FileFormatError(
            f"{path} is not a whole safetensors file ({error}): truncated or foreign?"
        ) from error


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():  # about pickle protocols: what matters is said below
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FileFormatError(
            f"{path} is refused: reading it would call a function that it names, and such a file "
            "can do anything on your machine. If you trust it, write its weights anew, where it "
            "was made: torch.save(model.state_dict(), FILE), or safetensors.torch.save_file "
            f"({_first_sentence(error)})"
        ) from None
    except Exception as error:
        raise FileFormatError(f"{path} cannot be read as a checkpoint ({error})") from error


def _first_sentence(error: Exception) -> str:
    """What torch found: its message goes on with advice to load the file all the same."""
    lines = [line.strip() for line in str(error).splitlines()]
    named = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    text = (named or lines)[0]
    return text.split(" was not an allowed global")[0].removeprefix("WeightsUnpickler error: ")


def _state(content: Any, path: Path) -> State:
    """The state dict in what was read, under the names that the model gives."""
    for _ in range(2):
        key = next((k for k in INSIDE if isinstance(content, Mapping) and k in content), None)
        if key is None or not isinstance(content[key], Mapping):
            break
        content = content[key]
    tensors = isinstance(content, Mapping) and all(isinstance(x, Tensor) for x in content.values())
    if not tensors or not content:
        kind = type(content).__name__
        raise FileFormatError(
            f"{path} holds no state dict (name → tensor), but a {kind}: save model.state_dict()"
        )
    state = {str(name): tensor for name, tensor in content.items()}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state
