"""Forward passes that stop at chosen layers, so that several networks advance layer by layer.

A forward pass is one call and cannot be left and entered again, so each runs on a thread of its own
and waits inside a hook. Only one of them computes at any time; the threads do not race.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from queue import SimpleQueue
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..batches import Inputs, call_arguments
from ..errors import RebasinError
from ..weights import State, eval_copy


class Stop(NamedTuple):
    """A forward pass waits at a layer: before it, with its input, or after it, with its output."""

    layer: str
    value: Tensor


class _Abandoned(BaseException):
    """Raised inside a forward pass that nobody will go on with."""


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
        self.model = eval_copy(model)
        self.model.load_state_dict(state, strict=False, assign=True)
        self.modules: Mapping[str, nn.Module] = dict(self.model.named_modules())
        for name in layers:
            if before:
                self.modules[name].register_forward_pre_hook(_before(name))
            else:
                self.modules[name].register_forward_hook(_after(name))
        self.passes = [_Pass(self.model, each) for each in inputs]

    def __enter__(self) -> SteppedNetwork:
        return self

    def __exit__(self, *error: object) -> None:
        for each in self.passes:
            each.abandon()

    def advance(self, index: int, layer: str) -> Tensor:
        """Let one pass go on to its next stop, which must be ``layer``; return its input or output.

        Raises:
            RebasinError: the pass comes to another layer: the network's way depends on its data.
        """
        stop = self.passes[index].advance()
        if not isinstance(stop, Stop) or stop.layer != layer:
            came = f"came to {stop.layer!r}" if isinstance(stop, Stop) else "ended"
            raise RebasinError(
                f"a forward pass should go on to {layer!r} and {came}: the order of this model's "
                "layers depends on its inputs or weights, so it cannot be refitted"
            )
        return stop.value


def _before(name: str) -> Any:
    def hook(module: nn.Module, args: tuple) -> None:
        _wait_at(name, args[0])

    return hook


def _after(name: str) -> Any:
    def hook(module: nn.Module, args: tuple, output: Tensor) -> None:
        _wait_at(name, output)

    return hook


def _wait_at(name: str, value: Tensor) -> None:
    running = threading.current_thread()
    assert isinstance(running, _Pass), "a stepped network runs on its own threads only"
    running.stops.put(Stop(name, value))
    running.wait()


class _Pass(threading.Thread):
    """One forward pass. ``advance`` is called from outside, ``wait`` from within."""

    def __init__(self, model: nn.Module, inputs: Inputs):
        super().__init__(daemon=True)
        self.model, self.inputs = model, inputs
        self.going: SimpleQueue[bool] = SimpleQueue()
        self.stops: SimpleQueue[Any] = SimpleQueue()

    def run(self) -> None:
        positional, named = call_arguments(self.inputs)
        try:
            self.wait()
            with torch.no_grad():  # a setting of each thread
                self.model(*positional, **named)
            self.stops.put(None)
        except _Abandoned:
            pass
        except BaseException as error:  # it belongs to the thread that waits for the next stop
            self.stops.put(error)

    def wait(self) -> None:
        if not self.going.get():
            raise _Abandoned

    def advance(self) -> Stop | None:
        if not self.ident:
            self.start()
        self.going.put(True)
        stop = self.stops.get()
        if isinstance(stop, BaseException):
            raise stop
        return stop

    def abandon(self) -> None:
        if self.is_alive():
            self.going.put(False)
            self.join()
