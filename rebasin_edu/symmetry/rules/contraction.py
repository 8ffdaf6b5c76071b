"""Rules for what multiplies and adds up: linear, matrix products, einsum, attention.

Each of them is a contraction: axes with the same letter are one, and a letter that is not in the
result is summed over. The full product (an axis for every letter) exists inside the operator, so it
is *seen*: nested groups need it. The arguments whose summed axes carry a group are where the
activations of that group are *read*.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..axis_structure import Reason
from ..labels import ONE, Label, normal, product
from ..unification import factor
from .base import Call, GiveUp, rule
from .values import Axes, Labels, flat

SIZES = Reason(text="reach groups of another size")


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
            call.read(name, labels, summed)
    return Axes(tuple(letters[letter] for letter in out))


@rule("linear")
def linear(call: Call):
    x, weight = call.axes("input"), call.axes("weight")
    before = "abcdefgh"[: len(x) - 1]
    operands = [(before + "i", x), ("oi"[-len(weight) :], weight)]
    result = contract(call, operands, before + "o"[: len(weight) - 1], ["input"])
    for bias in call.optional("bias"):
        call.same(result.labels[-1], bias[-1])
    return result


@rule("matmul bmm mm mv dot vdot linalg_matmul linalg_vecdot _sparse_mm sspaddmm")
def matmul(call: Call):
    names = ["self", "other", "mat2", "vec", "tensor", "sparse", "dense", "x", "y"]
    first, second = (name for name in names if name in call.arguments)
    a, b = call.axes(first), call.axes(second)
    if call.op == "linalg_vecdot":
        return call.without(call.broadcast([a, b], _joint(a, b)), [call.dim(max(len(a), len(b)))])
    return _matmul(call, a, b, [first, second])


def _joint(a: Labels, b: Labels) -> list[int]:
    """The shape that two shapes broadcast to."""
    rank = max(len(a), len(b))
    padded = [(ONE,) * (rank - len(labels)) + labels for labels in (a, b)]
    return [max(x.size, y.size) for x, y in zip(*padded)]


def _matmul(call: Call, a: Labels, b: Labels, names: Sequence[str]) -> Axes:
    batch = "abcdefgh"[: max(len(a), len(b), 2) - 2]
    left = (batch[len(batch) - max(len(a) - 2, 0) :] + "ij")[-len(a) :] if len(a) > 1 else "j"
    right = (batch[len(batch) - max(len(b) - 2, 0) :] + "jk") if len(b) > 1 else "j"
    out = batch + "i" * (len(a) > 1) + "k" * (len(b) > 1)
    return contract(call, [(left, a), (right, b)], out, names)


@rule("addmm baddbmm addmv addbmm addr _addmm_activation")
def addmm(call: Call):
    pairs = (("batch1", "batch2"), ("mat1", "mat2"), ("mat", "vec"), ("vec1", "vec2"))
    names = next(pair for pair in pairs if pair[0] in call.arguments)
    a, b = call.axes(names[0]), call.axes(names[1])
    if call.op == "addr":
        result = contract(call, [("i", a), ("j", b)], "ij")
    else:
        result = _matmul(call, a, b, names)
    labels = result.labels[1:] if call.op == "addbmm" else result.labels
    return Axes(call.broadcast([labels, call.axes("self")], call.shape))


@rule("_grouped_mm _scaled_grouped_mm transformers::grouped_mm_fallback")
def grouped_matmul(call: Call):
    """The matrix products of a mixture of experts: rows of the tokens belong to one expert after
    another, so the order of tokens and experts stays, and the units between are free.
    """
    names = ("self", "mat2") if "mat2" in call.arguments else ("input", "weight")
    a, b = call.axes(names[0]), call.axes(names[1])
    if (len(a), len(b)) != (2, 3):
        raise GiveUp("only tokens times the matrices of experts")
    for label in (a[0], b[0], *(offset for offs in call.optional("offs") for offset in offs)):
        call.fix(label, "which counts the tokens of each expert")
    result = contract(call, [("tk", a), ("ekn", b)], "tn", [names[0]])
    for bias in call.optional("bias"):
        call.same(result.labels[-1], bias[-1])
    return result


@rule("outer ger inner tensordot")
def tensor_product(call: Call):
    a = call.axes("self")
    b = call.axes("other" if "other" in call.arguments else "vec2")
    if call.op not in ("inner", "tensordot"):
        return contract(call, [("i", a), ("j", b)], "ij")
    dims_a, dims_b = [-1], [-1]
    if call.op == "tensordot":
        dims_a, dims_b = call.get("dims_self"), call.get("dims_other")
    first, second = list("abcdefgh"[: len(a)]), list("ABCDEFGH"[: len(b)])
    summed = []
    for i, j in zip(dims_a, dims_b):
        second[j] = first[i]
        summed.append(first[i])
    out = "".join(letter for letter in first + second if letter not in summed)
    return contract(call, [("".join(first), a), ("".join(second), b)], out, ["self", "other"])


@rule("kron")
def kronecker(call: Call):
    """Each axis is the product of both."""
    a, b = call.axes("self"), call.axes("other")
    rank = len(call.shape)
    a, b = ((ONE,) * (rank - len(labels)) + labels for labels in (a, b))
    return Axes(tuple(product([x, y]) for x, y in zip(a, b)))


@rule("einsum")
def einsum(call: Call):
    tensors = [flat(value) for value in call.get("tensors")]
    left, arrow, out = str(call.get("equation")).replace(" ", "").partition("->")
    subscripts = left.split(",")
    spare = [letter for letter in map(chr, range(0x3B1, 0x3B1 + 20)) if letter not in left]
    depth = max(len(t) - len(s.replace("...", "")) for s, t in zip(subscripts, tensors))
    for k, (subscript, labels) in enumerate(zip(subscripts, tensors)):
        dots = len(labels) - len(subscript.replace("...", ""))
        subscripts[k] = subscript.replace("...", "".join(spare[depth - dots : depth]))
    if not arrow:
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
            call.read("tensors", labels, summed, k)
    return result


@rule("bilinear")
def bilinear(call: Call):
    x, y, weight = (call.axes(name) for name in ("input1", "input2", "weight"))
    before = "abcdefgh"[: len(x) - 1]
    operands = [(before + "i", x), (before + "j", y), ("oij", weight)]
    result = contract(call, operands, before + "o", ["input1", "input2"])
    for bias in call.optional("bias"):
        call.same(result.labels[-1], bias[0])
    return result


@rule("linalg_inv inverse linalg_pinv pinverse")
def inverse(call: Call):
    """What was an input of the matrix is an output of its inverse."""
    labels = call.axes("self" if "self" in call.arguments else "A")
    return Axes((*labels[:-2], labels[-1], labels[-2]))


@rule("matrix_exp linalg_matrix_exp matrix_power linalg_matrix_power")
def matrix_function(call: Call):
    """Rows and columns are the same units."""
    labels = call.axes("self")
    call.same(labels[-2], labels[-1])
    return Axes(labels)


@rule("cdist _cdist_forward")
def cdist(call: Call):
    a, b = call.axes("x1"), call.axes("x2")
    return _matmul(call, a, (*b[:-2], b[-1], b[-2]), ["x1", "x2"])


@rule("scaled_dot_product_attention")
def attention(call: Call):
    """Query and key share their width, value and output theirs; keys are summed over."""
    query, key, value = (list(call.axes(name)) for name in ("query", "key", "value"))
    if call.get("enable_gqa", False) and query[-3].size != key[-3].size:
        heads = (key[-3].size, query[-3].size // key[-3].size)
        shared, copies = factor(query[-3], heads, SIZES)
        for keyed in (key, value):
            call.same(shared, keyed[-3])
            keyed[-3] = product([normal(shared), normal(copies)])
    if call.get("is_causal", False):
        for label in (query[-2], key[-2]):
            call.fix(label, "which looks only backwards")
    batch = "abcdefgh"[: len(call.shape) - 2]
    lead = [batch[len(batch) - (len(t) - 2) :] for t in (query, key, value)]
    operands = [(lead[0] + "le", tuple(query)), (lead[1] + "se", tuple(key))]
    labels = contract(call, operands, batch + "ls", ["query", "key"]).labels
    for mask in call.optional("attn_mask"):
        labels = call.broadcast([labels, mask], [label.size for label in labels])
    call.seen(*labels)
    call.seen(*labels[:-1])
    return contract(call, [(batch + "ls", labels), (lead[2] + "sv", tuple(value))], batch + "lv")
