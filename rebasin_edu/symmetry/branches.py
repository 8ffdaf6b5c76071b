"""Branches of a graph that do the same to every index of an axis, and are put together again.

``torch.stack([f(u) for u in h.unbind(-1)], -1)`` takes each unit through operators of its own, and
yet treats all of them alike: it is ``f`` for a batch of units. So the axis is kept whole while it
is apart, instead of being cut into single units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import fx

from .labels import ONE, Label, chunks, normal, product
from .rules.base import base_name, shapes_of
from .rules.reshape import taken_out
from .rules.values import Axes, Labels, Unstacked, Value, flat, is_value
from .unification import unify

TOGETHER = ("stack", "cat", "concat", "concatenate")


@dataclass(eq=False)
class Family:
    """The nodes that are the same in each of ``count`` branches, by the number of the branch."""

    count: int
    above: tuple[Family, ...]  # the families that it computes with
    members: dict[int, fx.Node] = field(default_factory=dict)
    alike: bool = True

    @property
    def whole(self) -> bool:
        shapes = [shapes_of(node) for node in self.members.values()]
        return (
            self.alike and 1 < len(shapes) == self.count and shapes.count(shapes[0]) == len(shapes)
        )


@dataclass(eq=False)
class Batch:
    """The axis of branches that meet each other; all axes that they begin with are one."""

    count: int
    axes: list[Label] = field(default_factory=list)
    apart: bool = False  # whether the branches turned out to differ

    def begin(self, label: Label) -> None:
        self.axes.append(label)
        unify(self.axes[0], label)

    def cut(self) -> None:
        """Take all indices for different ones after all."""
        self.apart = True
        for label in self.axes:
            chunks(label, self.count)


def writes(node: fx.Node) -> bool:
    """Whether an operator writes to one of its arguments."""
    arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
    return any(each.alias_info and each.alias_info.is_write for each in arguments)


def one_index(node: fx.Node) -> tuple[int, int | None] | None:
    """As ``taken_out``, also for slices of one index."""
    if base_name(node.target) not in ("slice", "narrow"):
        return taken_out(node)
    source, dim, start, end, *_ = (*node.args, *(None,) * 4)
    if base_name(node.target) == "narrow" and isinstance(start, int) and isinstance(end, int):
        end += start
    if not (isinstance(dim, int) and isinstance(start, int) and end == start + 1):
        return None
    shape = shapes_of(source)[0]
    return dim % len(shape), start % shape[dim]


class Branches:
    """The branches of one graph that are alike.

    Attributes:
        begins: node → the axis whose indices it gives, one or all of them.
        ends: node → the member of branch 0 that it puts together with those of all others.
        twins: node of a branch → the same one of branch 0.
        batch: node → the axis that its branches run over.
    """

    def __init__(self, graph: fx.Graph):
        self.begins: dict[fx.Node, int] = {}
        self.ends: dict[fx.Node, fx.Node] = {}
        self.twins: dict[fx.Node, fx.Node] = {}
        self.batch: dict[fx.Node, Batch] = {}
        self._of: dict[fx.Node, tuple[Family, int]] = {}
        self._named: dict[object, Family] = {}
        self._joins: dict[fx.Node, Family] = {}
        self._taken: dict[fx.Node, set] = {}
        self._names: dict[fx.Node, str] = {}  # the same for nodes that compute the same
        computed: dict[str, str] = {}
        still = not any(map(writes, graph.nodes))
        for node in graph.nodes:
            if node.op not in ("placeholder", "get_attr"):
                self._enter(node)
            what, name = node.name, f"%{node.name}"
            if still and node.op == "call_function":
                what = f"{node.target} {fx.map_arg((node.args, node.kwargs), self._names.get)}"
            self._names[node] = computed.setdefault(what, name)
        self._keep()

    def axis(self, node: fx.Node) -> Labels:
        """The axis that a node of a branch does not see, if it is in one."""
        batch = self.batch.get(node)
        return (normal(batch.axes[0]),) if batch and batch.axes and not batch.apart else ()

    def value(self, node: fx.Node, env: Mapping[fx.Node, Any]) -> Value | list[Value] | None:
        """The value of a node where branches begin or end, and of those in other branches than
        the first; ``None`` for all other nodes, which do as their operators say.
        """
        first = self.ends.get(node, self.twins.get(node, node))
        batch = self.batch.get(first)
        if batch is None or batch.apart:
            return None
        if node in self.begins:
            return self._begun(node, env, batch)
        if node in self.ends:
            labels, shape = flat(env[first]), shapes_of(node)[0]
            at: Any = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
            at %= len(shape)
            inside = labels[at : len(labels) - len(shape) + at + 1]  # none for ``stack``
            axis = product([*self.axis(first), *inside])
            return Axes((*labels[:at], axis, *labels[at + len(inside) :]))
        return env.get(first)

    def _begun(self, node: fx.Node, env: Mapping[fx.Node, Any], batch: Batch) -> Any:
        source: Any = node.args[0]
        value, dim = env[source], self.begins[node]
        if not is_value(value) or (isinstance(value, Unstacked) and value.axis == dim):
            batch.cut()  # each index has labels of its own already
            return None
        labels = flat(value)
        batch.begin(labels[dim])
        kept = () if base_name(node.target) in ("select", "unbind") else (ONE,)
        result = Axes((*labels[:dim], *kept, *labels[dim + 1 :]))
        return result if node in self.twins else [result] * len(shapes_of(node))

    def _enter(self, node: fx.Node) -> None:
        """Give a node its place in a branch, if it has one."""
        sources = [self._of[n] for n in node.all_input_nodes if n in self._of]
        if not sources:
            self._begin(node)
            return
        families, numbers = [family for family, _ in sources], [number for _, number in sources]
        together = base_name(node.target) in TOGETHER and node.args[0] == node.all_input_nodes
        if together and len(set(families)) == 1 and numbers == [*range(families[0].count)]:
            self._joins[node] = families[0]
            return
        counts = {family.count for family in families}
        if len({*numbers}) > 1 or len(counts) > 1 or node.op == "output" or self._spoils(node):
            for family in families:
                family.alike = False
            return

        def name(source: fx.Node) -> str:
            return f"#{id(self._of[source][0])}" if source in self._of else self._names[source]

        what: Any = fx.map_arg((node.args, node.kwargs), name)
        self._add(f"{node.target} {what}", node, numbers[0], counts.pop(), families)

    def _spoils(self, node: fx.Node) -> bool:
        """Whether a node writes to anything else than its branch's own index of a tensor that
        nobody has read as a whole.
        """
        target = node.args[0] if node.args else None
        if not writes(node) or target not in self.begins:
            return writes(node)
        base: Any = target.args[0]  # type: ignore[union-attr]
        return any(user in self._names and one_index(user) is None for user in base.users)

    def _begin(self, node: fx.Node) -> None:
        """Enter what takes one index out of an axis, or all of them one by one."""
        source: Any = node.args[0] if node.args else None
        name = base_name(node.target)
        if not isinstance(source, fx.Node):
            return
        if name == "getitem" and source in self.begins:
            number: Any = node.args[1]
            self._add(source, node, number, len(shapes_of(source)))
        elif taken := one_index(node):
            dim, index = taken
            count = shapes_of(source)[0][dim]
            if source not in self._taken:
                self._taken[source] = {one_index(user) for user in source.users}
            if index is None or self._taken[source] >= {(dim, k) for k in range(count)}:
                self.begins[node] = dim
                if index is not None:
                    self._add((source, dim), node, index, count)

    def _add(
        self, what: object, node: fx.Node, number: int, count: int, above: Sequence[Family] = ()
    ) -> None:
        """Enter a node under what it does; one that does it once more begins another family."""
        again = 0
        while (
            number
            in (
                family := self._named.setdefault((what, again), Family(count, tuple(above)))
            ).members
        ):
            again += 1
        family.members[number] = node
        self._of[node] = family, number

    def _keep(self) -> None:
        """Keep the branches that meet each other where all of them are alike."""
        near: dict[Family, list[Family]] = {family: [] for family in self._named.values()}
        for family in near:
            for other in family.above:
                near[family].append(other)
                near[other].append(family)
        known: set[Family] = set()
        for family in near:
            if family in known:
                continue
            known.add(family)
            group = [family]
            for each in group:
                group += (new := dict.fromkeys(other for other in near[each] if other not in known))
                known.update(new)
            if all(each.whole for each in group):
                self._accept(group, Batch(family.count))
        self.ends = {
            n: f.members[0] for n, f in self._joins.items() if f.members.get(0) in self.batch
        }
        self.begins = {n: dim for n, dim in self.begins.items() if n in self.batch}

    def _accept(self, group: list[Family], batch: Batch) -> None:
        for family in group:
            for node in family.members.values():
                self.twins[node], self.batch[node] = family.members[0], batch
                source: Any = node.args[0]
                if source in self.begins:
                    self.batch[source] = batch
