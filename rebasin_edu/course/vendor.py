"""Scripts from their npm packages, fetched while pages are built, so that readers fetch nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from ..lab.dataset_files import cache_dir

# package → its version, and which of its files or folders go where
PACKAGES = {
    "@jupyter-widgets/html-manager": ("1.0.14", {"dist/embed-amd.js": "embed-amd.js"}),
    "requirejs": ("2.3.7", {"require.js": "require.js"}),
    "mathjax": (
        "3.2.2",
        {
            "es5/tex-mml-chtml.js": "mathjax/tex-mml-chtml.js",
            "es5/output/chtml/fonts/woff-v2/": "mathjax/output/chtml/fonts/woff-v2/",
        },
    ),
    "reveal.js": ("4.6.1", {"dist/": "reveal/dist/", "plugin/notes/": "reveal/plugin/notes/"}),
    "axe-core": ("4.10.3", {"axe.min.js": "axe.min.js"}),  # for the tests of the pages
}


class NoScripts(RuntimeError):
    """npm is not here, or cannot fetch a package."""


def vendor(folder: str | os.PathLike, packages: Iterable[str]) -> Path:
    """Write the scripts of some npm packages into a folder, each in the version tested here.

    What npm fetched once is kept in the user's cache.

    Raises:
        NoScripts: npm is not installed, or its registry does not answer.
    """
    folder = Path(folder)
    for name in packages:
        version, members = PACKAGES[name]
        with tarfile.open(_archive(name, version)) as archive:
            for member in archive.getmembers():
                inside = member.name.removeprefix("package/")
                for source, target in members.items():
                    if member.isfile() and (inside == source or _below(inside, source)):
                        path = folder / (target + inside.removeprefix(source))
                        path.parent.mkdir(parents=True, exist_ok=True)
                        content = archive.extractfile(member)
                        assert content is not None  # it is a file
                        path.write_bytes(content.read())
    return folder


def _below(inside: str, folder: str) -> bool:
    return folder.endswith("/") and inside.startswith(folder) and ".." not in inside


def _archive(name: str, version: str) -> Path:
    """The package's archive, from the cache or from npm, which verifies what it fetches."""
    cache = cache_dir() / "npm"
    path = cache / f"{name.replace('@', '').replace('/', '-')}-{version}.tgz"
    if path.is_file():
        return path
    npm = shutil.which("npm")
    if npm is None:
        raise NoScripts(
            f"npm is needed, once, to fetch {name}@{version}: install Node.js (nodejs.org), or "
            "your system's package npm"
        )
    cache.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [npm, "pack", "--silent", f"{name}@{version}"], cwd=cache, capture_output=True, text=True
    )
    if done.returncode != 0 or not path.is_file():
        raise NoScripts(f"npm cannot fetch {name}@{version}: {done.stderr.strip()[-300:]}")
    return path
