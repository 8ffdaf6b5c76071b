"""The weights of networks: state dicts of anything, and whether they fit."""

from __future__ import annotations

import difflib
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .errors import RebasinWarning, WeightsError
from .running import State as State
from .running import eval_copy as eval_copy
from .running import output_of as output_of
from .running import replaced as replaced
from .running import run as run
from .running import untied as untied
from .running import watched as watched

Weights = nn.Module | Mapping[str, Tensor]
HALF = {torch.half, torch.bfloat16}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # what a BatchNorm stores


def as_state(weights: Weights, *, name: str = "the weights") -> State:
    """Return the state dict of a module, or the mapping itself, its tensors detached.

    Raises:
        WeightsError: ``weights`` is neither, or holds what no network can be run on.
    """
    if isinstance(weights, nn.Module):
        weights = weights.state_dict()
    if not isinstance(weights, Mapping):
        raise WeightsError(
            f"{name} should be a module or a state dict, not a {type(weights).__name__}"
        )
    return {key: _checked(x, key, name) for key, x in weights.items()}


def restored(state: Mapping[str, Tensor], given: Weights) -> State:
    """Return a state dict that loads as ``given`` does: in its order, with its metadata and with
    what it holds besides tensors.
    """
    source = given.state_dict() if isinstance(given, nn.Module) else given
    kept = {key: state.get(key, x) for key, x in source.items()} | dict(state)
    if (metadata := getattr(source, "_metadata", None)) is None:
        return kept
    whole = OrderedDict(kept)
    whole._metadata = metadata  # type: ignore[attr-defined]  # where torch itself keeps it
    return whole


def architecture(model: nn.Module | None, *networks: Weights | None) -> nn.Module:
    """Return ``model``, or the first of the networks that is a module where it is ``None``.

    Raises:
        WeightsError: there is none, so that nothing says how to run the weights.
    """
    for candidate in (model, *networks):
        if isinstance(candidate, nn.Module):
            return candidate
    given: list[Any] = [each for each in networks if each is not None] or [None]
    for network in given:
        as_state(network, name="a network")  # says what it is, if it is none
    raise WeightsError(
        "the networks are state dicts, which cannot be run: give model=, a module of their kind"
    )


def state_for(
    model: nn.Module,
    weights: Weights | None,
    *,
    name: str = "the weights",
    fill: bool = False,
) -> State:
    """Return the state dict of ``weights`` (the model's own when ``None``), if it fits the model.

    A tensor that the model has under several names is needed under one of them, and BatchNorm's
    counters, which old checkpoints lack, are the model's own.

    Args:
        fill: BatchNorm statistics that are missing are the model's own, too.

    Raises:
        WeightsError: a tensor is missing, unknown to the model, or of another shape.
    """
    own = tensors_in(model, "the model")
    if weights is None:
        return own
    state = tensors_in(weights, name)
    for key in [key for key in own if key not in state]:
        place = (own[key].data_ptr(), own[key].shape)
        tied = (k for k in state if k in own and (own[k].data_ptr(), own[k].shape) == place)
        if own[key].data_ptr() and (other := next(tied, None)) is not None:
            state[key] = state[other]
        elif key.endswith(STATISTICS if fill else STATISTICS[2:]):
            state[key] = own[key]
    _check_names(state, own, name, "the model")
    for key, x in state.items():
        if x.shape != own[key].shape:
            raise WeightsError(
                f"{key} of {name} is {tuple(x.shape)}, the model's is {tuple(own[key].shape)}: "
                f"{_why_sizes_differ(own, state)}"
            )
    return state


