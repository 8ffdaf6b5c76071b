"""Activation matching: units that fire together, on the same inputs, are taken for the same unit."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import DataError, MatchingInterrupted, RebasinWarning
from ..symmetry import Permutation, PermutationSpec, Weights, as_state
from ..symmetry.trace import trace
from .activation_sites import readings
from .block_assignment import keys_of, moves, vertex
from .checks import checked, working_dtype
from .moments import PairMoments
from .objective import Key, flat_index
from .result import Matching, Step


@dataclass
class Similarities:
    """For each key, how similar the units of A and of B are, summed over the places where they are
    read.
    """

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
            total += float(
                self.gains[key][torch.arange(len(index), device=self.device), index].sum()
            )
        return total


def activation_matching(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    data: object,
    *,
    model: nn.Module | None = None,
    centred: bool = True,
    batch_size: int = 100,
    samples: int | None = None,
) -> Matching:
    """Find the permutation of ``b`` whose hidden units fire most like those of ``a`` on the same
    inputs.

    One pass over the data serves all groups: each activation is read where it enters the next
    weights, after the nonlinearity, and adds to running moments, so that the memory does not grow
    with the data. A convolution's pixels are samples. Where a tensor has the units of two groups
    that may move apart (tokens and channels), the mean over the other one is read. Each group is
    then one linear assignment problem, exactly solved.

    Args:
        spec: the symmetries, derived or by hand; of a hand-written spec the groups are recognised
            by where they occur.
        a, b: modules or state dicts, on one device.
        data: a tensor of inputs, a pair ``(inputs, targets)``, a ``DataLoader`` or an iterable of
            either; targets are not used.
        model: a module of the architecture, whose graph is run; may be left out where ``a`` is one.
        centred: match correlations (the default, better on networks without normalisation); False:
            the paper's uncentred product.
        batch_size: examples at a time.
        samples: stop after this many examples.

    Returns:
        The ``Matching``; its ``objective`` is the sum of the similarities of matched units over
        groups and places.

    Raises:
        DataError: the data are empty.
        SpecError, WeightsError, WeightsError: as ``weight_matching``.

    Ref: Git Re-Basin, section 3.1, equation 1.
    """
    began = time.perf_counter()
    if model is None:
        if not isinstance(a, nn.Module):
            raise DataError(
                "activation matching runs the networks: give model=, a module of their architecture"
            )
        model = a
    checked(spec, {"a": a, "b": b})
    moments = measure(spec, as_state(a), as_state(b), data, model, batch_size, samples)
    gains: dict[Key, Tensor] = {}
    for (key, _), found in moments.items():
        similarity = found.correlation() if centred else found.product()
        gains[key] = gains[key] + similarity if key in gains else similarity
    similar = Similarities(spec, gains)
    tables, history = dict(spec.identity()), []
    base, unread = similar.value(tables, gains), []
    try:
        for move in moves(spec):
            if keys := keys_of(similar, move):
                new = vertex(similar, [move], gains, tables)
                gain = similar.value(new, keys) - similar.value(tables, keys)
                history.append(Step(1, move.name, gain, time.perf_counter() - began))
                tables = new
            else:
                unread.append(move.name)
    except KeyboardInterrupt:
        raise MatchingInterrupted(_result(similar, tables, base, history, began, False)) from None
    if unread:
        warnings.warn(
            f"no activation of {', '.join(unread)} is read: they stay where they are",
            RebasinWarning,
            stacklevel=2,
        )
    return _result(similar, tables, base, history, began, True)


def measure(
    spec: PermutationSpec,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    data: object,
    model: nn.Module,
    batch_size: int = 100,
    samples: int | None = None,
) -> dict[tuple[Key, tuple], PairMoments]:
    """Moments of both networks' units in one pass: (key, place) → moments."""
    dtype = working_dtype(x for x in a.values() if x.is_floating_point())
    device = next(x.device for x in a.values() if x.is_floating_point())
    states = [
        {name: x.to(dtype) if x.is_floating_point() else x for name, x in state.items()}
        for state in (a, b)
    ]
    twin = copy.deepcopy(model).cpu().to(dtype)
    moments: dict[tuple[Key, tuple], PairMoments] = {}
    traces = {}
    for inputs in _inputs(data, batch_size, samples):
        args = tuple(x.to(device, dtype) if x.is_floating_point() else x.to(device) for x in inputs)
        if (
            len(args[0]) not in traces
        ):  # a graph is of one batch size: the last batch may need its own
            traced = trace(twin, args)
            traces[len(args[0])] = traced, readings(traced, spec)
        traced, places = traces[len(args[0])]
        kept: dict[tuple, Tensor] = {}

        def keep(site, activation, kept=kept, places=places):
            for reading in places.get((site.node, site.value), ()):
                kept[reading.place] = reading.units(activation, keep=True)

        def join(site, activation, kept=kept, places=places):
            for reading in places.get((site.node, site.value), ()):
                moments.setdefault(reading.place, PairMoments()).add(
                    kept.pop(reading.place), reading.units(activation)
                )

        traced.run(states[0], keep, *args)
        traced.run(states[1], join, *args)
    if not traces:
        raise DataError(
            "the data hold no examples: an empty set, an empty loader, or one that an earlier call used up"
        )
    return moments


def _inputs(data: object, batch_size: int, samples: int | None) -> Iterator[tuple[Tensor, ...]]:
    """Batches of the model's inputs, as tuples; targets are left off."""
    if (
        isinstance(data, (tuple, list))
        and len(data) == 2
        and all(isinstance(part, Tensor) for part in data)
    ):
        data = data[0]
    batches = (
        data.split(batch_size)
        if isinstance(data, Tensor) and len(data)
        else ()
        if isinstance(data, Tensor)
        else data
    )
    left = samples
    for batch in batches:
        inputs = (
            batch
            if isinstance(batch, Tensor)
            else batch[0]
            if isinstance(batch, (tuple, list)) and batch
            else None
        )
        inputs = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
        if not all(isinstance(x, Tensor) for x in inputs):
            raise DataError(
                f"a batch should be a tensor of inputs or (inputs, targets), this one is a {type(batch).__name__}"
            )
        for parts in zip(*(x.split(batch_size) for x in inputs)):
            parts = parts if left is None else tuple(x[:left] for x in parts)
            if len(parts[0]):
                yield parts
            if left is not None:
                left -= len(parts[0])
                if left <= 0:
                    return


def _result(
    similar: Similarities, tables: dict, base: float, history: list[Step], began: float, done: bool
) -> Matching:
    objective = similar.value(tables, similar.gains)
    return Matching(
        Permutation(tables, similar.spec.parents),
        objective,
        objective - base,
        "activation matching",
        tuple(history),
        done,
        time.perf_counter() - began,
    )
