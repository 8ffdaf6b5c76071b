"""Figures and sliders. Each is drawn by a pure function that returns a closed figure with an
alternative text.
"""

from .curves import draw_curves
from .diagnosis import draw_diagnosis, draw_reliability
from .matching import draw_matching
from .plane import draw_plane
from .spec_graph import draw_spec
from .style import colour_of, describe, new_figure, png, style
from .widgets import explore, frames, move_all, slider, slider_grid

__all__ = [
    "colour_of",
    "describe",
    "draw_curves",
    "draw_diagnosis",
    "draw_matching",
    "draw_plane",
    "draw_reliability",
    "draw_spec",
    "explore",
    "frames",
    "move_all",
    "new_figure",
    "png",
    "slider",
    "slider_grid",
    "style",
]
