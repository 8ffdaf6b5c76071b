"""What this room says while it works: ``logging.getLogger("rebasin_edu")``, on screen by default.

``logging.getLogger("rebasin_edu").setLevel("WARNING")`` silences it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger("rebasin_edu")
_quiet = ContextVar("quiet", default=False)


class _Screen(logging.Handler):
    """Prints messages as they are, below the cell of a notebook that caused them."""

    def emit(self, record: logging.LogRecord) -> None:
        if not _quiet.get():
            print(self.format(record), flush=True)


if not log.handlers:  # whoever brought handlers of another kind has chosen where to read it
    log.addHandler(_Screen())
    log.setLevel(logging.INFO)
    log.propagate = False  # else it appears twice where the root logger prints too


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the messages of this thread off the screen for a while."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
