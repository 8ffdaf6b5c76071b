"""Every check says yes to the right answer, and names the likely mistake for wrong ones."""

import math

import pytest
import torch

from rebasin_edu.course.check import NotYet, UnknownExercise, check, load


def mix(a, b, alpha):
    return {name: (1 - alpha) * a[name] + alpha * b[name] for name in a}


def mix_in_place(a, b, alpha):
    for name in a:
        a[name].mul_(1 - alpha).add_(alpha * b[name])
    return a


def reorder(w1, b1, w2, order):
    return w1[order], b1[order], w2[:, order]


# exercise → (right answer, wrong answers with a word of what each message must say)
ANSWERS = {
    "00-1": (0.5, [(0.6, "one end"), (0.7, "above zero"), (3, "largest")]),
    "00-2": (288, [(32, "multiply"), (math.factorial(9), "layer to layer"), (1, "n!")]),
    "00-3": (
        mix,
        [
            (lambda a, b, alpha: mix(b, a, alpha), "share of B"),
            (mix_in_place, "was changed"),
            (lambda a, b, alpha: list(a), "dictionary"),
            (lambda a, b, alpha: a, "0.75"),
            ({}, "function itself"),
        ],
    ),
    "01-1": (torch.tensor([1, 2, 0]), [([2, 0, 1], "shuffle again"), ([0, 1, 2], "old place")]),
    "01-2": (
        reorder,
        [
            (lambda w1, b1, w2, p: (w1[p], b1[p], w2), "columns must move"),
            (lambda w1, b1, w2, p: (w1[p], b1, w2[:, p]), "biases"),
            (lambda w1, b1, w2, p: (w1[p], b1[p], w2[:, p.argsort()]), "inverse"),
            (lambda w1, b1, w2, p: reorder(w1, b1, w2, p.argsort()), "order asked for"),
            (lambda w1, b1, w2, p: w1[p], "three tensors"),
        ],
    ),
    "01-3": (315.94, [(374.9, "change layers"), (157.97, "one layer"), (727.5, "natural"), (0, "lgamma")]),
}


def test_every_exercise_has_answers_here():
    assert load().keys() == ANSWERS.keys()
    assert all(len(wrong) >= 2 for _, wrong in ANSWERS.values())


@pytest.mark.parametrize("number", sorted(ANSWERS))
def test_check(number, capsys):
    right, wrong = ANSWERS[number]
    check(number, right)
    assert capsys.readouterr().out.startswith(f"{number}: right.")
    for answer, word in wrong:
        with pytest.raises(NotYet, match=word):
            check(number, answer)
    for nothing in (None, ...):
        with pytest.raises(NotYet, match="no answer yet"):
            check(number, nothing)


def test_unknown_exercise():
    with pytest.raises(UnknownExercise, match="99-1"):
        check("99-1", 1)
