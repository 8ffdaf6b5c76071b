"""What may be shuffled: permutations, specs, and how a spec is derived from a model."""

from .permutation import Permutation
from .spec import PermutationSpec

__all__ = ["Permutation", "PermutationSpec"]
