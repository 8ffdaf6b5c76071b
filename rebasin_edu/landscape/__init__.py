"""What lies between networks: paths, planes, barriers, repair and diagnosis."""

from .batches import BadTargets, DataProblem
from .curve import Barrier, Curve, CurveError, linear_path
from .diagnosis import Diagnosis, closed_form, diagnose
from .evaluate import evaluate
from .interpolation import IncompatibleWeights, lerp, mean, slerp
from .merge import MergeError, MergeReport, merge
from .metrics import Reliability, Score
from .plane import Plane, PlaneError, loss_plane
from .repair import NothingToRepair, Repair, reestimate_batchnorm, repair
from .repaired_path import repaired_path
from .results import ResultsError

__all__ = [
    "BadTargets",
    "Barrier",
    "Curve",
    "CurveError",
    "DataProblem",
    "Diagnosis",
    "IncompatibleWeights",
    "MergeError",
    "MergeReport",
    "NothingToRepair",
    "Plane",
    "PlaneError",
    "Reliability",
    "Repair",
    "ResultsError",
    "Score",
    "closed_form",
    "diagnose",
    "evaluate",
    "lerp",
    "linear_path",
    "loss_plane",
    "mean",
    "merge",
    "reestimate_batchnorm",
    "repair",
    "repaired_path",
    "slerp",
]
