"""Where the course lies: its address, in one place, and its folder on this machine."""

from __future__ import annotations

from pathlib import Path

# The one place of the repository's address. `python tools/release.py address OWNER/NAME` writes
# another one here and everywhere else that an address must be spelled out (badges, metadata).
REPOSITORY = "rebasin-edu/rebasin_edu"
PLACEHOLDER = "rebasin-edu/rebasin_edu"  # nobody has published it yet: the release workflow refuses

_PACKAGED = Path(__file__).resolve().parent / "notebooks"  # in a wheel
NOTEBOOKS = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).resolve().parents[2] / "notebooks"


def colab(name: str) -> str:
    """Return the address that opens a notebook on Colab."""
    return f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/notebooks/{name}.ipynb"


def binder(name: str) -> str:
    """Return the address that opens a notebook on Binder."""
    return f"https://mybinder.org/v2/gh/{REPOSITORY}/main?urlpath=lab/tree/notebooks/{name}.ipynb"


def stored_notebooks(names: tuple[str, ...] | list[str] = ()) -> list[Path]:
    """Return the notebooks of those names, or all of them, in the order of the course.

    Raises:
        ValueError: there is no notebook of such a name.
    """
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if unknown := sorted(set(names) - {path.stem for path in paths}):
        raise ValueError(f"no notebook named {unknown}; there are {[path.stem for path in paths]}")
    return [path for path in paths if not names or path.stem in names]
