"""Whole data sets as uint8 tensors on a device, each with an honest name and its source.

``load_data`` looks in this order and says which it took: the folder given (``data_dir=`` or
``$REBASIN_EDU_DATA``), the user's cache, a download where that is allowed, and last the images that
come with this package or with scikit-learn.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import DataError
from . import dataset_files
from .log import log
from .split import Split


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A training and a test set in the memory of one device.

    Attributes:
        key: names exactly these images, reductions and subsets among them.
        base: what ``load_data`` calls them before they were reduced or split.
        name: what to call it in print.
        source: the folder or file it was read from.
        classes: names of the classes.
        train_images, test_images: uint8 ``(N, C, H, W)``.
        train_targets, test_targets: int64 ``(N,)``.
        mean, std: per channel ``(C, 1, 1)``, in units of the stored bytes; inputs are ``(images -
            mean) / std``.
    """

    key: str
    base: str
    name: str
    source: str
    classes: tuple[str, ...]
    train_images: Tensor
    train_targets: Tensor
    test_images: Tensor
    test_targets: Tensor
    mean: Tensor
    std: Tensor

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, targets = getattr(self, f"{part}_images"), getattr(self, f"{part}_targets")
            if len(images) != len(targets) or not len(images):
                raise DataError(
                    f"{self.name} has {len(images)} {part} images and {len(targets)} labels"
                )
            _check_labels(targets, len(self.classes), f"the {part} labels of {self.name}")
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            shapes = (tuple(x.shape[1:]) for x in (self.train_images, self.test_images))
            raise DataError("{} has training images of {} and test images of {}: one network "
                            "cannot take both".format(self.name, *shapes))  # fmt: skip

    @cached_property
    def train(self) -> Split:
        """The training set, normalised on first use and kept."""
        return Split(self.normalise(self.train_images), self.train_targets, self.name)

    @cached_property
    def test(self) -> Split:
        """The test (or held-out) set, normalised on first use and kept."""
        return Split(self.normalise(self.test_images), self.test_targets, self.name)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def device(self) -> torch.device:
        return self.train_images.device

    def normalise(self, images: Tensor) -> Tensor:
        """Return the network's float32 inputs for stored bytes, or floats in the same units."""
        if images.dtype == torch.uint8:
            return images.float().sub_(self.mean).div_(self.std)
        return (images - self.mean) / self.std

    def to(self, device: torch.device | str) -> Dataset:
        """Return the same data on another device."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)  # type: ignore[arg-type]  # the names say which

    def resized(self, size: int) -> Dataset:
        """Return the images reduced to ``size`` × ``size`` by averaging areas, and named so."""
        if size == self.shape[1] == self.shape[2]:
            return self
        if size > min(self.shape[1:]):
            raise DataError(
                f"{self.name} is {self.shape[1]}×{self.shape[2]}; it can be reduced, not blown up "
                f"to {size}"
            )
        return replace(
            self,
            key=f"{self.key}@{size}",
            name=f"{self.name}, reduced to {size}×{size}",
            train_images=_reduce(self.train_images, size),
            test_images=_reduce(self.test_images, size),
        )

    def subset(self, n: int, seed: int = 0) -> Dataset:
        """Return a data set with ``n`` training images drawn by ``seed``; the test set is
        untouched.
        """
        if not 0 < n <= len(self.train_targets):
            raise DataError(
                f"{n} training images were asked for, {self.name} has {len(self.train_targets)}"
            )
        name = f"{self.name}, {n:,} training images (seed {seed})"
        return self._with_train(self._shuffled(seed)[:n], f"{self.key}#{n}.{seed}", name)

    def biased(self, part: str, share: float = 0.2, seed: int = 123) -> Dataset:
        """Return one half of the paper's label-biased split of the training set (its section
        5.4).

        Half ``"a"`` holds ``share`` of every class in the first half of the labels and ``1 -
        share`` of the others; half ``"b"`` holds the rest, so the two are disjoint. The test set is
        untouched.
        """
        if part not in ("a", "b") or not 0 < share < 1:
            raise DataError(
                f"part={part!r}, share={share}: choose part 'a' or 'b' and a share between 0 and 1"
            )
        order = self._shuffled(seed)
        targets, chosen = self.train_targets[order], []
        for label in range(len(self.classes)):
            members = order[targets == label]
            cut = round(len(members) * (share if label < len(self.classes) // 2 else 1 - share))
            chosen.append(members[:cut] if part == "a" else members[cut:])
        name = f"{self.name}, label-biased half {part.upper()} ({share:.0%} / {1 - share:.0%})"
        return self._with_train(
            torch.cat(chosen).sort().values, f"{self.key}~{part}{share:g}.{seed}", name
        )

    def _shuffled(self, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(len(self.train_targets), generator=generator).to(self.device)

    def _with_train(self, chosen: Tensor, key: str, name: str) -> Dataset:
        images, targets = self.train_images[chosen], self.train_targets[chosen]
        return replace(self, key=key, name=name, train_images=images, train_targets=targets)

    def __repr__(self) -> str:
        counts = f"{len(self.train_targets):,} + {len(self.test_targets):,} images"
        return f"<{self.name}: {counts} of {'×'.join(map(str, self.shape))}, from {self.source}>"


# How pixels are scaled, mean and standard deviation of each channel in bytes.
_UNIT = ((0.0,), (255.0,))  # the paper divides MNIST by 255 and no more
_IMAGENET = ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4))
_SCALES = {
    "digits": ((0.0,), (16.0,)),
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}


def load_data(
    name: str,
    data_dir: str | os.PathLike | None = None,
    download: bool | None = None,
    device: torch.device | str | None = None,
    *,
    size: int | None = None,
) -> Dataset:
    """Return a data set in memory, and say where it came from.

    Names: ``mnist``, ``fashion-mnist``, ``cifar10``, ``cifar100``, ``digits``; ``mnist-5k`` and
    ``cifar10-2k`` for the package's own images on purpose; any other ``NAME`` means ``NAME.npz``
    (``x_train y_train x_test y_test``) or a folder ``NAME/train``, ``NAME/val`` of one folder a
    class. Without any file ``mnist``, and ``cifar10`` at ``size=16``, are the package's images.

    Args:
        data_dir: looked into first, instead of ``$REBASIN_EDU_DATA``.
        download: ``True`` allows it, ``False`` forbids it, ``None`` asks ``$REBASIN_EDU_DOWNLOAD``
            (1 allows).
        device: where the bytes are kept.
        size: reduce the images to this side; ``cifar10@16`` as a name means the same.

    Raises:
        DataError: it is nowhere (the message names the ways to get it), or a file is there and is
            truncated, of another kind, or has labels that no class has.
    """
    if not isinstance(name, str) or not name or {"/", "\\"} & set(name):
        raise DataError(f"{name!r} is not the name of a data set: give one such as 'mnist'")
    known = re.fullmatch(r"(.+?)(?:@(\d+))?", name.lower())
    if known and known[1] in dataset_files.KNOWN:
        name, size = known[1], int(known[2]) if known[2] else size
    if download is None:
        download = os.environ.get("REBASIN_EDU_DOWNLOAD", "0") not in ("", "0")
    raw = dataset_files.find(name, data_dir, download, size)
    grey = raw.train_images.shape[1] == 1
    mean, std = _SCALES.get(raw.family) or (_UNIT if grey else _IMAGENET)
    dataset = Dataset(
        raw.key,
        raw.key,
        raw.name,
        raw.source,
        raw.classes,
        *(torch.from_numpy(np.ascontiguousarray(array)) for array in raw.arrays),
        *(torch.tensor(value).view(-1, 1, 1) for value in (mean, std)),
    )
    if size is not None:
        dataset = dataset.resized(size)
    counts = f"{len(dataset.train_targets):,} + {len(dataset.test_targets):,}"
    log.info("data: %s, %s, from %s", dataset.name, counts, _shown(raw.source))
    return dataset if device is None else dataset.to(device)


def _check_labels(targets: Tensor, classes: int, what: str) -> None:
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise DataError(f"{what} are {targets.dtype}: whole numbers from 0 on are needed")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise DataError(f"{what} hold {wrong}; they must be from 0 to {classes - 1}, a class each")


def _shown(source: str) -> str:
    """A source as it is printed: the folders of one machine mean nothing on another."""
    for name, folder in (
        ("$REBASIN_EDU_DATA", os.environ.get("REBASIN_EDU_DATA")),
        ("~", os.path.expanduser("~")),
    ):
        if folder and source.startswith(os.path.join(folder, "")):
            return os.path.join(name, os.path.relpath(source, folder))
    return source


def _reduce(images: Tensor, size: int) -> Tensor:
    parts = [
        F.interpolate(part.float(), (size, size), mode="area").round_().byte()
        for part in images.split(4096)
    ]
    return torch.cat(parts)
