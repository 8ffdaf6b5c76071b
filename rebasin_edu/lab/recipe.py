"""A recipe says how a network is made: data, not a script. The same recipe on the same machine
makes the same network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import RebasinError
from .augmentation import AUGMENTATIONS
from .datasets import Dataset, load_data
from .models import MLP, NORMS, VGG11, VGG16, ResNet20
from .training import SCHEDULES, SETTINGS

MODELS = ("mlp", "vgg11", "vgg16", "resnet20")
MLP_UNITS = 512


@dataclass(frozen=True)
class Recipe:
    """How one network is made.

    Attributes:
        dataset: what ``load_data`` calls it.
        size: images are reduced to this side; ``None`` leaves them.
        part: ``"a"`` or ``"b"`` for one half of the label-biased split, ``None`` for all.
        examples: this many training images, drawn by the seed; ``None`` for all.
        model: ``"mlp"``, ``"vgg11"``, ``"vgg16"`` or ``"resnet20"``.
        width: units of each hidden layer of an MLP, 512 unless given; a multiplier for the others,
            1 unless given.
        depth: hidden layers of an MLP.
        norm: ``"layer"``, ``"batch"`` or ``None``.
        seed: of the first weights, the batch order and the augmentation.

    The other fields are those of ``train``.
    """

    dataset: str = "mnist"
    size: int | None = None
    part: str | None = None
    examples: int | None = None
    model: str = "mlp"
    width: float | None = None
    depth: int = 3
    norm: str | None = None
    optimiser: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.0
    augment: str | None = None
    batch_size: int = 500
    epochs: int = 25
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("model", MODELS),
            ("norm", NORMS),
            ("part", (None, "a", "b")),
            ("optimiser", ("adam", "sgd")),
            ("schedule", SCHEDULES),
            ("augment", tuple(AUGMENTATIONS)),
            ("precision", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in known:
                choices = ", ".join(map(repr, known))
                raise RebasinError(
                    f"{name}={getattr(self, name)!r} is not known in a recipe; choose one of {choices}"
                )
        if self.width is None:
            object.__setattr__(self, "width", MLP_UNITS if self.model == "mlp" else 1)
        for name in ("width", "lr"):
            if not isinstance(getattr(self, name), (int, float)) or not getattr(self, name) > 0:
                raise RebasinError(
                    f"{name}={getattr(self, name)!r} in a recipe must be a number above 0"
                )
        for name in ("depth", "batch_size", "epochs"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise RebasinError(
                    f"{name}={getattr(self, name)!r} in a recipe must be a whole number, at least 1"
                )
        if self.width == int(self.width):  # 512 and 512.0 are one recipe
            object.__setattr__(self, "width", int(self.width))

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Recipe:
        """Make one from a mapping, as JSON and TOML files hold it."""
        known = [field.name for field in fields(cls)]
        for name in held:
            if name not in known:
                raise RebasinError(
                    f"a recipe has no field {name!r}; its fields are {', '.join(known)}"
                )
        return cls(**held)

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> Recipe:
        """Read one from a ``.json`` file, or from ``.toml`` on Python 3.11 and later."""
        text = Path(path).read_text(encoding="utf-8")
        try:
            if Path(path).suffix != ".toml":
                return cls.from_dict(json.loads(text))
            import tomllib

            return cls.from_dict(tomllib.loads(text))
        except RebasinError:
            raise
        except ImportError as error:
            raise RebasinError(
                "reading TOML needs Python 3.11; write the recipe as JSON"
            ) from error
        except ValueError as error:
            raise RebasinError(f"{path} cannot be read as a recipe: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Give back all fields, as JSON can hold them."""
        return asdict(self)

    def changed(self) -> dict[str, Any]:
        """Give back the fields that are not the default's, and the width of all but an MLP."""
        default = {f.name: f.default for f in fields(self)} | {
            "width": MLP_UNITS if self.model == "mlp" else None
        }
        return {name: value for name, value in asdict(self).items() if value != default[name]}

    def with_seed(self, seed: int) -> Recipe:
        """Give back the same recipe with another seed."""
        return replace(self, seed=seed)

    @property
    def id(self) -> str:
        """A name for files: readable, and different for different recipes."""
        digest = hashlib.sha256(json.dumps(self.changed(), sort_keys=True).encode()).hexdigest()[:8]
        data = (
            self.dataset
            + (f"@{self.size}" if self.size else "")
            + (f"-{self.part}" if self.part else "")
        )
        norm = f"-{self.norm}" if self.norm else ""
        return f"{self.model}-{self.width:g}{norm}-{data}-{self.epochs}ep-seed{self.seed}-{digest}"

    @property
    def command(self) -> str:
        """The command that makes this network anew."""
        return f"python -m rebasin_edu.lab '{json.dumps(self.changed())}'"

    def load_data(
        self, data_dir: str | os.PathLike | None = None, download: bool | None = None, **kwargs
    ) -> Dataset:
        """Load the data that the recipe names; takes the arguments of ``load_data``."""
        return self.cut(load_data(self.dataset, data_dir, download, **kwargs))

    def cut(self, dataset: Dataset) -> Dataset:
        """Reduce and split a whole data set as the recipe says."""
        dataset = dataset if self.size is None else dataset.resized(self.size)
        dataset = dataset if self.part is None else dataset.biased(self.part)
        return dataset if self.examples is None else dataset.subset(self.examples, self.seed)

    def build(self, dataset: Dataset | None = None) -> nn.Module:
        """Build the untrained network, its weights drawn from the seed, for the shape of
        ``dataset``.

        Without a data set the shape is that of the recipe's known one (10 classes; 28×28 grey,
        32×32 colour or ``size``).
        """
        channels, height, width, classes = _shape(self, dataset)
        if self.model == "mlp":
            if self.width != int(self.width):
                raise RebasinError(
                    f"width={self.width:g}: an MLP has a whole number of hidden units"
                )
            hidden = (int(self.width),) * self.depth
            return MLP(channels * height * width, hidden, classes, self.norm, seed=self.seed)
        if self.model == "resnet20":
            return ResNet20(self.width, classes, self.norm, channels=channels, seed=self.seed)
        make = VGG16 if self.model == "vgg16" else VGG11
        return make(
            self.width,
            classes,
            self.norm,
            channels=channels,
            size=min(height, width),
            seed=self.seed,
        )

    def training(self) -> dict[str, Any]:
        """Give back the arguments for ``train``."""
        return {name: getattr(self, name) for name in SETTINGS}


_SHAPES = {
    "digits": (1, 8, 10),
    "mnist": (1, 28, 10),
    "mnist-5k": (1, 28, 10),
    "fashion-mnist": (1, 28, 10),
}
_SHAPES |= {"cifar10": (3, 32, 10), "cifar10-45k": (3, 32, 10), "cifar100": (3, 32, 100)}


def _shape(recipe: Recipe, dataset: Dataset | None) -> tuple[int, int, int, int]:
    if dataset is not None:
        return (*dataset.shape, len(dataset.classes))
    if recipe.dataset not in _SHAPES:
        raise RebasinError(
            f"the image shape of {recipe.dataset!r} is not known beforehand: give the data set to build()"
        )
    channels, side, classes = _SHAPES[recipe.dataset]
    return channels, recipe.size or side, recipe.size or side, classes


def resolved(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe that names the data that was found; another one where a small set stood in for the
    full one.
    """
    base = dataset.key.split("@")[0].split("~")[0].split("#")[0]
    return recipe if base == recipe.dataset else replace(recipe, dataset=base)
