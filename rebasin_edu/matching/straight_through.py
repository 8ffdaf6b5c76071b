"""Straight-through matching: learn the permutation whose midpoint has the least loss."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import DataError, FileFormatError, MatchingInterrupted
from ..symmetry import Permutation, PermutationSpec, Weights, as_state
from .checks import checked, working_dtype
from .coordinate_descent import Descent
from .initialization import begin
from .objective import Problem
from .result import Matching, Step

FORMAT = "rebasin_edu.straight_through/1"


@dataclass
class _State:
    """Everything that a later call needs to go on as if there had been no break."""

    free: dict[str, Tensor]  # the paper's Θ̃
    momentum: dict[str, Tensor]
    tables: dict[str, Tensor]
    best: dict[str, Tensor]
    step: int = 0
    losses: list[float] = field(default_factory=list)  # on the evaluation batch, of each new best
    history: list[tuple] = field(default_factory=list)
    seconds: float = 0.0


def straight_through_matching(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    data: object,
    *,
    model: nn.Module | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    steps: int = 500,
    batch_size: int = 500,
    lr: float = 0.01,
    momentum: float = 0.9,
    start: str | Permutation = "inward",
    evaluation: int = 2000,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
) -> Matching:
    """Find the permutation of ``b`` whose midpoint with ``a`` has the least loss, by training
    through the projection.

    Free weights, begun at ``a``, are projected onto the permutations of ``b`` by weight matching
    that begins at the last permutation. The midpoint of ``a`` and that permutation of ``b`` is
    evaluated, and its gradient is passed straight to the free weights. What is kept is the
    permutation with the least midpoint loss on one fixed batch of examples, not on the minibatch it
    happened to meet. Batch norms normalise by the batch.

    Args:
        spec: the symmetries of the architecture.
        a, b: modules or state dicts of it, on one device.
        data: a pair of tensors ``(inputs, targets)``, or a loader (or list) of such batches that
            can be gone through repeatedly.
        model: a module of the architecture; may be left out where ``a`` is one.
        loss: of the model's output and the targets, a mean.
        steps: minibatches in all; 0 gives the start back, evaluated.
        batch_size: examples of a minibatch, where ``data`` is a pair.
        lr, momentum: of the gradient descent on the free weights.
        start: of the first projection, as in ``weight_matching``.
        evaluation: examples that the choice is made on, drawn once from ``data``.
        seed: of the minibatches.
        checkpoint: a file: written every 50 steps and at the end, and gone on from if it is there.
        progress: show a bar.

    Returns:
        The ``Matching``; ``scores`` are the evaluation losses of the permutations in its history,
        the last one the least.

    Raises:
        DataError: empty data, or batches that are no pairs.
        MatchingInterrupted: Ctrl-C; its ``.matching`` is the best so far.
        FileFormatError: the checkpoint is cut off, or of other networks.

    Ref: Git Re-Basin, Algorithm 2.
    """
    from tqdm.auto import tqdm

    if model is None:
        if not isinstance(a, nn.Module):
            raise DataError(
                "straight-through matching runs the networks: give model=, a module of their architecture"
            )
        model = a
    began = time.perf_counter()
    fixed, moving = as_state(a), as_state(b)
    parts = checked(spec, {"a": a, "b": b})
    dtype = working_dtype(parts["a"].values())
    wide = {
        who: {name: x.to(dtype) for name, x in tensors.items()} for who, tensors in parts.items()
    }
    network = _Midpoint(model, fixed, moving, spec, loss, dtype)
    held_out = _evaluation_batch(data, evaluation, seed, fixed, dtype)
    whole = Problem(spec, wide["a"], wide["b"], known=True)
    base = whole.value(dict(spec.identity()))
    state = _load(checkpoint, spec, wide["a"])
    if state is None:
        descent = begin(whole, start, seed)
        descent.run(seed, 100)
        state = _State({n: x.clone() for n, x in wide["a"].items()}, {n: torch.zeros_like(x) for n, x in wide["a"].items()},
                       descent.tables, descent.tables)  # fmt: skip
        state.losses.append(network.loss(descent.tables, *held_out))
        state.history.append(
            Step(0, "start", whole.value(descent.tables) - base, time.perf_counter() - began)
        )
    earlier = state.seconds

    def result(converged: bool) -> Matching:
        objective = whole.value(state.best)
        rows = tuple(Step(*row) for row in state.history)
        return Matching(Permutation(state.best, spec.parents), objective, objective - base, "straight-through estimator", rows,
                        converged, state.seconds, tuple(state.losses))  # fmt: skip

    bar = tqdm(
        total=steps,
        initial=min(state.step, steps),
        disable=not progress,
        desc="straight-through",
        leave=False,
    )
    try:
        batches = _batches(data, batch_size, seed, state.step, fixed, dtype)
        while state.step < steps:
            inputs, targets = next(batches)
            network.train_step(state, inputs, targets, lr, momentum)
            descent = Descent(Problem(spec, state.free, wide["b"], known=True), state.tables)
            descent.run(seed + state.step, 100)
            state.step += 1
            state.seconds = earlier + time.perf_counter() - began
            if descent.history:
                state.tables = descent.tables
                score = network.loss(state.tables, *held_out)
                if score < state.losses[-1]:
                    gain = whole.value(state.tables) - whole.value(state.best)
                    state.best = state.tables
                    state.losses.append(score)
                    state.history.append(Step(state.step, "all", gain, state.seconds))
            if checkpoint is not None and (state.step % 50 == 0 or state.step == steps):
                _save(checkpoint, state)
            bar.update()
            bar.set_postfix(midpoint=f"{state.losses[-1]:.4f}", refresh=False)
    except KeyboardInterrupt:
        if checkpoint is not None:
            _save(checkpoint, state)
        raise MatchingInterrupted(result(False)) from None
    finally:
        bar.close()
    state.seconds = earlier + time.perf_counter() - began
    return result(True)


class _Midpoint:
    """The network half-way between A and a permutation of B."""

    def __init__(
        self,
        model: nn.Module,
        a: Mapping,
        b: Mapping,
        spec: PermutationSpec,
        loss: Callable,
        dtype: torch.dtype,
    ):
        device = next(
            x.device for x in a.values() if isinstance(x, Tensor) and x.is_floating_point()
        )
        self.model = copy.deepcopy(model).to(device, dtype).eval()
        for module in self.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
        wide = [
            {n: x.to(dtype) if x.is_floating_point() else x.clone() for n, x in state.items()}
            for state in (a, b)
        ]
        self.a, self.b = wide
        self.spec, self.criterion = spec, loss

    def at(self, tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
        b = self.spec.apply(self.b, Permutation(tables, self.spec.parents))
        return {
            n: (x + b[n]) / 2 if x.is_floating_point() else x.clone() for n, x in self.a.items()
        }

    @torch.no_grad()
    def loss(self, tables: Mapping[str, Tensor], inputs: Tensor, targets: Tensor) -> float:
        """Mean over the examples, in chunks of 500."""
        middle, total = self.at(tables), 0.0
        for x, y in zip(inputs.split(500), targets.split(500)):
            total += float(self.criterion(functional_call(self.model, middle, (x,)), y)) * len(y)
        return total / len(targets)

    def train_step(
        self, state: _State, inputs: Tensor, targets: Tensor, lr: float, momentum: float
    ) -> None:
        """The gradient at the midpoint, half of which is the free weights'."""
        middle = self.at(state.tables)
        leaves = {name: middle[name].requires_grad_() for name in state.free}
        loss = self.criterion(functional_call(self.model, {**middle, **leaves}, (inputs,)), targets)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        for name, gradient in zip(leaves, found):
            if gradient is not None:
                state.momentum[name] = momentum * state.momentum[name] + gradient / 2
                state.free[name] = state.free[name] - lr * state.momentum[name]


