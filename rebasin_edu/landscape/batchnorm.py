"""The running statistics of BatchNorm layers, measured anew."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import Data, batches
from ..errors import DataError, RebasinWarning
from ..weights import (
    State,
    Weights,
    architecture,
    device_and_dtype,
    eval_copy,
    replaced,
    restored,
    run,
    state_for,
    untied,
)
from .unit_statistics import BATCHNORM, UnitMoments, at_least_single, keeps_statistics


@torch.no_grad()
def reestimate_batchnorm(
    network: Weights,
    train_data: Data,
    *,
    model: nn.Module | None = None,
    num_samples: int | None = 10_000,
    batch_size: int = 500,
) -> State:
    """Return the state dict of a network with the running statistics of every BatchNorm anew.

    It is what an average of two networks needs first: their stored statistics belong to neither.
    Statistics are cumulative: each example counts the same, and the variance between batches is
    part of the variance. Every other layer is in eval mode (no dropout).

    Args:
        network: a module or state dict; not changed.
        train_data: training data without augmentation, in any form (targets are not used).
        model: the architecture, where ``network`` is a state dict.
        num_samples: how many examples; ``None`` for all.
        batch_size: how many examples at a time.

    Returns:
        A new state dict. Without BatchNorm (or with one that keeps no statistics) a copy, with a
        ``RebasinWarning``.

    Raises:
        DataError: no data, or a single value per channel, which has no variance.

    Ref: Git Re-Basin, appendix A.4; REPAIR, section 3.
    """
    model = eval_copy(architecture(model, network))
    state = {name: x.clone() for name, x in state_for(model, network, fill=True).items()}
    if not keeps_statistics(model):
        text = "this model has no BatchNorm layer with running statistics: nothing was re-estimated"
        warnings.warn(text, RebasinWarning, stacklevel=3)
        return restored(state, network)
    norms = [(n, m) for n, m in model.named_modules() if isinstance(m, BATCHNORM)]
    norms = [(name, module) for name, module in norms if module.running_mean is not None]
    moments = {name: UnitMoments() for name, _ in norms}

    def forward_of(name: str, module: nn.modules.batchnorm._BatchNorm) -> Callable:
        def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            dims = [dim for dim in range(x.ndim) if dim != 1]
            var, mean = torch.var_mean(at_least_single(x), dims, correction=0)
            values, channels = x.numel() // x.shape[1], (mean.cpu().double(), var.cpu().double())
            moments[name].update(values, channels[0][None], channels[1][None])
            assert module.running_mean is not None
            dtype = module.running_mean.dtype  # under autocast x is in half precision, it is not
            stored = {name: module._buffers[name] for name in ("running_mean", "running_var")}
            module._buffers |= {"running_mean": mean.to(dtype), "running_var": var.to(dtype)}
            try:  # its own forward: a subclass may have its activation inside
                return type(module).forward(module, x, *args, **kwargs)
            finally:
                module._buffers |= stored

        return forward

    device, dtype = device_and_dtype(state)
    steps, tensors = 0, untied(model, state)
    with replaced({module: forward_of(name, module) for name, module in norms}):
        options: dict[str, Any] = {"device": device, "dtype": dtype, "num_samples": num_samples}
        for batch in batches(train_data, batch_size, targets=False, **options):
            run(model, tensors, batch.inputs)
            steps += 1
    for name, seen in moments.items():
        if seen.count == 1:
            raise DataError(
                f"{name} saw a single value per channel, which has no variance: give more examples"
            )
        if seen.count:
            state[f"{name}.running_mean"].copy_(seen.mean[0])
            state[f"{name}.running_var"].copy_(seen.var[0] * seen.count / (seen.count - 1))
            if f"{name}.num_batches_tracked" in state:
                state[f"{name}.num_batches_tracked"].fill_(steps)
    return restored(state, network)
