"""Score many weighted sums of a few networks on one data set: the engine under every path and
plane.

A layer that acts on the data themselves is linear in its weights, hence in alpha: its outputs for
the few given networks serve every combination. The rest runs combination by combination, or many at
a time with ``vmap`` (on an accelerator, where the launching of small products is what costs). The
data are read once, whatever the number of combinations.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from .batches import Batch, Data, arguments, batches, count, nbytes
from .interpolation import State, combine
from .metrics import Score, Tally, check_targets
from .openings import Ends, Openings
from .running import call, evaluating, home, logits_of, replaced, untied

TOGETHER = 2**18  # logits that are counted together
BUDGET = 256 * 2**20  # bytes of first-layer outputs and loaded batches held at a time


def scores(
    model: nn.Module,
    states: Sequence[State],
    coefficients: Sequence[Sequence[float]],
    data: Data,
    *,
    straight: frozenset[str] = frozenset(),
    straight_coefficients: Sequence[Sequence[float]] | None = None,
    batch_size: int = 500,
    batched: bool | None = None,
    share: bool = True,
    progress: bool = False,
) -> list[Score]:
    """Score ``sum_i coefficients[k][i] · states[i]`` for every ``k``, with the model in eval mode.

    Args:
        states: compatible state dicts that fit the model.
        coefficients: ``(combinations, states)``.
        straight, straight_coefficients: names that are summed with coefficients of their own
            (statistics along an arc).
        batched: many combinations in one ``vmap`` call; ``None`` does so on an accelerator. A model
            that ``vmap`` cannot follow, or too little memory, ends in the loop.
        share: compute layers that act on the data once for all combinations, where that pays.
        progress: show a bar.

    Returns:
        A score for each combination.

    Raises:
        DataError: no data, or no pairs.
        DataError: the targets are not classes that the model has.
    """
    device, dtype = home(states[0])
    straight_coefficients = coefficients if straight_coefficients is None else straight_coefficients
    kept = [untied(model, state) for state in states]
    tally = Tally(len(coefficients), device)
    batched = device.type != "cpu" if batched is None else batched
    with torch.no_grad(), evaluating(model), _bar(data, len(coefficients), progress) as advance:
        stream = batches(data, batch_size, device=device, dtype=dtype)
        start = next(stream)
        openings = Openings.find(model, kept[0], start[0])
        share = share and len(coefficients) > len(states) and openings.pays

        def summed(k: int) -> State:
            return combine(
                kept,
                coefficients[k],
                straight=straight,
                straight_coefficients=straight_coefficients[k],
            )

        for chunk in _chunks(
            itertools.chain([start], stream), openings.bytes * len(states) if share else 0
        ):
            ends = Ends(openings.layers if share else {}, states)
            done = 0
            if batched and len(coefficients) > 1:
                size = _stackable(kept[0], openings.largest * batch_size)
                done = _stacked(
                    model, kept, coefficients, summed, chunk, ends, tally, size, advance
                )
                batched = done > 0
            for k in range(done, len(coefficients)):
                made, waiting = summed(k), []
                for index, (inputs, targets) in enumerate(chunk):
                    with replaced(ends.forwards(index, coefficients[k])):
                        logits = call(model, made, inputs)
                    if k == 0:
                        check_targets(logits, targets)
                    waiting.append((logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)))
                    advance(len(targets))
                    if len(waiting) * logits.numel() > TOGETHER or index + 1 == len(chunk):
                        tally.add(
                            torch.cat([each for each, _ in waiting])[None],
                            torch.cat([each for _, each in waiting]),
                            k,
                        )
                        waiting = []
    return tally.scores()


def _stacked(
    model: nn.Module,
    states: Sequence[State],
    coefficients: Sequence[Sequence[float]],
    summed: Callable[[int], State],
    chunk: Sequence[Batch],
    ends: Ends,
    tally: Tally,
    size: int,
    advance: Callable[[int], None],
) -> int:
    """Score combinations ``size`` at a time in ``vmap`` calls; give back how many of them were
    scored before it had to stop.
    """
    for index, (inputs, targets) in enumerate(
        chunk
    ):  # fills the shared layers, and finds out which are shared in truth
        for i, state in enumerate(states):
            with replaced(ends.forwards(index, [float(j == i) for j in range(len(states))])):
                check_targets(call(model, state, inputs), targets)
    done = 0
    while done < len(coefficients) and size > 1:
        ks = range(done, min(done + size, len(coefficients)))
        try:
            made = [summed(k) for k in ks]
            axes = {name: 0 if x.is_floating_point() else None for name, x in made[0].items()}
            stack = {
                name: torch.stack([m[name] for m in made]) if axes[name] == 0 else made[0][name]
                for name in axes
            }
            rows = torch.tensor([list(coefficients[k]) for k in ks]).to(
                next(iter(stack.values()))
            )  # (rows, states)

            def one(weights: State, row: Tensor, index: int, inputs: object) -> Tensor:
                positional, named = arguments(inputs)
                with replaced(ends.summing(index, row)):
                    return logits_of(functional_call(model, weights, positional, named))

            logits = [
                vmap(one, in_dims=(axes, 0, None, None))(stack, rows, i, inputs)
                for i, (inputs, _) in enumerate(chunk)
            ]
        except torch.OutOfMemoryError:
            size //= 2
            continue
        except (RuntimeError, ValueError, NotImplementedError, TypeError):
            if done:
                raise
            return 0
        for found, (_, targets) in zip(logits, chunk):
            tally.add(found, targets, ks[0])
            advance(len(targets) * len(ks))
        done = ks[-1] + 1
    return done


def _stackable(state: State, activations: int) -> int:
    """How many networks fit into half of the free memory, weights (twice: the parts and their
    stack) and activations.
    """
    device = home(state)[0]
    room = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 4 * BUDGET
    each = 2 * sum(x.numel() * x.element_size() for x in state.values()) + 4 * activations
    return max(1, int(room // max(1, each)))


def _chunks(stream: Iterable[Batch], per_example: int) -> Iterator[list[Batch]]:
    """Lists of batches of about ``BUDGET`` bytes."""
    held, size = [], 0
    for inputs, targets in stream:
        size += nbytes(inputs) + per_example * count(inputs)
        held.append((inputs, targets))
        if size >= BUDGET:
            yield held
            held, size = [], 0
    if held:
        yield held


class _bar:
    """A progress bar over evaluations of one example, or nothing."""

    def __init__(self, data: Data, rows: int, shown: bool):
        self.bar = None
        if shown:
            from tqdm.auto import tqdm

            sized = isinstance(data, tuple) and isinstance(data[0], Tensor)
            self.bar = tqdm(
                total=rows * len(data[0]) if sized else None,
                unit="ex",
                unit_scale=True,
                leave=False,
            )

    def __enter__(self) -> Callable[[int], object]:
        return self.bar.update if self.bar is not None else lambda examples: None

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()
