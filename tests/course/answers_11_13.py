"""Right and wrong answers of the exercises of notebooks 11 and 13, for ``test_exercises``."""

import math

import torch


def federated_mean(networks, counts):
    shares = [count / sum(counts) for count in counts]
    return {
        name: sum(share * network[name] for share, network in zip(shares, networks))
        for name in networks[0]
    }


def mean_in_place(networks, counts):
    for network, count in zip(networks, counts):
        network["weight"].mul_(count / sum(counts))
    return {"weight": sum(network["weight"] for network in networks)}


def bits(widths):
    return sum(math.log2(math.factorial(width)) for width in widths)


def permutation_bytes(widths):
    return math.ceil(bits(widths) / 8)


def megabytes(sizes):
    return 2 * 4 * sizes["weights"] * sizes["clients"] * sizes["rounds"] / 1e6


# exercises whose numbers are drawn: (right answer, wrong answers) of the numbers
DRAWN = {
    "11-1": (
        megabytes,
        [
            (lambda sizes: megabytes(sizes) / 2, "one way"),
            (lambda sizes: megabytes(sizes) / 4, "four bytes"),
            (lambda sizes: megabytes(sizes) / 8, "four bytes"),
            (lambda sizes: 1e6 * megabytes(sizes), "those are bytes"),
            (lambda sizes: megabytes(sizes) / sizes["clients"], "there are more of them"),
            (lambda sizes: megabytes(sizes) / sizes["rounds"], "there are more of them"),
            (lambda sizes: 1.0, "4 bytes"),
        ],
    ),
}
ANSWERS = {
    "11-2": (
        federated_mean,
        [
            (mean_in_place, "was changed"),
            (lambda networks, counts: federated_mean(networks, [1, 1, 1]), "plain mean"),
            (
                lambda n, c: {"weight": sum(k * x["weight"] for k, x in zip(c, n))},
                "add up to one",
            ),
            (lambda n, c: {"weight": federated_mean(n, c)["weight"] / 3}, "divide once"),
            (lambda n, c: federated_mean(n, c)["weight"], "dictionary"),
            (lambda n, c: {"weight": torch.zeros(2, 2)}, "sum of count"),
        ],
    ),
    "11-3": (
        permutation_bytes,
        [
            (lambda widths: math.ceil(bits(widths)), "those are bits"),
            (sum, "one byte a unit"),
            (lambda widths: math.ceil(bits(widths) * math.log(2) / 8), "log2"),
            (lambda widths: bits(widths) / 8, "round up"),
            (lambda widths: 1, "log2\\(n!\\)"),
        ],
    ),
}
