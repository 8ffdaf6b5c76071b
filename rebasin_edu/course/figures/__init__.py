"""The figures of single notebooks; what a user of the library wants to see is in ``rb.show``."""

from .alpha_by_width import (
    describe_alpha,
    draw_alpha_by_width,
    draw_refit_images,
    draw_widths,
    grid_curves,
    grid_row,
    parents,
    points_lost,
    put_line,
    stored_rows,
)
from .assignment import draw_assignments, draw_recovery
from .barrier_definitions import draw_barriers
from .barrier_over_training import barriers, describe_onset, draw_onset, draw_onset_sheet
from .coordinate_descent import (
    Descent,
    draw_landscape,
    draw_progress,
    draw_tours,
    draw_update,
    draw_updates,
)
from .limits import draw_conditions, draw_counterexample
from .loss_and_accuracy import draw_logit_scale, draw_pairs
from .merging_many import draw_growth, draw_scores, draw_triangles
from .method_comparison import draw_best_of, draw_cloud, draw_methods, draw_trace
from .moving_together import draw_axes, draw_blocks, draw_changes, draw_counts
from .published_barriers import draw_points_lost, draw_published
from .split_data import draw_by_class, draw_halves, draw_rounds
from .transformers import draw_symmetries, draw_writing
from .units import draw_mix, draw_network, draw_rainbow, draw_units
from .variance_collapse import (
    draw_standard_deviations,
    draw_variance_collapse,
    draw_vector_diagram,
    mixed_std,
)
from .width_and_time import (
    describe_settings,
    describe_width_at,
    draw_over_time,
    draw_settings,
    draw_width_at,
    draw_widths_sheet,
    heights,
    widths_of,
)

__all__ = [
    "Descent",
    "barriers",
    "describe_alpha",
    "describe_onset",
    "describe_settings",
    "describe_width_at",
    "draw_alpha_by_width",
    "draw_assignments",
    "draw_axes",
    "draw_barriers",
    "draw_best_of",
    "draw_blocks",
    "draw_by_class",
    "draw_changes",
    "draw_cloud",
    "draw_conditions",
    "draw_counterexample",
    "draw_counts",
    "draw_growth",
    "draw_halves",
    "draw_landscape",
    "draw_logit_scale",
    "draw_methods",
    "draw_mix",
    "draw_network",
    "draw_onset",
    "draw_onset_sheet",
    "draw_over_time",
    "draw_pairs",
    "draw_points_lost",
    "draw_progress",
    "draw_published",
    "draw_rainbow",
    "draw_recovery",
    "draw_refit_images",
    "draw_rounds",
    "draw_scores",
    "draw_settings",
    "draw_standard_deviations",
    "draw_symmetries",
    "draw_tours",
    "draw_trace",
    "draw_triangles",
    "draw_units",
    "draw_update",
    "draw_updates",
    "draw_variance_collapse",
    "draw_vector_diagram",
    "draw_width_at",
    "draw_widths",
    "draw_widths_sheet",
    "draw_writing",
    "grid_curves",
    "grid_row",
    "heights",
    "mixed_std",
    "parents",
    "points_lost",
    "put_line",
    "stored_rows",
    "widths_of",
]
