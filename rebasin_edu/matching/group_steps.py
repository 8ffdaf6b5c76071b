"""Which groups are matched in one step: one alone, one with its nested groups, or nested ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..symmetry import PermutationSpec
from .objective import Key


class Keyed(Protocol):
    """What a step needs of a problem: its spec and the sizes of its keys."""

    @property
    def spec(self) -> PermutationSpec: ...

    @property
    def keys(self) -> dict[Key, int]: ...


@dataclass(frozen=True)
class GroupStep:
    """Groups that are matched in one step.

    ``kind`` is ``"plain"`` for a group alone, ``"block"`` for a group with all its nested groups,
    and ``"within_parent"`` for a group whose parents are fixed, with one order for each unit of
    them (its own nested groups move along in blocks).
    """

    kind: str
    groups: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.groups[0]


def group_steps(spec: PermutationSpec) -> list[GroupStep]:
    """Return how the groups of a spec are matched: every group is in one step."""
    nested: dict[str, list[str]] = {}
    for group, parents in spec.parents.items():
        for parent in parents:
            nested.setdefault(parent, []).append(group)

    steps: list[GroupStep] = []
    taken: set[str] = set()
    for group in spec.groups:
        inside = [inner for inner in nested.get(group, ()) if inner in spec.groups]
        one_level = all(spec.parents[n] == (group,) and n not in nested for n in inside)
        if inside and one_level and not spec.parents.get(group):
            steps.append(GroupStep("block", (group, *inside)))
            taken.update(steps[-1].groups)
    for group in spec.groups:
        if group not in taken:
            tied = spec.parents.get(group) or group in nested
            steps.append(GroupStep("within_parent" if tied else "plain", (group,)))
    order = list(spec.groups)
    return sorted(steps, key=lambda step: order.index(step.name))


def keys_of(problem: Keyed, step: GroupStep) -> list[Key]:
    """Return the keys whose gains decide a step, those that the problem has."""
    if step.kind == "plain":
        keys: list[Key] = [(step.name,)]
    elif step.kind == "block":
        keys = [(step.name,), *((step.name, inner) for inner in step.groups[1:])]
    else:
        parents = problem.spec.parents.get(step.name, ())
        if not parents or any(parent in problem.spec.groups for parent in parents):
            return []
        keys = [
            key
            for key in problem.keys
            if key[-1] == step.name and set(key) == {step.name, *parents}
        ]
        keys = keys if len(keys) == 1 else []
    return [key for key in keys if key in problem.keys]
