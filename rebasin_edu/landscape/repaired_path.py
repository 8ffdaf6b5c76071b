"""The path from one network to another with every network on it mended: what is left of a barrier
once statistics are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from ..symmetry import Weights
from .batches import Data, batches
from .curve import Curve, evenly
from .evaluate import evaluate
from .interpolation import State, compatible, lerp
from .repair import reestimate_batchnorm
from .repair import repair as repaired_by
from .running import home, state_for
from .unit_statistics import BATCHNORM

MENDS = ("auto", "batchnorm", "repair")


def repaired_path(
    model: nn.Module,
    a: Weights,
    b: Weights,
    data: Data,
    train: Data,
    *,
    mend: str = "auto",
    alphas: int | Sequence[float] = 11,
    samples: int = 2000,
    label: str = "",
    data_name: str = "",
    meta: Mapping | None = None,
    batch_size: int = 500,
) -> Curve:
    """Score the networks on the straight line from A to B, each one's statistics mended first.

    At alpha 0 and 1 the networks are A and B themselves, untouched: a barrier is counted from what
        was trained.

    Args:
        model: the architecture; given back as it was.
        a, b: a module or state dict each, B with its units matched to A's.
        data: what the networks are scored on, as in ``linear_path``.
        train: what statistics are measured on: training data (targets are not used), never
            ``data``.
        mend: ``"batchnorm"`` re-estimates its statistics, ``"repair"`` sets every hidden unit's
            mean and deviation; ``"auto"`` is the first where the model has BatchNorm, else the
            second.
        alphas: how many, evenly from 0 to 1, or the values themselves.
        samples: how many examples of ``train``.
        label, data_name, meta: kept with the curve.

    Returns:
        A ``Curve``; its ``meta`` names the mend.

    Raises:
        ValueError: an unknown mend. Else as ``linear_path``, ``reestimate_batchnorm`` and
            ``repair``.

    Ref: Git Re-Basin, appendix A.4; REPAIR, section 3.
    """
    if mend not in MENDS:
        raise ValueError(f"mend={mend!r} is not known; choose one of {', '.join(map(repr, MENDS))}")
    if mend == "auto":
        mend = (
            "batchnorm"
            if any(isinstance(module, BATCHNORM) for module in model.modules())
            else "repair"
        )
    alphas = evenly(alphas)
    a, b = compatible(
        state_for(model, a, of="first network"), state_for(model, b, of="second network")
    )
    device, dtype = home(a)
    held = list(batches(train, 250, device=device, dtype=dtype, samples=samples))

    def network(alpha: float) -> State:
        if alpha in (0, 1):
            return b if alpha else a
        if mend == "batchnorm":
            return reestimate_batchnorm(model, lerp(a, b, alpha), held, samples=None)
        return repaired_by(model, a, b, None, held, alpha=alpha, samples=samples).weights

    found = [evaluate(model, network(alpha), data, batch_size=batch_size) for alpha in alphas]
    loss, accuracy, ece, seen, bins = zip(
        *((s.loss, s.accuracy, s.ece, s.samples, s.reliability) for s in found)
    )
    return Curve(
        alphas,
        loss,
        accuracy,
        ece,
        seen[0],
        label,
        data_name,
        "lerp",
        {"mend": mend, **(meta or {})},
        bins,
    )
