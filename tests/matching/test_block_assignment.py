"""Heads and their widths, convolution groups and their channels: blocks that are matched with their
insides.
"""

import pytest
import torch
from torch import nn

from rebasin_edu.matching import STARTS, weight_matching
from rebasin_edu.matching.group_steps import group_steps
from rebasin_edu.symmetry import PermutationSpec

from ..oracles import brute_force, objective


class Attention(nn.Module):
    def __init__(self, width=6, heads=2, head=2):
        super().__init__()
        self.heads, self.head = heads, head
        self.embed = nn.Linear(3, width)
        self.q, self.k, self.v = (nn.Linear(width, heads * head) for _ in range(3))
        self.out = nn.Linear(heads * head, width)
        self.read = nn.Linear(width, 2)

    def forward(self, x):
        x = self.embed(x)
        q, k, v = (
            f(x).reshape(*x.shape[:2], self.heads, self.head).transpose(1, 2)
            for f in (self.q, self.k, self.v)
        )
        mixed = torch.softmax(q @ k.transpose(-1, -2) / self.head**0.5, -1) @ v
        return self.read(x + self.out(mixed.transpose(1, 2).flatten(2)))


class Grouped(nn.Module):
    def __init__(self, groups=3, inside=3):
        super().__init__()
        width = groups * inside
        self.first = nn.Conv2d(2, width, 3)
        self.middle = nn.Conv2d(width, width, 3, groups=groups)
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        return self.last(torch.relu(self.middle(torch.relu(self.first(x))))).mean((2, 3))


MODELS = {
    "attention": (Attention, torch.randn(2, 4, 3)),
    "grouped": (Grouped, torch.randn(2, 2, 7, 7)),
}


def pair(name, **sizes):
    make, inputs = MODELS[name]
    torch.manual_seed(0)
    a, b = make(**sizes), make(**sizes)
    return PermutationSpec.from_model(a, inputs), a, b


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("start", STARTS)
def test_planted_blocks_and_insides_come_back(name, start):
    sizes = (
        {"width": 16, "heads": 4, "head": 5} if name == "attention" else {"groups": 5, "inside": 4}
    )
    spec, a, _ = pair(name, **sizes)
    assert any(move.kind == "block" for move in group_steps(spec))
    for seed in range(3):
        truth = spec.random(seed)
        found = weight_matching(spec, a, spec.apply(a, truth), start=start, seed=seed)
        moved = spec.apply(spec.apply(a, truth), found.permutation)
        assert all(torch.equal(moved[key], value) for key, value in a.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("start", STARTS)
def test_the_objective_rises_with_every_step(name, start):
    sizes = (
        {"width": 16, "heads": 4, "head": 5} if name == "attention" else {"groups": 5, "inside": 4}
    )
    spec, a, b = pair(name, **sizes)
    found = weight_matching(spec, a, b, start=start)
    assert all(step.gain > 0 for step in found.history if step.sweep > 0)
    assert found.objective == pytest.approx(
        objective(spec, a.state_dict(), b.state_dict(), found.permutation), rel=1e-9
    )
    assert found.converged


def test_small_heads_reach_brute_force():
    spec, a, b = pair("attention", width=3, heads=2, head=2)
    _, value = brute_force(spec, a.state_dict(), b.state_dict())
    found = weight_matching(spec, a, b, restarts=20, start="random")
    assert found.objective == pytest.approx(value, rel=1e-6)


def test_small_groups_reach_brute_force():
    spec, a, b = pair("grouped", groups=2, inside=2)
    _, value = brute_force(spec, a.state_dict(), b.state_dict())
    found = weight_matching(spec, a, b, restarts=20, start="random")
    assert found.objective == pytest.approx(value, rel=1e-6)


def test_one_assignment_inside_an_assignment_is_exact():
    """With the stream held, heads and widths together are matched exactly: no table of the family
    is better.
    """
    spec, a, b = pair("attention", width=3, heads=2, head=2)
    family = next(move for move in group_steps(spec) if move.kind == "block")
    held = [group for group in spec.groups if group not in family.groups]
    alone = spec.without(dict.fromkeys(held))
    _, value = brute_force(alone, a.state_dict(), b.state_dict())
    assert weight_matching(alone, a, b, start="identity").objective == pytest.approx(
        value, rel=1e-6
    )


def test_parents_in_two_levels_and_fixed_parents():
    """By hand, where no network is needed: tensors with blocks in blocks, and blocks that may not
    move.
    """
    from rebasin_edu.symmetry.axis_structure import Leaf, Product

    top, mid, low, kept = (
        Leaf("top", 2),
        Leaf("mid", 2),
        Leaf("low", 3),
        Leaf("kept", 2, "must stay"),
    )
    axes = {
        "x": (Product((top, mid, low)), Leaf("fixed: x", 5, "input")),
        "y": (Product((top, mid)), Leaf("fixed: y", 4, "input")),
        "z": (Product((kept, Leaf("part", 3))), Leaf("fixed: z", 4, "input")),
    }
    spec = PermutationSpec(
        axes, parents={"mid": ("top",), "low": ("top", "mid"), "part": ("kept",)}
    )
    generator = torch.Generator().manual_seed(0)
    a = {"x": torch.randn(12, 5, generator=generator), "y": torch.randn(4, 4, generator=generator),
         "z": torch.randn(6, 4, generator=generator)}  # fmt: skip
    b = {name: torch.randn(value.shape, generator=generator) for name, value in a.items()}
    for start in STARTS:
        truth = spec.random(3)
        found = weight_matching(spec, a, spec.apply(a, truth), start=start, restarts=5)
        assert found.permutation == truth.inverse()
        other = weight_matching(spec, a, b, start=start)
        assert all(step.gain > 0 for step in other.history if step.sweep > 0)
        assert other.objective == pytest.approx(objective(spec, a, b, other.permutation), rel=1e-9)
