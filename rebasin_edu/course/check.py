"""The checks of the exercises: ``check("01-2", answer)`` says whether an answer is right, and if
not, which mistake is likely.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import random
from collections.abc import Callable
from typing import Any

CHECKS: dict[str, Callable[..., str]] = {}
NUMBERS: dict[str, Callable[[random.Random], Any]] = {}  # exercises whose numbers are drawn
READERS: dict[str, str] = {}  # exercise → the reader who was given its numbers last


class UnknownExercise(KeyError):
    """There is no exercise of this number."""


class NotYet(AssertionError):
    """The answer is not right; the message names the likely mistake."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message alone, and nothing of the check's source."""
        return [f"Not yet. {self}"]


def exercise(
    number: str, numbers: Callable[[random.Random], Any] | None = None
) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Register the check of an exercise: it returns praise, or raises ``NotYet``.

    Args:
        number: of the exercise, such as "01-2".
        numbers: draws the numbers of the exercise; the check is then called with the answer and
            these numbers.
    """

    def register(function: Callable[..., str]) -> Callable[..., str]:
        CHECKS[number] = function
        if numbers:
            NUMBERS[number] = numbers
        return function

    return register


def given(number: str, reader: str = "") -> Any:
    """The numbers of an exercise, drawn from the reader's name: two readers have other answers.

    Raises:
        UnknownExercise: no exercise of this number has numbers that are drawn.
    """
    load()
    if number not in NUMBERS:
        raise UnknownExercise(f"no numbers are drawn for {number!r}, but for {sorted(NUMBERS)}")
    READERS[number] = reader
    return NUMBERS[number](random.Random(f"{number} {reader}"))


def near(answer: Any, wanted: float, tolerance: float) -> bool:
    """Whether an answer is a number, of Python, numpy or torch, within ``tolerance`` of another."""
    value = plain(answer)
    return (
        isinstance(value, (int, float))
        and math.isfinite(value)
        and abs(value - wanted) <= tolerance
    )


def plain(answer: Any) -> Any:
    """A tensor or array of one number as that number; anything else as it is."""
    single = getattr(answer, "ndim", None) == 0 or getattr(answer, "shape", None) == (1,)
    return answer.item() if single and hasattr(answer, "item") else answer


def function_of(number: str, name: str, answer: Any) -> Callable[..., Any]:
    """The function of an answer, so that whatever goes wrong in it is said in one sentence.

    Raises:
        NotYet: the answer is no function; or, when it is called, it takes another number of
            arguments, stops with an error or returns nothing.
    """
    if not callable(answer):
        raise NotYet(f"{number}: give the function itself: check({number!r}, {name})")

    def call(*arguments: Any) -> Any:
        try:
            inspect.signature(answer).bind(*arguments)
        except TypeError:
            raise NotYet(f"{number}: {name} is called with {len(arguments)} arguments") from None
        try:
            result = answer(*arguments)
        except Exception as error:
            raise NotYet(f"{number}: {name} stops with {type(error).__name__}: {error}") from None
        if result is None or result is ...:
            raise NotYet(f"{number}: {name} returns nothing yet")
        return result

    return call


def load() -> dict[str, Callable[..., str]]:
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
    drawn = [given(number, READERS.get(number, ""))] if number in NUMBERS else []
    try:
        praise = CHECKS[number](plain(answer), *drawn)
    except NotYet:
        raise
    except Exception as error:
        raise NotYet(
            f"{number}: the answer has an unexpected type or shape ({type(error).__name__}: "
            f"{error})"
        ) from None
    print(f"{number}: right. {praise}")
