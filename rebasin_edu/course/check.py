"""The checks of the exercises: ``check("01-2", answer)`` says whether an answer is right, and if
not, which mistake is likely.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable
from typing import Any

CHECKS: dict[str, Callable[[Any], str]] = {}


class UnknownExercise(KeyError):
    """There is no exercise of this number."""


class NotYet(AssertionError):
    """The answer is not right; the message names the likely mistake."""


def exercise(number: str) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    """Register the check of an exercise: it returns praise, or raises ``NotYet``."""

    def register(function: Callable[[Any], str]) -> Callable[[Any], str]:
        CHECKS[number] = function
        return function

    return register


def near(answer: Any, wanted: float, tolerance: float) -> bool:
    """Whether an answer is a number within ``tolerance`` of the one wanted."""
    return (
        isinstance(answer, (int, float))
        and math.isfinite(answer)
        and abs(answer - wanted) <= tolerance
    )


def load() -> dict[str, Callable[[Any], str]]:
    """Every check, by exercise number."""
    from . import exercises

    for module in pkgutil.iter_modules(exercises.__path__):
        importlib.import_module(f"{exercises.__name__}.{module.name}")
    return CHECKS


def check(number: str, answer: Any) -> None:
    """Check an answer and say so in words.

    Raises:
        UnknownExercise: no exercise has this number.
        NotYet: the answer is not right.
    """
    load()
    if number not in CHECKS:
        raise UnknownExercise(f"no exercise {number!r}; there are {sorted(CHECKS)}")
    if answer is None or answer is ...:
        raise NotYet(f"{number}: there is no answer yet; put yours in place of the dots")
    print(f"{number}: right. {CHECKS[number](answer)}")
