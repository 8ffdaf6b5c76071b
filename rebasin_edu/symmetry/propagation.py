"""One pass of labels through an exported graph, and what is found on the way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from .axis_structure import Reason
from .rules import RULES
from .rules.base import Axes, Call, Labels, Uniform, Unstacked, flat, shapes_of, sizes
from .unification import atoms, fix, fresh, normal, unify
from .verification import select

# operators that run a graph inside: what holds for it holds for them
WALKED = {
    "wrap_with_set_grad_enabled",
    "wrap_with_autocast",
    "tag_activation_checkpoint",
    "wrap_activation_checkpoint",
    "wrap",
}


class Walk:
    """One pass of labels through an exported graph."""

    def __init__(self, twin: nn.Module, program: ExportedProgram):
        self.program = program
        tensors = dict(twin.state_dict(keep_vars=True))
        buffers = dict(twin.named_buffers())
        self.buffers = frozenset(name for name in tensors if name in buffers)
        self.state: dict[
            str, Labels
        ] = {}  # parameter or buffer → its labels; tied names share them
        self.order: dict[str, int] = {}  # parameter or buffer → the first node that uses it
        self.tensors: list[Labels] = []
        self.reads: list[tuple[str, str, Labels, tuple[int, ...]]] = []
        self.unknown: dict[str, int] = {}
        self.constants = {**buffers, **program.constants}
        self.names: dict[str, list[str]] = {}
        known: dict[int, list[str]] = {}
        for name, tensor in tensors.items():
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                known.setdefault(id(tensor), []).append(name)
        for together in known.values():
            self.names |= dict.fromkeys(together, together)

    def run(self, outputs: Callable | str | int | None) -> None:
        """Label every value of the graph, and fix what belongs to the outputs that count."""
        graph, signature = self.program.graph, self.program.graph_signature
        owners = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        values = [
            self._placeholder(node, owners.get(node.name))
            for node in graph.find_nodes(op="placeholder")
        ]
        order = {node: k for k, node in enumerate(graph.nodes)}
        for node in graph.find_nodes(op="placeholder"):
            if (name := owners.get(node.name)) in self.state and node.users:
                first = min(order[user] for user in node.users)
                for tied in self.names[name]:
                    self.order[tied] = min(first, self.order.get(tied, first))
        found = self._graph(self.program.graph_module, values, "")
        leaves = pytree.tree_leaves(found, is_leaf=_is_value)
        spec = self.program.call_spec.out_spec
        chosen = select(
            pytree.tree_unflatten(leaves[len(leaves) - spec.num_leaves :], spec), outputs
        )
        for value in pytree.tree_leaves(chosen, is_leaf=_is_value):
            if _is_value(value):
                for label in flat(value):
                    fix(label, Reason(text="belong to the model's output", expected=True))
        self.left_out = {
            name: "the network does not use it" for name in self.names if name not in self.order
        }
        self.state = {name: self.state[name] for name in self.names if name in self.order}

    def _placeholder(self, node: fx.Node, name: str | None) -> object:
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            return value
        shape = shapes_of(node)[0]
        if name in self.names:
            if name not in self.state:
                labels = tuple(fresh(size) for size in shape)
                self.state |= dict.fromkeys(self.names[name], labels)
            return self._keep(Axes(self.state[name]))
        if name is None:
            return self._keep(
                Axes(
                    tuple(
                        fresh(size, Reason(text="belong to the model's input", expected=True))
                        for size in shape
                    )
                )
            )
        return self._constant(self.constants.get(name), shape)

    def _constant(self, tensor: object, shape: tuple[int, ...]) -> object:
        if (
            isinstance(tensor, Tensor)
            and tensor.numel()
            and bool((tensor == tensor.flatten()[0]).all())
        ):
            return Uniform(shape)
        return self._keep(
            Axes(
                tuple(
                    fresh(size, Reason(text="meet a constant with values of its own"))
                    for size in shape
                )
            )
        )

    def _keep(self, value: object) -> object:
        """Remember that this tensor exists."""
        if isinstance(value, Axes):
            self.tensors.append(value.labels)
        elif isinstance(value, Unstacked):
            self.tensors.extend(value.slices)
        elif isinstance(value, list):
            for one in value:
                self._keep(one)
        return value

    def _graph(self, module: fx.GraphModule, values: list, path: str) -> object:
        env: dict[fx.Node, object] = {}
        written = _written(module.graph)
        inputs = iter(values)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                env[node] = next(inputs)
            elif node.op == "get_attr":
                target = module
                for part in node.target.split("."):
                    target = getattr(target, part)
                env[node] = (
                    self._constant(target, tuple(target.shape))
                    if isinstance(target, Tensor)
                    else target
                )
            elif node.op == "output":
                return fx.map_arg(node.args[0], lambda n: env[n])
            else:
                env[node] = self._call(node, env, path)
            if node in written and isinstance(env[node], Uniform):
                env[node] = self._keep(Axes(flat(env[node])))
        return None

    def _call(self, node: fx.Node, env: dict, path: str) -> object:
        args, kwargs = (fx.map_arg(a, lambda n: env[n]) for a in (node.args, node.kwargs))
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
        return self._keep(result)

    def _apply(self, call: Call) -> object:
        """The rule of an operator, or, where there is none or its result does not fit, everything
        it touches fixed.
        """
        rule = RULES.get(call.op)
        if rule is None and torch.Tag.pointwise in getattr(call.node.target, "tags", ()):
            rule = RULES["add"]
        if rule is not None:
            try:
                result = rule(call)
                values = result if isinstance(result, list) else [result]
                if len(values) == len(call.shapes) and all(
                    _is_value(v) and sizes(v) == s for v, s in zip(values, call.shapes)
                ):
                    return result
            except (ValueError, IndexError, KeyError, TypeError, AttributeError, StopIteration):
                pass
        free = sum(
            part.size for value in call.values() for label in flat(value) for part in _free(label)
        )
        values = call.unknown()
        if free:
            self.unknown[call.name] = self.unknown.get(call.name, 0) + free
        return values if isinstance(call.node.meta.get("val"), (list, tuple)) else values[0]


def _free(label: object) -> list:
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
