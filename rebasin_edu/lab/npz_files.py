"""Images and labels as arrays: read from an ``npz`` file and checked, and dealt out by class."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from ..errors import DataError

NAMES = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path, prefix: str = "") -> list[np.ndarray]:
    """Return training images and labels and test images and labels from an ``npz`` file.

    Args:
        prefix: stands before ``x_train y_train x_test y_test`` in the names of the arrays.

    Returns:
        Images uint8 ``(N, C, H, W)`` and labels int64 ``(N,)``, each set at least one image.

    Raises:
        DataError: the file is damaged, larger than the memory, or holds something else.
    """
    try:
        _check_size(path)
        with np.load(path) as file:
            missing = [prefix + name for name in NAMES if prefix + name not in file]
            arrays = [] if missing else [file[prefix + name] for name in NAMES]
    except (OSError, ValueError, EOFError, BadZipFile, MemoryError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as an npz file ({error}): is it truncated?"
        ) from error
    if missing:
        raise DataError(f"{path} has no array {missing[0]!r}; it needs {', '.join(NAMES)}")
    read = []
    for part, images, labels in zip(("train", "test"), arrays[::2], arrays[1::2]):
        labels = _labels(labels, f"{path}: the {part} labels")
        if len(images) != len(labels) or not len(labels):
            raise DataError(f"{path}: {len(images)} images but {len(labels)} classes in {part}")
        read += [_channels_first(images, path), labels]
    return read


def interleaved(images: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return examples that lie sorted by class with the classes dealt out in turn, so that the
    first n are a fair sample; others as they are.
    """
    if (np.diff(targets) < 0).any():
        return images, targets
    order = np.argsort(class_ranks(targets), kind="stable")
    return images[order], targets[order]


def class_ranks(targets: np.ndarray) -> np.ndarray:
    """Return the place of each example among those of its class."""
    rank = np.zeros(len(targets), np.int64)
    for label in np.unique(targets):
        rank[targets == label] = np.arange((targets == label).sum())
    return rank


def _check_size(path: Path) -> None:
    """Refuse a file that unpacks to more than the machine's memory, before it is unpacked."""
    with ZipFile(path) as file:
        claimed = sum(member.file_size for member in file.infolist())
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if claimed > memory / 2:
            raise MemoryError(f"it claims {claimed / 1e9:.1f} GB, this machine has less to spare")


def _labels(labels: np.ndarray, what: str) -> np.ndarray:
    if labels.dtype.kind not in "iu":
        raise DataError(f"{what} are {labels.dtype}, and must be whole numbers from 0 on")
    labels = labels.reshape(-1)
    if len(labels) and labels.min() < 0:
        raise DataError(f"{what} hold {labels.min()}, and must count the classes from 0")
    return labels.astype(np.int64)


def _channels_first(images: np.ndarray, path: Path) -> np.ndarray:
    """The images as ``(N, C, H, W)``: where both readings fit, that is the one that holds."""
    if images.dtype != np.uint8:
        raise DataError(f"{path}: images are {images.dtype}, and must be uint8")
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    raise DataError(
        f"{path}: images of shape {images.shape}; use (N, H, W), (N, H, W, C) or (N, C, H, W)"
    )
