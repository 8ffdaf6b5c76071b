"""Which shuffle brings one network near another: the paper's three matchers, and better ones."""

from .assignment import AssignmentError, assign
from .checks import NonFiniteWeights, UnsuitableWeights
from .result import Matching, MatchingError, MatchingInterrupted, Step
from .weights import weight_matching

__all__ = [
    "AssignmentError",
    "Matching",
    "MatchingError",
    "MatchingInterrupted",
    "NonFiniteWeights",
    "Step",
    "UnsuitableWeights",
    "assign",
    "weight_matching",
]
