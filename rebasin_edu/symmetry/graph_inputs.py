"""What enters a graph: parameters and buffers, labelled alike where they are tied; constants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from .axis_structure import Reason, Rows
from .example import shared_memory
from .labels import Label, fix, fresh
from .rules.base import base_name
from .rules.values import Axes, Labels, Uniform, Unstacked

# operators that move values and compute nothing: what only they touch, the example does not reach
MOVING = {
    "_reshape_alias", "_to_copy", "_unsafe_view", "alias", "cat", "chunk", "clone", "concat",
    "concatenate", "constant_pad_nd", "contiguous", "copy", "detach", "diagonal", "embedding",
    "expand", "expand_as", "flatten", "flip", "gather", "index", "index_select", "lift_fresh_copy",
    "movedim", "narrow", "pad", "permute", "repeat", "reshape", "select", "slice", "split",
    "split_with_sizes", "squeeze", "stack", "swapaxes", "t", "tensor_split", "to", "transpose",
    "tril", "triu", "type_as", "unbind", "unflatten", "unsqueeze", "view", "view_as",
}  # fmt: skip


class StateLabels:
    """The labels of a model's parameters and buffers; tensors that share their memory share labels.

    Attributes:
        parameters: the tensors that may be permuted: numbers with a fraction, and masks.
        buffers: the names of buffers.
        labels: name → labels, once the graph has used it.
        order: name → the position of the first node that uses it.
    """

    def __init__(self, model: nn.Module):
        state = model.state_dict(keep_vars=True)
        self.buffers = state.keys() & dict(model.named_buffers(remove_duplicate=False)).keys()
        self.parameters = {
            name: x
            for name, x in state.items()
            if isinstance(x, Tensor)
            and (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)
        }
        self._shared = shared_memory(self.parameters)
        self.labels: dict[str, Labels] = {}
        self.order: dict[str, int] = {}

    def tied(self, name: str) -> Iterator[str]:
        """The names of the tensors that share this one's memory, its own included."""
        first = self._shared.get(name, name)
        return (each for each in self.parameters if self._shared.get(each, each) == first)

    def used(self, name: str, position: int) -> None:
        """Note that a node at this position uses the tensor."""
        for each in self.tied(name):
            self.order[each] = min(position, self.order.get(each, position))

    def value(self, name: str, apart: int | None) -> Axes | Unstacked:
        """A tensor with its labels; those of each index along axis ``apart`` are its own, unless
        another tensor shares its memory.
        """
        x = self.parameters[name]
        if apart is None or name in self.labels or len(list(self.tied(name))) > 1:
            return Axes(self.of(name))
        shape = [1 if axis == apart else size for axis, size in enumerate(x.shape)]
        slices = tuple(tuple(map(fresh, shape)) for _ in range(x.shape[apart]))
        reason = Reason(text="are taken apart one by one", expected=True)
        rows: list[Label] = [Rows(labels, apart) for labels in zip(*slices)]
        rows[apart] = fresh(x.shape[apart], reason)
        self.labels[name] = tuple(rows)
        return Unstacked(apart, slices)

    def of(self, name: str) -> Labels:
        """The labels of a tensor. What shares its memory has the same, in its order of axes; where
        one is a part of the other, all stays.
        """
        if name in self.labels:
            return self.labels[name]
        first = self._shared.get(name, name)
        base = self.parameters[first]
        labels = tuple(fresh(size) for size in base.shape)
        by_stride = {step: label for step, label in zip(base.stride(), labels) if label.size > 1}
        for each in self.tied(first):
            x = self.parameters[each]
            axes = list(zip(x.shape, x.stride()))
            if x.numel() == base.numel() and all(
                n == 1 or (step in by_stride and by_stride[step].size == n) for n, step in axes
            ):
                self.labels[each] = tuple(by_stride[k] if n > 1 else fresh(1) for n, k in axes)
                continue
            reason = Reason(text=f"lie in the memory of {each}, which is a part of {first}")
            for label in labels:
                fix(label, reason)
            self.labels[each] = tuple(fresh(size, reason) for size in x.shape)
        return self.labels[name]


@dataclass
class Constant:
    """A constant of the graph. Where all values along an axis are equal, it fits any order there,
    each time it is used; the other axes stay.
    """

    name: str
    shape: tuple[int, ...]
    equal: tuple[bool, ...]  # for each axis, whether all values along it are equal
    labels: list[Label] = field(default_factory=list)

    def use(self, user: str) -> Axes:
        if not self.labels:
            reason = Reason(user, text=f"meet the constant {self.name} in {user}")
            self.labels = [fresh(size, reason) for size in self.shape]
        return Axes(
            tuple(
                fresh(label.size) if equal else label
                for label, equal in zip(self.labels, self.equal)
            )
        )


def constant(name: str, tensor: object, shape: tuple[int, ...]) -> Uniform | Constant:
    """Return the value of a constant: uniform where all its entries are equal."""
    if not isinstance(tensor, Tensor) or not tensor.numel():
        return Constant(name, shape, (False,) * len(shape))
    equal = tuple(
        bool((tensor == tensor.select(axis, 0).unsqueeze(axis)).all())
        for axis in range(tensor.ndim)
    )
    return Uniform(shape) if all(equal) else Constant(name, shape, equal)


def first_user(node: fx.Node) -> str:
    """The first operator that computes with the value of a node, or the first that moves it."""
    users = list(node.users)
    for user in users:
        if base_name(user.target) not in MOVING:
            break
        users.extend(user.users)
    else:
        user = users[0] if users else node
    return f"aten.{base_name(user.target)}"
