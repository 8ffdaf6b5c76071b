"""From a model to its symmetries: export it once, send labels through the graph, collect what is
left free, prove it.

The graph is that of ``torch.export`` without decomposition: about forty kinds of operators make up
nearly every network.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from ..errors import RebasinWarning, SpecError, TraceError
from .axis_structure import Term
from .propagation import WALKED, Walk
from .spec import PermutationSpec, Weights, as_state
from .spec_builder import assemble
from .verification import arguments, prove


@dataclass(frozen=True)
class Site:
    """A place where activations of a group are read: a tensor that is about to go into a
    contraction (the next weights).

    ``pieces("activation", site.terms)`` gives the strided views of that tensor, a dimension for
    each leaf.
    """

    node: str  # the graph's node that takes the tensor in
    value: str  # the node whose value it is, read right before ``node`` runs
    terms: tuple[
        Term, ...
    ]  # one for each axis of the tensor; leaves have the names of the spec's groups
    summed: tuple[int, ...]  # the axes that the contraction sums over


@dataclass
class Trace:
    """A traced model: its spec, where its groups' activations are read, and its graph to run again.

    The graph is that of the example inputs' sizes: ``run`` takes inputs of the same shapes. For
    another batch size trace again with inputs of that size (no proof is run, it takes a second).
    """

    spec: PermutationSpec
    sites: dict[str, tuple[Site, ...]]  # group → the places, in the order of the graph
    program: ExportedProgram
    unknown: dict[str, int] = field(
        default_factory=dict
    )  # operator without a rule → how many free positions it fixed

    @torch.no_grad()
    def run(
        self,
        weights: Weights,
        visit: Callable[[Site, Tensor], None],
        *args: object,
        **kwargs: object,
    ) -> object:
        """Run the graph on ``weights`` and show each site's tensor to ``visit`` as it passes; gives
        the model's output.

        Args:
            weights: a state dict (or module) of the traced architecture, on the device of the
                inputs.
            visit: called once for each site, in the graph's order; the tensor may be overwritten
                later, so use it at once.
            args, kwargs: inputs of the shapes that were traced.
        """
        state = as_state(weights)
        signature = self.program.graph_signature
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        constants = {**signature.inputs_to_lifted_tensor_constants, **signature.inputs_to_buffers}
        inputs, _ = pytree.tree_flatten((args, kwargs))
        device = next((x.device for x in inputs if isinstance(x, Tensor)), None)
        inputs, flat_inputs = iter(inputs), []
        for node in self.program.graph.find_nodes(op="placeholder"):
            if names.get(node.name) in state:
                flat_inputs.append(state[names[node.name]])
            elif node.name in constants:
                flat_inputs.append(self.program.constants[constants[node.name]].to(device))
            else:
                flat_inputs.append(next(inputs))
        found = _Runner(self.program.graph_module, self._by_node, visit).run(*flat_inputs)
        return pytree.tree_unflatten(
            found[len(found) - self._outputs :], self.program.call_spec.out_spec
        )

    @property
    def _outputs(self) -> int:
        return self.program.call_spec.out_spec.num_leaves

    @property
    def _by_node(self) -> dict[str, list[Site]]:
        found: dict[str, list[Site]] = {}
        for site in dict.fromkeys(site for places in self.sites.values() for site in places):
            found.setdefault(site.node, []).append(site)
        return found


class _Runner(fx.Interpreter):
    """Runs a graph and shows the sites' tensors on the way, in the graphs inside it too."""

    def __init__(
        self,
        module: fx.GraphModule,
        sites: Mapping[str, list[Site]],
        visit: Callable,
        path: str = "",
    ):
        super().__init__(module)
        self.sites, self.visit, self.path = sites, visit, path

    def run_node(self, node: fx.Node) -> object:
        for site in self.sites.get(self.path + node.name, ()):
            source = next(n for n in node.all_input_nodes if self.path + n.name == site.value)
            self.visit(site, self.env[source])
        if node.op == "call_function" and getattr(node.target, "__name__", "") in WALKED:
            args, _ = self.fetch_args_kwargs_from_env(node)
            at = next(k for k, one in enumerate(args) if isinstance(one, fx.GraphModule))
            return _Runner(args[at], self.sites, self.visit, f"{self.path}{node.name}/").run(
                *args[at + 1 :]
            )
        return super().run_node(node)


def trace(
    model: nn.Module,
    args: object,
    kwargs: dict | None = None,
    *,
    outputs: Callable | str | int | None = None,
) -> Trace:
    """Export a model once and derive what may be reordered in it; see
    ``PermutationSpec.from_model``. No proof is run.
    """
    twin = _twin(model)
    program = export(twin, args, kwargs)
    walk = Walk(twin, program)
    walk.run(outputs)
    spec, sites = assemble(
        walk.state, walk.order, walk.tensors, walk.reads, walk.buffers, walk.left_out
    )
    sites = {name: tuple(Site(*place) for place in places) for name, places in sites.items()}
    return Trace(spec, sites, program, walk.unknown)


def derive(
    model: nn.Module,
    args: object,
    kwargs: dict | None = None,
    *,
    verify: bool = True,
    outputs: Callable | str | int | None = None,
) -> PermutationSpec:
    """See ``PermutationSpec.from_model``."""
    found = trace(model, args, kwargs, outputs=outputs)
    for name, count in found.unknown.items():
        warnings.warn(
            f"{name} has no rule: {count} units that reach it stay where they are",
            RebasinWarning,
            stacklevel=3,
        )
    spec = found.spec
    del found  # its graph holds a copy of the weights
    while verify:
        try:
            prove(spec, model, args, kwargs=kwargs, outputs=outputs)
            break
        except SpecError as error:
            guilty = getattr(error, "groups", ())
            if not guilty:
                raise
            warnings.warn(
                f"{', '.join(guilty)} stay where they are, since the proof failed: {error}",
                RebasinWarning,
                stacklevel=3,
            )
            spec = spec.without(guilty, "failed the proof")
    return spec


def _twin(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, on the CPU, in single precision, without what it may have cached
    from other weights.
    """
    if not isinstance(model, nn.Module):
        raise TraceError(f"a spec is derived from an nn.Module, this is a {type(model).__name__}")
    twin = copy.deepcopy(model).cpu().train().eval()
    return (
        twin.float()
        if any(t.dtype in (torch.half, torch.bfloat16) for t in twin.state_dict().values())
        else twin
    )


def _like(value: object) -> object:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return value.float() if value.dtype in (torch.half, torch.bfloat16) else value
    return value


def export(twin: nn.Module, args: object, kwargs: dict | None = None) -> ExportedProgram:
    """The graph of ATen operators of a model on the CPU.

    Raises:
        TraceError: the model fails on these inputs, or its control flow depends on the data.
    """
    args, kwargs = pytree.tree_map(_like, (arguments(args), kwargs or {}))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(twin, args, kwargs, strict=False)
    except Exception as error:
        try:
            with torch.no_grad():
                twin(*args, **kwargs)
        except Exception as own:
            raise TraceError(
                f"{type(twin).__name__} fails on these example inputs: {type(own).__name__}: {own}"
            ) from own
        why = str(error).strip().splitlines()
        hint = ""
        if "cache" in str(error).lower():
            hint = " It returns a cache of keys and values: switch that off (often with use_cache=False)."
        raise TraceError(
            f"{type(twin).__name__} runs on these inputs but torch.export cannot follow it (does its control flow depend on "
            f"values?).{hint} {type(error).__name__}: {why[0] if why else ''}"
        ) from error
