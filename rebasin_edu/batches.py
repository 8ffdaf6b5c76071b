"""Data in any form, as batches on a device: the one contract for data of every room.

Data are a tensor of inputs or a pair ``(inputs, targets)``; a ``Dataset``; a ``DataLoader``, a list
or any iterable of batches. A batch is ``(inputs, targets)``, a mapping with ``labels`` among its
keys, or, where targets are not used, inputs alone. Inputs are a tensor, a tuple of tensors (the
positional arguments of the model) or a mapping of tensors (its keyword arguments).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .errors import DataError

Data = Any
Inputs = Tensor | Sequence[Any] | Mapping[str, Any]


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
    targets: bool = True,
) -> Iterator[Batch]:
    """Yield the data in batches of about ``batch_size`` examples.

    Small batches of a loader are joined and large ones cut, where the inputs are one tensor; a last
    batch of one joins the batch before it, since a single example has no variance.

    Args:
        data: see the head of this file.
        batch_size: how many examples at a time.
        device, dtype: where to, and the floating type of the inputs; ``None`` leaves them.
        num_samples: stop after this many examples; ``None`` takes all.
        targets: whether targets are needed. If not, they may be missing, and ``None`` is yielded.

    Raises:
        DataError: there is nothing in the data, or they have another form; the message says which.
    """
    for name, value in (("batch_size", batch_size), ("num_samples", num_samples)):
        if value is not None and value < 1:
            raise DataError(f"{name}={value}: at least one example is needed")
    empty = True
    raw = _cut(_raw(data, batch_size, targets), batch_size, num_samples)
    for inputs, labels in _joined(raw, batch_size):
        empty = False
        if labels is not None:
            labels = labels.to(device or labels.device, non_blocking=True)
        yield Batch(moved(inputs, device, dtype), labels)
    if empty:
        raise DataError(
            "the data hold no examples: an empty set, an empty loader, or a generator that an "
            "earlier call used up"
        )


def call_arguments(inputs: Inputs) -> tuple[tuple, dict[str, Any]]:
    """Return the positional and keyword arguments of the model that the inputs stand for."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)), {}


def count(inputs: Inputs) -> int:
    """Return the number of examples in a batch of inputs."""
    tensors = [part for part in _leaves(inputs) if isinstance(part, Tensor) and part.ndim]
    if not tensors:
        raise DataError("a batch of inputs holds no tensor with an axis of examples")
    return len(tensors[0])


def first(inputs: Inputs, n: int) -> Inputs:
    """Return the first ``n`` examples of a batch of inputs."""
    return _each(inputs, lambda x: x[:n] if x.ndim else x)


def moved(inputs: Inputs, device: torch.device | None, dtype: torch.dtype | None) -> Inputs:
    """Return inputs on another device, floating tensors in another dtype."""

    def move(x: Tensor) -> Tensor:
        kind = dtype if dtype is not None and x.is_floating_point() else x.dtype
        return x.to(device or x.device, kind, non_blocking=True)

    return _each(inputs, move)


def nbytes(inputs: Inputs) -> int:
    """Return the memory of a batch of inputs in bytes."""
    return sum(x.numel() * x.element_size() for x in _leaves(inputs) if isinstance(x, Tensor))


def _leaves(inputs: Any) -> Iterator[Any]:
    if isinstance(inputs, (Mapping, tuple, list)):
        for part in inputs.values() if isinstance(inputs, Mapping) else inputs:
            yield from _leaves(part)
    else:
        yield inputs


def _each(inputs: Any, change: Any) -> Any:
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {name: _each(part, change) for name, part in inputs.items()}
    if isinstance(inputs, (tuple, list)):
        return tuple(_each(part, change) for part in inputs)
    return inputs


def _raw(data: Data, batch_size: int, needed: bool) -> Iterator[Batch]:
    if isinstance(data, list) and len(data) == 2 and all(isinstance(x, Tensor) for x in data):
        raise DataError(
            "a list of two tensors may mean two things: write (inputs, targets) for a pair, or "
            "[(inputs, targets)] for a list of batches"
        )
    if isinstance(data, Tensor) or _is_whole(data):
        inputs, labels = _split(data, needed)
        for start in range(0, count(inputs), batch_size):
            stop = start + batch_size
            part = _each(inputs, lambda x, s=start, e=stop: x[s:e] if x.ndim else x)
            yield Batch(part, None if labels is None else labels[start:stop])
        return
    if isinstance(data, Dataset):
        data = DataLoader(data, batch_size, generator=torch.Generator())
    if data is None or isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        raise DataError(
            f"data={data!r}: a pair (inputs, targets), a Dataset, a DataLoader or a list of "
            "batches is needed"
        )
    for batch in _unseeded(data):
        yield Batch(*_split(batch, needed))


def _unseeded(data: Iterable) -> Iterator:
    """An iterator over the data; a loader draws a seed for its workers, which is taken back."""
    state = torch.get_rng_state()
    iterator = iter(data)
    torch.set_rng_state(state)
    return iterator


def _is_whole(data: Data) -> bool:
    """Whether the data are one pair ``(inputs, targets)`` or one mapping, not a list of batches."""
    if isinstance(data, Mapping):
        return True
    return isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], Tensor) and (
        isinstance(data[0], (Tensor, Mapping))
        or (isinstance(data[0], (tuple, list)) and all(isinstance(x, Tensor) for x in data[0]))
    )  # fmt: skip


def _split(batch: Any, needed: bool) -> tuple[Inputs, Tensor | None]:
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
    if not needed:
        return inputs, None
    if labels is None:
        raise DataError(
            "a batch should be a pair (inputs, targets), this one is inputs without targets "
            f"(a {type(batch).__name__})"
        )
    labels = torch.as_tensor(labels)
    if labels.ndim == 0 or count(inputs) != len(labels):
        shape = tuple(labels.shape)
        raise DataError(f"there are {count(inputs)} inputs and targets of shape {shape}")
    return inputs, labels


def _cut(raw: Iterator[Batch], batch_size: int, num_samples: int | None) -> Iterator[Batch]:
    """Cut large batches to ``batch_size`` and stop after ``num_samples`` examples."""
    remaining = num_samples
    for inputs, labels in raw:
        n = count(inputs)
        if remaining is not None and n > remaining:
            inputs, n = first(inputs, remaining), remaining
            labels = None if labels is None else labels[:n]
        step = batch_size if isinstance(inputs, Tensor) else max(n, 1)
        for start in range(0, n, step):
            part = inputs[start : start + step] if isinstance(inputs, Tensor) else inputs
            yield Batch(part, None if labels is None else labels[start : start + step])
        remaining = None if remaining is None else remaining - n
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
