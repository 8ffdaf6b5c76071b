"""A model with the example inputs that it is traced and verified on, apart from the user's own."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..batches import Inputs, call_arguments
from ..errors import RebasinWarning, TraceError
from ..running import plain

Outputs = Callable[[Any], Any] | str | int | None
HALF = (torch.half, torch.bfloat16)
Place = tuple[int, torch.Size, tuple[int, ...]]


@dataclass
class Example:
    """A copy of a model on the CPU and in evaluation mode, and inputs for it.

    Attributes:
        model: the copy; its weights may be overwritten.
        args, kwargs: the inputs, on the CPU and in the copy's precision.
        outputs: which outputs count: all (``None``), the one under a key, a name or a position, or
            what a function takes out of them.
    """

    model: nn.Module
    args: tuple
    kwargs: dict[str, Any]
    outputs: Outputs = None

    @classmethod
    def of(
        cls,
        model: nn.Module,
        inputs: Inputs,
        outputs: Outputs = None,
        dtype: torch.dtype | None = None,
    ) -> Example:
        """Return the example in one precision; ``None`` keeps it, but for half precision, which
        becomes single.

        Raises:
            TraceError: ``model`` is no module, or cannot be copied.
        """
        if not isinstance(model, nn.Module):
            raise TraceError(
                f"a spec is derived from an nn.Module, this is a {type(model).__name__}"
            )
        args, kwargs = call_arguments(inputs)

        def cast(value: object) -> object:
            if not isinstance(value, Tensor):
                return value
            value = value.detach().cpu()
            if not value.is_floating_point():
                return value
            return value.to(dtype or (torch.float32 if value.dtype in HALF else value.dtype))

        args, kwargs = pytree.tree_map(cast, (args, kwargs))
        return cls(model_copy(model, dtype), args, kwargs, outputs)

    @torch.no_grad()
    def run(self) -> Any:
        """Return what the model gives, whatever it may have kept from a call on other weights."""
        self.model.train().eval()
        buffers = [(module, dict(module._buffers)) for module in self.model.modules()]
        result = self.model(*self.args, **self.kwargs)
        for module, before in buffers:  # some assign new ones
            module._buffers.update(before)
        return result

    def tensors(self) -> list[Tensor]:
        """Return the tensors among the outputs that count."""
        return tensors(select(self.run(), self.outputs))


def model_copy(model: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """Return a copy on the CPU and in evaluation mode whose tied tensors are tied as before."""
    computed = {  # a weight that a hook computes is no leaf and cannot be copied as it is
        id(x): x.detach().clone()
        for module in model.modules()
        for x in vars(module).values()
        if isinstance(x, Tensor) and not x.is_leaf
    }
    try:
        twin = plain(copy.deepcopy(model, computed)).cpu()
    except Exception as error:
        raise TraceError(
            f"{type(model).__name__} cannot be copied ({type(error).__name__}: {_line(error)}), so "
            "nothing can be tried on it: write its spec with PermutationSpec.from_axes"
        ) from error
    if dtype is not None:
        twin = twin.to(dtype)
    elif any(x.dtype in HALF for x in twin.state_dict().values() if isinstance(x, Tensor)):
        twin = twin.float()
    ours, theirs = _all_tensors(twin), _all_tensors(model)
    for name, other in shared_memory(theirs).items():  # copies and casts untie what shares memory
        x, base = theirs[name], theirs[other]
        offset = x.storage_offset() - base.storage_offset()
        ours[name].data = ours[other].data.as_strided(x.shape, x.stride(), offset)
    return twin.train().eval()


def shared_memory(state: Mapping[str, Any]) -> dict[str, str]:
    """Return for each tensor that lies inside the memory of an earlier, contiguous one its name."""
    bases: dict[int, list[tuple[int, int, str]]] = {}
    inside = {}
    for name, x in state.items():
        if not isinstance(x, Tensor) or not x.numel() or x.layout != torch.strided:
            continue
        start = int(x.storage_offset())
        end = start + 1 + sum((n - 1) * step for n, step in zip(x.shape, x.stride()))
        places = bases.setdefault(x.untyped_storage().data_ptr() or id(x), [])
        base = next((other for low, high, other in places if low <= start and end <= high), None)
        if base is not None and state[base].dtype == x.dtype:
            inside[name] = base
        elif x.is_contiguous():
            places.append((start, end, name))
    return inside


def place_of(tensor: Tensor) -> Place:
    """Return where in memory a tensor lies: two that are tied lie in the same place."""
    return (tensor.data_ptr() or id(tensor), tensor.shape, tensor.stride())


def tied(state: Mapping[str, Any]) -> Iterator[tuple[list[str], Tensor]]:
    """Yield each tensor of a state dict once, with all its names."""
    places: dict[object, list[str]] = {}
    for name, x in state.items():
        if isinstance(x, Tensor):
            places.setdefault(place_of(x) if x.numel() else name, []).append(name)
    for names in places.values():
        yield names, state[names[0]]


def tensors(output: object) -> list[Tensor]:
    """Return every tensor in a model's output, however it is nested; sparse ones dense."""
    if is_dataclass(output) and not isinstance(output, Mapping):
        output = vars(output)
    found = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]
    return [x if x.layout == torch.strided else x.to_dense() for x in found]


def select(output: Any, outputs: Outputs) -> Any:
    """Return the outputs that count; see ``Example``."""
    if outputs is None:
        return output
    if callable(outputs):
        return outputs(output)
    if isinstance(outputs, str) and not isinstance(output, Mapping):
        return getattr(output, outputs)
    return output[outputs]


def listed(names: Iterable[str], most: int = 5) -> str:
    """Return the first few names and the count of the rest, for a message."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def warn(message: str) -> None:
    """Warn of a result that is right, but less than was asked for."""
    warnings.warn(message, RebasinWarning, stacklevel=5)


def _all_tensors(model: nn.Module) -> dict[str, Tensor]:
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
