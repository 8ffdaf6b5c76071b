"""Checks of 07: When do networks become mergeable?"""

from __future__ import annotations

from typing import Any

from ..check import NotYet, exercise, function_of, near


@exercise("07-1")
def _(answer: Any) -> str:
    """The smallest width at which every pair loses less than a point."""
    if near(answer, 128, 1e-9):
        raise NotYet(
            "07-1: at 128 units each pair still loses 1.7 to 2 points; barriers are shares"
        )
    if near(answer, 512, 1e-9) or near(answer, 1024, 1e-9):
        raise NotYet("07-1: a narrower one will do: look at the accuracy barriers of all pairs")
    if near(answer, 16, 1e-9) or near(answer, 32, 1e-9) or near(answer, 64, 1e-9):
        raise NotYet("07-1: one point is 0.01, and it must hold for every pair of that width")
    if not near(answer, 256, 1e-9):
        raise NotYet("07-1: the answer is one of the widths of the run")
    return "And every wider one, too."


@exercise("07-2")
def _(answer: Any) -> str:
    """In which settings recipes differ, seeds aside."""
    differing = function_of("07-2", "differing", answer)
    base = {"model": "mlp", "width": 512, "epochs": 25, "batch_size": 500, "seed": 0}
    recipes = [base, base | {"seed": 1}, base | {"width": 64, "seed": 2}, base | {"epochs": 3}]
    found = differing([dict(recipe) for recipe in recipes])
    if isinstance(found, str) or not all(isinstance(name, str) for name in found):
        raise NotYet("07-2: return the names of the settings")
    names = sorted(found)
    if "seed" in names:
        raise NotYet("07-2: pairs differ in their seeds on purpose: leave the seed out")
    if names == ["width"]:
        raise NotYet("07-2: compare all recipes, not neighbours only, nor the first three")
    if names == ["epochs"]:
        raise NotYet("07-2: compare all recipes, not only the first with the last")
    if not names:
        raise NotYet("07-2: some settings have more than one value among these recipes")
    if names != ["epochs", "width"]:
        raise NotYet(f"07-2: width and epochs differ there, you found {names}")
    if list(differing([base, base | {"seed": 7}])):
        raise NotYet("07-2: two recipes that differ in their seeds alone differ in nothing else")
    return "More than one name: then no single curve may be drawn through them without saying so."


@exercise("07-3")
def _(answer: Any) -> str:
    """From which epoch on every pair stays below a limit."""
    settled = function_of("07-3", "settled", answer)
    barriers = [[0.0, 0.6, 0.09, 0.2, 0.04, 0.03], [0.0, 0.5, 0.3, 0.05, 0.14, 0.01]]
    found = settled([list(row) for row in barriers], 0.1)
    likely = {
        0: "untrained networks have nothing to lose, but it does not stay so: later epochs count",
        2: "one pair is below there, not both, and it rises again",
        4: "the mean of both pairs is below there, but not every pair",
        3: "each pair has been below by then, and then one rises again: it must stay below",
    }
    for wrong, mistake in likely.items():
        if near(found, wrong, 1e-9):
            raise NotYet(f"07-3: {mistake}")
    if not near(found, 5, 1e-9):
        raise NotYet(
            "07-3: return the number of the first epoch from which on all pairs stay below"
        )
    try:
        never = answer([[0.0, 0.6], [0.0, 0.05]], 0.1)
    except Exception as error:
        raise NotYet(
            f"07-3: where a pair is never below for good, it stops with {type(error).__name__}: "
            "return None"
        ) from None
    if never is not None:
        raise NotYet("07-3: return None where not every pair is below in the last epoch")
    return "That is a stricter word than 'vanishes', and an honest one."
