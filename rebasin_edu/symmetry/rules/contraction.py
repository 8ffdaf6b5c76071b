"""Rules for what multiplies and adds up: linear, convolution, matrix products, einsum, attention,
recurrent layers.

Each of them is a contraction: axes with the same letter are one, and a letter that is not in the
result is summed over. The full product (an axis for every letter) exists inside the operator, so it
is *seen*: fibres need it. The arguments whose summed axes carry a group are where activations of
that group are *read*.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..axis_structure import Reason
from ..unification import ONE, Label, concat, factor, fix, fresh, normal, product
from .base import Axes, Call, Labels, Uniform, Unstacked, flat, rule, unstacked

WHY = Reason(text="reach groups of another size")


def contract(
    call: Call, operands: Sequence[tuple[str, Labels]], out: str, names: Sequence[str] = ()
) -> Axes:
    """Make axes with one letter one, and give the result's labels; ``names`` are the arguments to
    read activations from.
    """
    letters: dict[str, Label] = {}
    for subscript, labels in operands:
        for letter, label in zip(subscript, labels):
            known = letters.get(letter, ONE)
            if label.size != 1 and known.size != 1:
                call.same(known, label)
            elif known.size == 1:
                letters[letter] = label
    letters = {letter: normal(label) for letter, label in letters.items()}
    call.seen(*letters.values())
    for name, (subscript, labels) in zip(names, operands):
        if summed := [k for k, letter in enumerate(subscript) if letter not in out]:
            call.read(name, tuple(normal(label) for label in labels), summed)
    return Axes(tuple(letters[letter] for letter in out))


@rule("linear")
def linear(call: Call):
    x, weight, bias = call.axes("input"), call.axes("weight"), call.axes("bias")
    before = "abcdefgh"[: len(x) - 1]
    result = contract(
        call,
        [(before + "i", x), ("oi"[-len(weight) :], weight)],
        before + "o"[: len(weight) - 1],
        ["input"],
    )
    if bias:
        call.same(result.labels[-1], bias[-1])
    return result


@rule("matmul", "bmm", "mm", "mv", "dot", "vdot", "linalg_matmul")
def matmul(call: Call):
    names = [
        "self",
        next(name for name in ("other", "mat2", "vec", "tensor") if name in call.arguments),
    ]
    a, b = (call.axes(name) for name in names)
    return _matmul(call, a, b, names)


def _matmul(call: Call, a: Labels, b: Labels, names: Sequence[str]) -> Axes:
    batch = "abcdefgh"[: max(len(a), len(b), 2) - 2]
    left = (batch[len(batch) - max(len(a) - 2, 0) :] + "ij")[-len(a) :] if len(a) > 1 else "j"
    right = (batch[len(batch) - max(len(b) - 2, 0) :] + "jk") if len(b) > 1 else "j"
    return contract(
        call, [(left, a), (right, b)], batch + "i" * (len(a) > 1) + "k" * (len(b) > 1), names
    )


@rule("addmm", "baddbmm", "addmv", "addbmm")
def addmm(call: Call):
    names = (
        ["batch1", "batch2"]
        if "bmm" in call.op
        else ["mat1", "mat2"]
        if call.op == "addmm"
        else ["mat", "vec"]
    )
    result = _matmul(call, call.axes(names[0]), call.axes(names[1]), names)
    labels = result.labels[1:] if call.op == "addbmm" else result.labels
    return Axes(call.broadcast([labels, call.axes("self")], call.shape))


@rule("outer", "ger", "inner", "tensordot", "kron")
def tensor_product(call: Call):
    a, b = call.axes("self"), call.axes("other" if "other" in call.arguments else "vec2")
    if call.op in ("outer", "ger"):
        return contract(call, [("i", a), ("j", b)], "ij")
    if call.op == "kron":
        return call.unknown()[0]
    dims_a, dims_b = (
        (call.get("dims_self"), call.get("dims_other")) if call.op == "tensordot" else ([-1], [-1])
    )
    first, second = list("abcdefgh"[: len(a)]), list("ABCDEFGH"[: len(b)])
    summed = []
    for i, j in zip(dims_a, dims_b):
        second[j] = first[i]
        summed.append(first[i])
    out = "".join(letter for letter in first + second if letter not in summed)
    return contract(call, [("".join(first), a), ("".join(second), b)], out, ["self", "other"])


@rule("einsum")
def einsum(call: Call):
    tensors = [flat(value) for value in call.get("tensors")]
    left, _, out = str(call.get("equation")).replace(" ", "").partition("->")
    subscripts = left.split(",")
    spare = [letter for letter in map(chr, range(0x3B1, 0x3B1 + 20)) if letter not in left]
    depth = max(len(t) - len(s.replace("...", "")) for s, t in zip(subscripts, tensors))
    for k, (subscript, labels) in enumerate(zip(subscripts, tensors)):
        own = len(labels) - len(subscript.replace("...", ""))
        subscripts[k] = subscript.replace("...", "".join(spare[depth - own : depth]))
    if "->" not in str(call.get("equation")):
        counts = "".join(left.replace("...", "").split(","))
        out = "..." + "".join(sorted(letter for letter in set(counts) if counts.count(letter) == 1))
    out = out.replace("...", "".join(spare[:depth]))
    for subscript, labels in zip(subscripts, tensors):
        for letter in set(subscript):  # a diagonal ties the axes it runs along
            places = [k for k, one in enumerate(subscript) if one == letter]
            for k in places[1:]:
                call.same(labels[places[0]], labels[k])
    result = contract(call, list(zip(subscripts, tensors)), out)
    for k, (subscript, labels) in enumerate(zip(subscripts, tensors)):
        if summed := [axis for axis, letter in enumerate(subscript) if letter not in out]:
            call.read("tensors", tuple(normal(label) for label in labels), summed, k)
    return result


@rule("bilinear")
def bilinear(call: Call):
    x, y, weight, bias = (call.axes(name) for name in ("input1", "input2", "weight", "bias"))
    before = "abcdefgh"[: len(x) - 1]
    result = contract(
        call,
        [(before + "i", x), (before + "j", y), ("oij", weight)],
        before + "o",
        ["input1", "input2"],
    )
    if bias:
        call.same(result.labels[-1], bias[0])
    return result


@rule("cdist", "_cdist_forward")
def cdist(call: Call):
    return _matmul(call, call.axes("x1"), _swapped(call.axes("x2")), ["x1", "x2"])


def _swapped(labels: Labels) -> Labels:
    return (*labels[:-2], labels[-1], labels[-2])


# ------------------------------------------------------------------------------------------------------------
# convolution


@rule(
    "conv1d",
    "conv2d",
    "conv3d",
    "convolution",
    "_convolution",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
)
def convolution(call: Call):
    """Channels are contracted within each group; a kernel's positions stay, and so do those it
    slides over (if it is not 1).
    """
    x, weight, bias = call.axes("input"), call.axes("weight"), call.axes("bias")
    groups, spatial = int(call.get("groups", 1)), len(weight) - 2
    transposed = "transpose" in call.op or bool(call.get("transposed", False))
    before, channels, field = x[: -spatial - 1], x[-spatial - 1], x[-spatial:]
    group, inside = factor(channels, (groups, channels.size // groups), WHY)
    if transposed:
        call.same(weight[0], product([normal(group), normal(inside)]))
        outside = weight[1]
    else:
        call.same(weight[1], inside)
        own, outside = factor(weight[0], (groups, weight[0].size // groups), WHY)
        call.same(own, group)
    group, inside, outside = normal(group), normal(inside), normal(outside)
    for label in weight[2:]:
        fix(label, Reason(call.name, text="are the positions of a kernel", expected=True))
    call.seen(*before, group, inside, outside)
    call.read("input", tuple(normal(label) for label in x), [len(before)])
    out = normal(product([group, outside]))
    if bias:
        call.same(out, bias[0])
    steps = (call.get(name) for name in ("stride", "padding", "output_padding"))
    stride, padding, extra = (
        _each(step, spatial, default) for step, default in zip(steps, (1, 0, 0))
    )
    slid = []
    for k, label in enumerate(field):
        if weight[2 + k].size == 1 and (stride[k], padding[k], extra[k]) == (1, 0, 0):
            slid.append(normal(label))
        else:
            call.fix(label, "which works on neighbours")
            slid.append(call.fixed(call.shape[len(call.shape) - spatial + k]))
    return Axes((*before, normal(out), *slid))


def _each(value: object, count: int, default: int) -> list:
    if value is None or value == []:
        return [default] * count
    if isinstance(value, str):
        return [1 if value == "same" else 0] * count
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return values * count if len(values) == 1 else values


# --------------------------------------------------------------------------------------------------------------
# attention


@rule("scaled_dot_product_attention")
def attention(call: Call):
    """Query and key share their width, value and output theirs; what is attended to is summed over."""
    query, key, value = (list(call.axes(name)) for name in ("query", "key", "value"))
    if call.get("enable_gqa", False) and query[-3].size != key[-3].size:
        shared, copies = factor(query[-3], (key[-3].size, query[-3].size // key[-3].size), WHY)
        for keyed in (key, value):
            call.same(shared, keyed[-3])
            keyed[-3] = product([normal(shared), normal(copies)])
    if call.get("is_causal", False):
        for label in (query[-2], key[-2]):
            call.fix(label, "which looks only backwards")
    batch = "abcdefgh"[: len(call.shape) - 2]
    own = [batch[len(batch) - (len(t) - 2) :] for t in (query, key, value)]
    scores = contract(
        call, [(own[0] + "le", query), (own[1] + "se", key)], batch + "ls", ["query", "key"]
    )
    labels = scores.labels
    if (mask := call.axes("attn_mask")) is not None:
        labels = call.broadcast([labels, mask], [label.size for label in labels])
    call.seen(*labels)
    call.seen(*labels[:-1])
    return contract(call, [(batch + "ls", labels), (own[2] + "sv", tuple(value))], batch + "lv")


# -------------------------------------------------------------------------------------------------------
# recurrent layers


GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def _cell(
    call: Call, gates: int, incoming: Label, outgoing: Label, weights: Sequence[Labels]
) -> Label:
    """Tie the weights of one layer and direction: all gates share the hidden units. Gives the label
    of the hidden units.
    """
    from_input, from_hidden, *vectors = weights
    hidden = fresh(from_input[0].size // gates)
    stacked = product(
        [fresh(gates, Reason(text="are the gates of a recurrent layer", expected=True)), hidden]
    )
    for label in (from_input[0], from_hidden[0], *(vector[0] for vector in vectors)):
        call.same(stacked, label)
    call.same(from_input[1], incoming)
    call.same(from_hidden[1], outgoing if outgoing is not None else hidden)
    hidden = normal(hidden)
    call.seen(hidden, normal(from_input[1]))
    call.seen(hidden, normal(from_hidden[1]))
    return hidden


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(call: Call):
    if "data" in call.arguments:
        return call.unknown()
    lstm = call.op == "lstm"
    parameters = [flat(value) for value in call.get("params")]
    layers, ways = int(call.get("num_layers")), 2 if call.get("bidirectional") else 1
    x = call.axes("input")
    steps, *batch = x[:-1][::-1] if call.get("batch_first") else x[:-1]
    call.fix(steps, "which goes along them in order")
    call.read("input", x, [-1])
    starts = [flat(value) for value in call.get("hx")] if lstm else [call.axes("hx")]
    each = len(parameters) // (layers * ways)
    biases, projected = (2 if call.get("has_biases") else 0), each in (3, 5)
    incoming = x[-1]
    last: list[list[Label]] = []  # for each layer and way: the output's and the cell's units
    for layer in range(layers):
        outputs = []
        for way in range(ways):
            at = (layer * ways + way) * each
            own = parameters[at : at + each]
            outgoing = fresh(own[-1][0].size) if projected else None
            hidden = _cell(call, GATES[call.op], incoming, outgoing, own[: 2 + biases])
            if projected:
                call.same(own[-1][0], outgoing)
                call.same(own[-1][1], hidden)
                call.seen(normal(outgoing), normal(hidden))
            outputs.append(normal(outgoing) if projected else hidden)
            last.append([outputs[-1], hidden][: 2 if lstm else 1])
        incoming = outputs[0] if ways == 1 else concat(outputs)
    states = []
    for which, start in enumerate(starts):
        units = [normal(pair[which]) for pair in last]
        for row, label in zip(_starts(call, start, which, len(units)), units):
            call.same(row[-1], label)
        states.append(unstacked(0, [(ONE, *batch, normal(label)) for label in units]))
    return [Axes((*x[:-1], normal(incoming))), *states]


def _starts(call: Call, start: Labels, which: int, count: int) -> list[Labels]:
    """The initial state of each layer and way."""
    value = call.get("hx")[which] if call.op == "lstm" else call.get("hx")
    if isinstance(value, Uniform):
        return []
    return list(value.slices) if isinstance(value, Unstacked) else [start] * count


@rule("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def recurrent_cell(call: Call):
    op = call.op.removesuffix("_cell")
    x = call.axes("input")
    states = [flat(value) for value in call.get("hx")] if op == "lstm" else [call.axes("hx")]
    weights = [call.axes(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
    hidden = _cell(call, GATES[op], x[-1], None, [own for own in weights if own is not None])
    for state in states:
        call.same(state[-1], hidden)
    call.read("input", x, [-1])
    out = Axes((*x[:-1], normal(hidden)))
    return [out, out] if op == "lstm" else out
