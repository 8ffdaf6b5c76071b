"""What may be shuffled: permutations, specs, and how a spec is derived from a model."""

from .permutation import Permutation, PermutationError
from .spec import PermutationSpec, SpecMismatch, SpecWarning, Weights, as_state
from .trace import TraceError

__all__ = [
    "Permutation",
    "PermutationError",
    "PermutationSpec",
    "SpecMismatch",
    "SpecWarning",
    "TraceError",
    "Weights",
    "as_state",
]
