"""The command ``rebasin-edu``: the course, what is installed, and a merge of checkpoint files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..errors import RebasinError

Folder = click.Path(file_okay=False, path_type=Path)
File = click.Path(dir_okay=False, path_type=Path)


def _in_words(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose errors are one sentence on screen, and not a traceback."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (RebasinError, ValueError, OSError, RuntimeError) as error:
            raise click.ClickException(str(error)) from error

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rebasin_edu", prog_name="rebasin-edu")
def main() -> None:
    """Git Re-Basin, taught and done: the course, and merges of your own networks."""


@main.command()
@click.argument("folder", metavar="[DIR]", type=Folder, default=Path("rebasin-course"))
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--port", type=int, default=8888, show_default=True)
@click.option("--ip", default="127.0.0.1", show_default=True, help="Which address to listen on.")
@_in_words
def lab(folder: Path, no_browser: bool, port: int, ip: str) -> None:
    """Copy the course to DIR and open it in JupyterLab.

    Notebooks that are there already are kept as they are, with your answers in them.
    """
    from ..course.copies import copy_course, open_lab

    copied, kept = copy_course(folder)
    click.echo(f"{folder}: {len(copied)} files copied, {len(kept)} kept as they were")
    raise SystemExit(open_lab(folder, browser=not no_browser, port=port, ip=ip))


@main.command()
@click.argument("folder", metavar="DIR", type=Folder)
@click.option("--name", "names", multiple=True, help="Such as 00_tour; all of them by default.")
@click.option("--keep-quiz", is_flag=True, help="Leave the answers of the quizzes in.")
@click.option("--slides/--no-slides", default=True, help="Also write a deck per notebook.")
@_in_words
def student(folder: Path, names: tuple[str, ...], keep_quiz: bool, slides: bool) -> None:
    """Write student copies, an instructor set, slides and nbgrader sources to DIR."""
    from ..course.student import write_editions

    for path in write_editions(folder, names, keep_quiz=keep_quiz, slides=slides):
        click.echo(str(path))


@main.command()
@click.argument("folder", metavar="DIR", type=Folder)
@click.option("--name", "names", multiple=True, help="Such as 00_tour; all of them by default.")
@click.option("--cache", type=Folder, default=None, help="Where executed notebooks are kept.")
@_in_words
def site(folder: Path, names: tuple[str, ...], cache: Path | None) -> None:
    """Write the course as static pages to DIR; needs `rebasin_edu[site]` and npm."""
    from ..course.site import build_site

    click.echo(f"open {build_site(folder, names, cache=cache)}")


@main.command()
@_in_words
def info() -> None:
    """Say which versions, device, data and stored results are here."""
    from .inventory import inventory

    for title, lines in inventory().items():
        click.secho(title, bold=True)
        for line in lines:
            click.echo(f"  {line}")


@main.command()
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    required=True,
    metavar="PACKAGE.MODULE:FUNCTION",
    help="A function that returns a module of the networks' architecture.",
)
@click.option(
    "--data",
    metavar="FOLDER|FILE.npz|NAME|PACKAGE.MODULE:FUNCTION",
    help="Examples of what the networks were trained on: train/ and val/ of one folder a class, "
    "an npz file with x_train y_train x_test y_test, a name such as mnist, or a function that "
    "returns them as your networks take them: training data, or (training data, test data).",
)
@click.option("--save", required=True, type=File, help="The merged weights, as safetensors.")
@click.option("--json", type=File, help="The report, as JSON.")
@click.option(
    "--method",
    type=click.Choice(["weights", "activations", "none"]),
    default="weights",
    show_default=True,
    help="How units are matched.",
)
@click.option(
    "--repair",
    type=click.Choice(["auto", "batchnorm", "rescale", "refit", "none"]),
    default="auto",
    show_default=True,
    help="auto tries all that the model allows and keeps the lowest loss on held-out examples.",
)
@click.option("--alpha", type=float, default=0.5, show_default=True, help="The share of B.")
@click.option("--samples", type=int, default=2000, show_default=True, help="Training examples.")
@click.option("--seed", type=int, default=0, show_default=True)
@_in_words
def merge(checkpoints: tuple[Path, ...], samples: int, **options: Any) -> None:
    """Make one network of two or more CHECKPOINTS: matched, averaged, repaired or refitted.

    A checkpoint is safetensors, or a file of torch.save that holds tensors only. No code in a
    checkpoint is run: a file that asks for it is refused. The function of --model is your own
    code and is run.
    """
    from .merging import merge_files

    click.echo(str(merge_files(checkpoints, num_samples=samples, **options)))
    click.echo(f"saved: {options['save']}")
