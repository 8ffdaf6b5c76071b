"""Right and wrong answers of the exercises of notebooks 10 and 12, for ``test_exercises``."""

import torch

from rebasin_edu.matching import assign


def gains(merged, singles):
    return 1 - merged * len(singles) / sum(singles), 1 - merged / min(singles)


def come_home(b_to_a, c_to_b, a_to_c):
    around = a_to_c[c_to_b[b_to_a]]
    return (around == torch.arange(len(around))).float().mean().item()


def calibration_error(confidence, right, bins, weight=True, size=abs):
    number, error = (confidence * bins).ceil(), 0.0
    used = [k for k in range(1, bins + 1) if (number == k).any()]
    for k in used:
        inside = number == k
        gap = (confidence[inside].mean() - right[inside].float().mean()).item()
        error += size(gap) * (inside.float().mean().item() if weight else 1 / len(used))
    return error


def with_empty_bins(confidence, right, bins):
    number, error = (confidence * bins).ceil(), 0.0
    for k in range(1, bins + 1):
        inside = number == k
        gap = confidence[inside].mean() - right[inside].float().mean()
        error += abs(gap.item()) * inside.float().mean().item()
    return error


def kept(a, b, moved):
    return torch.dist(a, moved) / torch.dist(a, b)


def swap_first(w1, b1, w2):
    return w1.flip(0), b1.flip(0), w2.flip(1)


def swap_in_place(w1, b1, w2):
    w1.copy_(w1.flip(0))
    return w1, b1.flip(0), w2.flip(1)


def steepest(gradient, b):
    return assign(-gradient @ b.T)


ANSWERS = {
    "10-1": (
        gains,
        [
            (lambda merged, singles: gains(merged, singles)[::-1], "wrong order"),
            (lambda m, s: (gains(m, s)[0], 1 - m / max(s)), "smallest loss"),
            (lambda m, s: tuple(-x for x in gains(m, s)), "positive"),
            (lambda m, s: tuple(100 * x for x in gains(m, s)), "not per cent"),
            (lambda m, s: (sum(s) / len(s) - m, min(s) - m), "divide it"),
            (lambda m, s: 0.5, "two numbers"),
            (lambda m, s: (0.1, 0.2), "one minus"),
        ],
    ),
    "10-2": (
        come_home,
        [
            (lambda p, q, r: come_home(p, q, r) * len(p), "divide it"),
            (lambda p, q, r: 1 - come_home(p, q, r), "do not come home"),
            (lambda p, q, r: come_home(p, r, q), "index one"),
            (torch.zeros(3), "function itself"),
        ],
    ),
    "10-3": (
        calibration_error,
        [
            (lambda c, r, n: calibration_error(c, r, n, weight=False), "weight by their number"),
            (lambda c, r, n: calibration_error(c, r, n, size=float), "must not cancel"),
            (lambda c, r, n: calibration_error(c, r, 1), "sort the answers"),
            (lambda c, r, n: 0.0, "distance in each bin"),
            (with_empty_bins, "without answers"),
        ],
    ),
    "12-1": (
        kept,
        [
            (lambda a, b, moved: 1 / kept(a, b, moved), "upside down"),
            (lambda a, b, moved: kept(a, b, moved) ** 2, "roots"),
            (lambda a, b, moved: 1 - kept(a, b, moved), "what is left"),
            (lambda a, b, moved: torch.dist(b, moved) / torch.dist(a, b), "start at A"),
            (lambda a, b, moved: 0.5, "divided by"),
        ],
    ),
    "12-2": (
        swap_first,
        [
            (lambda w1, b1, w2: (w1.flip(1), b1.flip(0), w2.flip(1)), "its rows are the units"),
            (lambda w1, b1, w2: (w1, b1.flip(0), w2.flip(1)), "two rows of w1"),
            (lambda w1, b1, w2: (w1.flip(0), b1, w2.flip(1)), "bias belongs"),
            (lambda w1, b1, w2: (w1.flip(0), b1.flip(0), w2), "old places"),
            (lambda w1, b1, w2: (w1.flip(0), b1.flip(0), w2.flip(0)), "take its columns"),
            (lambda w1, b1, w2: (w1.flip(0), b1.flip(0), -w2), "two columns"),
            (lambda w1, b1, w2: w1, "three tensors"),
            (swap_in_place, "return new ones"),
        ],
    ),
    "12-3": (
        steepest,
        [
            (lambda gradient, b: steepest(-gradient, b), "uphill"),
            (lambda gradient, b: steepest(gradient, b).argsort(), "inverse"),
            (lambda gradient, b: torch.arange(6), "one assignment"),
            (lambda gradient, b: [0, 0, 1, 2, 3, 4], "each index once"),
        ],
    ),
}
