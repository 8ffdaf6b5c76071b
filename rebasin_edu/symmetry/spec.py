"""Which hidden units of an architecture may be reordered, and where each of them occurs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import replace
from functools import cached_property

from torch import Tensor, nn

from ..batches import Inputs
from ..weights import State, Weights, as_state, restored
from .axis_structure import Leaf, Reason, Term, leaves
from .example import Outputs
from .filling import TOLERANCE
from .fit import check_parents, check_permutation, check_weights, leaves_of
from .permutation import Group, Permutation
from .pieces import Piece, pieces
from .spec_builder import written_axes
from .spec_table import Description, describe
from .trace import LOCK, trace, warn_of
from .verification import verified, verify


class PermutationSpec:
    """The permutation symmetries of an architecture: what each axis of each parameter is made of.

    Args:
        axes: parameter or buffer name → one term (``rebasin_edu.symmetry.axis_structure``) per
            axis. What is not named stays as it is.
        parents: name of a nested group → names of the leaves it is nested in, outermost first: for
            each of their units it has an order of its own.
        buffers: the names in ``axes`` that are buffers: they are permuted, and kept out of every
            matching objective.
        left_out: names that the network does not use, with the reason.
    """

    def __init__(
        self,
        axes: Mapping[str, tuple[Term, ...]],
        *,
        parents: Mapping[str, tuple[str, ...]] | None = None,
        buffers: Set[str] = frozenset(),
        left_out: Mapping[str, str] | None = None,
    ):
        self.axes = {name: tuple(terms) for name, terms in axes.items()}
        self.buffers = frozenset(buffers)
        self.left_out = dict(left_out or {})
        self.leaves = leaves_of(self.axes)
        self.parents = {
            name: tuple(names)
            for name, names in (parents or {}).items()
            if names and not self.leaves[name].fixed
        }
        check_parents((piece for each in self.pieces.values() for piece in each), self.parents)

    @cached_property
    def pieces(self) -> dict[str, list[Piece]]:
        """Parameter or buffer name → the strided views it is made of."""
        return {name: pieces(name, terms) for name, terms in self.axes.items()}

    @cached_property
    def groups(self) -> dict[str, Group]:
        """Group name → the group, in order of first appearance."""
        places: dict[str, list[tuple[str, int]]] = {}
        for name, terms in self.axes.items():
            for axis, term in enumerate(terms):
                for leaf in dict.fromkeys(leaves(term)):
                    if not leaf.fixed and leaf.size > 1:
                        places.setdefault(leaf.name, []).append((name, axis))
        groups = {}
        for name, where in places.items():
            parents = self.parents.get(name, ())
            copies = math.prod(self.leaves[parent].size for parent in parents)
            groups[name] = Group(name, self.leaves[name].size, tuple(where), parents, copies)
        return groups

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Group name → shape of its table: ``(parent sizes …, size)``."""
        return {
            name: (*(self.leaves[parent].size for parent in group.parents), group.size)
            for name, group in self.groups.items()
        }

    @property
    def fixed(self) -> dict[str, Reason]:
        """Fixed leaf → the reason why it may not be reordered."""
        return {name: leaf.reason for name, leaf in self.leaves.items() if leaf.reason}

    @classmethod
    def from_model(
        cls, model: nn.Module, inputs: Inputs, *, verify: bool = True, outputs: Outputs = None
    ) -> PermutationSpec:
        """Return the spec of any model, derived from one trace of it and verified.

        >>> import torch
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
        >>> spec = PermutationSpec.from_model(model, torch.randn(2, 3, 8, 8))
        >>> str(spec.axes["3.weight"][1])  # each channel owns 36 consecutive inputs
        '0 × 36'

        Args:
            model: any module that ``torch.export`` can trace; on any device, in any mode and
                precision, and left as it is.
            inputs: an example: a tensor, a tuple of arguments or a mapping of keyword arguments.
                What it does not reach stays where it is.
            verify: whether to ``check`` it; a group that fails is fixed, with a ``RebasinWarning``.
            outputs: which outputs must not change, if not all: a key, a position, or a function of
                the model's output. A cache of keys and values among them would fix the heads.

        Raises:
            TraceError: the model cannot be traced, or fails on these inputs.
        """
        with LOCK:
            traced = trace(model, inputs, outputs=outputs)
            spec = cls(**traced.parts)
            warn_of(traced, model)
            del traced  # its graph holds a copy of the weights
            return verified(spec, model, inputs, outputs) if verify else spec

    def without(self, groups: Mapping[str, Reason | None]) -> PermutationSpec:
        """Return the spec with groups fixed or, without a reason, no longer nested."""

        def fixed(term: Term) -> Term:
            if not isinstance(term, Leaf):
                return replace(term, parts=tuple(fixed(part) for part in term.parts))
            reason = groups.get(term.name)
            return replace(term, reason=reason) if reason else term

        axes = {name: tuple(fixed(term) for term in terms) for name, terms in self.axes.items()}
        parents = {name: each for name, each in self.parents.items() if name not in groups}
        return type(self)(axes, parents=parents, buffers=self.buffers, left_out=self.left_out)

    @classmethod
    def from_axes(
        cls, axes: Mapping[str, tuple], weights: Weights, *, buffers: Set[str] | None = None
    ) -> PermutationSpec:
        """Return a spec written by hand, as the paper does: the group of each axis.

        An entry is a group's name, ``None`` (stays where it is), a tuple for a product (outermost
        first: ``("conv5", 49)`` is a flatten in which each unit of ``conv5`` owns 49 consecutive
        inputs) or a list for a concatenation.

        >>> model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3))
        >>> axes = {"0.weight": ("h", None), "0.bias": ("h",), "2.weight": (None, "h")}
        >>> print(PermutationSpec.from_axes(axes, model).describe().summary)
        1 group in 3 of 3 tensors: 10^2.1 networks that compute the same function

        Args:
            axes: parameter name → an entry per axis. What is not named stays as it is.
            weights: a model of the architecture, or its state dict: for the sizes.
            buffers: which names are buffers; taken from the model when ``weights`` is one.

        Raises:
            SpecError: an unknown name, a wrong number of axes, or two sizes for one group.
        """
        terms = written_axes(axes, as_state(weights))
        if buffers is None and isinstance(weights, nn.Module):
            buffers = {name for name, _ in weights.named_buffers()}
        return cls(terms, buffers=(buffers or frozenset()) & terms.keys())

    def identity(self) -> Permutation:
        """Return the permutation that moves nothing."""
        return Permutation.identity(self.shapes, self.parents)

    def random(self, seed: int = 0) -> Permutation:
        """Return a uniformly random symmetry of the architecture."""
        return Permutation.random(self.shapes, seed, self.parents)

    def validate(self, weights: Weights, *, of: str = "weights") -> State:
        """Return the state dict of ``weights``, if it has each tensor of the spec in its size.

        Raises:
            SpecError: names the first parameter that is missing or has another size.
        """
        state = as_state(weights, name=f"the {of}")
        check_weights(self.axes, state, of)
        return state

    def apply(self, weights: Weights, permutation: Permutation) -> State:
        """Return the state dict of the same function with the hidden units in another order.

        Args:
            weights: a module or state dict of the architecture; not changed.
            permutation: a table for every group.

        Returns:
            A whole state dict, every tensor a copy on its own device and in its own dtype.

        Raises:
            SpecError: a parameter or a group is missing or has another size.

        Ref: Git Re-Basin, section 2.
        """
        tensors = self.validate(weights).items()
        check_permutation(self.shapes, permutation)
        return restored({k: self.moved(k, x, permutation) for k, x in tensors}, weights)

    def moved(self, name: str, tensor: Tensor, permutation: Permutation) -> Tensor:
        """Return a copy of one tensor with its units in their new order, unchecked."""
        result = tensor.clone() if isinstance(tensor, Tensor) else tensor
        for piece in self.pieces.get(name, ()):
            if any(leaf.name in permutation for leaf in piece.leaves):
                view = piece.permuted(piece.view(tensor), permutation, self.parents)
                piece.view(result).copy_(view)
        return result

    def log10_symmetries(self) -> float:
        """Return log10 of the number of permutations: the sum of copies × log10(size!)."""
        groups = self.groups.values()
        return sum(g.copies * math.lgamma(g.size + 1) for g in groups) / math.log(10)

    def describe(self) -> Description:
        """Return a table of the groups and of what stays and why, for text and for notebooks."""
        return describe(self.axes, self.groups, self.leaves, self.left_out)

    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()

    def check(
        self,
        model: nn.Module,
        inputs: Inputs,
        *,
        seeds: int = 2,
        rounding: float = TOLERANCE,
        outputs: Outputs = None,
    ) -> float:
        """Return the largest relative change of the outputs under random permutations.

        Verified on the model itself, in float64, with generic weights and with its own.

        Args:
            model, inputs, outputs: as for ``from_model``.
            seeds: how many random permutations, each on other generic weights.
            rounding: a difference that is taken for it, unless the model rounds more.

        Raises:
            SpecError: an output changed by more; names the group that changes it.
        """
        with LOCK:
            return verify(self, model, inputs, seeds, rounding, outputs)

    def __repr__(self) -> str:
        return (
            f"PermutationSpec({len(self.groups)} groups, {len(self.axes)} tensors, "
            f"10^{self.log10_symmetries():.1f} symmetries)"
        )
