"""The proof of a spec: fill a model with generic values, permute every group at random, compare the
outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import SpecError
from .permutation import Permutation
from .spec import PermutationSpec

SINGLE = 1e-5  # the tolerance where a model computes in single precision inside, whatever its weights are


def arguments(inputs: object) -> tuple:
    """The positional arguments that ``inputs`` stands for, as ``torch.export.export`` takes them; a
    lone tensor is one.
    """
    return (
        inputs
        if isinstance(inputs, tuple)
        else tuple(inputs)
        if isinstance(inputs, list)
        else (inputs,)
    )


def tensors(output: object) -> list[Tensor]:
    """Every tensor in a model's output, however it is nested."""
    if is_dataclass(output) and not isinstance(output, Mapping):
        output = vars(output)
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def select(output: object, outputs: Callable | str | int | None) -> object:
    """The outputs that count: all, the one under a key (or attribute, or position), or what a
    function takes out.
    """
    if outputs is None:
        return output
    if callable(outputs):
        return outputs(output)
    if isinstance(outputs, str) and not isinstance(output, Mapping):
        return getattr(output, outputs)
    return output[outputs]


def generic(state: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Values with nothing special about them, in float64: no zeros, no ones, no equal rows that
    could hide a wrong spec.
    """
    copies: dict[object, object] = {}
    filled = {}
    for name, tensor in state.items():
        place = (
            (tensor.data_ptr(), tensor.shape, tensor.stride())
            if isinstance(tensor, Tensor) and tensor.numel()
            else name
        )
        filled[name] = copies.setdefault(
            place, tensor.to("cpu", torch.float64, copy=True) if _real(tensor) else tensor
        )
    _fill(filled, seed)
    return filled


def _real(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _distinct(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state dict, tied ones once."""
    known = set()
    for name, tensor in state.items():
        if isinstance(tensor, Tensor) and tensor.numel():
            place = (tensor.data_ptr(), tensor.shape, tensor.stride())
            if place not in known:
                known.add(place)
                yield name, tensor


def _fill(state: Mapping[str, Tensor], seed: int = 0) -> None:
    """Write generic values into every floating tensor. Tied ones stay tied.

    A matrix keeps the size that lets signals through (1/sqrt of its inputs); vectors lie around
    one, so that they also serve as variances.
    """
    generator = torch.Generator().manual_seed(seed)
    for _, tensor in _distinct(state):
        if _real(tensor) and tensor.ndim > 1:
            tensor.normal_(generator=generator).mul_(max(1, tensor[0].numel()) ** -0.5)
        elif _real(tensor):
            tensor.uniform_(0.5, 1.5, generator=generator)


class _Precision(TorchDispatchMode):
    """Notices whether anything is computed in a lower precision than float64 on the way."""

    lower = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if (
            not self.lower
            and isinstance(found, Tensor)
            and found.dtype in (torch.float32, torch.bfloat16, torch.half)
        ):
            self.lower = any(
                isinstance(x, Tensor) and x.dtype == torch.float64
                for x in pytree.tree_leaves((args, kwargs))
            )
        return found


def prove(
    spec: PermutationSpec,
    model: nn.Module,
    inputs: object,
    *,
    kwargs: dict | None = None,
    seeds: int = 2,
    tolerance: float = 1e-9,
    outputs: Callable | str | int | None = None,
) -> float:
    """See ``PermutationSpec.check``."""
    model = copy.deepcopy(model).cpu()
    spec.validate(model, of="model")
    args, kwargs = arguments(inputs), kwargs or {}
    precision = _Precision()
    try:
        run = _runner(model.double(), args, kwargs, torch.float64, outputs)
        with precision:
            reference = run()
        tolerance = max(tolerance, SINGLE) if precision.lower else tolerance
    except RuntimeError:  # it mixes its weights with tensors that are always float32
        run = _runner(model.float(), args, kwargs, torch.float32, outputs)
        reference, tolerance = run(), max(tolerance, 10 * SINGLE)
    if not any(x.numel() for x in reference):
        raise SpecError("the model gives no tensor with which a spec could be proved")
    if all(bool(x.isnan().all()) for x in reference if x.is_floating_point()):
        raise SpecError(
            "with generic weights the model gives nothing but NaN: its spec cannot be proved on these inputs"
        )
    own = model.state_dict()

    def permute(permutation: Permutation) -> None:
        for name, tensor in _distinct(own):  # in place: a large model fits twice, not four times
            tensor.copy_(spec.moved(name, tensor, permutation))

    def difference(permutation: Permutation) -> float:
        permute(permutation)
        found = max(_apart(x, y) for x, y in zip(run(), reference))
        permute(permutation.inverse())
        return found

    worst = 0.0
    for seed in range(seeds):
        permutation = spec.random(seed)
        found = difference(permutation)
        if not found <= tolerance:
            still = spec.identity()
            alone = {
                g: difference(Permutation({**still, g: permutation[g]}, still.parents))
                for g in spec.groups
            }
            guilty = max(alone, key=alone.get)
            error = SpecError(
                f"the outputs change by {found:.1e} (relative) when the hidden units are reordered by this spec; "
                f"group {guilty!r} alone changes them by {alone[guilty]:.1e}: it occurs at {spec.groups[guilty].occurrences}"
            )
            error.groups = tuple(g for g, change in alone.items() if not change <= tolerance) or (
                guilty,
            )
            raise error
        worst = max(worst, found)
    return worst


def _runner(
    model: nn.Module, args: tuple, kwargs: dict, dtype: torch.dtype, outputs
) -> Callable[[], list[Tensor]]:
    """Fill the model with generic values; what is returned runs it on whatever its weights are
    then.
    """

    def cast(value: object) -> object:
        if isinstance(value, Tensor):
            value = value.detach().cpu()
            return value.to(dtype) if value.is_floating_point() else value
        return value

    args, kwargs = pytree.tree_map(cast, (args, kwargs))
    _fill(model.state_dict())

    @torch.no_grad()
    def run() -> list[Tensor]:
        model.train().eval()  # what some models keep between calls was made from other weights
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            found = tensors(select(model(*args, **kwargs), outputs))
        return [x.double() if x.is_floating_point() else x.clone() for x in found]

    return run


def _apart(x: Tensor, y: Tensor) -> float:
    """The largest difference, relative to the largest value; entries that are infinite or no number
    must be so in both.
    """
    if not x.numel():
        return 0.0
    if x.is_complex():
        x, y = torch.view_as_real(x), torch.view_as_real(y)
    if not x.is_floating_point():
        return 0.0 if torch.equal(x, y) else float("inf")
    finite = y.isfinite()
    if not torch.equal(finite, x.isfinite()):
        return float("inf")
    x, y = x[finite], y[finite]
    return float((x - y).abs().max() / y.abs().max().clamp_min(1e-300)) if x.numel() else 0.0
