"""The proof of a spec: fill a model with generic values, permute every group at random, compare the outputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .permutation import Permutation
from .spec import PermutationSpec, SpecMismatch


def arguments(inputs: object) -> tuple:
    """The positional arguments that ``inputs`` stands for, as ``torch.export.export`` takes them; a lone tensor is one."""
    return inputs if isinstance(inputs, tuple) else tuple(inputs) if isinstance(inputs, list) else (inputs,)


def tensors(output: object) -> list[Tensor]:
    """Every tensor in a model's output, however it is nested."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        return [tensor for value in output.values() for tensor in tensors(value)]
    if isinstance(output, (tuple, list)):
        return [tensor for value in output for tensor in tensors(value)]
    return []


def generic(state: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Values with nothing special about them, in float64: no zeros, no ones, no equal rows that could hide a wrong spec.

    A matrix keeps the size that lets signals through (1/sqrt of its inputs); vectors lie around one, so that they also serve
    as variances.
    """
    generator = torch.Generator().manual_seed(seed)
    filled = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            filled[name] = tensor.cpu()
        elif tensor.ndim > 1:
            filled[name] = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) / max(1, tensor[0].numel()) ** 0.5
        else:
            filled[name] = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.5
    return filled


def prove(
    spec: PermutationSpec,
    model: nn.Module,
    inputs: object,
    *,
    kwargs: dict | None = None,
    seeds: int = 2,
    tolerance: float = 1e-9,
) -> float:
    """See ``PermutationSpec.check``."""
    model = copy.deepcopy(model).cpu().double().eval()
    state = generic(model.state_dict())
    double = [x.detach().cpu().double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in arguments(inputs)]

    @torch.no_grad()
    def run(weights: Mapping[str, Tensor]) -> list[Tensor]:
        return tensors(functional_call(model, dict(weights), tuple(double), kwargs or {}))

    def difference(permutation: Permutation) -> float:
        changed = run(spec.apply(state, permutation))
        return max(float((x - y).abs().max() / y.abs().max().clamp_min(1e-300)) for x, y in zip(changed, reference))

    reference = run(state)
    worst = 0.0
    for seed in range(seeds):
        permutation = spec.random(seed)
        found = difference(permutation)
        if not found <= tolerance:
            still = spec.identity()
            alone = {g: difference(Permutation({**still, g: permutation[g]}, still.rulers)) for g in spec.groups}
            guilty = max(alone, key=alone.get)
            raise SpecMismatch(
                f"the outputs change by {found:.1e} (relative) when the hidden units are reordered by this spec; "
                f"group {guilty!r} alone changes them by {alone[guilty]:.1e}: it occurs at {spec.groups[guilty].occurrences}"
            )
        worst = max(worst, found)
    return worst
