"""A model run on other weights than its own: on a copy, so that nobody else's model is touched."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .batches import Batch
from .errors import DataError, RebasinError
from .inputs import Inputs, call_arguments, shapes_of

State = dict[str, Tensor]
PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class Plain(nn.Module):
    """What stands in for a wrapper (``torch.compile``, ``DataParallel``) in a copy of a model: the
    wrapped module under the wrapper's name for it, so that all weights keep their names.
    """

    def __init__(self, name: str, module: nn.Module):
        super().__init__()
        self.add_module(name, module)
        self.wrapped = name

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._modules[self.wrapped](*args, **kwargs)  # type: ignore[misc]


def plain(model: nn.Module) -> nn.Module:
    """Return a copy of a model without what hides its modules from hooks and from a trace.

    Its children are replaced in place: compiled modules and ``DataParallel`` by the modules in
    them, and the fused path of ``nn.TransformerEncoder``, which calls none of its modules, by the
    plain one.
    """
    for name, child in list(model.named_children()):
        if (replacement := plain(child)) is not child:
            setattr(model, name, replacement)
    if isinstance(model, nn.TransformerEncoder):
        model.use_nested_tensor = False
    if isinstance(model, nn.TransformerEncoderLayer):
        model.activation_relu_or_gelu = 0
    if isinstance(model, PARALLEL):
        return Plain("module", model.module)
    children = dict(model.named_children())
    if "_orig_mod" in children:  # torch.compile's
        return Plain("_orig_mod", children["_orig_mod"])
    return model


def eval_copy(model: nn.Module) -> nn.Module:
    """Return a plain copy of a model in eval mode that shares its tensors.

    Its modules may be hooked, patched and run on other weights while other threads use the model.
    """
    tensors: Iterable[Any] = itertools.chain(
        model.parameters(),
        model.buffers(),
        (x for module in model.modules() for x in vars(module).values() if isinstance(x, Tensor)),
    )
    return plain(copy.deepcopy(model, {id(x): x for x in tensors})).eval()


def run(model: nn.Module, state: Mapping[str, Tensor], inputs: Inputs) -> Tensor:
    """Return the model's tensor of outputs for a batch of inputs, computed with these weights.

    While it runs the module holds them: give each thread its own ``eval_copy``.

    Raises:
        DataError: the model does not run on these inputs.
    """
    positional, named = call_arguments(inputs)
    weights = untied(model, state)
    try:
        output = functional_call(model, weights, positional, named)
    except (RebasinError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"the model cannot be run on these inputs, {shapes_of(inputs)}: {words}"
        ) from error
    return output_of(output)


@torch.no_grad()
def fast_layout(model: nn.Module, state: State, data: Iterable[Batch]) -> Iterator[Batch]:
    """Yield batches, images with their channels last in memory where the model, in eval mode, takes
    the first of them so: on a CPU convolutions are faster then.
    """
    taken: bool | None = None
    for inputs, targets in data:
        if isinstance(inputs, Tensor) and inputs.ndim == 4 and inputs.device.type == "cpu":
            last = inputs.contiguous(memory_format=torch.channels_last)
            try:
                taken = taken if taken is not None else run(model, state, last[:2]) is not None
            except DataError:  # a view that asks for the other layout
                taken = False
            inputs = last if taken else inputs
        yield Batch(inputs, targets)


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
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
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
