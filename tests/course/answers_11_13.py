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
DRAWN["13-1"] = (
    lambda line: (line[0] + line[-1]) / 2 - min(line),
    [
        (lambda line: min(line) - (line[0] + line[-1]) / 2, "is positive"),
        (lambda line: line[0] - min(line), "one end"),
        (lambda line: line[-1] - min(line), "one end"),
        (lambda line: (line[0] + line[-1]) / 2 - line[4], "that is the middle"),
        (lambda line: ((line[0] + line[-1]) / 2 - min(line)) / 100, "in points"),
        (lambda line: 1.0, "of the nine"),
    ],
)


def barrier(losses):
    return max(losses) - (losses[0] + losses[-1]) / 2


def drop(naive, matched):
    return 1 - barrier(matched) / barrier(naive)


def log10_orders(numbers):
    return sum(math.lgamma(n + 1) for n in numbers) / math.log(10)


ANSWERS = {
    "13-2": (
        drop,
        [
            (lambda naive, matched: 1 - drop(naive, matched), "share that is left"),
            (lambda naive, matched: 1 - max(matched) / max(naive), "highest losses"),
            (lambda n, m: 1 - (max(m) - m[0]) / (max(n) - n[0]), "mean of both"),
            (lambda naive, matched: barrier(naive) - barrier(matched), "divide by"),
            (lambda naive, matched: 100 * drop(naive, matched), "not per cent"),
            (lambda naive, matched: 0.5, "over the naive barrier"),
        ],
    ),
    "13-3": (
        lambda widths, stream: log10_orders([*widths, stream]),
        [
            (lambda w, stream: math.log(10) * log10_orders([*w, stream]), "natural logarithm"),
            (lambda w, stream: log10_orders([*w, *[stream] * len(w)]), "chosen once"),
            (lambda w, stream: log10_orders(w), "an order too"),
            (lambda w, stream: log10_orders([sum(w) + stream]), "do not change layers"),
            (lambda w, stream: 1.0, "once for the stream"),
        ],
    ),
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
