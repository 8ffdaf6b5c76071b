"""Rules for recurrent layers and cells: all gates of a layer share its hidden units."""

from __future__ import annotations

from collections.abc import Sequence

from ..axis_structure import Reason
from ..labels import ONE, Label, concat, fresh, normal, product
from .base import Call, GiveUp, rule
from .values import Axes, Labels, Uniform, Unstacked, flat, unstacked

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def _cell(
    call: Call, gates: int, incoming: Label, outgoing: Label | None, weights: Sequence[Labels]
) -> Label:
    """Tie the weights of one layer and direction, and give the label of its hidden units.

    Args:
        call: the operator.
        gates: how many rows of the matrices belong to one hidden unit.
        incoming: the units that come from below.
        outgoing: the units that a projected LSTM gives, else None.
        weights: the matrices from the input and from the last step, and the biases.
    """
    from_input, from_hidden, *biases = weights
    hidden = fresh(from_input[0].size // gates)
    reason = Reason(text="are the gates of a recurrent layer", expected=True)
    rows = product([fresh(gates, reason), hidden])
    for label in (from_input[0], from_hidden[0], *(bias[0] for bias in biases)):
        call.same(rows, label)
    call.same(from_input[1], incoming)
    call.same(from_hidden[1], hidden if outgoing is None else outgoing)
    hidden = normal(hidden)
    call.seen(hidden, normal(from_input[1]))
    call.seen(hidden, normal(from_hidden[1]))
    return hidden


@rule("lstm gru rnn_tanh rnn_relu")
def recurrent(call: Call):
    """Layers in one or both directions, their weights in one list."""
    if "data" in call.arguments:
        raise GiveUp("packed sequences")
    lstm = call.op == "lstm"
    weights = [flat(value) for value in call.get("params")]
    layers, ways = int(call.get("num_layers")), 2 if call.get("bidirectional") else 1
    x = call.axes("input")
    steps, *batch = x[:-1][::-1] if call.get("batch_first") else x[:-1]
    call.fix(steps, "which goes along them in order")
    call.read("input", x, [-1])
    each = len(weights) // (layers * ways)
    biases, projected = (2 if call.get("has_biases") else 0), each in (3, 5)
    incoming = x[-1]
    states: list[list[Label]] = []  # for each layer and way: the units of the output and the cell
    for layer in range(layers):
        outputs = []
        for way in range(ways):
            at = (layer * ways + way) * each
            cell = weights[at : at + each]
            outgoing = fresh(cell[-1][0].size) if projected else None
            hidden = _cell(call, GATES[call.op], incoming, outgoing, cell[: 2 + biases])
            if outgoing is not None:
                call.same(cell[-1][0], outgoing)
                call.same(cell[-1][1], hidden)
                call.seen(normal(outgoing), normal(hidden))
            outputs.append(hidden if outgoing is None else normal(outgoing))
            states.append([outputs[-1], hidden][: 2 if lstm else 1])
        incoming = outputs[0] if ways == 1 else concat(outputs)
    last = []
    for which, start in enumerate(call.get("hx") if lstm else [call.get("hx")]):
        units = [normal(state[which]) for state in states]
        for labels, label in zip(_starts(call, start, len(units)), units):
            call.same(labels[-1], label)
            for known, new in zip(batch, labels[1:-1]):
                call.same(known, new)
        last.append(unstacked(0, [(ONE, *batch, normal(label)) for label in units]))
    return [Axes((*x[:-1], normal(incoming))), *last]


def _starts(call: Call, start: Axes | Unstacked | Uniform, count: int) -> Sequence[Labels]:
    """The initial state of each layer and way; the layers come in order."""
    if isinstance(start, Uniform):
        return []
    if isinstance(start, Unstacked) and start.axis == 0:
        return start.slices
    labels = flat(start)
    call.fix(labels[0], "which takes the layers in order")
    return [labels] * count


@rule("lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell")
def recurrent_cell(call: Call):
    """One step of one layer."""
    op = call.op.removesuffix("_cell")
    x = call.axes("input")
    starts = call.get("hx") if op == "lstm" else [call.get("hx")]
    weights = call.optional("w_ih", "w_hh", "b_ih", "b_hh")
    hidden = _cell(call, GATES[op], x[-1], None, weights)
    for start in starts:
        labels = flat(start)
        call.same(labels[-1], hidden)
        for known, new in zip(x[:-1], labels[:-1]):
            call.same(known, new)
    call.read("input", x, [-1])
    return Axes((*x[:-1], normal(hidden)))
