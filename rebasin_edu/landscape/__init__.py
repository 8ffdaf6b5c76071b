"""What lies between networks: paths, planes, barriers, repair and diagnosis."""

from .curve import Barrier, Curve, linear_path
from .diagnosis import Diagnosis, closed_form, diagnose
from .evaluate import evaluate
from .interpolation import lerp, mean, slerp
from .merge import MergeReport, merge
from .metrics import Reliability, Score
from .plane import Plane, loss_plane
from .repair import Repair, reestimate_batchnorm, repair
from .repaired_path import repaired_path

__all__ = [
    "Barrier",
    "Curve",
    "Diagnosis",
    "MergeReport",
    "Plane",
    "Reliability",
    "Repair",
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
