"""The network half-way between A and a permutation of B, its loss and its gradient."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..batches import Batch, Data, batches, count
from ..errors import DataError
from ..running import fast_layout, plain
from ..symmetry import Permutation, PermutationSpec
from ..weights import State, device_and_dtype, run, tensors_in
from .comparable import working_dtype

Loss = Callable[[Tensor, Tensor], Tensor]
Tables = Mapping[str, Tensor]


class Midpoint:
    """A model that runs the mean of A and of a permutation of B.

    Args:
        loss: of outputs and targets, a mean. ``None`` needs no targets: the Kullback-Leibler
            divergence from the mean of the parents' softmax (over the last axis).
        batch_size: examples at a time where a loss is only evaluated.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: PermutationSpec,
        a: State,
        b: State,
        loss: Loss | None,
        batch_size: int,
    ):
        self.device, self.dtype = device_and_dtype(a)[0], working_dtype(a)
        self.spec, self.criterion, self.batch_size = spec, loss, batch_size
        self.model = plain(copy.deepcopy(model)).to(self.device, self.dtype).eval()
        self.norms = [
            m for m in self.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
        ]
        self.a, self.b = (
            {n: x.to(self.dtype) if x.is_floating_point() else x for n, x in tensors.items()}
            for tensors in (tensors_in(a), tensors_in(b))
        )

    def examples(self, data: Data, num_samples: int, seed: int) -> list[Batch]:
        """Return up to ``num_samples`` examples in random order, as one batch.

        Where they cannot be joined (sequences of different lengths) it is a list of batches.
        Without targets needed, the targets are the mean of the parents' softmax.
        """
        read = batches(
            data, self.batch_size, device=self.device, dtype=self.dtype, num_samples=num_samples,
            targets=self.criterion is not None,
        )  # fmt: skip
        every = list(fast_layout(self.model, self.a, read))
        if self.criterion is None:
            every = [Batch(inputs, self._parents(inputs)) for inputs, _ in every]
        try:
            joined = pytree.tree_map(lambda *x: torch.cat(x) if x[0].ndim else x[0], *every)
        except (RuntimeError, ValueError, AttributeError):  # of different lengths
            return every
        generator = torch.Generator().manual_seed(seed)
        return [take(joined, torch.randperm(count(joined.inputs), generator=generator))]

    @torch.no_grad()
    def _parents(self, inputs: Any) -> Tensor:
        """The mean of the parents' softmax, with the statistics that they were trained with."""
        outputs = [run(self.model, state, inputs) for state in (self.a, self.b)]
        answers = [_classes_last(each).softmax(-1) for each in outputs]
        return (answers[0] + answers[1]) / 2

    def at(self, tables: Tables) -> State:
        """Return the weights half-way between A and this permutation of B."""
        b = self.spec.apply(self.b, Permutation(tables, self.spec.parents))
        return {
            n: (x + b[n]) / 2 if x.is_floating_point() else x.clone() for n, x in self.a.items()
        }

    def loss(self, state: State, batch: Batch) -> Tensor:
        """Return the loss of weights on a batch, BatchNorm normalising by the batch."""
        for norm in self.norms:
            norm.train(count(batch.inputs) > 1)
        outputs = run(self.model, state, batch.inputs)
        for norm in self.norms:
            norm.eval()
        if batch.targets is None:
            raise DataError("the loss needs targets: give pairs (inputs, targets)")
        if self.criterion is not None:
            return self.criterion(outputs, batch.targets)
        logarithms = _classes_last(outputs).log_softmax(-1).flatten(0, -2)
        targets = batch.targets.flatten(0, -2)
        return nn.functional.kl_div(logarithms, targets, reduction="batchmean")

    @torch.no_grad()
    def score(self, tables: Tables, held_out: list[Batch]) -> float:
        """Return the mean loss over examples, in batches of ``batch_size``, never of one."""
        state, total, number = self.at(tables), 0.0, 0
        for whole in held_out:
            for batch in batches(tuple(whole), self.batch_size):
                size = count(batch.inputs)
                total += float(self.loss(state, batch)) * size
                number += size
        return total / number

    def gradient(self, tables: Tables, batch: Batch, names: list[str]) -> State:
        """Return the gradient of the midpoint's loss with respect to its weights of these names."""
        state = self.at(tables)
        leaves = {name: state[name].requires_grad_() for name in names}
        loss = self.loss({**state, **leaves}, batch)
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        return {
            name: torch.zeros_like(leaves[name]) if g is None else g.detach()
            for name, g in zip(names, gradients)
        }


def take(batch: Batch, index: Tensor) -> Batch:
    """Return the examples of a batch with these numbers."""
    return pytree.tree_map(lambda x: x[index.to(x.device)] if x.ndim else x, batch)


def draw(pool: list[Batch], size: int, generator: torch.Generator) -> Batch:
    """Return ``size`` random examples of a pool, or one of its batches where it has several."""
    if len(pool) > 1:
        return pool[int(torch.randint(len(pool), (1,), generator=generator))]
    number = count(pool[0].inputs)
    if size >= number:
        return pool[0]
    return take(pool[0], torch.randperm(number, generator=generator)[:size])


def split(pool: list[Batch], most: int) -> tuple[list[Batch], list[Batch]]:
    """Return examples to learn from and examples to choose by: a fifth, at most ``most``.

    Fewer than ten examples serve for both.
    """
    if len(pool) > 1:
        few = max(1, len(pool) // 5)
        return pool[few:], pool[:few]
    number = count(pool[0].inputs)
    if number < 10:
        return pool, pool
    chosen = torch.arange(number) < min(most, number // 5)
    kept, apart = ((~chosen).nonzero().squeeze(1), chosen.nonzero().squeeze(1))
    return [take(pool[0], kept)], [take(pool[0], apart)]


def _classes_last(outputs: Tensor) -> Tensor:
    """Outputs with their classes on the last axis: images have them on axis 1."""
    return outputs.movedim(1, -1) if outputs.ndim > 3 else outputs
