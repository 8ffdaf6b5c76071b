"""What ``rebasin-edu info`` says: versions, device, data and stored results."""

from __future__ import annotations

import os

import torch

from ..errors import DataError
from ..lab import dataset_files, load_data, load_run
from ..lab.log import quiet
from ..lab.metadata import machine, versions
from ..lab.zoo import stored_dir

NAMES = ("mnist", "fashion-mnist", "cifar10", "cifar10@16", "cifar100", "digits")


def inventory() -> dict[str, list[str]]:
    """Return title → lines of what is installed and found on this machine."""
    folder = os.environ.get("REBASIN_EDU_DATA", "not set")
    places = [f"$REBASIN_EDU_DATA: {folder}", f"cache: {dataset_files.cache_dir()}"]
    networks = list((stored_dir() / "networks").glob("*.safetensors"))
    runs = sorted(path.stem for path in (stored_dir() / "runs").glob("*.json"))
    megabytes = sum(path.stat().st_size for path in networks) / 1e6
    return {
        "versions": [f"{name} {number}" for name, number in versions().items()],
        "device": _devices(),
        "data": places + [_found(name) for name in NAMES],
        "stored networks": [f"{len(networks)} files, {megabytes:.0f} MB"],
        "stored runs (rb.load_run)": [_run(name) for name in runs],
    }


def _devices() -> list[str]:
    lines = [machine()]
    lines += [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return lines + ["Apple GPU (mps)"] * torch.backends.mps.is_available()


def _found(name: str) -> str:
    try:
        with quiet():
            data = load_data(name, download=False)
    except DataError as error:
        return f"{name}: {str(error).splitlines()[0]}"
    counts = f"{len(data.train_targets):,} + {len(data.test_targets):,} images"
    return f"{name}: {data.name}, {counts}, from {data.source}"


def _run(name: str) -> str:
    run = load_run(name)
    data, command = run.get("data", ""), run.get("command", "")
    return f"{name}: {data}; made by {command}" if command else f"{name}: {data}"
