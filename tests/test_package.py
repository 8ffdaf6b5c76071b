"""The package as a whole: what importing it brings, which room imports which, and that what the
README says runs.
"""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rebasin_edu

PACKAGE = Path(rebasin_edu.__file__).parent
LEFT_OF = {
    "symmetry": set(),
    "matching": {"symmetry"},
    "landscape": {"symmetry", "matching"},
    "show": {"symmetry", "matching", "landscape"},
    "lab": set(),
    "course": {"symmetry", "matching", "landscape", "show", "lab"},
}
MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "rebasin_edu.")
    if not module.name.endswith("__main__")
]


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports at run time (imports for type checking alone do not count)."""
    tree = ast.parse(path.read_text())
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    parts = ("rebasin_edu", *path.relative_to(PACKAGE).with_suffix("").parts)
    found = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*parts[: -node.level], node.module or ""] if node.level else [node.module]
            names = [".".join([*filter(None, base), alias.name]) for alias in node.names]
        else:
            continue
        found |= {
            name.split(".")[1]
            for name in names
            if name.startswith("rebasin_edu.") and name.split(".")[1] in LEFT_OF
        }
    return found


@pytest.mark.parametrize("room", LEFT_OF)
def test_data_flows_one_way(room):
    for path in (PACKAGE / room).rglob("*.py"):
        assert imported_rooms(path) - {room} <= LEFT_OF[room], (
            f"{path.relative_to(PACKAGE)} imports from a room to its right"
        )


def test_the_public_face_is_what_it_lists():
    for name in rebasin_edu.__all__:
        assert hasattr(rebasin_edu, name), name
    assert len(set(rebasin_edu.__all__)) == len(rebasin_edu.__all__)


def test_importing_it_is_light():
    heavy = [
        "torchvision",
        "matplotlib.pyplot",
        "sklearn",
        "ipywidgets",
        "IPython",
        "mlxtend",
        "pandas",
        "distributed",
    ]
    code = f"import rebasin_edu, sys; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert result.failed == 0


def test_readme_runs(monkeypatch):
    readme = (PACKAGE.parent / "README.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", readme, flags=re.S):
        exec(block, names)
    assert names["curve"].barrier.loss < 0.05
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", readme):
        assert (PACKAGE.parent / path).exists(), f"the README points to {path}"


def test_modules_stay_readable():
    long = {
        str(p.relative_to(PACKAGE)): n
        for p in PACKAGE.rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 320
    }
    assert not long, f"a module that grows past 320 lines holds two ideas: {long}"
