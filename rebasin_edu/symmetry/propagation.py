"""One pass of labels through an exported graph, and what is collected on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from .axis_structure import Reason
from .example import Example, select, shared_memory
from .rules import apply_rule
from .rules.base import Call, base_name, shapes_of
from .rules.values import Axes, Labels, Uniform, Unstacked, flat, sizes
from .unification import Atom, Label, atoms, fix, fresh, normal, unify

# operators that run a graph inside: what holds for it holds for them
WALKED = {
    "wrap_with_set_grad_enabled",
    "wrap_with_autocast",
    "tag_activation_checkpoint",
    "wrap_activation_checkpoint",
    "wrap",
}
# operators that move values and compute nothing: what only they touch, the example does not reach
MOVING = set(
    "_reshape_alias _to_copy _unsafe_view alias cat chunk clone concat concatenate constant_pad_nd "
    "contiguous copy detach diagonal embedding expand expand_as flatten flip gather index "
    "index_select lift_fresh_copy movedim narrow pad permute repeat reshape select slice split "
    "split_with_sizes squeeze stack swapaxes t tensor_split to transpose tril triu type_as unbind "
    "unflatten unsqueeze view view_as".split()
)
INPUT = Reason(text="belong to the model's input", expected=True)
OUTPUT = Reason(text="belong to the model's output", expected=True)
UNREACHED = Reason(text="are not reached: the example inputs let no operator compute with them")
BUFFERS = Reason(text="are in buffers alone, so that no weights can tell their order")


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


class Propagation:
    """One pass of labels through an exported graph.

    Attributes:
        state: parameter or buffer → its labels; tied names share them.
        order: parameter or buffer → the position of the first node that uses it.
        tensors: the labels of every tensor there is.
        reads: (node, value, labels, summed axes) of every tensor that goes into a contraction.
        unknown: operator without a rule → how many free positions it fixed.
        buffers: which names of ``state`` are buffers.
        left_out: names that no operator uses, with the reason.
    """

    def __init__(self, example: Example, program: ExportedProgram):
        self.program, self.outputs = program, example.outputs
        tensors = dict(example.model.state_dict(keep_vars=True))
        buffers = dict(example.model.named_buffers(remove_duplicate=False))
        self.buffers = frozenset(name for name in tensors if name in buffers)
        self.state: dict[str, Labels] = {}
        self.order: dict[str, int] = {}
        self.tensors: list[Labels] = []
        self.reads: list[tuple[str, str, Labels, tuple[int, ...]]] = []
        self.unknown: dict[str, int] = {}
        self.left_out: dict[str, str] = {}
        self._constants = {**buffers, **program.constants}
        self._computed: list[Labels] = []  # the labels of what goes into and out of computations
        self._parameters = {
            name: x
            for name, x in tensors.items()
            if isinstance(x, Tensor)
            and (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)
        }
        self._shared = shared_memory(self._parameters)

    def run(self) -> None:
        """Label every value of the graph, and fix what must stay."""
        graph, signature = self.program.graph, self.program.graph_signature
        owners: dict[str, str] = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        placeholders = graph.find_nodes(op="placeholder")
        values = [self._placeholder(node, owners.get(node.name)) for node in placeholders]
        position = {node: k for k, node in enumerate(graph.nodes)}
        for node in placeholders:
            name = owners.get(node.name, "")
            if name in self.state and node.users:
                first = min(position[user] for user in node.users)
                for each in self._together(name):
                    self.order[each] = min(first, self.order.get(each, first))
        results = self._graph(self.program.graph_module, values, "")
        leaves = pytree.tree_leaves(results, is_leaf=_is_value)
        spec = self.program.call_spec.out_spec
        assert spec is not None
        chosen = select(
            pytree.tree_unflatten(leaves[len(leaves) - spec.num_leaves :], spec), self.outputs
        )
        for value in pytree.tree_leaves(chosen, is_leaf=_is_value):
            if _is_value(value):
                for label in flat(value):
                    fix(label, OUTPUT)
        self.left_out = dict.fromkeys(
            (name for name in self._parameters if name not in self.order),
            "the network does not use it",
        )
        self.state = {name: self.state[name] for name in self._parameters if name in self.order}
        self._fix_the_rest()

    def _fix_the_rest(self) -> None:
        """Fix what the example does not reach, and what only buffers have."""
        reached = {atom for labels in self._computed for label in labels for atom in _free(label)}
        compared = {
            atom
            for name, labels in self.state.items()
            if name not in self.buffers
            for label in labels
            for atom in _free(label)
        }
        for labels in self.state.values():
            for atom in (atom for label in labels for atom in _free(label)):
                if atom not in reached:
                    fix(atom, UNREACHED)
                elif atom not in compared:
                    fix(atom, BUFFERS)

    def _together(self, name: str) -> Iterator[str]:
        """The names of the tensors that share this one's memory, its own included."""
        first = self._shared.get(name, name)
        return (each for each in self._parameters if self._shared.get(each, each) == first)

    def _placeholder(self, node: fx.Node, name: str | None) -> object:
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            return value
        shape = shapes_of(node)[0]
        if name in self._parameters:
            if name not in self.state:
                self._label(self._shared.get(name, name))
            return self._keep(Axes(self.state[name]))
        if name is None:
            return self._keep(Axes(tuple(fresh(size, INPUT) for size in shape)))
        return _constant(name, self._constants.get(name), shape)

    def _label(self, first: str) -> None:
        """Give labels to a tensor, and to those that share its memory: the same, in their order of
        axes; where one is a part of the other, all stays.
        """
        base = self._parameters[first]
        labels = tuple(fresh(size) for size in base.shape)
        strides = {step: label for step, label in zip(base.stride(), labels) if label.size > 1}
        for name in self._together(first):
            x = self._parameters[name]
            if x.numel() == base.numel() and all(
                n == 1 or (step in strides and strides[step].size == n)
                for n, step in zip(x.shape, x.stride())
            ):
                self.state[name] = tuple(
                    strides[step] if n > 1 else fresh(1) for n, step in zip(x.shape, x.stride())
                )
                continue
            reason = Reason(tensor=name, text=f"share their memory with {first}, a part of the other")
            for label in labels:
                fix(label, reason)
            self.state[name] = tuple(fresh(size, reason) for size in x.shape)
        self.state[first] = labels

    def _keep(self, value: object) -> object:
        """Remember that this tensor exists."""
        self.tensors.extend(_labels_of(value))
        return value

    def _graph(self, module: fx.GraphModule, values: list, path: str) -> object:
        env: dict[fx.Node, object] = {}
        written = _written(module.graph)
        inputs = iter(values)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                env[node] = next(inputs)
            elif node.op == "get_attr":
                target: Any = module
                for part in node.target.split("."):
                    target = getattr(target, part)
                if isinstance(target, Tensor):
                    target = _constant(node.target, target, tuple(target.shape))
                env[node] = target
            elif node.op == "output":
                return fx.map_arg(node.args[0], lambda n: env[n])
            else:
                env[node] = self._call(node, env, path)
            value = env[node]
            if node in written and isinstance(value, Constant):
                still = (False,) * len(value.shape)
                env[node] = self._keep(replace(value, equal=still).use(_user(node)))
            elif node in written and isinstance(value, Uniform):
                env[node] = self._keep(Axes(flat(value)))
        return None

    def _call(self, node: fx.Node, env: dict, path: str) -> object:
        def value_of(source: fx.Node) -> object:
            value = env[source]
            return self._keep(value.use(_user(source))) if isinstance(value, Constant) else value

        args, kwargs = (fx.map_arg(a, value_of) for a in (node.args, node.kwargs))
        name = getattr(node.target, "__name__", "")
        if name == "getitem" and isinstance(args[0], (list, tuple)):
            return args[0][args[1]]
        if name in WALKED:
            at = next(k for k, one in enumerate(args) if isinstance(one, fx.GraphModule))
            return self._graph(args[at], list(args[at + 1 :]), f"{path}{node.name}/")
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            names = [f"argument{k}" for k in range(len(args))]
            writes: set[str] = set()
        else:
            names = [argument.name for argument in schema.arguments]
            writes = {
                argument.name
                for argument in schema.arguments
                if argument.alias_info and argument.alias_info.is_write
            }
        given = {**dict(zip(names, node.args)), **node.kwargs}
        bound = {**dict(zip(names, args)), **kwargs}

        def read(at: fx.Node, source: fx.Node, labels: Labels, summed: tuple[int, ...]) -> None:
            self.reads.append((path + at.name, path + source.name, labels, summed))

        call = Call(node, given, bound, self.tensors.append, read)
        if not any(
            shape is not None and isinstance(v, Tensor)
            for shape, v in zip(call.shapes, _listed(node.meta.get("val")))
        ):
            return node.meta.get("val")
        result = self._apply(call)
        for written in writes & bound.keys():
            for value in _listed(bound[written]):
                if _is_value(value) and not isinstance(value, Uniform):
                    target = result if _is_value(result) else result[0]
                    if sizes(value) == sizes(target):
                        for a, b in zip(flat(value), flat(target)):
                            unify(a, b)
        if call.op not in MOVING:
            for value in (*call.values(), *_listed(result)):
                self._computed.extend(_labels_of(value))
        return self._keep(result)

    def _apply(self, call: Call) -> object:
        """The rule of an operator, or, where there is none or its result does not fit, everything
        it touches fixed.
        """
        values, lost = apply_rule(call)
        if lost:
            self.unknown[call.name] = self.unknown.get(call.name, 0) + lost
        return values if isinstance(call.node.meta.get("val"), (list, tuple)) else values[0]


