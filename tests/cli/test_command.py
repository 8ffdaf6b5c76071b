"""``rebasin-edu lab`` and ``info``: the course in a folder of one's own, and what is here."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from rebasin_edu.cli import main
from rebasin_edu.course import copies, repository


@pytest.fixture
def started(monkeypatch):
    """The commands that would have been started."""
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(copies.subprocess, "run", run)
    return commands


def test_lab_copies_the_course_and_opens_its_first_notebook(tmp_path, started, monkeypatch):
    monkeypatch.setattr(copies.os, "geteuid", lambda: 0, raising=False)
    folder = tmp_path / "course"
    shown = CliRunner().invoke(main, ["lab", str(folder), "--no-browser", "--port", "8899"])
    assert shown.exit_code == 0, shown.output
    names = {path.name for path in folder.iterdir()}
    assert names >= {path.name for path in repository.stored_notebooks()} | {"GLOSSARY.md"}
    assert not any(name.endswith(".py") for name in names)
    (command,) = started
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={folder}" in command
    assert "--LabApp.default_url=/lab/tree/00_tour.ipynb" in command
    assert {"--no-browser", "--port=8899", "--allow-root"} <= set(command)


def test_lab_keeps_what_the_reader_wrote(tmp_path, started):
    (tmp_path / "00_tour.ipynb").write_text("my answers")
    shown = CliRunner().invoke(main, ["lab", str(tmp_path)])
    assert "1 kept as they were" in shown.output
    assert (tmp_path / "00_tour.ipynb").read_text() == "my answers"
    assert "--no-browser" not in started[0]


def test_lab_says_what_is_missing(tmp_path, started, monkeypatch):
    monkeypatch.setattr(copies.importlib.util, "find_spec", lambda name: None)
    shown = CliRunner().invoke(main, ["lab", str(tmp_path)])
    assert shown.exit_code == 1 and "rebasin_edu[lab]" in shown.output and not started


def test_info_says_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("REBASIN_EDU_DATA", str(tmp_path))
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path / "cache"))
    shown = CliRunner().invoke(main, ["info"])
    assert shown.exit_code == 0, shown.output
    for words in ("torch ", "mnist: MNIST (5,000", "4,000 + 1,000", "cifar10@16: CIFAR-10 at 16",
                  "cifar100: the data set 'CIFAR-100' is not here", "mnist-mlp-barrier: ",
                  str(tmp_path)):  # fmt: skip
        assert words in shown.output, shown.output


def test_an_unknown_notebook_is_named():
    with pytest.raises(ValueError, match="98_x"):
        repository.stored_notebooks(["98_x"])
