"""Score the networks on the path from A to B, as they are or each repaired first."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from ..batches import Data, batches
from ..errors import DataError, RebasinError, choose
from ..weights import State, Weights, architecture, device_and_dtype
from .batchnorm import reestimate_batchnorm
from .criteria import Criterion, Metrics
from .curve import Curve
from .evaluate import evaluate, fitting_states, progress_bar, scores
from .interpolation import arc, combine, finite
from .refit import refit
from .repair import repair_statistics
from .unit_statistics import keeps_statistics

REPAIRS = ("batchnorm", "rescale", "refit")


def linear_path(
    a: Weights,
    b: Weights,
    data: Data,
    *,
    model: nn.Module | None = None,
    alphas: int | Sequence[float] = 25,
    kind: str = "lerp",
    repair: str | None = None,
    train_data: Data | None = None,
    num_samples: int = 2000,
    loss: Criterion | None = None,
    metrics: Metrics | None = None,
    label: str = "",
    meta: Mapping | None = None,
    batch_size: int = 500,
    batched: bool | None = None,
    progress: bool = False,
) -> Curve:
    """Return the loss, accuracy and calibration of the networks on the path from A to B.

    The data are read once for all alphas; on an accelerator many alphas are computed in one batched
    call. The numbers are the same either way.

    With ``repair`` every network *between* the endpoints has its statistics repaired first; the
    endpoints are A and B as they were trained, so that a barrier is counted from those. A refitted
    network lies off the line: show the curve without it too.

    Args:
        a, b: a module or state dict each; B with its units matched to A's.
        data: what is scored: a pair ``(inputs, targets)``, or a loader, dataset or list of batches.
        model: the architecture, where neither ``a`` nor ``b`` is a module; given back as it was.
        alphas: how many, evenly from 0 to 1, or the values themselves (below 0 and above 1 is
            extrapolation).
        kind: ``"lerp"``, or ``"slerp"`` for the arc.
        repair: ``None``; ``"batchnorm"`` re-estimates its statistics, ``"rescale"`` sets the mean
            and standard deviation of every hidden unit, ``"refit"`` fits the layers, ``"auto"`` is
            the first where the model has BatchNorm, else the second.
        train_data: what a repair is measured on (targets are not used); never ``data``.
        num_samples: how many examples of ``train_data``.
        loss, metrics: what the networks are scored by, as in ``evaluate``; cross-entropy, and the
            mean squared error where targets are regressed on.
        label, meta: kept with the curve, as is the name of the data where ``data.name`` says it.
        batch_size: how many examples at a time.
        batched: many alphas in one ``vmap`` call; ``None`` decides by the device.
        progress: show a bar.

    Raises:
        WeightsError: A and B do not fit each other or the model, or hold values that are not
            finite.
        DataError: no data, no pairs, targets that are not classes of the model, or a repair
            without ``train_data``.
        RebasinError: an alpha is not a finite number.
        RebasinError: an unknown kind or repair.

    Ref: Git Re-Basin, definition 2.2 and appendix A.4; REPAIR, section 3.
    """
    choose("kind", kind, ("lerp", "slerp"))
    choose("repair", repair, (None, "auto", *REPAIRS))
    alphas = evenly(alphas)
    model = architecture(model, a, b)
    states = fitting_states(model, a, b)
    buffers = frozenset(name for name, _ in model.named_buffers())
    line = [(1 - alpha, alpha) for alpha in alphas]
    coefficients = line if kind == "lerp" else [arc(states, alpha, buffers) for alpha in alphas]
    about: dict[str, Any] = {"label": label, "data": name_of(data), "kind": kind}
    about["meta"] = dict(meta or {})
    if repair is None:
        scored = scores(
            model,
            states,
            coefficients,
            data,
            straight=buffers,
            straight_coefficients=line,
            loss=loss,
            metrics=metrics,
            batch_size=batch_size,
            batched=batched,
            progress=progress,
        )
        return Curve.of_scores(alphas, scored, **about)
    if train_data is None:
        raise DataError(f"repair={repair!r} needs train_data: images that are not scored")
    repair = repair_for(model) if repair == "auto" else repair
    device, dtype = device_and_dtype(states[0])
    options: dict[str, Any] = {"num_samples": num_samples, "targets": False}
    examples = list(batches(train_data, batch_size, device=device, dtype=dtype, **options))
    data = list(data) if isinstance(data, Iterator) else data  # it is read once for each alpha
    scored = []
    with progress_bar(len(alphas), progress, "network") as advance:
        for k, alpha in enumerate(alphas):
            if alpha in (0, 1):
                network = states[int(alpha)]
            else:
                mixed = combine(
                    states, coefficients[k], straight=buffers, straight_coefficients=line[k]
                )
                network = repaired(repair, model, states, mixed, examples, alpha)
            criteria: dict[str, Any] = {"loss": loss, "metrics": metrics}
            scored.append(evaluate(network, data, model=model, batch_size=batch_size, **criteria))
            advance(1)
    about["meta"] = {"repair": repair, **about["meta"]}
    return Curve.of_scores(alphas, scored, **about)


def repair_for(model: nn.Module) -> str:
    """Return the repair that a model needs: new statistics where it keeps any, else rescaling."""
    return "batchnorm" if keeps_statistics(model) else "rescale"


def repaired(
    repair: str,
    model: nn.Module,
    parents: Sequence[State],
    merged: State,
    examples: Sequence,
    alpha: float,
) -> State:
    """Return a merged network repaired by the method of that name on a list of batches."""
    if repair == "batchnorm":
        return reestimate_batchnorm(merged, examples, model=model, num_samples=None)
    options: dict[str, Any] = {"model": model, "merged": merged, "alpha": alpha}
    options |= {"num_samples": 10**9}
    if repair == "rescale":
        a, b = parents
        return repair_statistics(a, b, examples, **options).weights
    return refit(list(parents), train_data=examples, **options).weights


def evenly(alphas: int | Sequence[float]) -> tuple[float, ...]:
    """Return that many alphas evenly from 0 to 1, or the given ones, checked."""
    if isinstance(alphas, (str, bytes)):
        raise RebasinError(f"alphas={alphas!r}: a number of alphas, or the alphas, are needed")
    try:
        count = operator.index(alphas)  # type: ignore[arg-type]
    except TypeError:
        if not isinstance(alphas, Iterable):
            raise RebasinError(f"alphas={alphas!r}: a whole number, or the alphas") from None
        given = tuple(alphas)
        if not given:
            raise RebasinError("alphas=(): at least one number is needed") from None
        return tuple(finite(alpha, "alphas") for alpha in given)
    if count < 2:
        raise RebasinError(f"alphas={count}: a path needs at least its two endpoints")
    return tuple(k / (count - 1) for k in range(count))


def name_of(data: Data) -> str:
    """Return the name of a data set, where it has one (a loader: that of its data set)."""
    name = getattr(data, "name", None) or getattr(getattr(data, "dataset", None), "name", "")
    return name if isinstance(name, str) else ""
