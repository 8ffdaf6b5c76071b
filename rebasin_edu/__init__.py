"""Git Re-Basin, taught and done: find the shuffle between two networks, and walk the straight line between them."""

from .lab import (
    MLP,
    VGG11,
    VGG16,
    Dataset,
    Recipe,
    ResNet20,
    Split,
    load_data,
    load_or_train,
    load_run,
    train,
)
from .landscape import Barrier, Curve, evaluate, lerp, linear_path, mean, slerp
from .matching import Matching, weight_matching
from .show.figures import draw_curves
from .show.sliders import explore, frames, live, png, sweep
from .show.units import draw_network, draw_rainbow
from .symmetry import Permutation, PermutationError, PermutationSpec, SpecMismatch

__all__ = [
    "MLP",
    "VGG11",
    "VGG16",
    "Barrier",
    "Curve",
    "Dataset",
    "Matching",
    "Permutation",
    "PermutationError",
    "PermutationSpec",
    "Recipe",
    "ResNet20",
    "SpecMismatch",
    "Split",
    "draw_curves",
    "draw_network",
    "draw_rainbow",
    "evaluate",
    "explore",
    "frames",
    "lerp",
    "linear_path",
    "live",
    "load_data",
    "load_or_train",
    "load_run",
    "mean",
    "png",
    "slerp",
    "sweep",
    "train",
    "weight_matching",
]
