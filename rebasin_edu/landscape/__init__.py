"""What lies between networks: paths, planes, barriers, repair and diagnosis."""

from .batches import BadTargets, DataProblem
from .calibration import Reliability, Score
from .curves import Barrier, Curve, CurveError, linear_path
from .evaluate import evaluate
from .interpolate import IncompatibleWeights, lerp, mean, slerp
from .results import ResultsError

__all__ = [
    "BadTargets",
    "Barrier",
    "Curve",
    "CurveError",
    "DataProblem",
    "IncompatibleWeights",
    "Reliability",
    "ResultsError",
    "Score",
    "evaluate",
    "lerp",
    "linear_path",
    "mean",
    "slerp",
]
