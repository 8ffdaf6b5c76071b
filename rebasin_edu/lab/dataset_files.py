"""The sources of data sets: folders in torchvision's layout, ``NAME.npz``, image folders, and the
images that come with this package or with scikit-learn.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .log import log
from .npz_files import class_ranks, interleaved, read_npz

_DIGITS = tuple("0123456789")
_FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat",
            "sandal", "shirt", "sneaker", "bag", "ankle boot")  # fmt: skip
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer",
            "dog", "frog", "horse", "ship", "truck")  # fmt: skip
_CLASSES = {"mnist": _DIGITS, "fashion-mnist": _FASHION, "cifar10": _CIFAR10}
KNOWN = {
    "mnist": "MNIST",
    "mnist-5k": "MNIST (5,000 images of this package)",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar10-45k": "CIFAR-10, held-out 5k",
    "cifar10-2k": "CIFAR-10 at 16×16 (3,000 images of this package)",
    "cifar100": "CIFAR-100",
    "digits": "digits (8×8, shipped with scikit-learn)",
}
PACKAGE_IMAGES = Path(__file__).parent / "stored" / "images.npz"


@dataclass(frozen=True, eq=False)
class RawDataset:
    """Raw arrays of a data set: images uint8 ``(N, C, H, W)``, targets int64, and what they are."""

    key: str
    family: str
    name: str
    source: str
    classes: tuple[str, ...]
    train_images: np.ndarray
    train_targets: np.ndarray
    test_images: np.ndarray
    test_targets: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.train_images, self.train_targets, self.test_images, self.test_targets


def cache_dir() -> Path:
    """Return the folder of what this user downloads and trains (``$REBASIN_EDU_CACHE`` if set)."""
    if os.environ.get("REBASIN_EDU_CACHE"):
        return Path(os.environ["REBASIN_EDU_CACHE"]).expanduser()
    if os.name == "nt" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "rebasin_edu"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rebasin_edu"


def find(
    name: str, data_dir: str | os.PathLike | None, download: bool, size: int | None
) -> RawDataset:
    """Return ``name`` from the first source that has it, in the order ``load_data`` documents."""
    if name in _PACKAGED_ONLY:
        return _PACKAGED_ONLY[name]()
    given, cache = data_dir or os.environ.get("REBASIN_EDU_DATA"), cache_dir() / "data"
    if given:
        if not Path(given).expanduser().is_dir():
            which = "data_dir" if data_dir else "$REBASIN_EDU_DATA"
            raise DataError(f"{which} names the folder {given}, which does not exist")
        if (raw := _in_folder(name, Path(given).expanduser())) is not None:
            return raw
    try:
        raw = _in_folder(name, cache)
    except DataError as error:  # a broken download must not lock the data set out
        raw = None
        log.warning("passed over in the cache: %s", error)
    if raw is None and download:
        from .download import DOWNLOADABLE, fetch_dataset

        if name in DOWNLOADABLE:
            fetch_dataset(name, cache)
            raw = _in_folder(name, cache)
    if raw is None:
        packaged = _PACKAGED.get((name, None)) or _PACKAGED.get((name, size))
        if packaged is None:
            raise DataError(_ways_out(name, given, cache))
        raw = packaged()
    return raw


def _ways_out(name: str, given: Any, cache: Path) -> str:
    looked = f"{given} and {cache}" if given else f"{cache} ($REBASIN_EDU_DATA is not set)"
    fetch = f'load_data("{name}", download=True), or REBASIN_EDU_DOWNLOAD=1: fetches it once'
    if name not in KNOWN or name == "cifar10-45k":
        fetch = f"a folder {name}/train and {name}/val of one folder a class, as ImageFolder has it"
    return (
        f"the data set {KNOWN.get(name, name)!r} is not here: looked in {looked}.\nThree ways:\n"
        "  1. set REBASIN_EDU_DATA (or data_dir=) to a folder that holds it in torchvision's "
        f"layout\n  2. {fetch}\n"
        f"  3. put {name}.npz with x_train, y_train, x_test, y_test (uint8 images, integer "
        f"classes) into that folder\nNames known: {', '.join(KNOWN)}. Those that need no file: "
        "digits, mnist, mnist-5k, cifar10-2k, cifar10 at size=16."
    )


def _in_folder(name: str, folder: Path) -> RawDataset | None:
    npz = folder / ("cifar10.npz" if name == "cifar10-45k" else f"{name}.npz")
    if name in ("mnist", "fashion-mnist"):
        raw = folder / ("MNIST" if name == "mnist" else "FashionMNIST") / "raw"
        if raw.is_dir():
            return _idx(name, raw)
    elif name in ("cifar10", "cifar100"):
        if (folder / ("cifar-10-batches-py" if name == "cifar10" else "cifar-100-python")).is_dir():
            return _cifar(name, folder)
    elif (folder / name / "train").is_dir():
        return _image_folder(name, folder / name)
    return _npz(name, npz) if npz.is_file() else None


def _idx(name: str, raw: Path) -> RawDataset:
    arrays = []
    for part in ("train", "t10k"):
        arrays.append(_read_idx(raw, f"{part}-images-idx3-ubyte")[:, None])
        arrays.append(_read_idx(raw, f"{part}-labels-idx1-ubyte").astype(np.int64))
    return RawDataset(name, name, KNOWN[name], str(raw), _CLASSES[name], *arrays)


def _read_idx(raw: Path, stem: str) -> np.ndarray:
    """Read one idx file, compressed or not; torchvision would write the uncompressed one there."""
    plain, packed = raw / stem, raw / f"{stem}.gz"
    if not (plain.is_file() or packed.is_file()):
        raise DataError(f"{raw} holds neither {stem} nor {stem}.gz")
    try:
        blob = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(
            f"{packed} cannot be unpacked ({error}): is the download complete?"
        ) from error
    dims = blob[3] if len(blob) > 3 and blob[:3] == b"\0\0\x08" else 0
    shape = tuple(np.frombuffer(blob, ">u4", dims, 4)) if len(blob) >= 4 + 4 * dims else ()
    if not shape or len(blob) != 4 + 4 * dims + int(np.prod(shape)):
        raise DataError(
            f"{raw / stem} has {len(blob)} bytes, not an idx file of {shape}: is it truncated?"
        )
    return np.frombuffer(bytearray(blob), np.uint8, offset=4 + 4 * dims).reshape(shape)


def _cifar(name: str, folder: Path) -> RawDataset:
    from torchvision import datasets

    kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    try:
        parts = [kind(str(folder), train=train) for train in (True, False)]
    except Exception as error:  # torchvision's own, or that of a damaged pickle
        raise DataError(
            f"{KNOWN[name]} in {folder} is damaged or incomplete (its md5 sums do not hold)"
        ) from error
    arrays: list[np.ndarray] = []
    for part in parts:
        arrays += [part.data.transpose(0, 3, 1, 2), np.asarray(part.targets, np.int64)]
    return RawDataset(name, name, KNOWN[name], str(folder), tuple(parts[0].classes), *arrays)


def _npz(name: str, path: Path) -> RawDataset:
    x_train, y_train, x_test, y_test = read_npz(path)
    key, printed = name, f"{KNOWN.get(name, name)} ({path.name})"
    family = "cifar10" if name == "cifar10-45k" else name
    count = 1 + max(int(y_train.max()), int(y_test.max()))
    if count > len(y_train):
        raise DataError(
            f"{path}: a label is {count - 1}, and there are {len(y_train)} training images; "
            "labels count the classes from 0"
        )
    if family == "cifar10" and len(x_train) == 45_000:
        # the last 5,000 training images stand in for the test set
        key, printed = "cifar10-45k", KNOWN["cifar10-45k"]
    elif name == "cifar10-45k":
        raise DataError(
            f"{path} has {len(x_train)} training images, not the 45,000 of {KNOWN[name]}"
        )
    classes = _CLASSES.get(family) or tuple(map(str, range(count)))
    test = interleaved(x_test, y_test)
    return RawDataset(key, family, printed, str(path), classes, x_train, y_train, *test)


def _image_folder(name: str, folder: Path, side: int = 64) -> RawDataset:
    """Read ``train`` and ``val`` (or ``test``) as ImageFolder does; shorter side to ``side``,
    centre cut out.
    """
    from torchvision import datasets, transforms

    test = next((folder / part for part in ("val", "test") if (folder / part).is_dir()), None)
    if test is None:
        raise DataError(f"{folder} has a folder 'train' but neither 'val' nor 'test' beside it")
    steps = [transforms.Resize(side), transforms.CenterCrop(side), transforms.PILToTensor()]
    arrays, names = [], []
    try:
        for part in (folder / "train", test):
            images = datasets.ImageFolder(str(part), transform=transforms.Compose(steps))
            arrays.append(np.stack([image.numpy() for image, _ in images]))
            arrays.append(np.asarray(images.targets, np.int64))
            names.append(images.classes)
    except OSError as error:
        raise DataError(f"{folder}: {error}") from error
    if names[0] != names[1]:
        raise DataError(f"{folder}: 'train' and {test.name!r} do not have the same class folders")
    arrays[2:] = interleaved(*arrays[2:])
    printed = f"{name} (image folder, {side}×{side})"
    return RawDataset(name, name, printed, str(folder), tuple(names[0]), *arrays)


def _digits() -> RawDataset:
    from sklearn.datasets import load_digits

    files = load_digits()
    images, targets = files.images.astype(np.uint8)[:, None], files.target.astype(np.int64)
    held_out = class_ranks(targets) % 5 == 4
    train, test = (interleaved(images[part], targets[part]) for part in (~held_out, held_out))
    source = "scikit-learn's own files (every fifth image of a class held out)"
    return RawDataset("digits", "digits", KNOWN["digits"], source, _DIGITS, *train, *test)


def _packaged(key: str, family: str) -> RawDataset:
    """The images in ``stored/images.npz``; the file says where they come from."""
    arrays = read_npz(PACKAGE_IMAGES, prefix=f"{family}_")
    source = "the package's own images (stored/images.npz)"
    return RawDataset(key, family, KNOWN[key], source, _CLASSES[family], *arrays)


_mnist_5k = partial(_packaged, "mnist-5k", "mnist")
_cifar10_2k = partial(_packaged, "cifar10-2k", "cifar10")
_PACKAGED_ONLY: dict[str, Callable[[], RawDataset]] = {
    "digits": _digits,
    "mnist-5k": _mnist_5k,
    "cifar10-2k": _cifar10_2k,
}
_PACKAGED: dict[tuple[str, int | None], Callable[[], RawDataset]] = {
    ("mnist", None): _mnist_5k,
    ("cifar10", 16): _cifar10_2k,
    ("cifar10-45k", 16): _cifar10_2k,
}
