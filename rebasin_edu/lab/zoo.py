"""Networks by recipe: stored with the package, kept in the user's cache, or trained now; it says
which.

A network is one safetensors file (in fewer bits where that was measured to be harmless) and a JSON
file beside it that tells how it was made: recipe, data, machine, versions, time, history and the
command that makes it anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import FileFormatError, RebasinError
from ..storage import load_tensors, save_json, save_tensors
from ..weights import state_for
from .dataset_files import cache_dir
from .datasets import Dataset
from .log import log
from .metadata import training_metadata
from .quantization import pack, unpack
from .recipe import ImageShape, Recipe, resolved
from .training import train

FORMAT = "rebasin_edu network"


def load_or_train(
    recipe: Recipe,
    *,
    epoch: int | None = None,
    every_epoch: bool = False,
    dataset: Dataset | None = None,
    data_dir: str | os.PathLike | None = None,
    download: bool | None = None,
    progress: bool = False,
) -> nn.Module:
    """Return the network of a recipe, in eval mode on the CPU, and say where it came from.

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

    Raises:
        DataError: it has to be trained, and its data is not here.
        FileFormatError: a file in the cache is damaged, or holds the network of another recipe.
    """
    if not isinstance(recipe, Recipe):
        raise RebasinError(f"a Recipe is needed, not {recipe!r}")
    if epoch is not None and not 0 <= epoch <= recipe.epochs:
        raise RebasinError(f"epoch {epoch} of a recipe with {recipe.epochs} epochs")
    path = _find(recipe, epoch)
    if path is None:
        dataset = dataset if dataset is not None else recipe.load_data(data_dir, download)
        named = resolved(recipe, dataset)
        if named != recipe:
            log.info("note: this is %s on %s, not on %s", recipe.model, dataset.name,
                     recipe.dataset)  # fmt: skip
            recipe, path = named, _find(named, epoch)
    if path is None and dataset is not None:
        _train(recipe, epoch, dataset, every_epoch or epoch is not None, progress)
        path = _find(recipe, epoch)
    if path is None:
        raise FileFormatError(f"{recipe.id} is not in the cache, though it was just written there")
    tensors, about = load_tensors(path)
    model = network(recipe, tensors, about)
    origin = "stored with the package" if stored_dir() in path.parents else "from the cache"
    accuracy = (about.get("history") or [{}])[-1].get("test_accuracy")
    quality = f", test accuracy {accuracy:.2%}" if accuracy else ""
    log.info("%s: %s%s", origin, recipe.id, quality if epoch is None else f" after epoch {epoch}")
    return model


def network(
    recipe: Recipe, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return a recipe's network with stored tensors (in any precision), in eval mode.

    Args:
        about: what the file says of them; where it names a recipe, it must be this one.

    Raises:
        FileFormatError: they are the weights of another network.
    """
    about = about or {}
    if "recipe" in about and (other := Recipe.from_dict(about["recipe"])) != recipe:
        there, here = other.to_dict(), recipe.to_dict()
        listed = "; ".join(
            f"{name} is {there[name]!r} there, {here[name]!r} here"
            for name in here
            if there[name] != here[name]
        )
        raise FileFormatError(
            f"the file of {recipe.id} holds another network: {listed}. Remove it from the cache"
        )
    tensors = unpack(tensors)
    shape = about.get("shape")
    model = recipe.build(ImageShape(*shape) if shape else None)
    try:
        state = state_for(model, tensors, name=f"the weights in the file of {recipe.id}")
    except RebasinError as error:
        raise FileFormatError(
            f"the file of {recipe.id} holds another network: {error}. Remove it from the cache"
        ) from error
    model.load_state_dict(state)  # in the model's own precision
    return model.eval()


def provenance(recipe: Recipe) -> dict[str, Any]:
    """Return how a network that is stored or cached was made; ``history`` holds loss and accuracy
    after every epoch.

    Raises:
        FileFormatError: there is no such network here.
    """
    path = _find(recipe, None)
    if path is None:
        raise FileFormatError(f"{recipe.id} is neither stored nor cached; load_or_train makes it")
    return load_tensors(path)[1]


def save_network(
    folder: str | os.PathLike, model: nn.Module, about: Mapping[str, Any], precision: str = "single"
) -> Path:
    """Write a network and the JSON that tells how it was made, and return its path.

    Args:
        precision: one of ``quantization.PRECISIONS``.
    """
    recipe = Recipe.from_dict(about["recipe"])
    path = Path(folder) / f"{recipe.id}.safetensors"
    save_json(path.with_suffix(".json"), about, format=FORMAT)
    save_tensors(path, pack(model.state_dict(), precision), about)
    return path


def stored_dir() -> Path:
    """Return the folder of networks and runs that come with the package."""
    return Path(__file__).parent / "stored"


def _cache() -> Path:
    return cache_dir() / "networks"


def _find(recipe: Recipe, epoch: int | None) -> Path | None:
    """The file of a network, under its id or under the one that version 1 gave it."""
    names = [recipe.id]
    if recipe.dataset != "mnist-5k":  # other images in version 1
        names.append(recipe.first_id)
    if epoch is not None and epoch != recipe.epochs:
        paths = [_cache() / name / f"epoch-{epoch:03d}.safetensors" for name in names]
    else:
        folders = (stored_dir() / "networks", _cache())
        paths = [folder / f"{name}.safetensors" for folder in folders for name in names]
    return next((path for path in paths if path.is_file()), None)


def _train(
    recipe: Recipe, epoch: int | None, dataset: Dataset, every_epoch: bool, progress: bool
) -> None:
    with _locked(recipe) as waited:
        if waited and _find(recipe, epoch) is not None:
            return
        folder, checkpoint = _cache() / recipe.id, _cache() / f"{recipe.id}.training"
        for stale in _cache().glob(f"{recipe.id}*.part"):
            stale.unlink()  # of a process that was killed while it wrote
        how = "training, from its checkpoint" if checkpoint.exists() else "training"
        log.info("%s: %s on %s", how, recipe.id, dataset.name)
        trained = train(
            recipe.build(dataset),
            dataset,
            recipe.training,
            snapshots=folder if every_epoch else None,
            checkpoint=checkpoint,
            progress=progress,
        )
        about = training_metadata(recipe, dataset, trained.history)
        save_network(_cache(), trained.model, about)
        checkpoint.unlink(missing_ok=True)


@contextmanager
def _locked(recipe: Recipe) -> Iterator[bool]:
    """Let one process at a time train a recipe; yields whether another one was at it before."""
    from filelock import FileLock, Timeout

    lock, waited = FileLock(_cache() / f"{recipe.id}.lock"), False
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        log.info("waiting: another process is training %s", recipe.id)
        lock.acquire()
    except OSError as error:
        raise FileFormatError(
            f"the cache {_cache()} cannot be written to ({error.strerror or error}): set "
            "REBASIN_EDU_CACHE to a folder of yours"
        ) from error
    try:
        yield waited
    finally:
        lock.release()
