"""Every check says yes to the right answer, and names the likely mistake for wrong ones."""

import math

import numpy as np
import pytest
import torch

import rebasin_edu as rb
from rebasin_edu.course.check import NUMBERS, NotYet, UnknownExercise, check, given, load
from rebasin_edu.matching import assign

from . import answers_08_09, answers_10_12, answers_11_13, answers_14


def mix(a, b, alpha):
    return {name: (1 - alpha) * a[name] + alpha * b[name] for name in a}


def mix_in_place(a, b, alpha):
    for name in a:
        a[name].mul_(1 - alpha).add_(alpha * b[name])
    return a


def reorder(w1, b1, w2, order):
    return w1[order], b1[order], w2[:, order]


def coordinates(a, b, c):
    first, second = b - a, c - a
    along = second @ first / (first @ first)
    return along.item(), ((second - along * first).norm() / first.norm()).item()


def needed(share):
    return 2 * share**2 - 1


def similarity(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return (x / x.norm(dim=0).clamp_min(1e-12)).T @ (y / y.norm(dim=0).clamp_min(1e-12))


def unshuffle(x, y):
    return y[:, assign(similarity(x, y))]


def middle_gains(w_a, w_b, before, after_a, after_b, after):
    return w_a @ w_b[:, before].T + after_a.T @ after_b[after]


def align(a, b, sweeps=100):
    p1, p2 = torch.arange(len(a[0])), torch.arange(len(a[1]))
    for _ in range(sweeps):
        p1 = assign(a[0] @ b[0].T + a[1].T @ b[1][p2])
        p2 = assign(a[1] @ b[1][:, p1].T + a[2].T @ b[2])
    return [p1, p2]


def align_in_place(a, b):
    orders = align(a, b)
    b[0].copy_(b[0][orders[0]])
    return orders


def through(value, theta):
    return value.detach() + theta - theta.detach()


def best_of(objectives, losses, count):
    chosen = max(range(count), key=lambda n: objectives[n])
    return losses[chosen], min(losses[:count])


def step(theta, b, project, loss_at, lr):
    free = theta.detach().clone().requires_grad_()
    order = project(free.detach(), b)
    (gradient,) = torch.autograd.grad(loss_at(b[order] + free - free.detach()), free)
    return theta - lr * gradient


def step_at_theta(theta, b, project, loss_at, lr):
    project(theta, b)
    free = theta.clone().requires_grad_()
    return theta - lr * torch.autograd.grad(loss_at(free), free)[0]


def columns(order, pixels):
    return torch.arange(len(order) * pixels).reshape(len(order), pixels)[order].flatten()


SIDE_BY_SIDE = {
    "left.weight": ("u", None),
    "left.bias": ("u",),
    "right.weight": ("v", None),
    "right.bias": ("v",),
    "head.weight": (None, ["u", "v", 4]),
}


def differing(recipes):
    return [n for n in recipes[0] if n != "seed" and len({recipe[n] for recipe in recipes}) > 1]


def settled(barriers, limit):
    low = [max(column) < limit for column in zip(*barriers)]
    return next((epoch for epoch in range(len(low)) if all(low[epoch:])), None)


def settled_or_error(barriers, limit):
    low = [max(column) < limit for column in zip(*barriers)]
    return [epoch for epoch in range(len(low)) if all(low[epoch:])][0]


# exercise → (right answer, wrong answers with a word of what each message must say)
ANSWERS = {
    "00-3": (
        mix,
        [
            (lambda a, b, alpha: mix(b, a, alpha), "share of B"),
            (mix_in_place, "was changed"),
            (lambda a, b, alpha: list(a), "dictionary"),
            (lambda a, b, alpha: a, "straight line"),
            ({}, "function itself"),
        ],
    ),
    "01-2": (
        reorder,
        [
            (lambda w1, b1, w2, p: (w1[p], b1[p], w2), "columns must move"),
            (lambda w1, b1, w2, p: (w1[p], b1, w2[:, p]), "biases"),
            (lambda w1, b1, w2, p: (w1[p], b1[p], w2[:, p.argsort()]), "inverse"),
            (lambda w1, b1, w2, p: reorder(w1, b1, w2, p.argsort()), "order asked for"),
            (lambda w1, b1, w2, p: w1[p], "three tensors"),
            (lambda w1, b1, w2, p: (w1[p], b1[p], w2[p]), "its columns"),
        ],
    ),
    "02-3": (
        coordinates,
        [
            (lambda a, b, c: ((c - a) @ (b - a) / (b - a).norm(), 0.5), "unit is"),
            (
                lambda a, b, c: (coordinates(a, b, c)[0], ((c - a).norm() / (b - a).norm()).item()),
                "left of c - a",
            ),
            (lambda a, b, c: coordinates(0 * a, b, c), "project c - a"),
            (lambda a, b, c: 0.25, "a pair"),
            ((0.25, 0.5), "function itself"),
        ],
    ),
    "02-4": (
        needed,
        [
            (lambda share: share**2, "share of the variance"),
            (lambda share: 2 * share - 1, "not of its square root"),
            (lambda share: ((1 + share) / 2) ** 0.5, "wrong way round"),
            (lambda share: 0.0, "one unknown"),
            (0.62, "function itself"),
        ],
    ),
    "03-2": (
        similarity,
        [
            (lambda x, y: x.T @ y, "raw products"),
            (lambda x, y: similarity(x, y).T, "turned over"),
            (lambda x, y: torch.corrcoef(torch.cat([x, y], 1).T)[:3, 3:], "divides by zero"),
            (lambda x, y: (x - x.mean(0)).T @ (y - y.mean(0)), "never above 1"),
            (lambda x, y: similarity(x, y) / 2, "its own length"),
            (lambda x, y: 1.0, "a table"),
            (torch.eye(3), "function itself"),
        ],
    ),
    "03-3": (
        unshuffle,
        [
            (lambda x, y: y[:, assign(similarity(y, x))], "inverse"),
            (lambda x, y: y[:, similarity(x, y).argmax(1)], "one to one"),
            (lambda x, y: assign(similarity(x, y)), "not the order itself"),
            (lambda x, y: y, "where they stood"),
            (lambda x, y: y[:, assign(-similarity(x, y))], "maximises"),
            (lambda x, y: y.mul_(2), "was changed"),
            (3, "function itself"),
        ],
    ),
    "04-2": (
        middle_gains,
        [
            (lambda *given: middle_gains(*given).T, "transposed"),
            (
                lambda w_a, w_b, before, after_a, after_b, after: w_a @ w_b.T + after_a.T @ after_b,
                "old orders",
            ),
            (
                lambda w_a, w_b, before, after_a, after_b, after: w_a @ w_b[:, before].T,
                "layer after has a say",
            ),
            (
                lambda w_a, w_b, before, after_a, after_b, after: after_a.T @ after_b[after],
                "layer before has a say",
            ),
            (
                lambda *given: middle_gains(
                    *given[:2], given[2].argsort(), *given[3:5], given[5].argsort()
                ),
                "inverse",
            ),
            (
                lambda w_a, w_b, before, after_a, after_b, after: (
                    w_a @ w_b[:, before].T + after_a.T @ after_b[:, after]
                ),
                "columns of after_b",
            ),
            (lambda *given: 2 * middle_gains(*given), "two products"),
            (lambda *given: middle_gains(*given)[0], "a row for each unit"),
            (torch.eye(4), "function itself"),
        ],
    ),
    "04-3": (
        align,
        [
            (lambda a, b: align(a, b, sweeps=0), "could still improve"),
            (lambda a, b: align(a, b, sweeps=1), "could still improve"),
            (align_in_place, "was changed"),
            (lambda a, b: align(a, b)[0], "two orders"),
            (lambda a, b: [order.argsort() for order in align(a, b)], "could still improve"),
            ([[0], [0]], "function itself"),
        ],
    ),
    "05-1": (
        through,
        [
            (lambda value, theta: value.detach(), "nothing has a gradient"),
            (lambda value, theta: value + theta - theta.detach(), "value gets a gradient"),
            (lambda value, theta: value + theta, "forward"),
            (lambda value, theta: value * theta / theta.detach(), "exactly the gradient"),
            (lambda value, theta: 1.0, "same shape"),
            (torch.zeros(2), "function itself"),
        ],
    ),
    "05-2": (
        best_of,
        [
            (lambda o, x, n: best_of(o, x, len(o)), "first count"),
            (lambda o, x, n: (max(o[:n]), min(x[:n])), "loss of the descent"),
            (
                lambda o, x, n: (x[min(range(n), key=lambda k: o[k])], min(x[:n])),
                "smallest objective",
            ),
            (lambda o, x, n: best_of(o, x, n)[::-1], "wrong order"),
            (lambda o, x, n: (0.8, 0.8), "the smallest loss"),
            (lambda o, x, n: 0.3, "two numbers"),
            (0.3, "function itself"),
        ],
    ),
    "05-3": (
        step,
        [
            (lambda theta, b, project, loss_at, lr: theta, "onto a permutation"),
            (
                lambda theta, b, project, loss_at, lr: (project(theta, b), theta.clone())[1],
                "get through",
            ),
            (step_at_theta, "at theta itself"),
            (
                lambda theta, b, project, loss_at, lr: step(
                    theta, b, lambda *x: (project(*x), torch.arange(4))[1], loss_at, lr
                ),
                "in its new order",
            ),
            (
                lambda theta, b, project, loss_at, lr: step(theta, b, project, loss_at, -lr),
                "uphill",
            ),
            (
                lambda theta, b, project, loss_at, lr: step(
                    theta, b, lambda *x: project(*x).argsort(), loss_at, lr
                ),
                "inverse",
            ),
            (lambda theta, b, project, loss_at, lr: theta.sub_(lr), "was changed"),
            (
                lambda theta, b, project, loss_at, lr: step(theta, b, project, loss_at, 3 * lr),
                "gradient taken",
            ),
            (torch.zeros(4, 3), "function itself"),
        ],
    ),
    "06-1": (
        columns,
        [
            (lambda order, n: columns(order.argsort(), n), "inverse"),
            (
                lambda order, n: torch.arange(4 * n).reshape(n, 4)[:, order].flatten(),
                "channels-last",
            ),
            (lambda order, n: torch.arange(4 * n), "nothing has moved"),
            (
                lambda order, n: columns(order, n).reshape(4, n).flip(1).flatten(),
                "pixels moved too",
            ),
            (lambda order, n: columns(order, n).reshape(4, n).T.flatten(), "row by row"),
            (lambda order, n: order, "all channels"),
            (lambda order, n: torch.arange(4 * n).flip(0), "change places"),
            (12, "function itself"),
        ],
    ),
    "06-2": (
        12,
        [
            (13, "stem"),
            (17, "added"),
            (20, "added"),
            (16, "added"),
            (8, "each stage has a stream"),
            (4, "inside each block"),
            (9, "begins a new"),
            (15, "new stream"),
            (11, "four streams"),
            (1, "one for the stream"),
        ],
    ),
    "06-3": (
        SIDE_BY_SIDE,
        [
            ({k: v for k, v in SIDE_BY_SIDE.items() if "bias" not in k}, "moves with the rows"),
            (SIDE_BY_SIDE | {"head.weight": (None, ["v", "u", 4])}, "changes the function"),
            (SIDE_BY_SIDE | {"head.weight": (None, ["u", "v"])}, "cannot read it"),
            (
                {"left.weight": (None, None), "left.bias": (None,)}
                | {"right.weight": ("v", None), "right.bias": ("v",)}
                | {"head.weight": (None, [3, "v", 4])},
                "could move more",
            ),
            (SIDE_BY_SIDE | {"left.weight": ("u", "x")}, "changes the function"),
            (["u", "v"], "dictionary"),
        ],
    ),
    "07-1": (
        256,
        [
            (128, "1.7 to 2"),
            (512, "narrower"),
            (1024, "narrower"),
            (64, "every pair"),
            (7, "one of"),
        ],
    ),
    "07-2": (
        differing,
        [
            (lambda recipes: [*differing(recipes), "seed"], "leave the seed out"),
            (lambda recipes: differing(recipes[:3]), "all recipes"),
            (lambda recipes: differing([recipes[0], recipes[-1]]), "first with the last"),
            (lambda recipes: [], "more than one value"),
            (lambda recipes: list(recipes[0]), "leave the seed out"),
            (lambda recipes: ["model"], "width and epochs"),
            (lambda recipes: ["epochs", "width"], "nothing else"),
            (lambda recipes: "width", "names"),
            (["width"], "function itself"),
        ],
    ),
    "07-3": (
        settled,
        [
            (lambda barriers, limit: 0, "nothing to lose"),
            (lambda barriers, limit: 2, "not both"),
            (lambda barriers, limit: 3, "must stay below"),
            (lambda barriers, limit: 4, "not every pair"),
            (lambda barriers, limit: 1, "stay below"),
            (lambda barriers, limit: settled(barriers, limit) or 5, "return None where"),
            (settled_or_error, "stops with IndexError"),
            (5, "function itself"),
        ],
    ),
}
ANSWERS |= (
    answers_08_09.ANSWERS | answers_10_12.ANSWERS | answers_11_13.ANSWERS | answers_14.ANSWERS
)


def log10_factorial(n):
    return math.lgamma(n + 1) / math.log(10)


def factorials(sizes):
    return [math.factorial(size) for size in sizes]


def height(losses):
    return max(losses) - (losses[0] + losses[-1]) / 2


def three_barriers(losses):
    straight = [losses[0] + k / 4 * (losses[-1] - losses[0]) for k in range(5)]
    over = max(loss - low for loss, low in zip(losses, straight))
    return height(losses), over, losses[2] - straight[2]


def best_columns(table):
    return assign(torch.tensor(table, dtype=torch.float64)).tolist()


def means():
    rows = [pair["epochs"] for pair in rb.load_run("mnist-mlp-onset")["pairs"]]
    return [sum(row["matched"]["loss_barrier"] for row in each) / 3 for each in zip(*rows)]


def first_below(factor):
    return next(k for k, mean in enumerate(means()) if k and mean < means()[1] / factor)


# exercise whose numbers are drawn → the same, as functions of the numbers
DRAWN = {
    "00-1": (
        height,
        [
            (lambda x: max(x) - x[0], "one end"),
            (lambda x: max(x) - x[-1], "one end"),
            (max, "above zero"),
            (lambda x: x[2] - (x[0] + x[-1]) / 2, "the middle of the path"),
            (lambda x: 3, "largest"),
        ],
    ),
    "00-2": (
        lambda sizes: math.prod(factorials(sizes)),
        [
            (lambda sizes: sum(factorials(sizes)), "multiply"),
            (lambda sizes: math.factorial(sum(sizes)), "layer to layer"),
            (math.prod, "order them all"),
            (lambda sizes: 1, "n!"),
        ],
    ),
    "01-1": (
        lambda order: torch.tensor(order).argsort(),
        [
            (lambda order: order, "same order again"),
            (lambda order: [0, 1, 2, 3, 4], "old place"),
            (lambda order: [1, 1, 0, 2, 3], "each of 0 to 4 once"),
        ],
    ),
    "01-3": (
        lambda n: 2 * log10_factorial(n),
        [
            (lambda n: log10_factorial(2 * n), "change layers"),
            (log10_factorial, "one layer"),
            (lambda n: 2 * math.lgamma(n + 1), "natural"),
            (lambda n: 0, "combine"),
        ],
    ),
    "02-1": (
        three_barriers,
        [
            (lambda x: (max(x) - x[0], *three_barriers(x)[1:]), "one of them"),
            (lambda x: (max(x), *three_barriers(x)[1:]), "largest of the five"),
            (lambda x: (height(x), x[2] - x[0] / 2 - x[-1] / 2, 0), "not only at the middle"),
            (lambda x: (height(x), height(x), 0), "straight line's value"),
            (lambda x: (*three_barriers(x)[:2], x[2]), "still to be taken off"),
            (lambda x: (*three_barriers(x)[:2], x[2] - x[0]), "less the mean"),
            (lambda x: 0.6, "three numbers"),
        ],
    ),
    "02-2": (
        lambda rho: 0.5 * (1 - rho),
        [
            (lambda rho: 0.5 * (1 + rho), "share that remains"),
            (lambda rho: 1 - (0.5 * (1 + rho)) ** 0.5, "its square"),
            (lambda rho: 0.5, "unrelated"),
            (lambda rho: 0.01, "set both variances"),
            (lambda rho: 50 * (1 - rho), "between 0 and 1"),
            (lambda rho: "30 %", "between 0 and 1"),
        ],
    ),
    "03-1": (
        best_columns,
        [
            (lambda table: [0, 0, 2], "once"),
            (lambda table: [0, 1, 2], "in place|greedy"),
            (lambda table: best_columns([[-x for x in row] for row in table]), "better|greedy"),
        ],
    ),
    "04-1": (
        lambda epsilon: 0.25 + (1 + epsilon) ** 2 / 4,
        [
            (lambda epsilon: 1 + epsilon / 2, "coordinate descent"),
            (lambda epsilon: 0.50050025, "yours is larger"),
            (lambda epsilon: 0.5, "keep the terms"),
            (lambda epsilon: 2, "average each"),
        ],
    ),
    "04-4": (
        first_below,
        [
            (lambda factor: 0, "does not count"),
            (lambda factor: first_below(factor) - 1, "one epoch early"),
            (lambda factor: 0.02, "looks like a barrier"),
            (lambda factor: 25, "stop at the first"),
        ],
    ),
}
DRAWN |= answers_11_13.DRAWN | answers_14.DRAWN


def test_every_exercise_has_answers_here():
    assert load().keys() == ANSWERS.keys() | DRAWN.keys()
    assert NUMBERS.keys() == DRAWN.keys()
    assert all(len(wrong) >= 2 for _, wrong in [*ANSWERS.values(), *DRAWN.values()])


@pytest.mark.parametrize("number", sorted(DRAWN))
def test_check_with_the_numbers_of_many_readers(number, capsys):
    right, wrong = DRAWN[number]
    for reader in ("", *(f"reader {k}" for k in range(20))):
        numbers = given(number, reader)
        assert given(number, reader) == numbers
        check(number, right(numbers))
        for answer, word in wrong:
            with pytest.raises(NotYet, match=word):
                check(number, answer(numbers))
    assert capsys.readouterr().out.startswith(f"{number}: right.")
    assert len({str(given(number, f"reader {k}")) for k in range(20)}) >= 4
    given(number)


def test_only_some_exercises_have_numbers():
    with pytest.raises(UnknownExercise, match="00-3"):
        given("00-3")


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


@pytest.mark.parametrize("kind", [torch.tensor, np.float32, lambda x: np.array([x])])
def test_a_number_of_any_kind_is_a_number(kind, capsys):
    check("02-2", kind(0.5 * (1 - given("02-2"))))
    check("00-2", kind(math.prod(factorials(given("00-2")))))
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (lambda a, b: a, "called with 3 arguments"),
        (lambda a, b, alpha: a["no such name"], "stops with KeyError"),
        (lambda a, b, alpha: None, "returns nothing yet"),
        (lambda a, b, alpha: {"w": torch.ones(3, 3), "b": torch.ones(1)}, "type or shape"),
    ],
)
def test_whatever_goes_wrong_in_an_answer_is_one_sentence(answer, word):
    with pytest.raises(NotYet, match=word) as caught:
        check("00-3", answer)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None


def test_a_notebook_shows_one_line_and_nothing_of_the_check():
    with pytest.raises(NotYet) as caught:
        check("04-2", lambda *given: torch.zeros(2, 2))
    shown = caught.value._render_traceback_()
    assert len(shown) == 1
    assert shown[0].startswith("Not yet. 04-2: the gains are a tensor")
