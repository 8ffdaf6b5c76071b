"""Checks of 11: Can we merge what was learnt apart?"""

from __future__ import annotations

import math
from random import Random
from typing import Any

import torch

from ..check import NotYet, exercise, function_of, near, plain


def _federation(draw: Random) -> dict[str, int]:
    """A federation: weights of a network, clients and rounds."""
    return {
        "weights": 1000 * draw.randint(200, 900),
        "clients": draw.choice((3, 5, 6, 7, 9)),
        "rounds": draw.choice((3, 5, 6, 7)),
    }


@exercise("11-1", _federation)
def _(answer: Any, sizes: dict[str, int]) -> str:
    """The megabytes that all clients and the server send each other."""
    weights, clients, rounds = sizes["weights"], sizes["clients"], sizes["rounds"]
    wanted = 2 * 4 * weights * clients * rounds / 1e6
    if near(answer, wanted, 1e-6 * wanted):
        return "Up and down, four bytes a weight, every client, every round."
    if near(answer, wanted / 2, 1e-6 * wanted):
        raise NotYet("11-1: that is one way; the average has to come back to the clients too")
    if near(answer, wanted / 4, 1e-6 * wanted) or near(answer, wanted / 8, 1e-6 * wanted):
        raise NotYet("11-1: a weight in single precision has four bytes, and goes both ways")
    if near(answer, 1e6 * wanted, wanted):
        raise NotYet("11-1: those are bytes; a megabyte is a million of them")
    if near(answer, wanted / clients, 1e-6 * wanted):
        raise NotYet("11-1: that is what one client sends and receives: there are more of them")
    if near(answer, wanted / rounds, 1e-6 * wanted):
        raise NotYet("11-1: that is one round: there are more of them")
    raise NotYet("11-1: weights × 4 bytes × 2 ways × clients × rounds, in millions")


@exercise("11-2")
def _(answer: Any) -> str:
    """The mean of networks whose clients have different numbers of images."""
    federated_mean = function_of("11-2", "federated_mean", answer)
    networks = [{"weight": torch.full((2, 2), value)} for value in (1.0, 2.0, 6.0)]
    counts = [100, 300, 600]
    found = federated_mean(networks, counts)
    if [net["weight"][0, 0].item() for net in networks] != [1.0, 2.0, 6.0]:
        raise NotYet("11-2: a client's network was changed: add into new tensors")
    if not isinstance(found, dict) or set(found) != {"weight"}:
        raise NotYet("11-2: return a dictionary with the names of the networks")
    value = plain(found["weight"].flatten()[0])
    if near(value, 3.0, 1e-5):
        raise NotYet("11-2: that is the plain mean; a client with more images weighs more")
    if near(value, 4300.0, 1e-2):
        raise NotYet("11-2: the shares must add up to one: divide by the number of all images")
    if near(value, 4.3 / 3, 1e-4):
        raise NotYet("11-2: divide once: the shares already add up to one")
    if found["weight"].shape != (2, 2) or not near(value, 4.3, 1e-5):
        raise NotYet("11-2: each weight is the sum of count / all images times the client's weight")
    return "This is the average of the paper on federated averaging; at equal counts, the mean."


@exercise("11-3")
def _(answer: Any) -> str:
    """The whole bytes that the permutations of some hidden layers need at least."""
    permutation_bytes = function_of("11-3", "permutation_bytes", answer)
    widths = [256, 256, 100]
    bits = sum(math.log2(math.factorial(width)) for width in widths)
    found = plain(permutation_bytes(widths))
    if near(found, math.ceil(bits), 0.5):
        raise NotYet("11-3: those are bits; a byte has eight of them")
    if near(found, sum(widths), 0.5):
        raise NotYet("11-3: one byte a unit is enough up to 256 units; it can be done with less")
    if near(found, bits * math.log(2) / 8, 0.6):
        raise NotYet("11-3: bits count powers of two: take log2")
    if near(found, bits / 8, 1e-6) and found != math.ceil(bits / 8):
        raise NotYet("11-3: a part of a byte cannot be sent: round up")
    if found != math.ceil(bits / 8):
        raise NotYet("11-3: log2(n!) for each layer of n units, added, divided by 8, rounded up")
    return "Beside the weights this is nothing: a matching is cheap to send."
