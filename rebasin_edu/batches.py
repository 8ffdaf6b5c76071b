"""Data in any form, as batches on a device: the one contract for data of every room.

Data are a tensor of inputs or a pair ``(inputs, targets)``; a ``Dataset``; a ``DataLoader``, a list
or any iterable of batches. A batch is ``(inputs, targets)``, a mapping with ``labels`` among its
keys, or, where targets are not used, inputs alone. Inputs are a tensor, a tuple of tensors (the
positional arguments of the model) or a mapping of tensors (its keyword arguments).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, default_collate

from .errors import DataError
from .inputs import Inputs as Inputs
from .inputs import call_arguments as call_arguments
from .inputs import check_numbers, count, cut, divisible, first, moved, shapes_of, tensors_of
from .inputs import nbytes as nbytes

Data = Any


class Batch(NamedTuple):
    """Some examples: the model's inputs, and their targets ``(examples, …)`` or ``None``."""

    inputs: Inputs
    targets: Tensor | None


def batches(
    data: Data,
    batch_size: int = 500,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    num_samples: int | None = None,
    targets: bool | None = True,
) -> Iterator[Batch]:
    """Yield the data in batches of about ``batch_size`` examples.

    Small batches of a loader are joined and large ones cut, where the inputs are one tensor; a last
    batch of one joins the batch before it, since a single example has no variance.

    Args:
        data: see the head of this file.
        batch_size: how many examples at a time.
        device, dtype: where to, and the floating type of the inputs; ``None`` leaves them.
        num_samples: stop after this many examples; ``None`` takes all.
        targets: whether targets are needed. If not, they may be missing, and ``None`` is yielded;
            ``None`` yields those that are there.

    Raises:
        DataError: there is nothing in the data, they hold a NaN, or they have another form; the
            message says which.
    """
    for name, value in (("batch_size", batch_size), ("num_samples", num_samples)):
        if value is not None and (isinstance(value, bool) or not _positive(value)):
            raise DataError(f"{name}={value!r}: a whole number, at least one example, is needed")
    empty = True
    raw = _cut(_raw(data, batch_size, targets), batch_size, num_samples)
    for inputs, labels in _joined(raw, batch_size):
        empty = False
        check_numbers(inputs, "inputs")
        check_numbers(labels, "targets")
        if labels is not None:
            labels = labels.to(device or labels.device, non_blocking=True)
        yield Batch(moved(inputs, device, dtype), labels)
    if empty:
        raise DataError(
            "the data hold no examples: an empty set, an empty loader, or a generator that an "
            "earlier call used up"
        )


def _positive(value: Any) -> bool:
    return hasattr(value, "__index__") and operator.index(value) >= 1


def _raw(data: Data, batch_size: int, needed: bool | None) -> Iterator[Batch]:
    if isinstance(data, list) and len(data) == 2 and all(isinstance(x, Tensor) for x in data):
        raise DataError(
            "a list of two tensors may mean two things: write (inputs, targets) for a pair, "
            "[(inputs, targets)] for a list of batches, or torch.cat(…) for inputs alone"
        )
    if isinstance(data, Tensor) or _is_whole(data):
        inputs, labels = _split(data, needed)
        n = count(inputs)
        if n > batch_size and not divisible(inputs):
            raise DataError(
                f"the inputs, {shapes_of(inputs)}, are not of one number of examples, so they "
                "cannot be cut into batches: give a list of batches, [(inputs, targets), …]"
            )
        for start in range(0, n, batch_size):
            stop = start + batch_size
            part = cut(inputs, start, stop) if n > batch_size else inputs
            yield Batch(part, None if labels is None else labels[start:stop])
        return
    if isinstance(data, Dataset):
        data = _collated(data, batch_size)
    if data is None or isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        raise DataError(
            f"data={data!r:.100}: a pair (inputs, targets), a Dataset, a DataLoader or a list of "
            "batches is needed"
            + ("; of a data set of this package, its .train or its .test"
               if hasattr(data, "train") and hasattr(data, "test") else "")
        )  # fmt: skip
    for batch in _unseeded(data):
        yield Batch(*_split(batch, needed))


def _unseeded(data: Iterable) -> Iterator:
    """An iterator over the data; a loader draws a seed for its workers, which is taken back."""
    state = torch.get_rng_state()
    iterator = iter(data)
    torch.set_rng_state(state)
    return iterator


def _collated(data: Dataset, batch_size: int) -> Iterator[Any]:
    """Batches of the examples of a data set that follow each other and are of one size."""
    waiting: list[Any] = []
    shape: object = None
    endless = isinstance(data, IterableDataset)
    for example in data if endless else (data[k] for k in range(len(data))):  # type: ignore
        now = [x.shape for x in tensors_of(example)]
        if waiting and (now != shape or len(waiting) == batch_size):
            yield default_collate(waiting)
            waiting = []
        waiting.append(example)
        shape = now
    if waiting:
        yield default_collate(waiting)