def _pairs(data: object) -> bool:
    return (
        isinstance(data, (tuple, list))
        and len(data) == 2
        and all(isinstance(part, Tensor) for part in data)
    )


def _batches(
    data: object, size: int, seed: int, skip: int, like: Mapping[str, Tensor], dtype: torch.dtype
) -> Iterator[tuple]:
    """Minibatches without end, shuffled anew each epoch; ``skip`` of them are left out, without
    being loaded where possible.
    """
    device = next(
        x.device for x in like.values() if isinstance(x, Tensor) and x.is_floating_point()
    )
    epoch = number = 0
    while True:
        if _pairs(data):
            order = torch.randperm(
                len(data[0]), generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)
            )
            source: object = ((data[0][i.to(data[0].device)], data[1][i.to(data[1].device)]) if number + k >= skip else None
                              for k, i in enumerate(order.split(size)))  # fmt: skip
        else:
            source = data
        found = False
        for batch in source:
            found, number = True, number + 1
            if number > skip:
                if not _pairs(batch):
                    raise DataError(
                        f"a batch should be a pair (inputs, targets), this one is a {type(batch).__name__}"
                    )
                inputs, targets = batch
                yield (
                    inputs.to(device, dtype if inputs.is_floating_point() else inputs.dtype),
                    targets.to(device),
                )
        if not found:
            raise DataError(
                "the data hold no examples: an empty set, an empty loader, or one that an earlier call used up"
            )
        epoch += 1


def _evaluation_batch(
    data: object, samples: int, seed: int, like: Mapping[str, Tensor], dtype: torch.dtype
) -> tuple:
    inputs, targets, count = [], [], 0
    for x, y in _batches(data, samples, seed + 1, 0, like, dtype):
        inputs.append(x[: samples - count])
        targets.append(y[: samples - count])
        count += len(x)
        if count >= samples or _pairs(data):
            return torch.cat(inputs), torch.cat(targets)


def _save(path: str | os.PathLike, state: _State) -> None:
    path = Path(path)
    part = path.with_name(path.name + ".part")
    torch.save(
        {"format": FORMAT, **vars(state), "history": [tuple(row) for row in state.history]}, part
    )
    os.replace(part, path)


def _load(
    path: str | os.PathLike | None, spec: PermutationSpec, like: Mapping[str, Tensor]
) -> _State | None:
    if path is None or not Path(path).exists():
        return None
    try:
        content = torch.load(path, map_location=next(iter(like.values())).device, weights_only=True)
        if content.pop("format") != FORMAT:
            raise KeyError("format")
        state = _State(**content)
        if {n: x.shape for n, x in state.free.items()} != {n: x.shape for n, x in like.items()}:
            raise KeyError("it is of other networks")
        return state
    except Exception as error:
        raise FileFormatError(
            f"{path} is not a checkpoint of straight-through matching of these networks: {error}"
        ) from error
