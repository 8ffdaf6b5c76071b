"""One rule for each ATen operator; importing this enters all of them in ``RULES``."""

from . import (  # noqa: F401  (each enters its rules)
    contraction,
    convolution,
    cutting,
    indexing,
    neighbours,
    pointwise,
    recurrent,
    reduction,
    shape,
)
from .apply import apply_rule
from .base import RULES

__all__ = ["RULES", "apply_rule"]
