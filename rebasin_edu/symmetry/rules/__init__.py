"""One rule for each ATen operator; importing this enters all of them in ``RULES``."""

from . import contraction, indexing, neighbours, pointwise, recurrent, reduction, shape
from .base import RULES, apply_rule

__all__ = [
    "RULES",
    "apply_rule",
    "contraction",
    "indexing",
    "neighbours",
    "pointwise",
    "recurrent",
    "reduction",
    "shape",
]
