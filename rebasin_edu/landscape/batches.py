"""Data in any form, as batches: a pair of tensors, a loader, a dataset, a list of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import DataError

Data = tuple[Tensor, Tensor] | Iterable
Batch = tuple[object, Tensor]


def batches(
    data: Data,
    batch_size: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    samples: int | None = None,
) -> Iterator[Batch]:
    """Yield ``(inputs, targets)`` on the device and in the floating type of the weights.

    Small batches of a loader are joined up to ``batch_size``; a last batch of one joins the batch
    before it, since a single example has no variance.

    Args:
        data: a pair of tensors ``(inputs, targets)``; a ``DataLoader`` or any iterable of such
            pairs; a ``Dataset``.
        batch_size: how many examples at a time.
        samples: stop after this many examples.

    Raises:
        DataError: there is nothing in it, or it holds something else than pairs.
    """
    if batch_size < 1:
        raise DataError(f"batch_size={batch_size}: at least one example at a time")
    if samples is not None and samples < 1:
        raise DataError(f"samples={samples}: at least one example is needed")
    empty = True
    for inputs, targets in _joined(_raw(data, batch_size, samples), batch_size):
        empty = False
        yield _moved(inputs, device, dtype), targets.to(device, non_blocking=True)
    if empty:
        raise DataError(
            "the data hold no examples: an empty set, an empty loader, or a generator that was used up by an earlier call"
        )


def count(inputs: object) -> int:
    """How many examples a batch of inputs holds."""
    if isinstance(inputs, Tensor):
        return len(inputs)
    first = next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs[0]
    return count(first)


def arguments(inputs: object) -> tuple[tuple, dict]:
    """The positional and keyword arguments that a batch of inputs stands for."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)), {}


def nbytes(inputs: object) -> int:
    """The memory of a batch of inputs."""
    if isinstance(inputs, Tensor):
        return inputs.numel() * inputs.element_size()
    parts = inputs.values() if isinstance(inputs, Mapping) else inputs
    return sum(nbytes(part) for part in parts)


def _is_pair(data: object) -> bool:
    return (
        isinstance(data, (tuple, list))
        and len(data) == 2
        and all(isinstance(part, Tensor) for part in data)
    )


def _raw(data: Data, batch_size: int, samples: int | None) -> Iterator[Batch]:
    if _is_pair(data):
        inputs, targets = data
        if targets.ndim == 0 or len(inputs) != len(targets):
            raise DataError(
                f"there are {len(inputs)} inputs and targets of shape {tuple(targets.shape)}"
            )
        total = len(inputs) if samples is None else min(samples, len(inputs))
        for start in range(0, total, batch_size):
            stop = min(start + batch_size, total)
            yield inputs[start:stop], targets[start:stop]
        return
    if isinstance(data, Dataset):
        data = DataLoader(data, batch_size)
    left = samples
    for batch in data:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise DataError(
                f"a batch should be a pair (inputs, targets), this one is a {type(batch).__name__}"
            )
        inputs, targets = batch
        targets = torch.as_tensor(targets)
        if targets.ndim == 0 or count(inputs) != len(targets):
            raise DataError(
                f"a batch holds {count(inputs)} inputs and targets of shape {tuple(targets.shape)}"
            )
        if left is not None and len(targets) > left:
            inputs, targets = first(inputs, left), targets[:left]
        if len(targets):
            yield inputs, targets
        if left is not None:
            left -= len(targets)
            if left <= 0:
                return


def _joined(raw: Iterator[Batch], batch_size: int) -> Iterator[Batch]:
    """Join small batches, with one batch held back so that a last batch of one has somewhere to go."""
    held: list[Batch] = []  # not yet a whole batch
    ready: Batch | None = None  # a whole one
    for batch in raw:
        inputs, _ = batch
        alike = isinstance(inputs, Tensor) and all(
            _shape(each) == _shape(batch) for each in [*held, *([ready] if ready else [])]
        )
        if not alike:  # several inputs, or sequences of another length: as they come
            yield from ([ready] if ready else [])
            yield from ([_cat(held)] if held else [])
            ready, held = None, []
        if not isinstance(inputs, Tensor):
            yield batch
            continue
        held.append(batch)
        if sum(len(targets) for _, targets in held) >= batch_size:
            yield from ([ready] if ready else [])
            ready, held = _cat(held), []
    if ready and len(held) == 1 and len(held[0][1]) == 1:
        ready, held = _cat([ready, *held]), []
    yield from ([ready] if ready else [])
    yield from ([_cat(held)] if held else [])


def _shape(batch: Batch) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    return (
        (tuple(batch[0].shape[1:]), tuple(batch[1].shape[1:]))
        if isinstance(batch[0], Tensor)
        else None
    )


def _cat(held: list[Batch]) -> Batch:
    if len(held) == 1:
        return held[0]
    return torch.cat([inputs for inputs, _ in held]), torch.cat([targets for _, targets in held])


def first(inputs: object, n: int) -> object:
    """The first ``n`` examples of a batch of inputs."""
    if isinstance(inputs, Tensor):
        return inputs[:n]
    if isinstance(inputs, Mapping):
        return {name: first(part, n) for name, part in inputs.items()}
    return tuple(first(part, n) for part in inputs)


def _moved(inputs: object, device: torch.device, dtype: torch.dtype) -> object:
    if isinstance(inputs, Tensor):
        return inputs.to(
            device, dtype if inputs.is_floating_point() else inputs.dtype, non_blocking=True
        )
    if isinstance(inputs, Mapping):
        return {name: _moved(part, device, dtype) for name, part in inputs.items()}
    return tuple(_moved(part, device, dtype) for part in inputs)
