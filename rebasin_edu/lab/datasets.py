"""Whole data sets as uint8 tensors on a device, each with an honest name and the place it was
found.

``load_data`` looks in this order and prints which it took: the folder given (``data_dir=`` or
``$REBASIN_EDU_DATA``), the user's cache, a download where that is allowed, and last the small set
that a dependency ships.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import DataError
from . import dataset_files as sources


class Split(NamedTuple):
    """Normalised inputs ``(N, C, H, W)`` in float32 and their classes ``(N,)`` in int64, on one
    device.
    """

    inputs: Tensor
    targets: Tensor

    def first(self, n: int) -> Split:
        """Give back the first ``n`` examples, as views."""
        if not 0 < n <= len(self.targets):
            raise DataError(f"{n} examples were asked for, there are {len(self.targets)}")
        return Split(self.inputs[:n], self.targets[:n])

    def __repr__(self) -> str:
        return f"Split({len(self.targets)} examples of shape {tuple(self.inputs.shape[1:])}, {self.inputs.device})"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A training and a test set in the memory of one device.

    Attributes:
        key: what ``load_data`` calls exactly this data; goes into recipes and stored results.
        name: what to call it in print.
        source: where it was found.
        classes: names of the classes.
        train_images, test_images: uint8 ``(N, C, H, W)``.
        train_targets, test_targets: int64 ``(N,)``.
        mean, std: per channel ``(C, 1, 1)``, in units of the stored bytes; inputs are ``(images -
            mean) / std``.
    """

    key: str
    name: str
    source: str
    classes: tuple[str, ...]
    train_images: Tensor
    train_targets: Tensor
    test_images: Tensor
    test_targets: Tensor
    mean: Tensor
    std: Tensor

    @cached_property
    def train(self) -> Split:
        """The training set, normalised on first use and kept."""
        return Split(self.normalise(self.train_images), self.train_targets)

    @cached_property
    def test(self) -> Split:
        """The test (or held-out) set, normalised on first use and kept."""
        return Split(self.normalise(self.test_images), self.test_targets)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        return tuple(self.train_images.shape[1:])

    @property
    def device(self) -> torch.device:
        return self.train_images.device

    def normalise(self, images: Tensor) -> Tensor:
        """Turn stored bytes (or augmented floats in the same units) into the network's float32
        inputs.
        """
        return (
            images.float().sub_(self.mean).div_(self.std)
            if images.dtype == torch.uint8
            else ((images - self.mean) / self.std)
        )

    def to(self, device: torch.device | str) -> Dataset:
        """Give back the same data on another device."""
        moved = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def resized(self, size: int) -> Dataset:
        """Give back the images reduced to ``size`` × ``size`` by averaging areas, and named so."""
        if size == self.shape[1] == self.shape[2]:
            return self
        if size > min(self.shape[1:]):
            raise DataError(
                f"{self.name} is {self.shape[1]}×{self.shape[2]}; it can be reduced, not blown up to {size}"
            )
        return replace(
            self,
            key=f"{self.key}@{size}",
            name=f"{self.name}, reduced to {size}×{size}",
            train_images=_reduce(self.train_images, size),
            test_images=_reduce(self.test_images, size),
        )

    def subset(self, n: int, seed: int = 0) -> Dataset:
        """Give back a data set with ``n`` training images drawn by ``seed``; the test set is
        untouched.
        """
        if not 0 < n <= len(self.train_targets):
            raise DataError(
                f"{n} training images were asked for, {self.name} has {len(self.train_targets)}"
            )
        chosen = torch.randperm(
            len(self.train_targets), generator=torch.Generator().manual_seed(seed)
        )[:n]
        return self._with_train(
            chosen, f"{self.key}#{n}.{seed}", f"{self.name}, {n:,} training images (seed {seed})"
        )

    def biased(self, part: str, share: float = 0.2, seed: int = 123) -> Dataset:
        """Give back one half of the paper's label-biased split of the training set (its section
        5.4).

        Half ``"a"`` holds ``share`` of every class in the first half of the labels and ``1 -
        share`` of the others; half ``"b"`` holds the rest, so the two are disjoint. The test set is
        untouched.
        """
        if part not in ("a", "b") or not 0 < share < 1:
            raise DataError(
                f"part={part!r}, share={share}: choose part 'a' or 'b' and a share between 0 and 1"
            )
        order = torch.randperm(
            len(self.train_targets), generator=torch.Generator().manual_seed(seed)
        )
        order = order.to(self.device)
        targets, chosen = self.train_targets[order], []
        for label in range(len(self.classes)):
            members = order[targets == label]
            cut = round(len(members) * (share if label < len(self.classes) // 2 else 1 - share))
            chosen.append(members[:cut] if part == "a" else members[cut:])
        name = f"{self.name}, label-biased half {part.upper()} ({share:.0%} / {1 - share:.0%})"
        return self._with_train(
            torch.cat(chosen).sort().values, f"{self.key}~{part}{share:g}.{seed}", name
        )

    def _with_train(self, chosen: Tensor, key: str, name: str) -> Dataset:
        chosen = chosen.to(self.device)
        images, targets = self.train_images[chosen], self.train_targets[chosen]
        return replace(self, key=key, name=name, train_images=images, train_targets=targets)

    def __repr__(self) -> str:
        sizes = f"{len(self.train_targets):,} + {len(self.test_targets):,} images of {'×'.join(map(str, self.shape))}"
        return f"<{self.name}: {sizes}, from {self.source}>"


# What a data set is called, how its pixels are scaled, and how its classes are named. Scales are in
# bytes.
_UNIT = ((0.0,), (255.0,))  # the paper divides MNIST by 255 and no more
_CIFAR = ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
_SCALES = {
    "digits": ((0.0,), (16.0,)),
    "cifar10": _CIFAR,
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}
_IMAGENET = ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4))


