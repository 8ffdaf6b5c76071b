"""What may be shuffled: permutations, specs, and how a spec is derived from a model."""

from ..weights import Weights, as_state
from .permutation import Group, Permutation
from .spec import PermutationSpec

__all__ = ["Group", "Permutation", "PermutationSpec", "Weights", "as_state"]
