"""Many recipes over any ``concurrent.futures.Executor``: local processes by default, a Dask
cluster's when one is not enough.

Each recipe's result is one JSON file, written when that recipe is done; what exists is not run
again, so a sweep that was stopped is simply started again. A worker that dies costs only the recipe
it was at, which is tried again.

A laptop, machines reached by SSH, and a Slurm queue differ in one line::

    sweep(recipes)                                                        # a process a core, here
    client = Client(SSHCluster(["head", "node1", "node2"]))               # from distributed (extra
    "cluster") client = Client(SLURMCluster(cores=4, memory="16GB", n_workers=20))   # from
    dask_jobqueue sweep(recipes, client.get_executor())

The result files are written here, by the process that calls ``sweep``; the workers need the
package, the data (``REBASIN_EDU_DATA``) and nothing else in common.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ..errors import SweepError
from . import checkpoints
from .dataset_files import cache_dir
from .recipe import Recipe

Work = Callable[[Recipe], dict[str, Any]]


class WorkerDied(BrokenExecutor):
    """The process of one recipe ended without a result: killed, or out of memory."""


def sweep(
    recipes: Sequence[Recipe],
    executor: Executor | None = None,
    *,
    work: Work | None = None,
    folder: str | os.PathLike | None = None,
    attempts: int = 2,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Run ``work`` on every recipe that has no result yet and give back all results, in the order
    of the recipes.

    Args:
        recipes: equal ones are run once.
        executor: where the work is done, ``None`` for one process a core on this machine. For many
            machines: ``distributed.Client("tcp://scheduler:8786").get_executor()``.
        work: a function of a module (it travels to the workers) from a recipe to what JSON can
            hold; by default ``train_recipe``.
        folder: of the result files, ``RECIPE.id.json``; by default ``runs`` in the user's cache.
        attempts: how often a recipe is tried whose worker dies. An error of the work itself is not
            tried again.
        progress: show a bar.

    Raises:
        SweepError: when all the others are done, if some recipe has no result.
    """
    from tqdm.auto import tqdm

    folder = Path(folder) if folder is not None else cache_dir() / "runs"
    work = work or train_recipe
    files = {recipe.id: folder / f"{recipe.id}.json" for recipe in recipes}
    todo = {recipe.id: recipe for recipe in recipes if not files[recipe.id].exists()}
    failures: dict[str, BaseException] = {}
    own = LocalProcesses() if executor is None else None
    executor = executor or own
    try:
        bar = tqdm(
            total=len(files), initial=len(files) - len(todo), unit=" recipe", disable=not progress
        )
        for attempt in range(1, attempts + 1):
            running: dict[Future, Recipe] = {
                executor.submit(work, recipe): recipe for recipe in todo.values()
            }
            todo = {}
            for future in as_completed(running):
                recipe = running[future]
                error = future.exception()
                if error is None:
                    checkpoints.save_json(files[recipe.id], future.result())
                    bar.update()
                elif _died(error) and attempt < attempts:
                    todo[recipe.id] = recipe
                else:
                    failures[recipe.id] = error
        bar.close()
    finally:
        if own is not None:
            own.shutdown(cancel_futures=True)
    results = [
        checkpoints.load_json(files[r.id]) if r.id not in failures else None for r in recipes
    ]
    if failures:
        raise SweepError(results, failures)
    return results


def train_recipe(recipe: Recipe) -> dict[str, Any]:
    """Train the network of a recipe, or find it, and give back how it was made with its history."""
    from .zoo import load_or_train, provenance

    named: list[Recipe] = []
    load_or_train(recipe, progress=False, say=None, used=named.append)
    return provenance(named[0])


class LocalProcesses(Executor):
    """A fresh process for every task, a few at a time, so that a dead one takes no other task with
    it.

    Args:
        workers: how many at a time; by default one a core. The cores are shared among them.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self.workers)

    def submit(self, fn: Callable, /, *args, **kwargs) -> Future:
        """Start ``fn(*args, **kwargs)`` in a process of its own when there is room."""
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        return self._threads.submit(_in_process, pickle.dumps((fn, args, kwargs)), threads)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what runs; with ``cancel_futures`` drop what has not begun."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)


def _in_process(task: bytes, threads: int) -> Any:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(task, threads, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        good, value = ours.recv()
    except EOFError:
        process.join()
        raise WorkerDied(f"its process ended with code {process.exitcode}") from None
    process.join()
    if not good:
        raise value
    return value


def _run(task: bytes, threads: int, pipe: Any) -> None:
    import torch

    torch.set_num_threads(threads)
    fn, args, kwargs = pickle.loads(task)
    try:
        answer = (True, fn(*args, **kwargs))
    except Exception as error:
        answer = (False, error)
    try:
        pipe.send(answer)
    except Exception as error:  # what cannot travel is told in words
        pipe.send((False, RuntimeError(f"{answer[1]!r} cannot be sent back ({error})")))


def _died(error: BaseException) -> bool:
    return isinstance(error, BrokenExecutor) or type(error).__name__ in (
        "KilledWorker",
        "FutureCancelledError",
    )