def load_data(
    name: str,
    data_dir: str | os.PathLike | None = None,
    download: bool | None = None,
    device: torch.device | str | None = None,
    *,
    say: Callable[[str], None] | None = print,
) -> Dataset:
    """Load a data set into memory and say where it came from.

    Names: ``mnist``, ``fashion-mnist``, ``cifar10``, ``cifar100``, ``digits``; ``mnist-5k`` for the
    embedded images on purpose; any other ``NAME`` means ``NAME.npz`` (``x_train y_train x_test
    y_test``) or a folder ``NAME/train``, ``NAME/val`` of one folder a class.

    Args:
        data_dir: looked into first, instead of ``$REBASIN_EDU_DATA``.
        download: ``True`` allows it, ``False`` forbids it, ``None`` asks ``$REBASIN_EDU_DOWNLOAD``
            (1 allows).
        device: where the bytes are kept.
        say: told in one line what was taken; ``None`` for silence.

    Raises:
        DataError: it is nowhere; the message names the ways to get it.
        DataError: a file is there and is truncated or of another kind.
    """
    if download is None:
        download = os.environ.get("REBASIN_EDU_DOWNLOAD", "0") not in ("", "0")
    found = sources.find(
        name.lower() if name.lower() in sources.KNOWN else name, data_dir, download
    )
    mean, std = _SCALES.get(found.family) or (
        _UNIT if found.train_images.shape[1] == 1 else _IMAGENET
    )
    dataset = Dataset(
        key=found.key,
        name=found.name,
        source=found.source,
        classes=found.classes,
        **{
            k: _tensor(getattr(found, k))
            for k in ("train_images", "train_targets", "test_images", "test_targets")
        },
        mean=torch.tensor(mean).view(-1, 1, 1),
        std=torch.tensor(std).view(-1, 1, 1),
    )
    if say is not None:
        say(
            f"data: {dataset.name}, {len(dataset.train_targets):,} + {len(dataset.test_targets):,}, from {_shown(found.source)}"
        )
    return dataset if device is None else dataset.to(device)


def _shown(source: str) -> str:
    """A source as it is printed: notebooks are shared, and the folders of one machine mean nothing
    on another.
    """
    for name, folder in (
        ("$REBASIN_EDU_DATA", os.environ.get("REBASIN_EDU_DATA")),
        ("~", os.path.expanduser("~")),
    ):
        if folder and source.startswith(os.path.join(folder, "")):
            return os.path.join(name, os.path.relpath(source, folder))
    return source


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _reduce(images: Tensor, size: int) -> Tensor:
    parts = [
        F.interpolate(part.float(), (size, size), mode="area").round_().byte()
        for part in images.split(4096)
    ]
    return torch.cat(parts)


__all__ = ["DataError", "Dataset", "Split", "load_data"]
