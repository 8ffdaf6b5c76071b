"""How alike two networks can be made, and how differently they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..batches import Batch
from ..matching import assign
from ..matching.moments import Moments
from ..weights import State, run, untied, watched
from .criteria import IGNORED, class_axis
from .scalable_layers import ScalableLayer
from .unit_statistics import at_least_single

EXAMPLES = 1000  # enough for a mean over units: 0.02 from that of 10,000 on the MNIST networks
COLUMNS = 4096  # positions of a batch that are looked at: pixels of one image are much alike


@torch.no_grad()
def best_correlations(
    model: nn.Module,
    a: State,
    b: State,
    groups: Mapping[str, Sequence[ScalableLayer]],
    examples: Sequence[Batch],
) -> dict[str, float]:
    """Return for each group of layers the mean correlation of their units under the permutation
    that is best for it: what no matching of these two networks can exceed by much.

    Args:
        model: an ``eval_copy``, which is hooked while it runs.
        groups: name → layers whose units one permutation orders.
    """
    modules = dict(model.named_modules())
    states, seen = [untied(model, state) for state in (a, b)], 0
    layers = {layer.name: layer for members in groups.values() for layer in members}
    moments = {name: Moments() for name in layers}
    names = {modules[name]: name for name in layers}
    for batch in examples:
        outputs: list[dict[str, Tensor]] = []
        for state in states:
            kept: dict[str, Tensor] = {}

            def hook(module: nn.Module, args: tuple, y: Tensor, kept: dict = kept) -> None:
                layer = layers[names[module]]
                flat = y.movedim(layer.axis, 0).flatten(1)
                step = max(1, flat.shape[1] // COLUMNS)
                kept[layer.name] = at_least_single(flat[:, ::step]).clone()

            with watched(dict.fromkeys(names, hook)):
                run(model, state, batch.inputs)
            outputs.append(kept)
        for name in layers:
            moments[name].add(outputs[0][name], outputs[1][name])
        seen += next(iter(outputs[0].values())).shape[1] if layers else 0
        if seen >= EXAMPLES:
            break
    best = {}
    for group, members in groups.items():
        similar = [moments[layer.name].correlation() for layer in members]
        total = torch.stack(similar).mean(0)
        if total.shape[0] == total.shape[1]:
            best[group] = float(total.gather(1, assign(total)[:, None]).mean())
    return best


@torch.no_grad()
def prediction_gap(model: nn.Module, a: State, b: State, examples: Sequence[Batch]) -> float:
    """Return how differently two classifiers distribute their answers over the classes: the total
    variation distance, 0 to 1, of how often each class is named (0 where there are no classes).
    """
    counts = []
    for state in (untied(model, a), untied(model, b)):
        total: Tensor | None = None
        for inputs, targets in examples:
            logits = run(model, state, inputs)
            known = (
                None if targets is None else class_axis(logits, targets, IGNORED, -1, needed=False)
            )
            if known is None:
                return 0.0
            named = logits.argmax(known).flatten()
            count = torch.bincount(named, minlength=logits.shape[known]).double()
            total = count if total is None else total + count
        assert total is not None
        counts.append(total / total.sum())
    return float((counts[0] - counts[1]).abs().sum() / 2)
