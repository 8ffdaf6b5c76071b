"""What ``rebasin-edu merge`` does: checkpoints in, one network and its report out."""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..batches import Data
from ..errors import DataError, RebasinError
from ..lab import load_data
from ..lab.metadata import machine, versions
from ..landscape import evaluate, merge
from ..landscape.merging import MergeReport
from ..landscape.metrics import Score
from ..landscape.report import score_rows, table_text
from ..storage import save_json, save_tensors
from .checkpoints import read_checkpoint

FORMAT = "rebasin_edu merge report"


@dataclasses.dataclass
class Merged:
    """The report of a merge, and the scores on test examples where the data have some."""

    report: MergeReport
    test: dict[str, Score]

    def __str__(self) -> str:
        lines = [str(self.report)]
        if self.test:
            lines += ["on the test examples:", table_text(score_rows(self.test))]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        report = self.report
        groups = report.spec.groups if report.spec is not None else {}
        return {
            "method": report.method,
            "repair": report.repair,
            "alpha": report.alpha,
            "groups": len(groups),
            "seconds": report.seconds,
            "held_out_scores": _plain(report.scores),
            "test_scores": _plain(self.test),
            "notes": report.notes,
            "versions": versions(),
            "machine": machine(),
        }


def merge_files(
    checkpoints: Sequence[str | os.PathLike],
    model: str,
    data: str | None,
    save: str | os.PathLike,
    *,
    json: str | os.PathLike | None = None,
    **options: Any,
) -> Merged:
    """Merge the networks in checkpoint files and write the result as safetensors.

    Args:
        checkpoints: two files or more of one architecture.
        model: ``"package.module:function"``, which returns a module of that architecture.
        data: a folder or an ``npz`` file, the name of a data set, ``"package.module:function"``, or
            ``None`` for ``method="none"``, the naive average.
        save: the file of the merged weights.
        json: a file for the report.
        options: of ``rebasin_edu.merge``.

    Raises:
        RebasinError: something of these cannot be used; the message says what.
    """
    started = time.perf_counter()
    network = _called(model, "--model")
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise RebasinError(f"--model {model} returned a {kind}, not a torch.nn.Module")
    network.eval()
    train, test = read_data(data) if data is not None else (None, None)
    states = [read_checkpoint(path) for path in checkpoints]
    if train is None and options.get("method") != "none":
        raise DataError("--data is needed: examples to trace the model with and to repair on")
    state, report = merge(states, train_data=train, model=network, **options)
    named = {Path(path).stem: parent for path, parent in zip(checkpoints, states)}
    if len(named) < len(states):
        named = {str(path): parent for path, parent in zip(checkpoints, states)}
    scored = {**named, "merged": state} if test is not None else {}
    merged = Merged(report, {k: evaluate(x, test, model=network) for k, x in scored.items()})
    report.seconds["all"] = time.perf_counter() - started
    about = merged.as_dict()
    save_tensors(save, state, {"format": "rebasin_edu.merged", "report": about})
    if json is not None:
        save_json(json, about, format=FORMAT)
    return merged


def read_data(data: str) -> tuple[Data, Data | None]:
    """Return training data and, where there are some, test data.

    Raises:
        DataError: nothing is found under that name, or it cannot be read.
    """
    path = Path(data)
    if path.exists():
        if path.is_file() and path.suffix != ".npz":
            raise DataError(f"--data {data}: a folder or an npz file is needed")
        found = load_data(path.stem if path.is_file() else path.name, path.resolve().parent)
        return found.train, found.test
    if ":" in data:
        given = _called(data, "--data")
        both = isinstance(given, tuple) and len(given) == 2 and hasattr(given[1], "__len__")
        if both and not hasattr(given[1], "dim"):  # (train, test), and not (inputs, targets)
            return given
        return given, None
    found = load_data(data)
    return found.train, found.test


def _called(name: str, option: str) -> Any:
    """What the function ``package.module:function`` returns; modules of the folder count too."""
    module_name, colon, function = name.partition(":")
    if not colon or not module_name or not function:
        raise RebasinError(f"{option} {name}: write package.module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RebasinError(f"{option} {name}: {error}") from error
    found: Any = module
    for part in function.split("."):
        if not hasattr(found, part):
            raise RebasinError(f"{option} {name}: {module_name} has no {function!r}")
        found = getattr(found, part)
    return found() if callable(found) else found


def _plain(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    return {
        name: {"loss": score.loss, "accuracy": score.accuracy, "calibration_error": score.ece}
        for name, score in scores.items()
    }
