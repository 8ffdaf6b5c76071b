"""A notebook as a page that moves without a kernel: ``python -m rebasin_edu.course.site NAME …
--out FOLDER``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .build import assemble, run, source_paths


def export_page(source: Path, folder: Path) -> Path:
    """Run a notebook and write it as one HTML file in which every slider over frames moves.

    The state of the widgets is in the page; the code that moves them is loaded from a public CDN
    when the page is opened.
    """
    from nbconvert import HTMLExporter

    notebook = run(assemble(source), widget_state=True)
    body, _ = HTMLExporter().from_notebook_node(
        notebook, resources={"metadata": {"name": source.stem}}
    )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source.stem}.html"
    target.write_text(body)
    return target


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="such as 00_tour; all of them by default"
    )
    parser.add_argument("--out", type=Path, default=Path("site"))
    options = parser.parse_args(arguments)
    for source in source_paths(options.names):
        print(export_page(source, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
