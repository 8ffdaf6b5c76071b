"""Which shuffle brings one network near another: the paper's three matchers, and better ones."""

from .activation_matching import NoActivations, UnreadGroups, activation_matching
from .checks import NonFiniteWeights, UnsuitableWeights
from .frank_wolfe import frank_wolfe_matching
from .initialization import STARTS, UnknownStart
from .linear_assignment import AssignmentError, assign
from .merge_many import Merged, TooFewModels, merge_many
from .result import Matching, MatchingError, MatchingInterrupted, Step
from .straight_through import NoTrainingData, straight_through_matching
from .weight_matching import weight_matching

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
