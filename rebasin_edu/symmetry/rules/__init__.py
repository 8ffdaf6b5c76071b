"""One rule for each ATen operator; importing this enters all of them in ``RULES``."""

from . import contraction, pointwise, shape
from .base import RULES

__all__ = ["RULES", "contraction", "pointwise", "shape"]
