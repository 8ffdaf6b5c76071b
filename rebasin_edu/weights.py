"""The weights of networks: state dicts of anything, whether they fit, and a model run on them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .batches import Inputs, call_arguments
from .errors import RebasinError, WeightsError

Weights = nn.Module | Mapping[str, Tensor]
State = dict[str, Tensor]


def as_state(weights: Weights, *, name: str = "the weights") -> State:
    """Return the state dict of a module, or the mapping itself, its tensors detached.

    Raises:
        WeightsError: ``weights`` is neither.
    """
    if isinstance(weights, nn.Module):
        weights = weights.state_dict()
    if not isinstance(weights, Mapping):
        raise WeightsError(
            f"{name} should be a module or a state dict, not a {type(weights).__name__}"
        )
    return {key: x.detach() if isinstance(x, Tensor) else x for key, x in weights.items()}


def architecture(model: nn.Module | None, *networks: Weights | None) -> nn.Module:
    """Return ``model``, or the first of the networks that is a module where it is ``None``.

    Raises:
        WeightsError: there is none, so that nothing says how to run the weights.
    """
    for candidate in (model, *networks):
        if isinstance(candidate, nn.Module):
            return candidate
    raise WeightsError(
        "the networks are state dicts, which cannot be run: give model=, a module of their "
        "architecture"
    )


def state_for(model: nn.Module, weights: Weights | None, *, name: str = "the weights") -> State:
    """Return the state dict of ``weights`` (the model's own when ``None``), if it fits the model.

    Raises:
        WeightsError: a tensor is missing, unknown to the model, or of another shape.
    """
    own = _tensors(model, "the model")
    if weights is None:
        return own
    state = _tensors(weights, name)
    if unknown := own.keys() ^ state.keys():
        key = min(unknown)
        text = "the model does not know" if key in state else "the model has and they lack"
        more = f" ({len(unknown)} such names)" if len(unknown) > 1 else ""
        raise WeightsError(f"{name} are of another architecture: {text} {key!r}{more}")
    for key, x in state.items():
        if x.shape != own[key].shape:
            raise WeightsError(
                f"{key} of {name} is {tuple(x.shape)}, the model's is {tuple(own[key].shape)}: "
                "do the widths differ?"
            )
    return state


def compatible(*weights: Weights, names: Sequence[str] | None = None) -> list[State]:
    """Return the state dicts of several networks, if they are of one architecture.

    Args:
        names: what an error calls each of them.

    Raises:
        WeightsError: a name is missing, a shape or a kind of number differs, or a value is not
            finite.
    """
    called = list(names or _names(len(weights)))
    states = [_tensors(each, name) for each, name in zip(weights, called)]
    reference = states[0]
    for name, state in zip(called, states):
        if unknown := reference.keys() ^ state.keys():
            key = min(unknown)
            has, lacks = (called[0], name) if key in reference else (name, called[0])
            raise WeightsError(f"{has} has {key!r} and {lacks} has not ({len(unknown)} such names)")
        for key, x in state.items():
            check_finite(x, f"{key} of {name}")
            other = reference[key]
            if x.shape != other.shape:
                raise WeightsError(
                    f"{key} is {tuple(other.shape)} in {called[0]} and {tuple(x.shape)} in {name}: "
                    "do the widths differ?"
                )
            if x.is_floating_point() != other.is_floating_point():
                raise WeightsError(f"{key} is {other.dtype} in {called[0]} and {x.dtype} in {name}")
    return states


def check_finite(x: Tensor, where: str) -> None:
    """Raise a ``WeightsError`` that counts the NaN and infinite values of a tensor, if any."""
    if not (x.is_floating_point() or x.is_complex()):
        return
    if torch.isfinite(x.sum(dtype=torch.promote_types(x.dtype, torch.float32))):
        return
    if bad := int((~torch.isfinite(x)).sum()):
        raise WeightsError(f"{where} holds {bad} NaN or infinite values of {x.numel()}")


def device_and_dtype(state: Mapping[str, Tensor]) -> tuple[torch.device, torch.dtype]:
    """Return the device and the floating type of a network: those of its first floating tensor."""
    for x in state.values():
        if x.is_floating_point():
            return x.device, x.dtype
    return torch.device("cpu"), torch.get_default_dtype()


def eval_copy(model: nn.Module) -> nn.Module:
    """Return a copy of a model in eval mode that shares its tensors.

    Its modules may be hooked, patched and run on other weights while other threads use the model.
    """
    tensors: Iterable[Any] = itertools.chain(
        model.parameters(),
        model.buffers(),
        (x for module in model.modules() for x in vars(module).values() if isinstance(x, Tensor)),
    )
    return copy.deepcopy(model, {id(x): x for x in tensors}).eval()


def run(model: nn.Module, state: Mapping[str, Tensor], inputs: Inputs) -> Tensor:
    """Return the model's tensor of outputs for a batch of inputs, computed with these weights.

    While it runs the module holds them: give each thread its own ``eval_copy``.
    """
    positional, named = call_arguments(inputs)
    return output_of(functional_call(model, untied(model, state), positional, named))


def untied(model: nn.Module, state: Mapping[str, Tensor]) -> State:
    """Return ``state`` with one name for each tensor that the model uses under several names.

    ``functional_call`` gives the tensor to the other names too.
    """
    names: dict[int, str] = {}
    kept = {}
    for name, x in itertools.chain(
        model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    ):
        if name in state and names.setdefault(id(x), name) == name:
            kept[name] = state[name]
    return kept


def output_of(output: Any) -> Tensor:
    """Return the tensor in a model's output: itself, its ``logits``, or its first tensor."""
    if isinstance(output, Tensor):
        return output
    mapping = isinstance(output, Mapping)
    logits = output.get("logits") if mapping else getattr(output, "logits", None)
    if logits is None and isinstance(output, (tuple, list)) and output:
        logits = output[0]
    if logits is None and isinstance(output, Mapping) and len(output) == 1:
        logits = next(iter(output.values()))
    if not isinstance(logits, Tensor):
        raise RebasinError(
            f"the model gives a {type(output).__name__}; a tensor, or an output with `.logits`, "
            "is needed"
        )
    return logits


@contextmanager
def replaced(forwards: Mapping[nn.Module, Callable]) -> Iterator[None]:
    """Let modules of an ``eval_copy`` compute something else for a while."""
    own = {module: module.__dict__.get("forward") for module in forwards}
    fast = torch.backends.mha.get_fastpath_enabled()  # of torch's transformer layers: it calls none
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, before in own.items():
            if before is None:
                module.__dict__.pop("forward", None)
            else:
                module.forward = before


@contextmanager
def watched(modules: Mapping[nn.Module, Callable]) -> Iterator[None]:
    """Put forward hooks ``(module, arguments, output)`` on an ``eval_copy`` for a while."""
    handles = [module.register_forward_hook(hook) for module, hook in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(weights: Weights, name: str) -> State:
    return {key: x for key, x in as_state(weights, name=name).items() if isinstance(x, Tensor)}


def _names(count: int) -> list[str]:
    if count <= 2:
        return ["the first network", "the second network"][:count]
    return [f"network {k + 1} of {count}" for k in range(count)]