def _constant(name: str, tensor: object, shape: tuple[int, ...]) -> Uniform | Constant:
    if not isinstance(tensor, Tensor) or not tensor.numel():
        return Constant(name, shape, (False,) * len(shape))
    equal = tuple(
        bool((tensor == tensor.select(axis, 0).unsqueeze(axis)).all())
        for axis in range(tensor.ndim)
    )
    return Uniform(shape) if all(equal) else Constant(name, shape, equal)


def _user(node: fx.Node) -> str:
    """The first operator that computes with the value of a node, or the first that moves it."""
    users = list(node.users)
    for user in users:
        if base_name(user.target) not in MOVING:
            break
        users.extend(user.users)
    else:
        user = users[0] if users else node
    return f"aten.{base_name(user.target)}"


def _labels_of(value: object) -> list[Labels]:
    """The labels of a value: one tuple, or one for each slice, or those of a list."""
    if isinstance(value, Axes):
        return [value.labels]
    if isinstance(value, Unstacked):
        return list(value.slices)
    return [labels for one in value for labels in _labels_of(one)] if isinstance(value, list) else []


def _free(label: Label) -> list[Atom]:
    return [atom for atom in atoms(normal(label)) if not atom.reason]


def _listed(value: object) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _is_value(value: object) -> bool:
    return isinstance(value, (Axes, Unstacked, Uniform))


def _written(graph: fx.Graph) -> set[fx.Node]:
    """The nodes whose storage an operator writes to, or may write to: constants among them fit
    nothing but themselves.
    """
    found: set[fx.Node] = set()
    for node in graph.nodes:
        schema = getattr(node.target, "_schema", None)
        for k, argument in enumerate(schema.arguments if schema else ()):
            if argument.alias_info and argument.alias_info.is_write:
                value = node.args[k] if k < len(node.args) else node.kwargs.get(argument.name)
                while isinstance(value, fx.Node) and value not in found:
                    found.add(value)
                    value = value.args[0] if value.args else None
    return found
