"""Networks by recipe: stored with the package, kept in the user's cache, or trained now; it says
which.

A network is one safetensors file (in fewer bits where that was measured to be harmless) and a JSON
file beside it that tells how it was made: recipe, data, machine, versions, time, history and the
command that makes it anew.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import FileFormatError
from . import checkpoints
from .dataset_files import cache_dir
from .datasets import Dataset
from .quantization import pack, unpack
from .recipe import Recipe, resolved
from .training import train

Say = Callable[[str], None]


def stored_dir() -> Path:
    """The folder of networks and runs that come with the package."""
    with as_file(files("rebasin_edu") / "lab" / "stored") as folder:
        return folder


def load_or_train(
    recipe: Recipe,
    *,
    epoch: int | None = None,
    every_epoch: bool = False,
    dataset: Dataset | None = None,
    data_dir: str | os.PathLike | None = None,
    download: bool | None = None,
    progress: bool = True,
    say: Say | None = print,
    used: Callable[[Recipe], None] | None = None,
) -> nn.Module:
    """Give back the network of a recipe, in eval mode on the CPU, and say where it came from.

    It is loaded from the package, or else from the user's cache (``$REBASIN_EDU_CACHE``), or else
    trained into that cache, going on where a killed training stopped. If another process is
    training it, wait for that one.

    Args:
        recipe: what to make.
        epoch: the network after this many epochs instead of the last; 0 is untrained.
        every_epoch: when it has to be trained, keep the weights after every epoch (``epoch=``
            implies it).
        dataset: the recipe's data where it is already in memory (``recipe.load_data()``); its
            device does the training.
        data_dir, download: see ``load_data``.
        progress: show the progress bar of a training.
        say: told in one line where the network came from; ``None`` for silence.
        used: told the recipe that was used, another one where a small data set stands in for the
            one named.

    Raises:
        DataError: it has to be trained, and its data is not here.
        FileFormatError: a file in the cache is damaged.
    """
    say = say or (lambda _: None)
    every_epoch = every_epoch or epoch is not None
    if epoch is not None and not 0 <= epoch <= recipe.epochs:
        raise ValueError(f"epoch {epoch} of a recipe with {recipe.epochs} epochs")
    found = _find(recipe, epoch)
    if found is None and dataset is None:
        dataset = recipe.load_data(data_dir, download, say=say)
    if found is None and resolved(recipe, dataset) != recipe:
        named = resolved(recipe, dataset)
        say(f"note: this is {recipe.model} on {dataset.name}, not on {recipe.dataset}")
        recipe, found = named, _find(named, epoch)
    if found is None:
        _train_locked(recipe, epoch, dataset, every_epoch, progress, say)
        found = _find(recipe, epoch)
    if used is not None:
        used(recipe)
    path, origin = found
    tensors, about = checkpoints.load_tensors(path)
    model = network(recipe, tensors, about.get("shape"))
    accuracy = (about.get("history") or [{}])[-1].get("test_accuracy")
    at = (
        f" after epoch {epoch}"
        if epoch is not None
        else f", test accuracy {accuracy:.2%}"
        if accuracy
        else ""
    )
    say(f"{origin}: {path.stem if epoch is None else recipe.id}{at}")
    return model


def network(
    recipe: Recipe, tensors: dict[str, Tensor], shape: list[int] | None = None
) -> nn.Module:
    """Build a recipe's network around stored tensors (in any precision), in eval mode."""
    tensors = unpack(tensors)
    model = recipe.build(_Shape(shape) if shape else None)
    wanted = model.state_dict()
    wrong = sorted(k for k in {*wanted, *tensors} if k not in wanted or k not in tensors)
    wrong += [k for k in wanted if k in tensors and wanted[k].shape != tensors[k].shape]
    if wrong:
        raise FileFormatError(
            f"the file of {recipe.id} holds another network: {', '.join(wrong[:4])} do not fit"
        )
    model.load_state_dict({k: v.to(wanted[k].dtype) for k, v in tensors.items()})
    return model.eval()


def provenance(recipe: Recipe) -> dict[str, Any]:
    """How a network that is stored or cached was made; ``history`` holds loss and accuracy after
    every epoch.

    Raises:
        FileFormatError: there is no such network here.
    """
    found = _find(recipe, None)
    if found is None:
        raise FileFormatError(f"{recipe.id} is neither stored nor cached; load_or_train makes it")
    return checkpoints.load_tensors(found[0])[1]


