"""Right and wrong answers of the exercises of notebooks 08 and 09, for ``test_exercises``."""

import math

import torch


def statistics(batches):
    rows = sum(len(batch) for batch in batches)
    mean = sum(batch.sum(0) for batch in batches) / rows
    return mean, sum(batch.square().sum(0) for batch in batches) / rows - mean**2


def fit_bias(x, t, w0):
    return (t - x @ w0.T).mean(0)


def log10_symmetries(width, permutations=4):
    logs = (math.lgamma(int(n * width) + 1) / math.log(10) for n in (16, 32, 64))
    return permutations * sum(logs)


def power(width):
    return 4 * width * sum(math.lgamma(n + 1) / math.log(10) for n in (16, 32, 64))


def width_for(widths, points, wanted):
    x, y = (torch.tensor(each, dtype=torch.float64).log() for each in (widths, points))
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return float(((math.log(wanted) - y.mean()) / slope + x.mean()).exp())


def through_the_ends(widths, points, wanted):
    return width_for([widths[0], widths[-1]], [points[0], points[-1]], wanted)


def mean_and(variance):
    return lambda batches: (statistics(batches)[0], variance(batches))


ANSWERS = {
    "08-1": (
        (2.0, 1.6),
        [
            ((4.0, 1.6), "take|its root|standard deviation"),
            ((2.0, 2.56), "take the root"),
            ((2.0, 2.0), "correlation of 1"),
            ((2.0, 2**0.5), "uncorrelated"),
            ((3.0, 1.6), "mean of both"),
            ((2.0, 1.5), "into the law"),
            (1.6, "two numbers"),
        ],
    ),
    "08-2": (
        statistics,
        [
            (lambda b: (torch.stack([x.mean(0) for x in b]).mean(0), 0), "counts more"),
            (lambda b: (statistics(b)[0] + 1, 0), "sum of all rows"),
            (mean_and(lambda b: torch.stack([x.var(0, correction=0) for x in b]).mean(0)), "betw"),
            (mean_and(lambda b: torch.cat(b).std(0, correction=0)), "its square"),
            (mean_and(lambda b: torch.cat(b).square().mean(0)), "less the square"),
            (lambda b: torch.cat(b).mean(0)[:1], "two tensors"),
            (torch.zeros(3), "function itself"),
        ],
    ),
    "08-3": (
        fit_bias,
        [
            (lambda x, t, w0: t.mean(0), "take x @ w0.T"),
            (lambda x, t, w0: -fit_bias(x, t, w0), "sign"),
            (lambda x, t, w0: (t - x @ w0.T).sum(0), "their mean"),
            (lambda x, t, w0: fit_bias(x, t, w0) + 1, "unit by unit"),
            (lambda x, t, w0: t - x @ w0.T, "one number a unit"),
        ],
    ),
    "09-1": (
        log10_symmetries,
        [
            (lambda w: log10_symmetries(w) * math.log(10), "natural"),
            (lambda w: log10_symmetries(w, 6), "too many"),
            (lambda w: log10_symmetries(w, 3), "stream is missing"),
            (lambda w: log10_symmetries(w, 1), "an inner layer"),
            (power, "power of the width"),
            (lambda w: 1.0, "4 permutations"),
            (551, "function itself"),
        ],
    ),
    "09-2": (
        width_for,
        [
            (through_the_ends, "least squares"),
            (lambda *given: math.log(width_for(*given)), "logarithm of the width"),
            (lambda *given: 1 / width_for(*given), "sign"),
            (lambda *given: 5.0, "logarithm of both"),
            (16, "function itself"),
        ],
    ),
    "09-3": (
        lambda y: 100 * ((y[0] + y[-1]) / 2 - min(y)),
        [
            (lambda y: (y[0] + y[-1]) / 2 - min(y), "a hundredth"),
            (lambda y: 100 * ((y[0] + y[-1]) / 2 - y[len(y) // 2]), "elsewhere"),
            (lambda y: 100 * (y[0] - min(y)), "not one of them"),
            (lambda y: 100 * (max(y) - min(y)), "not the better"),
            (lambda y: 100 * (min(y) - (y[0] + y[-1]) / 2), "sign"),
            (lambda y: 1.0, "the smallest"),
        ],
    ),
}
