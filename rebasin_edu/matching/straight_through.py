"""Straight-through matching: descend on the permutation by the loss of the midpoint."""

from __future__ import annotations

import math
import time
import warnings

import torch
from torch import Tensor, nn

from ..batches import Data
from ..errors import MatchingInterrupted, RebasinError, RebasinWarning, choose
from ..symmetry import Permutation, PermutationSpec
from ..weights import Weights, architecture, as_state
from .activation_matching import Similarities, measure, similarities
from .algorithm_2 import FreeWeights
from .block_assignment import vertex
from .comparable import comparable
from .coordinate_descent import Descent
from .gain_matrices import GainMatrices
from .group_steps import group_steps, keys_of
from .initialization import begin, given
from .joint_objective import joint_problem
from .midpoint import Loss, Midpoint, draw, split
from .objective import Problem
from .result import Matching, Step

METHODS = ("descent", "paper")
HELD_OUT = 1000  # examples that the result is chosen by
# Scoring each and reading all takes three times the CPU time, for the same midpoint (ResNet20s).
SCORED, CORRELATED = 4, 2000
WEIGHTS, MOMENTUM = 0.3, 0.8  # of the start, and of the steps (chosen on 16×16 ResNet20×1)
SETTLED = 12  # steps without a better permutation that "converged" needs at least


