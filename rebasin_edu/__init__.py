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
from .landscape import (
    Barrier,
    Curve,
    Plane,
    closed_form,
    diagnose,
    evaluate,
    lerp,
    linear_path,
    loss_plane,
    mean,
    repair,
    slerp,
)
from .matching import Matching, activation_matching, assign, straight_through_matching, weight_matching
from .show.assignments import draw_assignments, draw_recovery
from .show.barriers import draw_barriers
from .show.dial import draw_collapse, draw_deviations, draw_dial
from .show.figures import draw_curves
from .show.grids import frames_grid
from .show.plane import draw_plane
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
    "Plane",
    "Recipe",
    "ResNet20",
    "SpecMismatch",
    "Split",
    "activation_matching",
    "assign",
    "closed_form",
    "diagnose",
    "draw_assignments",
    "draw_barriers",
    "draw_collapse",
    "draw_curves",
    "draw_deviations",
    "draw_dial",
    "draw_network",
    "draw_plane",
    "draw_rainbow",
    "draw_recovery",
    "evaluate",
    "explore",
    "frames",
    "frames_grid",
    "lerp",
    "linear_path",
    "live",
    "load_data",
    "load_or_train",
    "load_run",
    "loss_plane",
    "mean",
    "png",
    "repair",
    "slerp",
    "straight_through_matching",
    "sweep",
    "train",
    "weight_matching",
]
