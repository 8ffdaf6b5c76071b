"""How stored numbers and networks came about: recipe, data, machine, versions, time."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import torch

from .datasets import Dataset
from .recipe import Recipe
from .training import History


def training_metadata(recipe: Recipe, dataset: Dataset, history: History) -> dict[str, Any]:
    """Return how a network was trained, for its file; no path of this machine is in it."""
    return {
        "recipe": recipe.to_dict(),
        "data": dataset.name,
        "shape": [*dataset.shape, len(dataset.classes)],
        "machine": machine(dataset.device),
        "versions": versions(),
        "seconds": round(sum(row.get("seconds", 0.0) for row in history), 1),
        "made": time.strftime("%Y-%m-%d"),
        "command": recipe.command,
        "history": history,
    }


def machine(device: torch.device | str = "cpu") -> str:
    """Return the processor in words, and how many threads compute."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return f"{name}, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def versions() -> dict[str, str]:
    """Return the versions that can change a number."""
    from importlib.metadata import PackageNotFoundError, version

    numbers = {"python": platform.python_version(), "torch": torch.__version__}
    try:
        numbers["rebasin_edu"] = version("rebasin_edu")
    except PackageNotFoundError:
        numbers["rebasin_edu"] = "source"
    return numbers
