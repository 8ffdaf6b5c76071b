"""A model filled with values of some kind, and how much its outputs change with its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import Inputs
from .example import Example, Outputs, model_copy, tied
from .intercept import Intercept

TOLERANCE = 1e-9  # a right spec gives 1e-15 in float64, a wrong one mostly 1e-2 and more
SINGLE = 1e-5  # the same where a model computes in single precision inside, whatever its weights


class Filling:
    """A model filled with values of one kind, and its outputs on them.

    Attributes:
        random: the operators that draw random numbers; they gave equal ones here.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        outputs: Outputs,
        kind: str,
        seed: int,
        scale: float = 1.0,
    ):
        self.scale = scale
        self._arguments = (model, inputs, outputs)
        self.kind, self.seed = kind, seed
        self.random: set[str] = set()
        self.reference: list[Tensor] = []
        try:
            self._fill(torch.float64)
        except RuntimeError:  # it mixes its weights with tensors that are always float32
            self._fill(torch.float32)
        if self.empty:
            self._fill(torch.float32)  # a mask of the smallest float32 times zero, for example

    def _fill(self, dtype: torch.dtype) -> None:
        model, inputs, outputs = self._arguments
        self.example = Example.of(model, inputs, outputs, dtype)
        self.tolerance = 10 * SINGLE if dtype == torch.float32 else TOLERANCE
        state = self.example.model.state_dict()
        if self.kind != "own":
            fill(state, self.seed, signed=self.kind == "signed")
            for _, x in tied(state):
                if self.scale != 1 and x.is_floating_point():
                    x.mul_(self.scale)
        self._remember()
        try:
            self.reference = self._run()
        except Exception:
            if self.kind == "own":
                raise
            own = model_copy(model, dtype).named_buffers()  # boxes, for example, have a meaning
            for name, buffer in own:
                if buffer.is_floating_point() and name in state:
                    state[name].copy_(buffer)
            self._remember()
            self.reference = self._run()
        self.tolerance = max(self.tolerance, SINGLE if self._intercept.lower else 0.0)
        self.random = self._intercept.random

    def _remember(self) -> None:
        """What the model holds before each run: some models change their buffers on the way."""
        model = self.example.model
        state = {**model.state_dict(), **dict(model.named_buffers())}
        self.state = {names[0]: (x, x.clone()) for names, x in tied(state)}

    @property
    def empty(self) -> bool:
        """Whether there is no output to compare, or nothing but NaN."""
        return all(bool(x.isnan().all()) for x in self.reference)

    def _run(self) -> list[Tensor]:
        self._intercept = Intercept()
        with torch.no_grad(), torch.random.fork_rng(devices=[]), self._intercept:
            torch.default_generator.manual_seed(0)
            found = self.example.tensors()
        return [x.double() if x.is_floating_point() else x.clone() for x in found]

    @torch.no_grad()
    def run(self, change: Callable[[str, Tensor], Tensor]) -> float:
        """Return how much the outputs change when each tensor of the state does."""
        for name, (x, before) in self.state.items():
            x.copy_(change(name, before))
        return difference(self._run(), self.reference)

    def noise(self) -> float:
        """Return how much they change with a random last bit of every weight."""
        generator = torch.Generator().manual_seed(0)

        def shaken(_: str, x: Tensor) -> Tensor:
            if not x.is_floating_point() or not x.numel():
                return x
            sign = torch.randint(0, 2, x.shape, generator=generator).to(x.dtype) * 2 - 1
            return x * (1 + sign * torch.finfo(x.dtype).eps)

        return self.run(shaken)


def fill(state: Mapping[str, Any], seed: int = 0, *, signed: bool = False) -> None:
    """Write generic values into every floating tensor, in place; tied ones stay tied.

    A matrix keeps the size that lets signals through (1/sqrt of its inputs); vectors lie around
    one, so that they also serve as variances. ``signed`` gives both signs to those vectors that
    have other values than positive ones, and larger values.
    """
    generator = torch.Generator().manual_seed(seed)
    for _, tensor in tied(state):
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        both = signed and not bool((tensor.real > 0).all())
        if tensor.ndim > 1:
            tensor.normal_(generator=generator).mul_(max(1, tensor[0].numel()) ** -0.5)
        elif tensor.is_complex():
            tensor.normal_(generator=generator)
        elif both:
            tensor.normal_(generator=generator).mul_(3)
        else:
            tensor.uniform_(0.5, 1.5, generator=generator)


def generic(state: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """Return a copy of a state dict with generic values in float64, tied tensors tied."""
    filled: dict[str, Tensor] = {}
    for names, x in tied(state):
        x = x.to("cpu", torch.float64, copy=True) if x.is_floating_point() else x
        filled |= dict.fromkeys(names, x)
    fill(filled, seed)
    return {name: filled.get(name, x) for name, x in state.items()}


def difference(outputs: list[Tensor], reference: list[Tensor]) -> float:
    """Return the largest change of any output, relative to its largest value.

    Integers and booleans must be equal; what is infinite or NaN must be so in both.
    """
    if [x.shape for x in outputs] != [x.shape for x in reference]:
        return math.inf
    return max((_apart(x, y) for x, y in zip(outputs, reference)), default=0.0)


def _apart(x: Tensor, y: Tensor) -> float:
    if x.is_complex():
        x, y = torch.view_as_real(x), torch.view_as_real(y)
    if not x.is_floating_point():
        return 0.0 if torch.equal(x, y) else math.inf
    finite = y.isfinite()
    if not torch.equal(finite, x.isfinite()):
        return math.inf
    x, y = x[finite], y[finite]
    return float((x - y).abs().max() / y.abs().max().clamp_min(1e-300)) if x.numel() else 0.0
