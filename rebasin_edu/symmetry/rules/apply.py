"""The rule of one call applied: what it gives is checked, and what has no rule is fixed."""

from __future__ import annotations

import warnings

import torch

from ...errors import RebasinWarning
from ..labels import atoms, normal
from .base import KEEPS_UNIFORM, RULES, Call, GiveUp, Rule, results_of
from .values import Uniform, Unstacked, Value, flat, sizes


def apply_rule(call: Call) -> tuple[list[Value], int]:
    """The value of each result of a call, and how many free positions had to be fixed since no
    rule says what happens to them.

    A rule that fails is a fault of this package: it is warned of, and the spec is still right.
    """
    rule = RULES.get(call.op)
    if rule is None and torch.Tag.pointwise in getattr(call.node.target, "tags", ()):
        rule = RULES["add"]
    if rule is not None:
        try:
            return _results(call, rule), 0
        except GiveUp:
            pass
        except Exception as error:
            warnings.warn(
                f"the rule for {call.name} failed: {type(error).__name__}: {error}. What reaches "
                "it stays where it is",
                RebasinWarning,
                stacklevel=2,
            )
    labels = [label for value in call.values() for label in flat(value)]
    free = {atom for label in labels for atom in atoms(normal(label)) if not atom.reason}
    for label in labels:
        call.fix(label, "for which there is no rule")
    return [call.all_fixed(shape) for shape in call.shapes], sum(atom.size for atom in free)


def _results(call: Call, rule: Rule) -> list[Value]:
    inputs = call.values()
    if call.op in KEEPS_UNIFORM and inputs and all(isinstance(v, Uniform) for v in inputs):
        return [Uniform(shape) for shape in call.shapes]
    result = rule(call)
    values = result if isinstance(result, list) else [result] * len(call.shapes)
    shapes = [sizes(value) for value in values]
    for k, shape in enumerate(call.shapes):  # torch 2.6 errs in the states of an LSTM
        if len(shapes) != len(call.shapes) or (shapes[k] != shape and (not k or call.used(k))):
            raise ValueError(f"it gives {shapes} for {call.shapes}")
    for value, tensor in zip(values, results_of(call.node)):
        for axis, size in enumerate(getattr(tensor, "shape", ())):
            if not isinstance(size, int) and not isinstance(value, Uniform):
                for labels in value.slices if isinstance(value, Unstacked) else (value.labels,):
                    call.fix(labels[axis], "which takes as many of them as their values say")
    return values
