"""Git Re-Basin, taught and done: match the units of two networks, walk the line between them."""

from __future__ import annotations

import importlib
from types import ModuleType

from . import errors as errors
from .lab import Recipe, load_data, load_or_train, load_run, train
from .landscape import (
    Curve,
    Plane,
    diagnose,
    evaluate,
    lerp,
    linear_path,
    loss_plane,
    mean,
    merge,
    reestimate_batchnorm,
    refit,
    repair_statistics,
    slerp,
)
from .matching import (
    Matching,
    activation_matching,
    merge_many,
    straight_through_matching,
    weight_matching,
)
from .symmetry import Permutation, PermutationSpec

__version__ = "0.2.0"

__all__ = [
    "Curve",
    "Matching",
    "Permutation",
    "PermutationSpec",
    "Plane",
    "Recipe",
    "activation_matching",
    "diagnose",
    "evaluate",
    "lerp",
    "linear_path",
    "load_data",
    "load_or_train",
    "load_run",
    "loss_plane",
    "mean",
    "merge",
    "merge_many",
    "reestimate_batchnorm",
    "refit",
    "repair_statistics",
    "slerp",
    "straight_through_matching",
    "train",
    "weight_matching",
]

NAMESPACES = ("course", "errors", "lab", "landscape", "matching", "show", "symmetry")


def __getattr__(name: str) -> ModuleType:
    """Import ``show`` and ``course`` when they are first used: they bring matplotlib."""
    if name in NAMESPACES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *NAMESPACES, "__version__"])
