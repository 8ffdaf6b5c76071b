"""Which permutation brings one network near another: the paper's matchers, and better ones."""

from .activation_matching import activation_matching
from .frank_wolfe import frank_wolfe_matching
from .initialization import STARTS
from .linear_assignment import assign
from .merge_many import Merged, merge_many
from .result import Matching, Step
from .straight_through import straight_through_matching
from .weight_matching import weight_matching

__all__ = [
    "STARTS",
    "Matching",
    "Merged",
    "Step",
    "activation_matching",
    "assign",
    "frank_wolfe_matching",
    "merge_many",
    "straight_through_matching",
    "weight_matching",
]
