"""Loss, accuracy and calibration: of one network, or of many weighted sums of a few networks on
one pass over the data (the engine under every path and plane).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ..batches import Batch, Data, Inputs, batches, call_arguments, count, nbytes
from ..weights import (
    State,
    Weights,
    architecture,
    compatible,
    device_and_dtype,
    eval_copy,
    output_of,
    run,
    state_for,
    untied,
)
from .criteria import Criterion, Metrics, check_criteria
from .interpolation import combine
from .metrics import MetricSums, Score

TOGETHER = 2**18  # logits that are counted together: fewer, larger sums
BUDGET = 256 * 2**20  # bytes of loaded batches that are kept in memory for all combinations
MOST_STACKED = 64  # networks in one vmap call; more brought no speed


def evaluate(
    network: Weights,
    data: Data,
    *,
    model: nn.Module | None = None,
    loss: Criterion | None = None,
    metrics: Metrics | None = None,
    batch_size: int = 500,
    progress: bool = False,
) -> Score:
    """Return the loss, accuracy and calibration of a network on a data set.

    The network is in eval mode (no dropout, stored statistics), on the device of its weights.

    Args:
        network: a module, or a state dict (then ``model`` is needed).
        data: a pair ``(inputs, targets)``, or a loader, dataset or list of such batches. Targets
            are classes (-100 is left out), or floating numbers of the outputs' shape to regress on
            (loss is the mean squared error, accuracy and calibration are nan).
        model: the architecture; given back as it was.
        loss: any function of outputs and targets, such as
            ``torch.nn.functional.binary_cross_entropy_with_logits``, that gives a number for each
            example, or one for all (which counts as many times as there are examples in the batch).
        metrics: name → such a function, for ``score.metrics``.
        batch_size: how many examples at a time.
        progress: show a bar.

    Returns:
        The mean softmax cross-entropy, the accuracy (0 to 1) and the expected calibration error.

    Raises:
        WeightsError: the weights do not fit the model, or there is none.
        DataError: there are no data, they are no pairs, or the targets are not classes of the
            model.
    """
    model = architecture(model, network)
    states = [state_for(model, network, name="the network")]
    scored = {"loss": loss, "metrics": metrics, "batch_size": batch_size, "progress": progress}
    return scores(model, states, [[1.0]], data, **scored)[0]  # type: ignore[arg-type]


def fitting_states(model: nn.Module, *networks: Weights, names: Sequence[str] = ()) -> list[State]:
    """Return the state dicts of several networks, if all are finite and fit each other and the
    model.
    """
    called = names or ("the first network", "the second network", "the third network")
    states = [state_for(model, each, name=name) for each, name in zip(networks, called)]
    return compatible(*states, names=called)


def scores(
    model: nn.Module,
    states: Sequence[State],
    coefficients: Sequence[Sequence[float]],
    data: Data,
    *,
    straight: Collection[str] = frozenset(),
    straight_coefficients: Sequence[Sequence[float]] | None = None,
    loss: Criterion | None = None,
    metrics: Metrics | None = None,
    batch_size: int = 500,
    batched: bool | None = None,
    progress: bool = False,
) -> list[Score]:
    """Return the score of ``sum_i coefficients[k][i] · states[i]`` for every ``k``.

    Args:
        states: compatible state dicts that fit the model.
        coefficients: ``(combinations, states)``.
        straight, straight_coefficients: names with coefficients of their own (statistics).
        loss, metrics: see ``evaluate``.
        batched: many combinations in one ``vmap`` call; ``None`` does so on an accelerator, where
            small products cost most. A model that ``vmap`` cannot follow ends in the loop.
        progress: show a bar.
    """
    check_criteria(loss, metrics)
    model = eval_copy(model)
    device, dtype = device_and_dtype(states[0])
    needed = [untied(model, state) for state in states]
    mixes = [
        partial(combine, needed, mine, straight=straight, straight_coefficients=own)
        for mine, own in zip(coefficients, straight_coefficients or coefficients)
    ]
    sums = MetricSums(len(coefficients), device, loss=loss, metrics=metrics)
    batched = device.type != "cpu" if batched is None else batched
    with torch.no_grad(), progress_bar(_evaluations(data, coefficients), progress) as advance:
        for chunk in _chunks(batches(data, batch_size, device=device, dtype=dtype)):
            done = 0
            if batched and len(coefficients) > 1:
                done = _score_stacked(model, mixes, chunk, sums, advance)
                batched = done > 0
            for k in range(done, len(coefficients)):
                _score_one(model, mixes[k](), chunk, sums, k, advance)
    return sums.scores()


def _score_one(
    model: nn.Module, state: State, chunk: Sequence[Batch], sums: MetricSums, k: int, advance: Any
) -> None:
    """Count combination ``k`` on a list of batches."""
    waiting: list[tuple[Tensor, Tensor]] = []
    for inputs, targets in chunk:
        logits = run(model, state, inputs)
        assert targets is not None
        if k == 0:
            sums.check(logits, targets)
        advance(len(targets))
        if sums.criteria or logits.ndim > 2 or targets.ndim > 1:
            sums.add(logits[None], targets, k)
            continue
        waiting.append((logits, targets))
        if len(waiting) * logits.numel() > TOGETHER:
            _add_together(waiting, sums, k)
    _add_together(waiting, sums, k)


def _add_together(waiting: list[tuple[Tensor, Tensor]], sums: MetricSums, k: int) -> None:
    """Count outputs and targets of several batches at once: a few large sums are fast."""
    if waiting:
        outputs, targets = (torch.cat(each) for each in zip(*waiting))
        sums.add(outputs[None], targets, k)
        waiting.clear()


def _score_stacked(
    model: nn.Module,
    mixes: Sequence[Callable[[], State]],
    chunk: Sequence[Batch],
    sums: MetricSums,
    advance: Any,
) -> int:
    """Count combinations in ``vmap`` calls; return how many were counted before it had to stop."""
    first = mixes[0]()
    for inputs, targets in chunk:  # in Python, where the targets can be looked at
        assert targets is not None
        sums.check(run(model, first, inputs), targets)

    def outputs(weights: State, inputs: Inputs) -> Tensor:
        positional, named = call_arguments(inputs)
        return output_of(functional_call(model, weights, positional, named))

    done, size = 0, _stackable(first)
    while done < len(mixes) and size > 1:
        ks = range(done, min(done + size, len(mixes)))
        try:
            states = [mixes[k]() for k in ks]
            axes = {name: 0 if x.is_floating_point() else None for name, x in states[0].items()}
            stack = {
                name: states[0][name] if axis is None else torch.stack([s[name] for s in states])
                for name, axis in axes.items()
            }
            logits = [vmap(outputs, (axes, None))(stack, inputs) for inputs, _ in chunk]
        except torch.OutOfMemoryError:
            size //= 2
            continue
        except (RuntimeError, ValueError, NotImplementedError, TypeError):
            if done:
                raise
            return 0
        for found, (_, targets) in zip(logits, chunk):
            assert targets is not None
            sums.add(found, targets, ks[0])
            advance(len(targets) * len(ks))
        done = ks[-1] + 1
    return done


def _stackable(state: State) -> int:
    """How many networks fit into half of the free memory, twice (the parts and their stack)."""
    device = device_and_dtype(state)[0]
    room = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 4 * BUDGET
    size = sum(x.numel() * x.element_size() for x in state.values())
    return min(MOST_STACKED, max(1, room // max(1, 2 * size)))


def _chunks(stream: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Lists of batches of about ``BUDGET`` bytes."""
    kept: list[Batch] = []
    for batch in stream:
        kept.append(batch)
        if sum(nbytes(inputs) for inputs, _ in kept) >= BUDGET:
            yield kept
            kept = []
    if kept:
        yield kept


def _evaluations(data: Data, coefficients: Sequence) -> int | None:
    """The number of forward passes of one example, where the data tell."""
    sized = isinstance(data, tuple) and isinstance(data[0], Tensor)
    return len(coefficients) * count(data[0]) if sized else None


@contextmanager
def progress_bar(total: int | None, shown: bool, unit: str = "ex") -> Iterator[Any]:
    """Yield what advances a progress bar by a number of steps, or does nothing."""
    if not shown:
        yield lambda steps: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=unit, unit_scale=unit == "ex", leave=False) as bar:
        yield bar.update
