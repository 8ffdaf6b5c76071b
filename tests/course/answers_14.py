"""Right and wrong answers of the exercises of notebook 14, for ``test_exercises``."""

import math

import torch

from rebasin_edu.matching import assign


def orders(units):
    return math.lgamma(units + 1) / math.log(10)


def inside(sizes):  # an order of its own in each head
    return sizes[0] * orders(sizes[1])


def all_orders(sizes):
    return orders(sizes[0]) + 2 * inside(sizes)


def centred(weights):
    return weights - weights.mean(0)


def centred_in_place(weights):
    return weights.sub_(weights.mean(0))


def pair_heads(a, b):
    return assign(torch.linalg.svdvals(torch.einsum("iwd,jvd->ijwv", a, b)).sum(-1))


def unturned(a, b):
    return assign(torch.einsum("iwd,jwd->ij", a, b))


# exercises whose numbers are drawn: (right answer, wrong answers) of the numbers
DRAWN = {
    "14-1": (
        all_orders,
        [
            (lambda sizes: orders(math.prod(sizes)), "never leaves its head"),
            (lambda sizes: 2 * orders(math.prod(sizes)), "never leaves its head"),
            (lambda sizes: 2 * inside(sizes), "change places too"),
            (lambda sizes: orders(sizes[0]) + inside(sizes), "another one"),
            (lambda sizes: orders(sizes[0]) + 4 * inside(sizes), "two a head"),
            # with two heads that is the answer before the last
            (lambda s: orders(s[0]) + 2 * orders(s[1]), "is a power|another one"),
            (lambda sizes: all_orders(sizes) * math.log(10), "natural logarithm"),
            (lambda sizes: 1.0, "log10 of heads!"),
        ],
    ),
}
ANSWERS = {
    "14-2": (
        centred,
        [
            (lambda weights: weights - weights.mean(1, keepdim=True), "axis 0"),
            (lambda weights: weights - weights.mean(), "each column"),
            (lambda weights: weights.mean(0), "same shape"),
            (lambda weights: weights, "add up to zero"),
            (centred_in_place, "return new ones"),
        ],
    ),
    "14-3": (
        pair_heads,
        [
            (lambda a, b: pair_heads(b, a), "inverse"),
            (unturned, "singular values"),
            (lambda a, b: torch.arange(5), r"entry \(i, j\)"),
            (lambda a, b: [0, 0, 1, 2, 3], "each index once"),
        ],
    ),
}
