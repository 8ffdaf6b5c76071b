"""Which hidden units of an architecture may be reordered, and where each of them occurs."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from ..errors import SpecError
from ..weights import Weights, as_state
from .axis_structure import Leaf, Piece, Reason, Term, leaves, pieces
from .permutation import Permutation


@dataclass(frozen=True)
class Group:
    """Units that one permutation must reorder together, wherever they occur."""

    name: str
    size: int
    occurrences: tuple[tuple[str, int], ...]  # (parameter or buffer, axis)
    parents: tuple[
        str, ...
    ] = ()  # the groups (or fixed axes) for each of whose units this one has an order of its own
    copies: int = 1  # how many orders: the product of the parents' sizes


class PermutationSpec:
    """The permutation symmetries of an architecture: for every parameter, what each of its axes is
    made of.

    Write one by hand with ``PermutationSpec.from_axes`` (as the paper does), or let
    ``PermutationSpec.from_model`` derive it.

    Args:
        axes: parameter or buffer name → one term (``rebasin_edu.symmetry.axis_structure``) per
            axis. What is not named stays as it is.
        parents: group name → names of the leaves that rule it (fibres), outermost first.
        buffers: the names in ``axes`` that are buffers: they are permuted, and kept out of every
            matching objective.
        left_out: names that the network does not use, with the reason.
    """

    def __init__(
        self,
        axes: Mapping[str, tuple[Term, ...]],
        *,
        parents: Mapping[str, tuple[str, ...]] | None = None,
        buffers: frozenset[str] | set[str] = frozenset(),
        left_out: Mapping[str, str] | None = None,
    ):
        self.axes = {name: tuple(terms) for name, terms in axes.items()}
        self.buffers = frozenset(buffers)
        self.left_out = dict(left_out or {})
        self.leaves: dict[str, Leaf] = {}
        for name, terms in self.axes.items():
            for axis, term in enumerate(terms):
                for leaf in leaves(term):
                    known = self.leaves.setdefault(leaf.name, leaf)
                    if known != leaf:
                        raise SpecError(
                            f"group {leaf.name!r} has {known.size} units, but {leaf.size} at {name} axis {axis}"
                        )
        self.parents = {
            name: tuple(ruling)
            for name, ruling in (parents or {}).items()
            if ruling and not self.leaves[name].fixed
        }
        for piece in (piece for name in self.axes for piece in self.pieces[name]):
            for dim, leaf in enumerate(piece.leaves):
                for parent in self.parents.get(leaf.name, ()):
                    if piece.parent_dim(dim, parent) is None:
                        raise SpecError(
                            f"group {leaf.name!r} is ruled by {parent!r}, which is not there once in {piece.parameter}"
                        )

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
        found = {}
        for name, where in places.items():
            ruling = self.parents.get(name, ())
            copies = math.prod(self.leaves[parent].size for parent in ruling)
            found[name] = Group(name, self.leaves[name].size, tuple(where), ruling, copies)
        return found

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Group name → shape of its table: ``(parent sizes …, size)``."""
        return {
            name: (*(self.leaves[parent].size for parent in group.parents), group.size)
            for name, group in self.groups.items()
        }

    @property
    def fixed(self) -> dict[str, str]:
        """Fixed leaf → the reason why it may not be reordered."""
        return {name: str(leaf.reason) for name, leaf in self.leaves.items() if leaf.fixed}

    @classmethod
    def from_model(
        cls,
        model: nn.Module,
        args: object,
        kwargs: dict | None = None,
        *,
        verify: bool = True,
        outputs: Callable | str | int | None = None,
    ) -> PermutationSpec:
        """Derive the spec of any model by tracing it once, and prove it.

        >>> import torch
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> spec = PermutationSpec.from_model(model, torch.randn(2, 3, 8, 8))
        >>> spec
        PermutationSpec(1 groups, 8 tensors, 10^4.6 symmetries)
        >>> spec.axes["4.weight"][1].size, str(spec.axes["4.weight"][1])  # each channel owns 36 consecutive inputs
        (288, '0 × 36')

        Args:
            model: any module that ``torch.export`` can trace; on any device, in any mode and
                precision, and left as it is.
            args, kwargs: example inputs, as ``torch.export.export`` takes them; a lone tensor is
                one argument.
            verify: prove the spec before returning it (``check``); what fails is fixed, with a
                ``RebasinWarning``.
            outputs: which outputs must not change, if not all: a key, a position, or a function of
                the model's output. A cache of keys and values among them would fix the heads.

        Raises:
            TraceError: the model cannot be traced, or fails on these inputs.
        """
        from .trace import derive

        return derive(model, args, kwargs, verify=verify, outputs=outputs)

    def without(self, groups: Collection[str], reason: str) -> PermutationSpec:
        """The spec with these groups fixed, and those that they rule in one order for all."""

        def fixed(term: Term) -> Term:
            if isinstance(term, Leaf):
                return (
                    Leaf(term.name, term.size, Reason(text=reason)) if term.name in groups else term
                )
            return type(term)(tuple(fixed(part) for part in term.parts))

        axes = {name: tuple(fixed(term) for term in terms) for name, terms in self.axes.items()}
        parents = {name: ruling for name, ruling in self.parents.items() if name not in groups}
        return PermutationSpec(axes, parents=parents, buffers=self.buffers, left_out=self.left_out)

    @classmethod
    def from_axes(
        cls,
        axes: Mapping[str, tuple],
        weights: Weights,
        *,
        buffers: frozenset[str] | set[str] | None = None,
    ) -> PermutationSpec:
        """Write a spec by hand, as the paper does: for each parameter, the group of each axis.

        An entry is a group's name, ``None`` (stays where it is), a tuple for a product (outermost
        first: ``("conv5", 49)`` is a flatten in which each unit of ``conv5`` owns 49 consecutive
        inputs) or a list for a concatenation.

        >>> model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3))
        >>> axes = {"0.weight": ("hidden", None), "0.bias": ("hidden",), "2.weight": (None, "hidden"), "2.bias": (None,)}
        >>> PermutationSpec.from_axes(axes, model).groups["hidden"].size
        5

        Args:
            axes: parameter name → an entry per axis. Parameters that are not named stay as they
                are.
            weights: a model of the architecture, or its state dict: for the sizes.
            buffers: which names are buffers; taken from the model when ``weights`` is one.

        Raises:
            SpecError: a name that the weights do not have, a wrong number of axes, or two sizes
                for one group.
        """
        from .hand_written import terms

        made = terms(axes, as_state(weights))
        if buffers is None:
            buffers = (
                {name for name, _ in weights.named_buffers()}
                if isinstance(weights, nn.Module)
                else set()
            )
        return cls(made, buffers=frozenset(buffers) & made.keys())

    def identity(self) -> Permutation:
        """The permutation that moves nothing."""
        return Permutation.identity(self.shapes, self.parents)

    def random(self, seed: int = 0) -> Permutation:
        """A uniformly random symmetry of the architecture."""
        return Permutation.random(self.shapes, seed, self.parents)

    def validate(self, weights: Weights, *, of: str = "weights") -> dict[str, Tensor]:
        """The state dict of ``weights``, once each tensor that the spec names is there with the
        right sizes.

        Raises:
            SpecError: names the first parameter that is missing or has another size, and the
                group it belongs to.
        """
        state = as_state(weights)
        for name, terms in self.axes.items():
            if name not in state:
                near = difflib.get_close_matches(name, state, n=1)
                raise SpecError(
                    f"the {of} have no parameter {name!r}"
                    + (f"; the nearest name is {near[0]!r}" if near else "")
                )
            shape = tuple(state[name].shape)
            if len(shape) != len(terms):
                raise SpecError(
                    f"{name} of the {of} has {len(shape)} axes {shape}, the spec has {len(terms)}"
                )
            for axis, term in enumerate(terms):
                if shape[axis] != term.size:
                    group = (
                        str(term)
                        if any(not leaf.fixed for leaf in leaves(term))
                        else "a fixed axis"
                    )
                    raise SpecError(
                        two_sizes(
                            group,
                            term.size,
                            "the spec",
                            f"{name} axis {axis} of the {of}",
                            shape[axis],
                        )
                    )
        return state

    def apply(self, weights: Weights, permutation: Permutation) -> dict[str, Tensor]:
        """Reorder the hidden units: another state dict of the same function.

        Args:
            weights: a module or state dict of the architecture; not changed.
            permutation: a table for every group of the spec.

        Returns:
            A whole state dict, every tensor a copy on its own device and in its own dtype,
            untouched entries included.

        Raises:
            SpecError: a parameter is missing or has another size, or the permutation is of other
                groups.

        Ref: Git Re-Basin, section 2.
        """
        state = self.validate(weights)
        for group, shape in self.shapes.items():
            if group not in permutation or tuple(permutation[group].shape) != shape:
                has = tuple(permutation[group].shape) if group in permutation else "none"
                raise SpecError(
                    f"group {group!r} needs a table of shape {shape}, the permutation has {has}"
                )
        if foreign := permutation.keys() - self.groups.keys():
            raise SpecError(f"the permutation has groups that the spec does not: {sorted(foreign)}")
        return {name: self.moved(name, tensor, permutation) for name, tensor in state.items()}

    def moved(self, name: str, tensor: Tensor, permutation: Permutation) -> Tensor:
        """A copy of one tensor of the architecture with its units in their new order; ``apply``
        checks first, this does not.
        """
        found = tensor.clone() if isinstance(tensor, Tensor) else tensor
        for piece in self.pieces.get(name, ()):
            if any(leaf.name in permutation for leaf in piece.leaves):
                piece.view(found).copy_(
                    piece.permuted(piece.view(tensor), permutation, self.parents)
                )
        return found

    def log10_symmetries(self) -> float:
        """log10 of the number of permutations: the sum over groups of copies × log10(size!)."""
        return sum(
            group.copies * math.lgamma(group.size + 1) for group in self.groups.values()
        ) / math.log(10)

    def describe(self):
        """A table of the groups and of what stays where it is and why: text when printed, HTML in a
        notebook.

        >>> import torch
        >>> model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3))
        >>> print(PermutationSpec.from_model(model, torch.randn(4, 2)).describe())
        group  units  orders  log10  where it occurs
        ────────────────────────────────────────────
        0      5      1       2.1    0.weight axis 0, 0.bias axis 0, 2.weight axis 1
        <BLANKLINE>
        1 group in 3 of 4 tensors: 10^2.1 networks that compute the same function
        <BLANKLINE>
        stays where it is:
          units 0-1 of 0.weight axis 1: belong to the model's input
          units 0-2 of 2: belong to the model's output
        """
        from .spec_table import describe

        return describe(self)

    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()

    def check(
        self,
        model: nn.Module,
        inputs: object,
        *,
        kwargs: dict | None = None,
        seeds: int = 2,
        tolerance: float = 1e-9,
        outputs: Callable | str | int | None = None,
    ) -> float:
        """Prove the spec on the model itself: random permutations of every group, same outputs in
        float64.

        Returns:
            The largest relative difference seen.

        Raises:
            SpecError: an output changed by more than ``tolerance``; names the group that changes
                it.
        """
        from .verification import prove

        return prove(
            self, model, inputs, kwargs=kwargs, seeds=seeds, tolerance=tolerance, outputs=outputs
        )

    def __repr__(self) -> str:
        return f"PermutationSpec({len(self.groups)} groups, {len(self.axes)} tensors, 10^{self.log10_symmetries():.1f} symmetries)"


def two_sizes(group: str, size: int, first: str, second: str, other: int) -> str:
    """The sentence for a group whose size differs from one place to another."""
    return f"group {group!r} has {size} units in {first}, but {second} has {other}: do the widths differ?"
