"""Run a model with weights that are not its own, and give it back as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import WeightsError
from ..symmetry import Weights, as_state
from .batches import arguments
from .interpolation import State


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode, each given back in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def replaced(forwards: Mapping[nn.Module, Callable]) -> Iterator[None]:
    """Let modules compute something else for a while."""
    own = {module: module.__dict__.get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
        for module, forward in own.items():
            if forward is None:
                module.__dict__.pop("forward", None)
            else:
                module.forward = forward


@contextmanager
def watched(modules: Mapping[nn.Module, Callable]) -> Iterator[None]:
    """Forward hooks (``(module, arguments, output)``) for a while; one that returns something
    replaces the output.
    """
    handles = [module.register_forward_hook(hook) for module, hook in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def state_for(model: nn.Module, weights: Weights | None, *, of: str = "weights") -> State:
    """The state dict of ``weights`` (of the model itself when ``None``), once it is sure that it
    fits the model.

    Raises:
        WeightsError: a tensor is missing, unknown to the model, or of another shape.
    """
    own = {name: x for name, x in as_state(model).items() if isinstance(x, Tensor)}
    if weights is None:
        return own
    state = {name: x for name, x in as_state(weights).items() if isinstance(x, Tensor)}
    for name in own.keys() ^ state.keys():
        text = "the model does not know" if name in state else "the model has and they lack"
        raise WeightsError(f"the {of} are of another architecture: {text} {name!r}")
    for name, x in state.items():
        if x.shape != own[name].shape:
            raise WeightsError(
                f"{name} of the {of} is {tuple(x.shape)}, the model's is {tuple(own[name].shape)}"
            )
    return state


def untied(model: nn.Module, state: Mapping[str, Tensor]) -> State:
    """``state`` with one name for each tensor that the model uses under several: what
    ``functional_call`` wants.
    """
    first: dict[int, str] = {}
    kept = {}
    for name, x in model.state_dict(keep_vars=True).items():
        if isinstance(x, Tensor) and name in state and first.setdefault(id(x), name) == name:
            kept[name] = state[name]
    return kept


def call(model: nn.Module, state: Mapping[str, Tensor], inputs: object) -> Tensor:
    """The model's answer to a batch of inputs, with these weights."""
    positional, named = arguments(inputs)
    return logits_of(functional_call(model, dict(state), positional, named))


def logits_of(output: object) -> Tensor:
    """The tensor of logits in a model's output: the output itself, its ``logits``, or its first
    tensor.
    """
    if isinstance(output, Tensor):
        return output
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if found is None and isinstance(output, (tuple, list)) and output:
        found = output[0]
    if not isinstance(found, Tensor):
        raise TypeError(
            f"the model gives a {type(output).__name__}; a tensor of logits, or an output with `.logits`, is needed"
        )
    return found


def home(state: Mapping[str, Tensor]) -> tuple[torch.device, torch.dtype]:
    """The device and the floating type of a network: those of its first floating tensor."""
    for x in state.values():
        if x.is_floating_point():
            return x.device, x.dtype
    return torch.device("cpu"), torch.get_default_dtype()
