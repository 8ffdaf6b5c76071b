"""What lies between networks: paths, planes, barriers, repair and diagnosis."""

from .batchnorm import reestimate_batchnorm
from .causes import CAUSES
from .curve import Barrier, Curve
from .diagnosis import Diagnosis, diagnose
from .evaluate import evaluate
from .interpolation import lerp, mean, slerp
from .merge import merge
from .merging import MergeReport
from .metrics import Reliability, Score
from .path import linear_path
from .plane import Plane, loss_plane
from .refit import RefitReport, refit
from .repair import RepairReport, repair_statistics
from .unit_statistics import closed_form

__all__ = [
    "CAUSES",
    "Barrier",
    "Curve",
    "Diagnosis",
    "MergeReport",
    "Plane",
    "RefitReport",
    "Reliability",
    "RepairReport",
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
    "refit",
    "repair_statistics",
    "slerp",
]
