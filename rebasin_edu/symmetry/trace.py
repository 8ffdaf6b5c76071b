"""From a model to its symmetries: export it once, send labels through the graph, collect what
stays free.

The graph is that of ``torch.export`` without decomposition: about forty kinds of operators make up
nearly every network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from ..batches import Inputs
from ..errors import TraceError
from ..weights import Weights, as_state
from .axis_structure import Term
from .example import Example, Outputs, listed, warn
from .propagation import WALKED, Propagation
from .spec_builder import SpecParts, assemble
from .trace_errors import explain, quiet

LOCK = threading.RLock()  # torch.export is not thread-safe


@dataclass(frozen=True)
class Site:
    """A place where activations of a group are read: a tensor that is about to go into a
    contraction (the next weights).

    ``pieces("activation", site.terms)`` gives the strided views of that tensor, a dimension for
    each leaf.
    """

    node: str  # the graph's node that takes the tensor in
    value: str  # the node whose value it is, read right before ``node`` runs
    terms: tuple[Term, ...]  # one for each axis; leaves have the names of the spec's groups
    summed: tuple[int, ...]  # the axes that the contraction sums over


@dataclass
class Trace:
    """A traced model: the parts of its spec, where activations are read, its graph to run again.

    The graph is that of the example inputs' sizes: ``run`` takes inputs of the same shapes. For
    another batch size trace again with inputs of that size (it takes a second).
    """

    parts: SpecParts  # ``PermutationSpec(**trace.parts)`` is its spec, not verified
    sites: dict[str, tuple[Site, ...]]  # group → the places, in the order of the graph
    program: ExportedProgram
    unknown: dict[str, int] = field(default_factory=dict)  # operator without a rule → fixed units

    @torch.no_grad()
    def run(
        self, weights: Weights, visit: Callable[[Site, Tensor], None], *args: Any, **kwargs: Any
    ) -> Any:
        """Run the graph on ``weights``, show each site's tensor to ``visit``, return the output.

        Args:
            weights: a state dict (or module) of the traced architecture, on the device of the
                inputs.
            visit: called once for each site, in the graph's order; the tensor may be overwritten
                later, so use it at once.
            args, kwargs: inputs of the shapes that were traced.
        """
        flat_inputs = _placeholders(self.program, as_state(weights), args, kwargs)
        results = _Runner(self.program.graph_module, self._by_node, visit).run(*flat_inputs)
        structure: Any = self.program.call_spec.out_spec
        return pytree.tree_unflatten(results[len(results) - structure.num_leaves :], structure)

    @property
    def _by_node(self) -> dict[str, list[Site]]:
        by_node: dict[str, list[Site]] = {}
        for site in dict.fromkeys(site for places in self.sites.values() for site in places):
            by_node.setdefault(site.node, []).append(site)
        return by_node


class _Runner(fx.Interpreter):
    """Runs a graph and shows the sites' tensors on the way, in the graphs inside it too."""

    def __init__(
        self,
        module: fx.GraphModule,
        sites: Mapping[str, list[Site]],
        visit: Callable[[Site, Tensor], None],
        path: str = "",
    ):
        super().__init__(module)
        self.sites, self.visit, self.path = sites, visit, path

    def run_node(self, node: fx.Node) -> Any:
        for site in self.sites.get(self.path + node.name, ()):
            source = next(n for n in node.all_input_nodes if self.path + n.name == site.value)
            self.visit(site, self.env[source])
        if node.op == "call_function" and getattr(node.target, "__name__", "") in WALKED:
            args, _ = self.fetch_args_kwargs_from_env(node)
            at = next(k for k, each in enumerate(args) if isinstance(each, fx.GraphModule))
            inside = _Runner(args[at], self.sites, self.visit, f"{self.path}{node.name}/")
            return inside.run(*args[at + 1 :])
        return super().run_node(node)


class _Sizes(fx.Interpreter):
    """Runs a graph and writes down the sizes that depend on the values of the inputs."""

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if node.op == "call_function":
            node.meta["val"] = pytree.tree_map(
                lambda x: x.to("meta") if isinstance(x, Tensor) else x, value
            )
        return value


def trace(model: nn.Module, inputs: Inputs, *, outputs: Outputs = None) -> Trace:
    """Export a model once and derive what may be reordered in it; nothing is verified.

    See ``PermutationSpec.from_model`` for the arguments and errors.
    """
    example = Example.of(model, inputs, outputs)
    program = export(example)
    walk = Propagation(example, program)
    walk.run()
    parts, sites = assemble(walk)
    places = {name: tuple(Site(*each) for each in group) for name, group in sites.items()}
    return Trace(parts, places, program, walk.unknown)


def warn_of(traced: Trace, model: nn.Module) -> None:
    """Warn of operators without a rule, and of parameters that the trace never used."""
    for name, count in traced.unknown.items():
        warn(f"{name} has no rule: {count} units that reach it stay where they are")
    left_out = traced.parts["left_out"]
    if unused := [name for name, _ in model.named_parameters() if name in left_out]:
        warn(
            f"the trace never used {listed(unused)}: if the network does so with other inputs (an "
            "optional argument, another mode), units that meet them there may be taken for free; "
            "include them in the example inputs"
        )


def export(example: Example) -> ExportedProgram:
    """Return the graph of ATen operators of a model on the CPU.

    Raises:
        TraceError: the model fails on these inputs, or its control flow depends on the data.
    """
    try:
        with LOCK, quiet(), torch.no_grad():
            program = torch.export.export(example.model, example.args, example.kwargs, strict=False)
    except Exception as error:
        raise TraceError(explain(example, error)) from error
    values = pytree.tree_leaves([node.meta.get("val") for node in program.graph.nodes])
    sizes = [n for x in values for n in (x.shape if isinstance(x, Tensor) else (x,))]
    if any(isinstance(n, torch.SymInt) for n in sizes):
        state = {**example.model.state_dict(), **dict(example.model.named_buffers())}
        state = {name: x.clone() for name, x in state.items() if isinstance(x, Tensor)}
        flat_inputs = _placeholders(program, state, example.args, example.kwargs)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            _Sizes(program.graph_module).run(*flat_inputs)
    return program


def _placeholders(
    program: ExportedProgram, state: Mapping[str, Tensor], args: tuple, kwargs: dict[str, Any]
) -> list[Any]:
    """The values of a graph's placeholders: weights, constants and inputs."""
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants = {**signature.inputs_to_lifted_tensor_constants, **signature.inputs_to_buffers}
    inputs, _ = pytree.tree_flatten((args, kwargs))
    device = next((x.device for x in inputs if isinstance(x, Tensor)), None)
    rest = iter(inputs)
    values: list[Any] = []
    for node in program.graph.find_nodes(op="placeholder"):
        if names.get(node.name) in state:
            values.append(state[names[node.name]])
        elif node.name in constants and constants[node.name] in program.constants:
            values.append(program.constants[constants[node.name]].to(device))
        elif node.name in constants:
            raise TraceError(f"the weights have no buffer {constants[node.name]!r}")
        else:
            values.append(next(rest))
    return values
