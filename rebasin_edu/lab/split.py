"""Inputs and targets as one pair that knows its name."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..errors import DataError


class _Pair(NamedTuple):
    inputs: Tensor
    targets: Tensor


class Split(_Pair):
    """A pair ``(inputs, targets)`` with a name, on one device.

    Attributes:
        inputs: normalised images ``(N, C, H, W)`` in float32.
        targets: their classes ``(N,)`` in int64.
        name: what to call them in print, ``""`` where nobody said.
    """

    name: str

    def __new__(cls, inputs: Tensor, targets: Tensor, name: str = "") -> Split:
        pair = super().__new__(cls, inputs, targets)
        pair.name = name
        return pair

    def first(self, n: int) -> Split:
        """Return the first ``n`` examples, as views."""
        if not 0 < n <= len(self.targets):
            raise DataError(f"{n} examples were asked for, there are {len(self.targets)}")
        name = self.name if n == len(self.targets) else f"{self.name}, the first {n:,}".lstrip(", ")
        return Split(self.inputs[:n], self.targets[:n], name)

    def __repr__(self) -> str:
        shape, name = tuple(self.inputs.shape[1:]), self.name and f"{self.name}: "
        return f"Split({name}{len(self.targets)} examples of shape {shape}, {self.inputs.device})"