def _is_whole(data: Data) -> bool:
    """Whether the data are one pair ``(inputs, targets)`` or one mapping, not a list of batches."""
    if isinstance(data, Mapping):
        return True
    if not isinstance(data, tuple) or not data:
        return False
    if any(type(x).__module__ == "numpy" for x in data):
        raise DataError("the data are numpy arrays: torch.as_tensor makes tensors of them")
    if len(data) != 2 and all(isinstance(x, Tensor) for x in data):
        raise DataError(
            f"{len(data)} tensors may mean several things: write ((x1, x2, …), targets) for a "
            "model with several inputs"
        )
    return len(data) == 2 and not _is_pair(data[1])


def _is_pair(batch: Any) -> bool:
    return isinstance(batch, Mapping) or (
        isinstance(batch, (tuple, list)) and any(isinstance(x, (Tensor, Mapping)) for x in batch)
    )


def _split(batch: Any, needed: bool | None) -> tuple[Inputs, Tensor | None]:
    """The inputs and the targets of one batch, checked against each other."""
    inputs, labels = batch, None
    if isinstance(batch, Mapping) and "labels" in batch:
        inputs = {name: part for name, part in batch.items() if name != "labels"}
        labels = batch["labels"]
    elif isinstance(batch, (tuple, list)) and len(batch) in (1, 2):
        inputs, labels = batch if len(batch) == 2 else (batch[0], None)
    elif not isinstance(batch, (Tensor, Mapping)):
        raise DataError(
            "a batch should be a pair (inputs, targets) or a mapping with 'labels', this one is a "
            f"{type(batch).__name__}"
            + (f" of {len(batch)}: write ((x1, x2, …), targets) for a model with several inputs"
               if isinstance(batch, (tuple, list)) else "")
        )  # fmt: skip
    count(inputs)
    if needed is False:
        return inputs, None
    if labels is None:
        if needed is None:
            return inputs, None
        raise DataError(
            f"a batch should be a pair (inputs, targets); a {type(batch).__name__} has no targets"
        )
    try:
        labels = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"the targets are no tensor and no list of numbers: {error}") from error
    if labels.ndim == 0 or count(inputs) != len(labels):
        shape = tuple(labels.shape)
        raise DataError(f"there are {count(inputs)} inputs and targets of shape {shape}")
    return inputs, labels


def _cut(raw: Iterator[Batch], batch_size: int, num_samples: int | None) -> Iterator[Batch]:
    """Cut large batches to ``batch_size`` and stop after ``num_samples`` examples."""
    remaining = num_samples
    for inputs, labels in raw:
        n = count(inputs)
        if remaining is not None and n > remaining and divisible(inputs):
            inputs, n = first(inputs, remaining), remaining
            labels = None if labels is None else labels[:n]
        step = batch_size if isinstance(inputs, Tensor) else max(n, 1)
        for start in range(0, n, step):
            part = inputs[start : start + step] if isinstance(inputs, Tensor) else inputs
            yield Batch(part, None if labels is None else labels[start : start + step])
        remaining = None if remaining is None else max(0, remaining - n)
        if remaining == 0:
            return


def _joined(raw: Iterator[Batch], batch_size: int) -> Iterator[Batch]:
    """Join small batches; one is held back so that a last batch of one has somewhere to go."""
    waiting: list[Batch] = []  # not yet a whole batch
    ready: Batch | None = None  # a whole one
    for batch in raw:
        others = [*waiting, *([ready] if ready else [])]
        alike = isinstance(batch.inputs, Tensor)
        alike = alike and all(_shape(other) == _shape(batch) for other in others)
        if not alike:  # several inputs, or sequences of another length: as they come
            yield from ([ready] if ready else [])
            yield from ([_cat(waiting)] if waiting else [])
            ready, waiting = None, []
        if not isinstance(batch.inputs, Tensor):
            yield batch
            continue
        waiting.append(batch)
        if sum(len(inputs) for inputs, _ in waiting) >= batch_size:
            yield from ([ready] if ready else [])
            ready, waiting = _cat(waiting), []
    if ready and len(waiting) == 1 and len(waiting[0].inputs) == 1:
        ready, waiting = _cat([ready, *waiting]), []
    yield from ([ready] if ready else [])
    yield from ([_cat(waiting)] if waiting else [])


def _shape(batch: Batch) -> object:
    inputs, labels = batch
    if not isinstance(inputs, Tensor):
        return None
    return inputs.shape[1:], None if labels is None else labels.shape[1:]


def _cat(parts: list[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    inputs = [part.inputs for part in parts if isinstance(part.inputs, Tensor)]
    labels = [part.targets for part in parts if part.targets is not None]
    return Batch(torch.cat(inputs), torch.cat(labels) if labels else None)
