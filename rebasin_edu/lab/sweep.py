"""Many recipes over any ``concurrent.futures.Executor``: local processes by default, a Dask
cluster's when one is not enough.

Each recipe's result is one JSON file, written when that recipe is done; what exists is not run
again, so a sweep that was stopped is simply started again. A worker that dies costs only the recipe
it was at, which is tried again. A laptop, machines reached by SSH, and a Slurm queue differ in one
line::

    sweep(recipes)                                           # a process a core, here
    client = Client(SSHCluster(["head", "node1", "node2"]))  # from distributed (extra "cluster")
    client = Client(SLURMCluster(cores=4, memory="16GB"))    # from dask_jobqueue
    sweep(recipes, client.get_executor())

The result files are written here, by the process that calls ``sweep``; the workers need the
package, the data (``REBASIN_EDU_DATA``) and nothing else in common.
"""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, RebasinError, SweepError
from ..storage import load_json, save_json
from .dataset_files import cache_dir
from .log import log, quiet
from .recipe import Recipe, resolved
from .training_config import whole_number
from .zoo import load_or_train, provenance

Work = Callable[[Recipe], Mapping[str, Any]]
FORMAT = "rebasin_edu result"


def sweep(
    recipes: Sequence[Recipe],
    executor: Executor | None = None,
    *,
    work: Work | None = None,
    folder: str | os.PathLike | None = None,
    attempts: int = 2,
    progress: bool = False,
) -> list[dict[str, Any] | None]:
    """Return the results of ``work`` on every recipe, in the order of the recipes, running those
    that have no result yet.

    Args:
        recipes: equal ones are run once; mappings of their fields will do.
        executor: where the work is done, ``None`` for one process a core on this machine. For many
            machines: ``distributed.Client("tcp://scheduler:8786").get_executor()``.
        work: a function from a recipe to a mapping that JSON can hold; by default
            ``train_recipe``.
        folder: of the result files, ``RECIPE.id.json``; by default ``runs`` in the user's cache.
        attempts: how often a recipe is tried whose worker dies. An error of the work itself is not
            tried again.
        progress: show a bar.

    Raises:
        SweepError: when all the others are done, if some recipe has no result.
        FileFormatError: the folder cannot be written to; nothing was run.
    """
    from tqdm.auto import tqdm

    attempts = whole_number("attempts", attempts, 1)
    recipes = [r if isinstance(r, Recipe) else Recipe.from_dict(r) for r in recipes]
    folder = Path(folder) if folder is not None else cache_dir() / "runs"
    _check_writable(folder)
    files = {recipe.id: folder / f"{recipe.id}.json" for recipe in recipes}
    results = {name: result for name, path in files.items() if (result := _stored(path))}
    todo = {recipe.id: recipe for recipe in recipes if recipe.id not in results}
    failures: dict[str, BaseException] = {}
    local = _LocalProcesses() if executor is None else None
    running: dict[Future, Recipe] = {}
    bar = tqdm(total=len(files), initial=len(results), unit=" recipe", disable=not progress)
    try:
        for attempt in range(1, attempts + 1):
            run = (local or executor).submit  # type: ignore[union-attr]
            running = {run(_run, work or train_recipe, each): each for each in todo.values()}
            todo = {}
            for future in as_completed(running):
                recipe, error = running[future], future.exception()
                if error is None:
                    text, error = future.result()
                if error is None:
                    save_json(files[recipe.id], {"result": json.loads(text)}, format=FORMAT)
                    results[recipe.id] = json.loads(text)
                    bar.update()
                elif _died(error) and attempt < attempts:
                    todo[recipe.id] = recipe
                else:
                    failures[recipe.id] = error
    finally:
        bar.close()
        unfinished = [future for future in running if not future.done()]
        for future in unfinished:
            future.cancel()
        if local is not None:
            local.stop(now=bool(unfinished))
    everything = [results.get(recipe.id) for recipe in recipes]
    if failures:
        raise SweepError(everything, failures)
    return everything


def train_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return how the network of a recipe was made, with its history; train it where it is not here
    yet.
    """
    with quiet():
        try:
            return provenance(recipe)
        except FileFormatError:
            data = recipe.load_data()
            recipe = resolved(recipe, data)
            load_or_train(recipe, dataset=data)
            return provenance(recipe)


def _run(work: Work, recipe: Recipe) -> tuple[str, BaseException | None]:
    """Do the work where the worker is; what goes back is text, or an error that can travel."""
    try:
        result = work(recipe)
        if not isinstance(result, Mapping):
            raise RebasinError(f"work gave {result!r:.80}, not a mapping that JSON can hold")
        return _as_json(result), None
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # its words go, where it cannot
            error = RebasinError(f"{type(error).__name__}: {error}")
        return "", error


def _as_json(result: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(result))
    except (TypeError, ValueError) as error:
        raise RebasinError(f"the result cannot be written as JSON: {error}") from error


class _LocalProcesses:
    """A worker process a core. Each is an executor of its own, so that a process that dies takes no
    other's recipe with it; loky carries functions of a script or a notebook cell, too.
    """

    def __init__(self) -> None:
        self.count = os.cpu_count() or 1
        self.threads = ThreadPoolExecutor(self.count)
        self.workers: dict[int, Any] = {}
        self.stopped = False

    def submit(self, function: Callable, *arguments: Any) -> Future:
        return self.threads.submit(self._call, function, arguments)

    def _call(self, function: Callable, arguments: tuple) -> Any:
        from loky import ProcessPoolExecutor

        mine = threading.get_ident()
        if mine not in self.workers and not self.stopped:
            self.workers[mine] = ProcessPoolExecutor(1, env={"OMP_NUM_THREADS": "1"})
        try:
            return self.workers[mine].submit(function, *arguments).result()
        except BrokenExecutor:
            self.workers.pop(mine).shutdown(kill_workers=True)
            raise

    def stop(self, now: bool) -> None:
        """End all processes, ``now`` whatever they are at."""
        self.stopped = True
        self.threads.shutdown(wait=False, cancel_futures=True)
        for worker in list(self.workers.values()):
            worker.shutdown(kill_workers=now)


def _stored(path: Path) -> dict[str, Any] | None:
    """The result in a file; a file that cannot be read is set aside, so that it is made again."""
    if not path.exists():
        return None
    try:
        return load_json(path, format=FORMAT, upgrades={0: lambda old: {"result": old}})["result"]
    except (FileFormatError, KeyError) as error:
        aside = path.with_suffix(".damaged")
        os.replace(path, aside)
        log.warning("a damaged result was set aside as %s: %s", aside.name, error)
        return None


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        why = error.strerror or error
        raise FileFormatError(f"{folder} cannot be written to ({why}); nothing was run") from error


def _died(error: BaseException) -> bool:
    """Whether the worker died; Dask has names of its own for it."""
    names = ("KilledWorker", "FutureCancelledError")
    return isinstance(error, BrokenExecutor) or type(error).__name__ in names
