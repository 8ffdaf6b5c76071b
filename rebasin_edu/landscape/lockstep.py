"""Forward passes that stop at chosen layers, so that several networks advance layer by layer.

A forward pass is one call, left and entered again inside a hook: each is a greenlet, with a stack
of its own on the same thread. (On threads of their own, passes took twice the memory.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import greenlet
import torch
from torch import Tensor, nn

from ..batches import Inputs, call_arguments
from ..errors import RebasinError
from ..weights import State, eval_copy


class Stop(NamedTuple):
    """A forward pass waits at a layer: before it, with its input, or after it, with its output."""

    layer: str
    value: Tensor


class SteppedNetwork:
    """A network's forward passes, one for each batch of inputs, advanced from layer to layer.

    Args:
        model: the architecture, not touched.
        state: weights that fit it. They may be changed in place while all passes wait.
        layers: names of the modules at which to stop.
        inputs: the inputs of each pass, already on the device of the weights.
        before: stop before each of these layers, not after it.
    """

    def __init__(
        self,
        model: nn.Module,
        state: State,
        layers: Iterable[str],
        inputs: Iterable[Inputs],
        *,
        before: bool = False,
    ):
        self.order = list(layers)
        self.model = eval_copy(model)
        self.model.load_state_dict(state, strict=False, assign=True)
        self.modules: Mapping[str, nn.Module] = dict(self.model.named_modules())
        for name in self.order:
            module, wait = self.modules[name], partial(_wait_at, name)
            if before:
                module.register_forward_pre_hook(lambda _, args, wait=wait: wait(args[0]))
            else:
                module.register_forward_hook(lambda _, args, output, wait=wait: wait(output))
        self.device = next(iter(state.values())).device
        self.passes = [_Pass(self.model, each) for each in inputs]

    def __enter__(self) -> SteppedNetwork:
        return self

    def __exit__(self, *error: object) -> None:
        for each in self.passes:
            with _modes_kept(self.device):
                each.throw()  # nobody goes on with it: its ``finally`` clauses run

    @property
    def started(self) -> int:
        """How many passes were advanced at all."""
        return sum(each.stopped > 0 for each in self.passes)

    def advance(self, index: int, layer: str) -> Tensor:
        """Let one pass go on to ``layer``, through all before it; return its input or output.

        Raises:
            RebasinError: the pass comes to another layer: the network's way depends on its data.
        """
        going = self.passes[index]
        for name in self.order[going.stopped : self.order.index(layer) + 1]:
            going.stopped += 1
            with _modes_kept(self.device):
                stop = going.switch()
            if not isinstance(stop, Stop) or stop.layer != name:
                came = f"came to {stop.layer!r}" if isinstance(stop, Stop) else "ended"
                raise RebasinError(
                    f"a forward pass should go on to {name!r} and {came}: the order of this "
                    "model's layers depends on its inputs or weights, so it cannot be refitted"
                )
        return stop.value


def _wait_at(name: str, value: Tensor) -> None:
    running = greenlet.getcurrent()
    assert isinstance(running, _Pass), "a stepped network runs its own passes only"
    with _modes_kept(value.device):
        running.parent.switch(Stop(name, value))


class _Pass(greenlet.greenlet):
    """One forward pass, which runs to its next stop with each ``switch``."""

    def __init__(self, model: nn.Module, inputs: Inputs):
        super().__init__()
        self.model, self.inputs, self.stopped = model, inputs, 0

    def run(self) -> None:
        positional, named = call_arguments(self.inputs)
        with torch.no_grad():
            self.model(*positional, **named)


@contextlib.contextmanager
def _modes_kept(device: torch.device) -> Iterator[None]:
    """Other code may change whether this thread keeps gradients and casts (``torch.autocast``)."""
    gradients = torch.is_grad_enabled()
    casts = [
        (kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        for kind in {"cpu", device.type}
    ]
    try:
        yield
    finally:
        torch.set_grad_enabled(gradients)
        for kind, casting, dtype in casts:
            torch.set_autocast_enabled(kind, casting)
            torch.set_autocast_dtype(kind, dtype)
