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
from typing import Any, NamedTuple

from torch import nn

from ..errors import RebasinError, choose
from .datasets import Dataset, load_data
from .models import MLP, NORMS, VGG11, VGG16, ResNet20
from .training_config import TrainingConfig, real_number, whole_number

MODELS = ("mlp", "vgg11", "vgg16", "resnet20")
MLP_UNITS = 512
_DEFAULTS = TrainingConfig()
VERSION = 2  # of the ids; 1 hashed only the fields that differ from the defaults


class ImageShape(NamedTuple):
    """What a network has to know of its data."""

    channels: int
    height: int
    width: int
    classes: int


@dataclass(frozen=True, init=False, repr=False)
class Recipe:
    """How one network is made: its data, its architecture, and its training.

    The settings of the training may be given by their names too: ``Recipe(width=64, lr=0.1)`` is
    ``Recipe(width=64, training=TrainingConfig(lr=0.1))``, and ``recipe.lr`` is
    ``recipe.training.lr``.

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
        training: how it is trained; its seed is that of the first weights too.

    Raises:
        RebasinError: an option is not known.
        RebasinError: a number is not one, or is out of its range.
    """

    dataset: str = "mnist"
    size: int | None = None
    part: str | None = None
    examples: int | None = None
    model: str = "mlp"
    width: float = MLP_UNITS
    depth: int = 3
    norm: str | None = None
    training: TrainingConfig = _DEFAULTS

    def __init__(
        self,
        dataset: str = "mnist",
        size: int | None = None,
        part: str | None = None,
        examples: int | None = None,
        model: str = "mlp",
        width: float | None = None,
        depth: int = 3,
        norm: str | None = None,
        training: TrainingConfig | None = None,
        **settings: Any,
    ) -> None:
        if unknown := [name for name in settings if name not in _SETTINGS]:
            known = ", ".join(_FIELDS)
            raise RebasinError(f"a recipe has no field {unknown[0]!r}; its fields are {known}")
        if not isinstance(dataset, str) or not dataset or {"/", "\\"} & set(dataset):
            raise RebasinError(f"dataset={dataset!r} must be a name that load_data knows")
        choose("model", model, MODELS)
        choose("norm", norm, NORMS)
        choose("part", part, (None, "a", "b"))
        training = replace(training or _DEFAULTS, **settings)
        if training.precision == "auto":
            raise RebasinError("precision='auto' makes different networks on different machines; "
                             "choose one of 'float32', 'bfloat16'")  # fmt: skip
        width = (MLP_UNITS if model == "mlp" else 1) if width is None else width
        units = real_number("width", width, above=0)
        if model == "mlp":
            units = whole_number("width", width, 1)
        values = {
            "dataset": dataset,
            "size": None if size is None else whole_number("size", size, 1),
            "part": part,
            "examples": None if examples is None else whole_number("examples", examples, 1),
            "model": model,
            "width": int(units) if units == int(units) else units,  # 512 and 512.0 are one recipe
            "depth": whole_number("depth", depth, 1),
            "norm": norm,
            "training": training,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name in _SETTINGS:
            return getattr(self.training, name)
        raise AttributeError(f"a recipe has no field {name!r}")

    def __repr__(self) -> str:
        return f"Recipe({', '.join(f'{k}={v!r}' for k, v in self.changed().items())})"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe in a mapping, as JSON and TOML files hold it."""
        if not isinstance(values, Mapping):
            raise RebasinError(f"a recipe is a mapping of its fields, not {values!r}")
        return cls(**values)

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> Recipe:
        """Return the recipe in a ``.json`` file, or on Python 3.11 and later a ``.toml`` one."""
        try:
            text = Path(path).read_text(encoding="utf-8")
            if Path(path).suffix == ".toml":
                import tomllib

                return cls.from_dict(tomllib.loads(text))
            return cls.from_dict(json.loads(text))
        except ImportError as error:
            raise RebasinError("TOML needs Python 3.11; write the recipe as JSON") from error
        except (OSError, ValueError) as error:
            raise RebasinError(f"{path} cannot be read as a recipe: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, those of the training among them, as JSON can hold them."""
        values = asdict(self)
        return values | values.pop("training")

    def changed(self) -> dict[str, Any]:
        """Return the fields that are not the default's, and the width of all but an MLP."""
        default = Recipe().to_dict() | ({} if self.model == "mlp" else {"width": None})
        return {name: value for name, value in self.to_dict().items() if value != default[name]}

    def with_seed(self, seed: int) -> Recipe:
        """Return the same recipe with another seed."""
        return replace(self, training=replace(self.training, seed=seed))

    @property
    def id(self) -> str:
        """A name for files: readable, and different for different recipes."""
        return self._name({"version": VERSION, **self.to_dict()})

    @property
    def first_id(self) -> str:
        """The id that version 1 of this package gave it."""
        return self._name(self.changed())

    def _name(self, hashed: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:8]
        size = f"@{self.size}" if self.size else ""
        part, norm = (f"-{word}" if word else "" for word in (self.part, self.norm))
        return (
            f"{self.model}-{self.width:g}{norm}-{self.dataset}{size}{part}"
            f"-{self.epochs}ep-seed{self.seed}-{digest}"
        )

    @property
    def command(self) -> str:
        """The command that makes this network anew."""
        return f"python -m rebasin_edu.lab '{json.dumps(self.changed())}'"

    def load_data(
        self, data_dir: str | os.PathLike | None = None, download: bool | None = None
    ) -> Dataset:
        """Load the data that the recipe names; see ``load_data``."""
        return self.cut(load_data(self.dataset, data_dir, download, size=self.size))

    def cut(self, dataset: Dataset) -> Dataset:
        """Return a whole data set reduced and split as the recipe says."""
        dataset = dataset if self.size is None else dataset.resized(self.size)
        dataset = dataset if self.part is None else dataset.biased(self.part)
        return dataset if self.examples is None else dataset.subset(self.examples, self.seed)

    def build(self, data: Dataset | ImageShape | None = None) -> nn.Module:
        """Return the untrained network, its weights drawn from the seed, for images of this shape.

        Without a shape it is that of the recipe's known data set (10 classes; 28×28 grey, 32×32
        colour or ``size``).
        """
        if isinstance(data, ImageShape):
            channels, height, width, classes = data
        elif data is not None:
            (channels, height, width), classes = data.shape, len(data.classes)
        else:
            channels, height, width, classes = self._known_shape()
        if self.model == "mlp":
            hidden = (int(self.width),) * self.depth
            return MLP(channels * height * width, hidden, classes, self.norm, seed=self.seed)
        if self.model == "resnet20":
            return ResNet20(self.width, classes, self.norm, channels=channels, seed=self.seed)
        make, size = (VGG16 if self.model == "vgg16" else VGG11), min(height, width)
        return make(self.width, classes, self.norm, channels=channels, size=size, seed=self.seed)

    def _known_shape(self) -> ImageShape:
        if self.dataset not in _SHAPES:
            raise RebasinError(
                f"the image shape of {self.dataset!r} is not known beforehand: give the data set "
                "to build()"
            )
        channels, side, classes = _SHAPES[self.dataset]
        return ImageShape(channels, self.size or side, self.size or side, classes)


_SETTINGS = tuple(field.name for field in fields(TrainingConfig))
_FIELDS = (*(field.name for field in fields(Recipe) if field.name != "training"), *_SETTINGS)
_SHAPES = {
    "digits": (1, 8, 10),
    **dict.fromkeys(("mnist", "mnist-5k", "fashion-mnist"), (1, 28, 10)),
    **dict.fromkeys(("cifar10", "cifar10-45k"), (3, 32, 10)),
    "cifar10-2k": (3, 16, 10),
    "cifar100": (3, 32, 100),
}


def resolved(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Return the recipe that names the data that are there: another one where the package's images
    stand in for the full set.
    """
    return recipe if dataset.base == recipe.dataset else replace(recipe, dataset=dataset.base)
