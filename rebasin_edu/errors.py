"""Everything this package raises or warns of.

All of it is a ``RebasinError``, so that one ``except`` catches it; a wrong value of an option is
one that lists the choices. ``RebasinError`` is a ``ValueError``.
"""

from __future__ import annotations

from typing import Any


class RebasinError(ValueError):
    """Something the caller gave cannot be used; the message says what, and the way out."""


class SpecError(RebasinError):
    """A spec, a permutation and weights do not belong together."""


class TraceError(RebasinError):
    """A model cannot be traced, so its symmetries cannot be derived."""


class WeightsError(RebasinError):
    """Weights do not fit the model or each other, or hold values that no network can have."""


class DataError(RebasinError):
    """Data are missing, empty, or not in a form that can be read."""


class FileFormatError(RebasinError):
    """A file is not there, is damaged, holds something else, or cannot be written."""


class SweepError(RebasinError):
    """Some recipes of a sweep have no result.

    Attributes:
        results: the results of all recipes in order, ``None`` where there is none.
        failures: recipe id → what went wrong.
    """

    def __init__(self, results: list[Any], failures: dict[str, BaseException]):
        listed = "; ".join(f"{name}: {type(e).__name__}: {e}" for name, e in failures.items())
        super().__init__(f"{len(failures)} of {len(results)} recipes have no result: {listed}")
        self.results, self.failures = results, failures


class MatchingInterrupted(KeyboardInterrupt):
    """Ctrl-C reached a matcher; ``matching`` is the best it had found, whole and usable.

    It stays a ``KeyboardInterrupt``, so that ``except Exception`` does not swallow Ctrl-C.
    """

    def __init__(self, matching: Any):
        super().__init__(f"interrupted; .matching holds the best so far: {matching!r}")
        self.matching = matching


class RebasinWarning(UserWarning):
    """A result is right, but less than was asked for; the message says what is missing."""


def choose(what: str, value: Any, choices: Any) -> None:
    """Raise a ``RebasinError`` that lists the choices unless ``value`` is one of them."""
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        raise RebasinError(f"{what}={value!r} is not known; choose one of {listed}")
