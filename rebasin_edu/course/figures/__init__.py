"""The figures of single notebooks; what a user of the library wants to see is in ``rb.show``."""

from .assignment import draw_assignments, draw_recovery
from .barrier_definitions import draw_barriers
from .barrier_over_training import barriers, describe_onset, draw_onset, draw_onset_sheet
from .coordinate_descent import (
    draw_landscape,
    draw_progress,
    draw_tours,
    draw_update,
    draw_updates,
)
from .method_comparison import draw_best_of, draw_cloud, draw_methods, draw_trace
from .units import draw_mix, draw_network, draw_rainbow, draw_units
from .variance_collapse import (
    draw_standard_deviations,
    draw_variance_collapse,
    draw_vector_diagram,
    mixed_std,
)

__all__ = [
    "barriers",
    "describe_onset",
    "draw_assignments",
    "draw_barriers",
    "draw_best_of",
    "draw_cloud",
    "draw_landscape",
    "draw_methods",
    "draw_mix",
    "draw_network",
    "draw_onset",
    "draw_onset_sheet",
    "draw_progress",
    "draw_rainbow",
    "draw_recovery",
    "draw_standard_deviations",
    "draw_tours",
    "draw_trace",
    "draw_units",
    "draw_update",
    "draw_updates",
    "draw_variance_collapse",
    "draw_vector_diagram",
    "mixed_std",
]