def straight_through_matching(
    spec: PermutationSpec,
    a: Weights,
    b: Weights,
    train_data: Data,
    *,
    model: nn.Module | None = None,
    method: str = "descent",
    start: str | Permutation = "best",
    loss: Loss | None = None,
    steps: int = 48,
    rate: float | None = None,
    minibatch: int = 250,
    num_samples: int = 6000,
    batch_size: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> Matching:
    """Return the permutation of ``b`` whose midpoint with ``a`` has the least loss.

    Every group has a matrix of logits ``M``, begun at the similarities of the units; its linear
    assignment gives the permutation. The gradient of the midpoint's loss with respect to a
    permutation matrix is the gain matrix of weight matching with ``a`` replaced by the gradient at
    the midpoint, and it is passed straight through the assignment to ``M``. Kept is the permutation
    with the least loss on examples that no step has seen: never a worse one than the start.

    Args:
        spec: the symmetries of the architecture.
        a, b: modules or state dicts of it, on one device.
        train_data: examples in any form that ``batches`` takes; labels are needed by ``loss`` only.
        model: a module of the architecture; may be left out where ``a`` is one.
        method: ``"descent"``, or ``"paper"``, Algorithm 2: free weights, begun at ``a``, are
            trained and projected by weight matching.
        start: ``"activations"``: the gains of ``activation_matching(weights=0.3)``; a start of
            ``weight_matching``, or a ``Permutation``: the gains of weight matching from there;
            ``"best"``: of ``"activations"`` and ``"output_first"`` the one with the lower loss, and
            always the latter for ``"paper"``.
        loss: of outputs and targets, a mean, such as ``torch.nn.functional.cross_entropy``;
            ``None``: the Kullback-Leibler divergence from the mean of the parents' softmax.
        steps: minibatches; 0 gives the start. ``"descent"`` scores every fourth, and the last.
        rate: of a step, in units of the logits' spread (0.05 by default, falling to 0 as a cosine
            does); of ``"paper"``, the learning rate on the weights (1 by default).
        minibatch: examples of a step.
        num_samples: examples to learn from and to choose by; a fifth, at most 1,000, to choose by.
            ``"paper"`` chooses by all.
        batch_size: examples at a time where nothing is learnt. BatchNorm normalises by the batch.
        seed: of the draws.
        progress: show a bar.

    Returns:
        The ``Matching``; ``scores`` are the losses of the permutations in its history, each lower
        than the one before. ``converged``: no better one came in the last third of the steps, and
        in 12 at least.

    Raises:
        DataError: empty data, or targets are needed and missing.
        SpecError, WeightsError, RebasinError: as ``weight_matching``.
        MatchingInterrupted: Ctrl-C; its ``.matching`` is the best so far.

    Ref: Git Re-Basin, Algorithm 2, for the straight-through estimator.
    """
    from tqdm.auto import tqdm

    choose("method", method, METHODS)
    if steps < 0 or minibatch < 1:
        raise RebasinError(f"steps={steps} and minibatch={minibatch}: counts are needed")
    began = time.perf_counter()
    if isinstance(start, str) and start == "best" and method == "paper":
        start = "output_first"
    if isinstance(start, Permutation) or start not in ("best", "activations"):
        given(spec, start, seed)
    network = architecture(model, a, b)
    states = as_state(a), as_state(b)
    middle = Midpoint(network, spec, *states, loss, batch_size)
    problem = Problem(spec, *comparable(spec, *states), known=True)
    if method == "paper":
        middle.criterion = middle.criterion or nn.functional.cross_entropy
    pool = middle.examples(train_data, num_samples, seed)
    learn, held_out = (pool, pool) if method == "paper" else split(pool, HELD_OUT)

    searches: list[_Logits | FreeWeights]
    if method == "paper":
        searches = [FreeWeights(middle, problem, start, seed, 1.0 if rate is None else rate)]
    else:
        searches = [
            _Logits(middle, problem, each, learn, seed, 0.05 if rate is None else rate, steps)
            for each in (("activations", "output_first") if start == "best" else (start,))
        ]
    losses = [middle.score(each.tables, held_out) for each in searches]
    search, scores = searches[losses.index(min(losses))], [min(losses)]
    base, best = problem.value(dict(spec.identity())), search.tables
    history = [Step(0, "start", problem.value(best) - base, time.perf_counter() - began)]
    generator = torch.Generator().manual_seed(seed)
    scored, changed, last = best, 0, 0
    every = 1 if method == "paper" else SCORED

    def result(converged: bool) -> Matching:
        return Matching.of(
            spec, best, problem.value(best), base, "straight-through estimator", history,
            converged=converged, seconds=time.perf_counter() - began, scores=tuple(scores),
        )  # fmt: skip

    try:
        for number in tqdm(range(1, steps + 1), "straight-through", disable=not progress):
            search.step(draw(learn, minibatch, generator), number)
            if number % every and number < steps:
                continue
            if all(torch.equal(scored[g], search.tables[g]) for g in scored):
                continue
            scored, changed = search.tables, changed + 1
            score = middle.score(search.tables, held_out)
            if score < scores[-1]:
                gain = problem.value(search.tables) - problem.value(best)
                best, last = search.tables, number
                scores.append(score)
                history.append(Step(number, "all", gain, time.perf_counter() - began))
    except KeyboardInterrupt:
        raise MatchingInterrupted(result(False)) from None
    if steps >= 10 and not changed:
        warnings.warn(
            f"none of {steps} steps changed the permutation: try a larger rate",
            RebasinWarning,
            stacklevel=2,
        )
    return result(changed > 0 and steps - last >= max(SETTLED, steps / 3))


class _Logits:
    """Descent on the permutation: logits for every key, moved against the midpoint's gradient."""

    def __init__(
        self,
        middle: Midpoint,
        problem: Problem,
        start: str | Permutation,
        examples: list,
        seed: int,
        rate: float,
        steps: int,
    ):
        self.middle, self.problem, self.rate, self.total = middle, problem, rate, steps
        self.spec = middle.spec
        self.steps = [step for step in group_steps(self.spec) if keys_of(problem, step)]
        keys = [key for step in self.steps for key in keys_of(problem, step)]
        tables = dict(self.spec.identity())
        if start == "activations":
            data = [(batch.inputs, None) for batch in examples]
            moments = measure(
                self.spec, middle.a, middle.b, data, middle.model, middle.batch_size, CORRELATED
            )
            similar = Similarities(self.spec, similarities(moments))
            tables = vertex(similar, self.steps, similar.gains, tables)
            joint = joint_problem(self.spec, middle.a, middle.b, similar.gains, moments, WEIGHTS)
            descent = Descent(joint, tables)
        else:
            descent = begin(problem, start, seed)
        descent.run(seed, 100)
        self.tables = descent.tables
        zeros = {key: torch.zeros(problem.keys[key], problem.keys[key]) for key in keys}
        self.logits = {key: x.to(problem.device).double() for key, x in zeros.items()}
        for key in self.logits.keys() & descent.problem.keys:
            self.logits[key] += descent.products.gains(key)
        self.averages = {key: torch.zeros_like(x) for key, x in self.logits.items()}
        self.spread = {key: float(centred(x).std()) or 1.0 for key, x in self.logits.items()}

    def _assigned(self) -> dict[str, Tensor]:
        similar = Similarities(self.spec, self.logits)
        return vertex(similar, self.steps, self.logits, self.tables)

    def step(self, batch, number: int) -> None:
        """Move the logits once, by ``rate`` of their spread, and assign anew."""
        names = list(dict.fromkeys(part.name for part in self.problem.parts))
        gradient = self.middle.gradient(self.tables, batch, names)
        against = {name: -x for name, x in gradient.items()}
        moving = {name: self.middle.b[name] for name in names}
        gains = GainMatrices(Problem(self.spec, against, moving, known=True), self.tables)
        rate = self.rate * (1 + math.cos(math.pi * (number - 1) / self.total)) / 2
        for key, logits in self.logits.items():
            rise = centred(gains.gains(key).double())
            size = float(rise.std())
            if size > 0:
                average = self.averages[key].lerp_(rise / size, 1 - MOMENTUM)
                logits += average * (rate * self.spread[key] / (1 - MOMENTUM**number))
        self.tables = self._assigned()


def centred(x: Tensor) -> Tensor:
    """Return a matrix without its row and column means, which no assignment depends on."""
    return x - x.mean(0, keepdim=True) - x.mean(1, keepdim=True) + x.mean()
