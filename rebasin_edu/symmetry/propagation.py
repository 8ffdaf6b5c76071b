"""One pass of labels through an exported graph, and what is collected on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from .axis_structure import Reason
from .branches import Branches
from .example import Example, select
from .graph_inputs import MOVING, Constant, StateLabels, constant, first_user
from .labels import Atom, Label, atoms, fix, fresh, new_ages, normal
from .rules import apply_rule
from .rules.base import Call, shapes_of
from .rules.reshape import asked_unstacked
from .rules.values import Axes, Labels, Uniform, Unstacked, flat, is_value, sizes
from .unification import unify

# operators that run a graph inside: what holds for it holds for them
WALKED = {
    "wrap_with_set_grad_enabled",
    "wrap_with_autocast",
    "tag_activation_checkpoint",
    "wrap_activation_checkpoint",
    "wrap",
}
INPUT = Reason(text="belong to the model's input", expected=True)
OUTPUT = Reason(text="belong to the model's output", expected=True)
UNREACHED = Reason(text="are not reached: the example inputs let no operator compute with them")
BUFFERS = Reason(text="are in buffers alone, so that no weights can tell their order")


class Propagation:
    """One pass of labels through an exported graph.

    Attributes:
        state: the labels of each parameter and buffer.
        tensors: the labels of every tensor there is.
        reads: (node, value, labels, summed axes) of every tensor that goes into a contraction.
        unknown: operator without a rule → how many free positions it fixed.
        left_out: names that no operator uses, with the reason.
    """

    def __init__(self, example: Example, program: ExportedProgram):
        new_ages()
        self.program, self.outputs = program, example.outputs
        self.state = StateLabels(example.model)
        self.tensors: list[Labels] = []
        self.reads: list[tuple[str, str, Labels, tuple[int, ...]]] = []
        self.unknown: dict[str, int] = {}
        self.left_out: dict[str, str] = {}
        buffers = dict(example.model.named_buffers(remove_duplicate=False))
        self._constants = {**buffers, **program.constants}
        self._computed: list[Labels] = []  # the labels of what goes into and out of computations

    def run(self) -> None:
        """Label every value of the graph, and fix what must stay."""
        graph, signature = self.program.graph, self.program.graph_signature
        owners: dict[str, str] = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        placeholders, branches = graph.find_nodes(op="placeholder"), Branches(graph)
        values = [self._placeholder(node, owners.get(node.name), branches) for node in placeholders]
        position = {node: k for k, node in enumerate(graph.nodes)}
        for node in placeholders:
            if (name := owners.get(node.name, "")) in self.state.parameters and node.users:
                self.state.used(name, min(position[user] for user in node.users))
        results = self._graph(self.program.graph_module, values, "", branches)
        leaves = pytree.tree_leaves(results, is_leaf=is_value)
        spec: Any = self.program.call_spec.out_spec
        chosen = select(
            pytree.tree_unflatten(leaves[len(leaves) - spec.num_leaves :], spec), self.outputs
        )
        for value in pytree.tree_leaves(chosen, is_leaf=is_value):
            if is_value(value):
                for label in flat(value):
                    fix(label, OUTPUT)
        unused = [name for name in self.state.parameters if name not in self.state.order]
        self.left_out = dict.fromkeys(unused, "the network does not use it")
        self._fix_the_rest()

    def _fix_the_rest(self) -> None:
        """Fix what the example does not reach, and what only buffers have."""
        reached = {atom for labels in self._computed for label in labels for atom in _free(label)}
        compared = {
            atom
            for name, labels in self.state.labels.items()
            if name not in self.state.buffers
            for label in labels
            for atom in _free(label)
        }
        for labels in self.state.labels.values():
            for atom in (atom for label in labels for atom in _free(label)):
                if atom not in reached:
                    fix(atom, UNREACHED)
                elif atom not in compared:
                    fix(atom, BUFFERS)

    def _placeholder(self, node: fx.Node, name: str | None, branches: Branches) -> object:
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            return value
        shape = shapes_of(node)[0]
        if name in self.state.parameters:
            return self._keep(self.state.value(name, asked_unstacked(node, branches.begins)))
        if name is None:
            return self._keep(Axes(tuple(fresh(size, INPUT) for size in shape)))
        return constant(name, self._constants.get(name), shape)

    def _keep(self, value: object, batch: Labels = ()) -> object:
        """Remember that this tensor exists, in a branch with the axis of the branches."""
        self.tensors.extend(labels + batch for labels in _labels_of(value))
        return value

    def _graph(self, module: fx.GraphModule, values: list, path: str, branches: Branches) -> object:
        env: dict[fx.Node, Any] = {}
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
                    target = constant(node.target, target, tuple(target.shape))
                env[node] = target
            elif node.op == "output":
                return fx.map_arg(node.args[0], lambda n: env[n])
            elif (value := branches.value(node, env)) is not None:
                env[node] = self._keep(value, branches.axis(node))
            else:
                env[node] = self._call(node, env, path, branches.axis(node))
            value = env[node]
            if node in written and isinstance(value, Constant):
                still = (False,) * len(value.shape)
                env[node] = self._keep(replace(value, equal=still).use(first_user(node)))
            elif node in written and isinstance(value, Uniform):
                env[node] = self._keep(Axes(flat(value)))
        return None

    def _call(self, node: fx.Node, env: dict, path: str, batch: Labels) -> object:
        def value_of(source: fx.Node) -> object:
            value = env[source]
            if isinstance(value, Constant):
                return self._keep(value.use(first_user(source)))
            return value

        args: Any = fx.map_arg(node.args, value_of)  # type: ignore[arg-type]
        kwargs: Any = fx.map_arg(node.kwargs, value_of)  # type: ignore[arg-type]
        name = getattr(node.target, "__name__", "")
        if name == "getitem" and isinstance(args[0], (list, tuple)):
            return args[0][args[1]]
        if name in WALKED:
            at = next(k for k, one in enumerate(args) if isinstance(one, fx.GraphModule))
            inside = Branches(args[at].graph)
            return self._graph(args[at], list(args[at + 1 :]), f"{path}{node.name}/", inside)
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
            if not batch:
                self.reads.append((path + at.name, path + source.name, labels, summed))

        def seen(labels: Labels) -> None:
            self.tensors.append(labels + batch)

        call = Call(node, given, bound, seen, read)
        if not any(
            shape is not None and isinstance(v, Tensor)
            for shape, v in zip(call.shapes, _listed(node.meta.get("val")))
        ):
            return node.meta.get("val")
        result: Any = self._apply(call)
        for written in writes & bound.keys():
            for value in _listed(bound[written]):
                if is_value(value) and not isinstance(value, Uniform):
                    target = result if is_value(result) else result[0]
                    if sizes(value) == sizes(target):
                        for a, b in zip(flat(value), flat(target)):
                            unify(a, b)
        if call.op not in MOVING:
            for value in (*call.values(), *_listed(result)):
                self._computed.extend(labels + batch for labels in _labels_of(value))
        return self._keep(result, batch)

    def _apply(self, call: Call) -> object:
        """The rule of an operator, or, where there is none or its result does not fit, everything
        it touches fixed.
        """
        values, lost = apply_rule(call)
        if lost:
            self.unknown[call.name] = self.unknown.get(call.name, 0) + lost
        return values if isinstance(call.node.meta.get("val"), (list, tuple)) else values[0]


def _labels_of(value: object) -> list[Labels]:
    """The labels of a value: one tuple, or one for each slice, or those of a list."""
    if isinstance(value, Axes):
        return [value.labels]
    if isinstance(value, Unstacked):
        return list(value.slices)
    if isinstance(value, list):
        return [labels for each in value for labels in _labels_of(each)]
    return []


def _free(label: Label) -> list[Atom]:
    return [atom for atom in atoms(normal(label)) if not atom.reason]


def _listed(value: object) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


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
