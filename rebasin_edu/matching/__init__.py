"""Which shuffle brings one network near another: the paper's three matchers, and better ones."""

from .activations import NoActivations, UnreadGroups, activation_matching
from .assignment import AssignmentError, assign
from .checks import NonFiniteWeights, UnsuitableWeights
from .frank_wolfe import frank_wolfe_matching
from .many import Merged, TooFewModels, merge_many
from .result import Matching, MatchingError, MatchingInterrupted, Step
from .starts import STARTS, UnknownStart
from .straight_through import NoTrainingData, straight_through_matching
from .weights import weight_matching

__all__ = [
    "STARTS",
    "AssignmentError",
    "Matching",
    "MatchingError",
    "MatchingInterrupted",
    "Merged",
    "NoActivations",
    "NoTrainingData",
    "NonFiniteWeights",
    "Step",
    "TooFewModels",
    "UnknownStart",
    "UnreadGroups",
    "UnsuitableWeights",
    "activation_matching",
    "assign",
    "frank_wolfe_matching",
    "merge_many",
    "straight_through_matching",
    "weight_matching",
]
