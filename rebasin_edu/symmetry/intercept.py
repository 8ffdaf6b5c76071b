"""What a model computes while it is verified: its precision, and its random numbers made equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

LOWER = (torch.float32, torch.bfloat16, torch.half)
# draws that have the same distribution in every order, and the one number that stands for all
EQUAL = {
    "bernoulli": 1.0,  # dropout keeps all
    "exponential": 0.7,
    "normal": 0.3,
    "normal_functional": 0.3,
    "rand": 0.4,
    "rand_like": 0.4,
    "randn": 0.3,
    "randn_like": 0.3,
    "uniform": 0.4,
}


class Intercept(TorchDispatchMode):
    """Notices whether anything is computed in a lower precision than float64, and lets operators
    that draw numbers give equal ones: such a model is symmetric in distribution only.

    Attributes:
        lower: whether anything was computed in a lower precision.
        random: the operators that draw numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lower = False
        self.random: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = _equal(func, args, kwargs or {}, self.random.add)
        if not self.lower and isinstance(result, Tensor) and result.dtype in LOWER:
            self.lower = any(
                isinstance(x, Tensor) and x.dtype == torch.float64
                for x in pytree.tree_leaves((args, kwargs))
            )
        return result


def _equal(func: Any, args: tuple, kwargs: dict[str, Any], note: Callable[[str], Any]) -> Any:
    name = func.overloadpacket.__name__
    if name == "native_dropout":
        note(f"aten.{name}")
        return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
    result = func(*args, **kwargs)
    if name.rstrip("_") in EQUAL and isinstance(result, Tensor):
        note(f"aten.{name}")
        result.fill_(EQUAL[name.rstrip("_")])
    return result
