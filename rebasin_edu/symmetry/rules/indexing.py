"""Rules for reading and writing by number: lookup, gather, scatter, and boolean masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from ..labels import ONE, Label, cut, normal
from .base import Call, GiveUp, base_name, rule, shapes_of
from .values import Axes, Labels, flat

BY_NUMBER = "which picks them by number"
LAST_WINS = "where the last of those that meet wins"


@rule("index_select embedding embedding_bag _embedding_bag _embedding_bag_forward_only")
def lookup(call: Call):
    """Entries picked by number: that axis stays as it is."""
    select = call.op == "index_select"
    table = call.axes("self" if select else "weight")
    index = call.axes("index" if select else "indices")
    dim = call.dim(len(table)) if select else 0
    call.fix(table[dim], BY_NUMBER)
    if call.op.endswith("embedding") or select:
        index = index or (ONE,) * select
        return Axes((*table[:dim], *index, *table[dim + 1 :]))
    for labels in call.optional("indices", "offsets", "per_sample_weights"):
        for label in labels:
            call.fix(label, "which puts them into bags")
    rest = [call.all_fixed(shape) for shape in call.shapes[1:]]
    return [Axes((call.fixed(call.shape[0]), *table[1:])), *rest]


def _indexed(call: Call, labels: Labels) -> Labels:
    """The labels of ``tensor[indices]``: indexed axes stay; the new axes stand where the first
    index was, or in front if others lie between the indices. A mask takes as many axes as it has.
    """
    picked: list[int] = []
    tensors: list[Labels] = []
    rank, axis = len(call.shape), 0
    masks = False
    for node, one in zip(call.given["indices"], call.get("indices")):
        if one is None:
            axis += 1
            continue
        index = flat(one)
        width = len(index) if _is_mask(node) else 1
        masks |= _is_mask(node)
        for k in range(width):
            call.fix(labels[axis + k], BY_NUMBER)
            if _is_mask(node):
                call.same(labels[axis + k], index[k])
        picked += range(axis, axis + width)
        tensors.append(index)
        axis += width
    rest = [label for k, label in enumerate(labels) if k not in picked]
    at = picked[0] if picked == list(range(picked[0], picked[-1] + 1)) else 0
    if masks:
        if len(tensors) > 1:
            raise GiveUp("a mask beside another index")
        return (*rest[:at], call.fixed(_masked_size(call, at)), *rest[at:])
    rank = max(len(t) for t in tensors)
    shape = [max((t[k].size for t in tensors if len(t) >= -k), default=1) for k in range(-rank, 0)]
    return (*rest[:at], *call.broadcast(tensors, shape), *rest[at:])


def _is_mask(node: Any) -> bool:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return isinstance(value, torch.Tensor) and value.dtype in (torch.bool, torch.uint8)


def _masked_size(call: Call, at: int) -> int:
    return call.shape[at] if call.op == "index" else 1


@rule("index")
def index(call: Call):
    return Axes(_indexed(call, call.axes("self")))


@rule("index_put _index_put_impl _unsafe_index_put")
def index_put(call: Call):
    """Values written (or added) to the places that indices name."""
    labels, values = call.axes("self"), call.axes("values")
    masks = [_is_mask(node) for node in call.given["indices"]]
    if any(masks) and all(label.size == 1 for label in values):
        mask = next(flat(v) for v in call.get("indices") if v is not None)
        if len(masks) == 1:  # one value for all that the mask names: element by element
            for label, other in zip(labels, mask):
                call.same(label, other)
            return Axes(tuple(normal(label) for label in labels))
    if any(masks):
        for label in (*labels, *values):
            call.fix(label, BY_NUMBER)
        return Axes(labels)
    target = _indexed(call, labels)
    wide = [label for k, label in enumerate(target)]
    for label, other in zip(wide[::-1], values[::-1]):
        if other.size != 1:
            call.same(label, other)
    if not call.get("accumulate", False):
        for value in call.get("indices"):
            for label in flat(value) if value is not None else ():
                call.fix(label, LAST_WINS)
    return Axes(tuple(normal(label) for label in labels))


@rule("index_add index_copy index_reduce index_fill")
def index_add(call: Call):
    """Slices of one tensor added to (or copied over) those of another that an index names."""
    labels, index = call.axes("self"), call.axes("index")
    dim = call.dim(len(labels))
    call.fix(labels[dim], BY_NUMBER)
    for source in call.optional("source"):
        for k, (label, other) in enumerate(zip(labels, source)):
            if k != dim:
                call.same(label, other)
            elif index:
                call.same(other, index[0])
    if call.op == "index_copy":
        for label in index:
            call.fix(label, LAST_WINS)
    return Axes(tuple(normal(label) for label in labels))


@rule("gather take_along_dim")
def gather(call: Call):
    labels, picks = call.axes("self"), call.axes("index" if call.op == "gather" else "indices")
    dim = call.dim(len(labels), 0)
    call.fix(labels[dim], BY_NUMBER)
    _pair(call, labels, picks, dim)
    return Axes(tuple(normal(pick) for pick in picks))


def _pair(call: Call, whole: Labels, part: Labels, dim: int | None) -> None:
    """The axes of a tensor and of one that may be shorter are the same, but for ``dim``."""
    for k, (label, other) in enumerate(zip(whole, part)):
        if k != dim:
            call.same(label if label.size == other.size else cut(label, other.size)[0], other)


@rule("scatter scatter_add scatter_reduce")
def scatter(call: Call):
    """Entries written (or added) along one axis to the places that an index names."""
    labels, picks = call.axes("self"), call.axes("index")
    dim = call.dim(len(labels), 0)
    call.fix(labels[dim], BY_NUMBER)
    _pair(call, labels, picks, dim)
    for source in call.optional("src"):
        _pair(call, source, picks, None)
        if call.op == "scatter" and call.get("reduce") is None:
            call.fix(picks[dim], LAST_WINS)
    return Axes(tuple(normal(label) for label in labels))


@rule("masked_scatter")
def masked_scatter(call: Call):
    """The entries of a source one after another where a mask is true. Where the mask repeats along
    the last axis the source is taken in whole vectors, and their units stay free.
    """
    labels, mask, source = (list(call.axes(name)) for name in ("self", "mask", "source"))
    width = source[-1].size if source else 1
    whole = labels and labels[-1].size == width and _repeats(call.given["mask"])
    ordered: Sequence[Label] = (*labels, *mask, *source)
    if whole:
        call.same(labels[-1], source[-1])
        ordered = (*labels[:-1], *mask[:-1], *source[:-1])
    for label in ordered:
        call.fix(label, BY_NUMBER)
    return Axes(tuple(normal(label) for label in labels))


def _repeats(node: Any) -> bool:
    """Whether a tensor is one that was expanded along its last axis."""
    while isinstance(node, fx.Node) and node.all_input_nodes:
        source = node.all_input_nodes[0]
        if base_name(node.target) in ("expand", "expand_as", "broadcast_to"):
            return shapes_of(source)[0][-1:] == (1,) and shapes_of(node)[0][-1:] != (1,)
        if base_name(node.target) not in ("to", "_to_copy", "clone", "alias", "detach", "type_as"):
            return False
        node = source
    return False


@rule("masked_select")
def masked_select(call: Call):
    for value in call.values():
        for label in flat(value):
            call.fix(label, BY_NUMBER)
    return call.all_fixed(call.shape)
