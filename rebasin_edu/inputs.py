"""The inputs of a model: a tensor, a tuple of arguments, or a mapping of keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import DataError

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]


def call_arguments(inputs: Inputs) -> tuple[tuple, dict[str, Any]]:
    """Return the positional and keyword arguments of the model that the inputs stand for."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)), {}


def count(inputs: Inputs) -> int:
    """Return the number of examples in a batch of inputs."""
    for part in tensors_of(inputs):
        if part.ndim:
            return len(part)
    raise DataError("a batch of inputs holds no tensor with an axis of examples")


def cut(inputs: Inputs, start: int, stop: int | None) -> Inputs:
    """Return the examples ``start … stop`` of a batch of inputs."""
    return each(inputs, lambda x: x[start:stop] if x.ndim else x)


def first(inputs: Inputs, n: int) -> Inputs:
    """Return the first ``n`` examples of a batch of inputs; all, where it cannot be cut."""
    return cut(inputs, 0, n) if divisible(inputs) else inputs


def moved(inputs: Inputs, device: torch.device | None, dtype: torch.dtype | None) -> Inputs:
    """Return inputs on another device, floating tensors in another dtype."""

    def move(x: Tensor) -> Tensor:
        kind = dtype if dtype is not None and x.is_floating_point() else x.dtype
        return x.to(device or x.device, kind, non_blocking=True)

    return each(inputs, move)


def nbytes(inputs: Inputs) -> int:
    """Return the memory of a batch of inputs in bytes."""
    return sum(x.numel() * x.element_size() for x in tensors_of(inputs))


def shapes_of(inputs: Inputs) -> str:
    """Return the shapes of the tensors in a batch of inputs, in words."""
    if isinstance(inputs, Mapping):
        return ", ".join(f"{name} {shapes_of(part)}" for name, part in inputs.items())
    if isinstance(inputs, (tuple, list)):
        return " and ".join(map(shapes_of, inputs))
    return str(tuple(inputs.shape)) if isinstance(inputs, Tensor) else repr(inputs)[:40]


def tensors_of(inputs: Any) -> Iterator[Tensor]:
    """Yield the tensors in a batch of inputs."""
    if isinstance(inputs, (Mapping, tuple, list)):
        for part in inputs.values() if isinstance(inputs, Mapping) else inputs:
            yield from tensors_of(part)
    elif isinstance(inputs, Tensor):
        yield inputs


def each(inputs: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return inputs with every tensor changed."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {name: each(part, change) for name, part in inputs.items()}
    if isinstance(inputs, (tuple, list)):
        return tuple(each(part, change) for part in inputs)
    return inputs


def divisible(inputs: Inputs) -> bool:
    """Return whether all tensors of the inputs have the same number of examples."""
    return len({len(x) for x in tensors_of(inputs) if x.ndim}) == 1


def check_numbers(inputs: Any, what: str) -> None:
    """Raise a ``DataError`` if a tensor holds a NaN or infinity; minus infinity may be a mask."""
    for x in tensors_of(inputs):
        if not x.is_floating_point() or float(x.sum()) < torch.inf:
            continue
        if bad := int((x.isnan() | (x == torch.inf)).sum()):
            raise DataError(f"the {what} hold {bad} NaN or infinite values of {x.numel()}")
