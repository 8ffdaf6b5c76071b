"""Checks of 06: What must move together?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...errors import RebasinError, SpecError
from ...symmetry import PermutationSpec
from ..check import NotYet, exercise, function_of, near


@exercise("06-1")
def _(answer: Any) -> str:
    """The order of the columns after a flatten."""
    columns = function_of("06-1", "columns", answer)
    order, pixels = torch.tensor([2, 0, 1, 3]), 3
    found = columns(order.clone(), pixels)
    rows = torch.arange(12).reshape(4, 3)
    found = torch.as_tensor(found).flatten() if not isinstance(found, Tensor) else found
    if found.shape != (12,):
        raise NotYet("06-1: return one order of all channels × pixels columns")
    likely = {
        "that is the inverse: new column i comes from old column columns[i]": rows[
            order.argsort()
        ].flatten(),
        "that fits channels-last images: after a flatten a channel's pixels lie side by side": (
            torch.arange(12).reshape(3, 4)[:, order].flatten()
        ),
        "nothing has moved: put the rows of the table in the order": rows.flatten(),
        "the blocks move as they should, but inside them the pixels moved too": rows[order]
        .flip(1)
        .flatten(),
        "read the table row by row again when you flatten it": rows[order].T.flatten(),
    }
    for mistake, wrong in likely.items():
        if torch.equal(found, wrong):
            raise NotYet(f"06-1: {mistake}")
    if not torch.equal(found, rows[order].flatten()):
        raise NotYet("06-1: blocks of `pixels` columns change places; inside a block nothing does")
    return "A channel takes its pixels along."


@exercise("06-2")
def _(answer: Any) -> str:
    """The groups of ResNet18."""
    likely = {
        13: "the stem writes into the first stream, so it has no order of its own",
        20: "that is one for each convolution: what is added must be in one order",
        17: "that is one for each convolution: what is added must be in one order",
        16: "that is one for each convolution of the blocks: what is added must be in one order",
        8: "those are the orders inside the blocks; each stage has a stream, too",
        4: "those are the streams; inside each block there is an order, too",
        9: "a shortcut that is a convolution begins a new stream",
        15: "a convolution in a shortcut writes into the new stream, like the block beside it",
        11: "there are four streams: the first stage has one, too",
    }
    for wrong, mistake in likely.items():
        if near(answer, wrong, 1e-9):
            raise NotYet(f"06-2: {mistake}")
    if not near(answer, 12, 1e-9):
        raise NotYet("06-2: count one for the stream of each stage, and one inside each block")
    return "Four streams and eight blocks: as many as ResNet20 has, with three and nine."


class Wide(nn.Module):
    """The network of 06-3: two branches and the input itself, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 3), nn.Linear(4, 5), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.left(x).relu(), self.right(x).relu(), x], 1))


@exercise("06-3")
def _(answer: Any) -> str:
    """The spec of a concatenation, by hand."""
    if not isinstance(answer, dict):
        raise NotYet("06-3: give the dictionary of axes: parameter name → an entry for each axis")
    if missing := {"left.bias", "right.bias"} - answer.keys():
        raise NotYet(f"06-3: {sorted(missing)[0]} moves with the rows of its weight")
    with torch.random.fork_rng(devices=[]):
        model, inputs = Wide(), torch.rand(3, 4)
    try:
        spec = PermutationSpec.from_axes(answer, model)
    except (RebasinError, TypeError, ValueError) as error:
        raise NotYet(f"06-3: the library cannot read it: {error}") from None
    try:
        spec.check(model, inputs)
    except SpecError as error:
        where = str(error).split(": it occurs")[0].split("; ")[-1]
        raise NotYet(f"06-3: it changes the function: {where}") from None
    if len(spec.groups) < 2:
        raise NotYet("06-3: right, but it could move more: each branch has an order of its own")
    sizes = sorted(group.size for group in spec.groups.values())
    if sizes != [3, 5]:
        raise NotYet(f"06-3: the two orders have 3 and 5 units, yours have {sizes}")
    return "3! · 5! = 720 networks that compute the same function."