def save_network(
    folder: str | os.PathLike, model: nn.Module, about: dict[str, Any], precision: str = "single"
) -> Path:
    """Write a network and the JSON that tells how it was made; ``precision`` is one of
    ``packing.PRECISIONS``.
    """
    recipe = Recipe.from_dict(about["recipe"])
    path = Path(folder) / f"{recipe.id}.safetensors"
    checkpoints.save_json(path.with_suffix(".json"), about)
    checkpoints.save_tensors(path, pack(model.state_dict(), precision), about)
    return path


def how_made(
    recipe: Recipe, dataset: Dataset, history: list[dict], seconds: float
) -> dict[str, Any]:
    """Describe a training for the file of its network; no path of this machine is in it."""
    return {
        "recipe": recipe.to_dict(),
        "data": dataset.name,
        "shape": [*dataset.shape, len(dataset.classes)],
        "machine": machine(dataset.device),
        "versions": versions(),
        "seconds": round(seconds, 1),
        "made": time.strftime("%Y-%m-%d"),
        "command": recipe.command,
        "history": history,
    }


def machine(device: torch.device | str = "cpu") -> str:
    """The processor in words, and how many threads compute."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return f"{name}, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def versions() -> dict[str, str]:
    """Versions that can change a number."""
    from importlib.metadata import PackageNotFoundError, version

    held = {"python": platform.python_version(), "torch": torch.__version__}
    try:
        held["rebasin_edu"] = version("rebasin_edu")
    except PackageNotFoundError:
        held["rebasin_edu"] = "source"
    return held


def _find(recipe: Recipe, epoch: int | None) -> tuple[Path, str] | None:
    name = f"{recipe.id}.safetensors"
    places = [
        (stored_dir() / "networks" / name, "stored with the package"),
        (_cache() / name, "from the cache"),
    ]
    if epoch is not None and epoch != recipe.epochs:
        places = [(_epoch_file(recipe, epoch), "from the cache")]
    return next(((path, origin) for path, origin in places if path.is_file()), None)


def _cache() -> Path:
    return cache_dir() / "networks"


def _epoch_file(recipe: Recipe, epoch: int) -> Path:
    return _cache() / recipe.id / f"epoch-{epoch:03d}.safetensors"


def _train_locked(
    recipe: Recipe, epoch: int | None, dataset: Dataset, every_epoch: bool, progress: bool, say: Say
) -> None:
    from filelock import FileLock, Timeout  # comes with torch

    lock = FileLock(_cache() / f"{recipe.id}.lock")
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        say(f"waiting: another process is training {recipe.id}")
        lock.acquire()
        if _find(recipe, epoch) is not None:
            lock.release()
            return
    except OSError as error:
        raise FileFormatError(
            f"the cache {_cache()} cannot be written to ({error.strerror or error}): set REBASIN_EDU_CACHE to a folder of yours"
        ) from error
    try:
        folder, checkpoint = _cache() / recipe.id, _cache() / f"{recipe.id}.training"
        for stale in _cache().glob(
            f"{recipe.id}*.part"
        ):  # of a process that was killed while it wrote
            stale.unlink()
        goes_on = checkpoint.exists()
        say(
            f"{'training, from its checkpoint' if goes_on else 'training'}: {recipe.id} on {dataset.name}"
        )
        model = recipe.build(dataset)
        snapshots = folder if every_epoch else None
        trained = train(
            model,
            dataset,
            **recipe.training(),
            snapshots=snapshots,
            checkpoint=checkpoint,
            progress=progress,
        )
        seconds = sum(row.get("seconds", 0.0) for row in trained.history)
        save_network(_cache(), trained.model, how_made(recipe, dataset, trained.history, seconds))
        checkpoint.unlink(missing_ok=True)
    finally:
        lock.release()


class _Shape:
    """The little of a data set that ``Recipe.build`` asks for."""

    def __init__(self, held: list[int]) -> None:
        self.shape, self.classes = tuple(held[:3]), range(held[3])


__all__ = [
    "Recipe",
    "how_made",
    "load_or_train",
    "machine",
    "network",
    "provenance",
    "save_network",
    "stored_dir",
]
