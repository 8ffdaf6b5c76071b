"""Git Re-Basin, taught and done: find the shuffle between two networks, and walk the straight line
between them.
"""

from .course.figures.assignment import draw_assignments, draw_recovery
from .course.figures.barrier_definitions import draw_barriers
from .course.figures.units import draw_network, draw_rainbow
from .course.figures.variance_collapse import draw_collapse, draw_deviations, draw_dial
from .lab import (
    MLP,
    VGG11,
    VGG16,
    Dataset,
    Ensemble,
    Recipe,
    ResNet20,
    Split,
    load_data,
    load_or_train,
    load_run,
    sweep,
    train,
)
from .landscape import (
    Barrier,
    Curve,
    Diagnosis,
    MergeReport,
    Plane,
    Repair,
    Score,
    closed_form,
    diagnose,
    evaluate,
    lerp,
    linear_path,
    loss_plane,
    mean,
    merge,
    reestimate_batchnorm,
    repair,
    repaired_path,
    slerp,
)
from .matching import (
    Matching,
    activation_matching,
    assign,
    frank_wolfe_matching,
    merge_many,
    straight_through_matching,
    weight_matching,
)
from .show.curves import draw_curves
from .show.diagnosis import draw_variance
from .show.grids import frames_grid
from .show.matching import draw_matching
from .show.plane import draw_plane
from .show.reliability import draw_reliability
from .show.spec_graph import draw_spec
from .show.widgets import explore, frames, live, move_all, png
from .symmetry import Permutation, PermutationSpec

__version__ = "0.2.0"

__all__ = [
    "MLP",
    "VGG11",
    "VGG16",
    "Barrier",
    "Curve",
    "Dataset",
    "Diagnosis",
    "Ensemble",
    "Matching",
    "MergeReport",
    "Permutation",
    "PermutationSpec",
    "Plane",
    "Recipe",
    "Repair",
    "ResNet20",
    "Score",
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
    "draw_matching",
    "draw_network",
    "draw_plane",
    "draw_rainbow",
    "draw_recovery",
    "draw_reliability",
    "draw_spec",
    "draw_variance",
    "evaluate",
    "explore",
    "frames",
    "frames_grid",
    "frank_wolfe_matching",
    "lerp",
    "linear_path",
    "live",
    "load_data",
    "load_or_train",
    "load_run",
    "loss_plane",
    "mean",
    "merge",
    "merge_many",
    "move_all",
    "png",
    "reestimate_batchnorm",
    "repair",
    "repaired_path",
    "slerp",
    "straight_through_matching",
    "sweep",
    "train",
    "weight_matching",
]
