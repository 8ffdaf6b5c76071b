"""The course in a folder of the reader's own, and JupyterLab on it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .repository import NOTEBOOKS


def copy_course(folder: str | os.PathLike) -> tuple[list[Path], list[Path]]:
    """Copy the notebooks and the texts that they point to, and return what was copied and what was
    kept because a file of that name is there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    copied: list[Path] = []
    kept: list[Path] = []
    for source in sorted(NOTEBOOKS.iterdir()):
        if source.suffix not in (".ipynb", ".md", ".png"):
            continue
        target = folder / source.name
        if target.exists():
            kept.append(target)
        else:
            shutil.copyfile(source, target)
            copied.append(target)
    return copied, kept


def open_lab(
    folder: str | os.PathLike, *, browser: bool = True, port: int = 8888, ip: str = "127.0.0.1"
) -> int:
    """Run JupyterLab on a folder, at its first notebook, until it is stopped.

    Raises:
        ValueError: JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise ValueError("JupyterLab is not installed: pip install 'rebasin_edu[lab]'")
    first = min(Path(folder).glob("*.ipynb")).name
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={Path(folder).resolve()}"]
    command += [f"--LabApp.default_url=/lab/tree/{first}", f"--port={port}", f"--ip={ip}"]
    command += ["--no-browser"] * (not browser)
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in containers one is root
        command.append("--allow-root")
    try:
        return subprocess.run(command).returncode
    except KeyboardInterrupt:
        return 0
