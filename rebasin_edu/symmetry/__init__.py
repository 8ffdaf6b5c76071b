"""What may be shuffled: permutations, specs, and how a spec is derived from a model."""

from .permutation import Permutation
from .spec import PermutationSpec, Weights, as_state

__all__ = [
    "Permutation",
    "PermutationSpec",
    "Weights",
    "as_state",
]
