"""Why a model cannot be traced, in one sentence with the way out."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from unittest import mock

import torch

from .example import Example, listed


@contextmanager
def quiet() -> Iterator[None]:
    """What torch logs and warns of on the way to an error is said in one sentence of ours."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    loggers = [logger for logger in loggers if logger.name.split(".")[0] == "torch"]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled in zip(loggers, before):
            logger.disabled = disabled


def explain(example: Example, error: Exception) -> str:
    """One sentence that says why a model cannot be traced, and the way out."""
    model, text = example.model, str(error)
    name = type(model).__name__
    by_hand = "or write the spec with PermutationSpec.from_axes"
    scripted = [type(m).__name__ for m in model.modules() if isinstance(m, torch.jit.ScriptModule)]
    hooks = {
        type(hook).__name__
        for module in model.modules()
        for hook in module._forward_pre_hooks.values()
        if type(hook).__module__.startswith("torch.nn.utils.")
    }
    spies = [mock.patch.object(torch.autograd, each, wraps=getattr(torch.autograd, each))
             for each in ("backward", "grad")]  # fmt: skip
    with spies[0] as backward, spies[1] as grad, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            example.run()
        except Exception as own:
            try:
                with torch.enable_grad():
                    example.model(*example.args, **example.kwargs)
            except Exception:
                return f"{name} fails on these example inputs: {type(own).__name__}: {own}"
    if backward.called or grad.called:
        return (
            f"{name} computes gradients inside its forward, which torch.export cannot follow: give "
            f"a model of the part before that, {by_hand}"
        )
    if scripted:
        return (
            f"{name} holds scripted modules ({listed(scripted)}), whose graph torch.export cannot "
            f"follow: give the Python module that was scripted, {by_hand}"
        )
    if hooks:
        return (
            f"{name} computes weights in hooks of torch.nn.utils ({listed(sorted(hooks))}), which "
            "torch.export cannot follow: use torch.nn.utils.parametrizations, or make the weights "
            "permanent first (prune.remove, remove_weight_norm, remove_spectral_norm)"
        )
    why = f"{type(error).__name__}: {(text.strip().splitlines() or [''])[0]}"
    frames = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
    if "_detect_is_causal_mask" in frames:
        why = (
            "it looks whether its mask is causal; say so with tgt_is_causal=True (is_causal=True "
            f"for a single layer), {by_hand}"
        )
    elif "cache" in text.lower():
        why = (
            "it returns a cache of keys and values; switch that off (often with use_cache=False), "
            f"{by_hand} ({why})"
        )
    elif any(word in text for word in ("data-dependent", "Eq(u", "u0", "item()", "guard on")):
        why = (
            "its control flow depends on the values of tensors; give a model of the one branch "
            f"that your inputs take, {by_hand} ({why})"
        )
    else:
        why = f"give it without what is named here, {by_hand} ({why})"
    return f"{name} runs on these inputs but torch.export cannot follow it: {why}"