def compatible(*weights: Weights, names: Sequence[str] | None = None) -> list[State]:
    """Return the state dicts of several networks in one precision, if they are of one architecture.

    Args:
        names: what an error calls each of them.

    Returns:
        The state dicts in the precision of the first; a ``RebasinWarning`` says where that casts
        half precision.

    Raises:
        WeightsError: a name is missing, a shape or a kind of number differs, or a value is not
            finite (masks that are the same in all networks are let through).
    """
    called = list(names or _names(len(weights)))
    states = [tensors_in(each, name) for each, name in zip(weights, called)]
    reference = states[0]
    cast: dict[str, str] = {}
    for name, state in zip(called, states):
        _check_names(state, reference, name, called[0])
        for key, x in state.items():
            other = reference[key]
            if x.shape != other.shape:
                raise WeightsError(
                    f"{key} is {tuple(other.shape)} in {called[0]} and {tuple(x.shape)} in {name}: "
                    f"{_why_sizes_differ(reference, state)}"
                )
            if _kind(x) != _kind(other):
                raise WeightsError(f"{key} is {other.dtype} in {called[0]} and {x.dtype} in {name}")
            if x.dtype != other.dtype and _kind(x):
                if {x.dtype, other.dtype} & HALF:
                    cast[name] = f"{name} is {x.dtype}, cast to {called[0]}'s {other.dtype}"
                state[key] = x.to(other.dtype)
    for key, other in reference.items():
        if not all(state[key].device == other.device and torch.equal(state[key], other)
                   for state in states):  # fmt: skip
            for name, state in zip(called, states):
                check_finite(state[key], f"{key} of {name}")
        elif other.isnan().any():
            check_finite(other, f"{key} of {called[0]}")
    for words in cast.values():
        warnings.warn(words, RebasinWarning, stacklevel=4)
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
    tensors = [x for x in state.values() if isinstance(x, Tensor)] or [torch.empty(0)]
    floating = [x for x in tensors if x.is_floating_point()]
    return tensors[0].device, (floating or [torch.empty(0)])[0].dtype


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint at the name that a reader may have meant, or nothing."""
    names = list(names)
    for longer in (each for each in names if each.endswith(f".{name}")):
        prefix = longer.removesuffix(name)
        strip = f"{{k.removeprefix({prefix!r}): x for k, x in weights.items()}}"
        return f"; its names begin with {prefix!r}: take it off, {strip}"
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_names(state: State, own: State, name: str, other: str) -> None:
    """Raise a ``WeightsError`` unless two state dicts have the same names."""
    missing = [key for key in own if key not in state]
    unknown = [key for key in state if key not in own]
    if not missing and not unknown:
        return
    more = f" ({len(missing) + len(unknown)} such names)" if len(missing + unknown) > 1 else ""
    if missing and not unknown and all(key.endswith(STATISTICS) for key in missing):
        more += "; {**model.state_dict(), **weights} takes the model's own"
    else:
        hint = nearest(missing[0], unknown) if missing else nearest(unknown[0], own)
        more += hint or ": another architecture"
    if missing:
        raise WeightsError(f"{missing[0]!r} is in {other} and not in {name}{more}")
    raise WeightsError(f"{unknown[0]!r} is in {name} and not in {other}{more}")


def _why_sizes_differ(own: State, state: State) -> str:
    """What it means that tensors differ in size: perhaps the last layer's alone."""
    differing = [key for key in own if own[key].shape != state[key].shape]
    weight = next((key for key in differing if own[key].ndim > 1), None)
    if weight is None or not set(differing) <= set(list(own)[-2:]) or state[weight].ndim < 2:
        return "do the widths differ?"
    counts = len(own[weight]), len(state[weight])
    if counts[0] == counts[1] or own[weight].shape[1:] != state[weight].shape[1:]:
        return "do the widths differ?"
    return "the outputs differ: {} and {} classes".format(*counts)


def _checked(x: Any, key: str, name: str) -> Any:
    """One entry of a state dict, detached."""
    if not isinstance(x, Tensor):
        if type(x).__module__ == "numpy":
            raise WeightsError(f"{key} of {name} is a numpy array: torch.as_tensor makes a tensor")
        nested = isinstance(x, Mapping) and any(isinstance(each, Tensor) for each in x.values())
        if isinstance(x, nn.Module) or (nested and not key.endswith("_extra_state")):
            raise WeightsError(f"{name} is a checkpoint: give its entry [{key!r}], the weights")
        return x
    if x.layout != torch.strided:
        raise WeightsError(f"{key} of {name} is sparse: its .to_dense() is an ordinary tensor")
    if x.is_meta:
        raise WeightsError(f"{key} of {name} has no values (it is on the device 'meta')")
    return x.detach()


def _kind(x: Tensor) -> str:
    """What kinds of numbers can be cast to each other: floating, complex, or neither."""
    return "floating" if x.is_floating_point() else "complex" if x.is_complex() else ""


def tensors_in(weights: Weights, name: str = "the weights") -> State:
    """Return the state dict of ``weights`` without what is no tensor in it."""
    return {key: x for key, x in as_state(weights, name=name).items() if isinstance(x, Tensor)}


def _names(count: int) -> list[str]:
    if count <= 2:
        return ["the first network", "the second network"][:count]
    return [f"network {k + 1} of {count}" for k in range(count)]
