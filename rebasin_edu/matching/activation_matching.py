"""Activation matching: units that are active together on the same inputs are taken for one unit."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..batches import Data, batches, call_arguments
from ..errors import MatchingInterrupted, RebasinError, RebasinWarning
from ..inputs import shapes_of
from ..running import fast_layout, plain
from ..symmetry import PermutationSpec
from ..symmetry.trace import Site, trace
from ..weights import Weights, architecture, device_and_dtype, tensors_in
from .activation_sites import Reading, readings
from .block_assignment import vertex
from .comparable import comparable, working_dtype
from .coordinate_descent import Descent
from .group_steps import group_steps, keys_of
from .joint_objective import joint_problem
from .moments import Moments
from .objective import Key, flat_index
from .result import Matching, Step


@dataclass
class Similarities:
    """For each key, how similar the units of A and of B are, summed over the activation sites."""

    spec: PermutationSpec
    gains: Mapping[Key, Tensor]
    dtype: torch.dtype = torch.float64

    @property
    def keys(self) -> dict[Key, int]:
        return {key: len(gains) for key, gains in self.gains.items()}

    @property
    def device(self) -> torch.device:
        return next(iter(self.gains.values())).device

    def value(self, tables: Mapping[str, Tensor], keys: Iterable[Key]) -> float:
        """The sum of the similarities of matched units."""
        total = 0.0
        for key in keys:
            index = flat_index(self.spec, key, tables).to(self.device)
            rows = torch.arange(len(index), device=self.device)
            total += float(self.gains[key][rows, index].sum())
        return total


def activation_matching(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    train_data: Data,
    *,
    model: nn.Module | None = None,
    centred: bool = True,
    weights: float = 0.0,
    num_samples: int | None = 2000,
    batch_size: int = 500,
) -> Matching:
    """Return the permutation of ``b`` whose hidden units fire most like those of ``a``.

    One pass over the same inputs serves all groups: each activation is read where it enters the
    next weights, after the nonlinearity, and adds to running moments, so that the memory does not
    grow with the data. A convolution's pixels are samples. Where a tensor has the units of two
    groups that may move apart (tokens and channels), the mean over the other one is read. Each
    group is then one linear assignment problem, exactly solved.

    Args:
        spec: the symmetries, derived or by hand; of a hand-written spec the groups are recognised
            by where they occur.
        a, b: modules or state dicts, on one device.
        train_data: inputs in any form that ``batches`` takes; targets are not used.
        model: a module of the architecture, whose graph is run; may be left out where ``a`` is one.
        centred: match correlations (the default, better on networks without normalisation); False:
            the paper's uncentred product.
        weights: above 0, the units' weights count too: the objective is the sum of the similarities
            plus ``weights`` times the cosines of the units' incoming weights, each multiplied by
            the standard deviation of what it receives. Groups then depend on each other, and are
            improved in turn as in ``weight_matching``, from the matching of the activations alone.
        num_samples: stop after this many examples, which serve about as well as 5,000 between
            ResNets on CIFAR-10; ``None`` takes all.
        batch_size: examples at a time.

    Returns:
        The ``Matching``; its ``objective`` is the sum of the similarities of matched units over
        groups and sites (and of ``weights`` times the cosines).

    Raises:
        DataError: the data are empty or of another form.
        SpecError, WeightsError: as ``weight_matching``.
        RebasinError: ``weights`` is below 0.

    Ref: Git Re-Basin, section 3.1, equation 1.
    """
    if not 0 <= weights < math.inf:
        raise RebasinError(f"weights={weights}: a share of 0 or more is needed")
    began = time.perf_counter()
    network = architecture(model, a, b)
    comparable(spec, a, b)
    moments = measure(spec, a, b, train_data, network, batch_size, num_samples)
    similar = Similarities(spec, similarities(moments, centred=centred))
    tables = dict(spec.identity())
    history: list[Step] = []
    base, unread, converged = similar.value(tables, similar.gains), [], True

    value: Callable[..., float] = partial(similar.value, keys=similar.gains)

    def result(converged: bool) -> Matching:
        objective = value(tables)
        return Matching.of(
            spec, tables, objective, base, "activation matching", history,
            converged=converged, seconds=time.perf_counter() - began,
        )  # fmt: skip

    try:
        for step in group_steps(spec):
            if keys := keys_of(similar, step):
                new = vertex(similar, [step], similar.gains, tables)
                gain = similar.value(new, keys) - similar.value(tables, keys)
                history.append(Step(1, step.name, gain, time.perf_counter() - began))
                tables = new
            else:
                unread.append(step.name)
        if weights:
            problem = joint_problem(spec, a, b, similar.gains, moments, weights)
            value, base, unread = problem.value, problem.value(dict(spec.identity())), []
            descent = Descent(problem, tables, began=began)
            history = [Step(0, "start: activations", problem.value(tables) - base, descent.seconds)]
            converged = descent.run(seed=0, max_sweeps=100)
            tables, history = descent.tables, [*history, *descent.history]
    except KeyboardInterrupt:
        raise MatchingInterrupted(result(False)) from None
    if unread:
        warnings.warn(
            f"no activation of {', '.join(unread)} is read: they stay where they are",
            RebasinWarning,
            stacklevel=2,
        )
    return result(converged)


def similarities(
    moments: Mapping[tuple[Key, tuple], Moments], *, centred: bool = True
) -> dict[Key, Tensor]:
    """Return key → the similarity of every unit of A and of B, summed over the sites, float64."""
    gains: dict[Key, Tensor] = {}
    for (key, _), each in moments.items():
        similarity = each.correlation() if centred else each.product()
        gains[key] = gains[key] + similarity if key in gains else similarity
    return gains


def measure(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    train_data: Data,
    model: nn.Module,
    batch_size: int = 500,
    num_samples: int | None = None,
) -> dict[tuple[Key, tuple], Moments]:
    """Return the moments of both networks' units in one pass: (key, place) → moments."""
    first = tensors_in(a)
    device, dtype = device_and_dtype(first)[0], working_dtype(first)
    states = [
        {name: x.to(dtype) if x.is_floating_point() else x for name, x in state.items()}
        for state in (first, tensors_in(b))
    ]
    traced_model = (
        plain(copy.deepcopy(model)).cpu().to(dtype).eval()
    )  # its precision, not its weights, is traced
    moments: dict[tuple[Key, tuple], Moments] = {}
    traces: dict = {}
    data = batches(
        train_data, batch_size, device=device, dtype=dtype, num_samples=num_samples, targets=False
    )
    for inputs, _ in fast_layout(traced_model, states[0], data):
        size = shapes_of(inputs)  # a graph is of one size: the last batch may need its own
        if size not in traces:
            traced = trace(traced_model, inputs)
            traces[size] = traced, readings(traced, spec)
        traced, places = traces[size]
        positional, named = call_arguments(inputs)
        kept: dict[tuple, Tensor] = {}

        def at(site: Site, places: dict = places) -> list[Reading]:
            return places.get((site.node, site.value), [])

        def keep(site: Site, activation: Tensor, kept: dict = kept, at=at) -> None:
            for reading in at(site):
                kept[reading.place] = reading.units(activation, keep=True)

        def join(site: Site, activation: Tensor, kept: dict = kept, at=at) -> None:
            for reading in at(site):
                pair = kept.pop(reading.place), reading.units(activation)
                moments.setdefault(reading.place, Moments()).add(*pair)

        traced.run(states[0], keep, *positional, **named)
        traced.run(states[1], join, *positional, **named)
    return moments
