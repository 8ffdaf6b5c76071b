"""Before a release: ``python tools/release.py check [TAG]``, ``python tools/release.py address
OWNER/NAME``.

``check`` fails while the repository's address is a placeholder, and where version, tag, changelog
and citation are out of step. ``address`` writes another address everywhere it must be spelled out.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTANT = ROOT / "rebasin_edu/course/repository.py"
SPELLED = ("pyproject.toml", "README.md", "CITATION.cff", "codemeta.json", "SECURITY.md")


def constant(name: str) -> str:
    """Return a string of ``course/repository.py``, without importing torch."""
    found = re.search(rf'^{name} = "([^"]+)"', CONSTANT.read_text(encoding="utf-8"), re.M)
    assert found is not None, f"{CONSTANT} has no {name}"
    return found[1]


def version() -> str:
    """Return the version of the package."""
    text = (ROOT / "rebasin_edu/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.M)
    assert found is not None
    return found[1]


def faults(tag: str | None = None) -> list[str]:
    """Return what keeps this from being released: nothing, when it may be."""
    number, address = version(), constant("REPOSITORY")
    found = out_of_step()
    if address == constant("PLACEHOLDER"):
        found.append(f"the repository's address {address} is a placeholder: run {__file__} address")
    if tag is not None and tag.removeprefix("v") != number:
        found.append(f"the tag is {tag}, the version is {number}")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if re.search(rf"^## {re.escape(number)} \(unreleased\)", changes, re.M):
        found.append(f"CHANGELOG.md says that {number} is unreleased: give it a date")
    return found


def out_of_step() -> list[str]:
    """Return where version or address differ from the package's: must be nothing on any day."""
    number, address = version(), constant("REPOSITORY")
    found = []
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    if f"\nversion: {number}\n" not in citation:
        found.append(f"CITATION.cff is not of version {number}")
    codemeta = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
    if codemeta["version"] != number:
        found.append(f"codemeta.json is of version {codemeta['version']}, not {number}")
    if f"\n## {number}" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        found.append(f"CHANGELOG.md has no section {number}")
    for name in SPELLED:
        text = (ROOT / name).read_text(encoding="utf-8")
        pattern = r"(?:github\.com|mybinder\.org/v2/gh|workflow/status)/([\w.-]+/rebasin_edu)\b"
        for other in sorted(set(re.findall(pattern, text)) - {address}):
            found.append(f"{name} points to {other}, not to {address}")
    return found


def move(address: str) -> list[Path]:
    """Write another address of the repository everywhere, and return the files changed."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", address):
        raise SystemExit(f"{address!r} should be OWNER/NAME")
    old, changed = constant("REPOSITORY"), []
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in [CONSTANT, *(ROOT / name for name in SPELLED), *notebooks]:
        text = path.read_text(encoding="utf-8")
        if path == CONSTANT:  # the placeholder stays what it is
            new = text.replace(f'REPOSITORY = "{old}"', f'REPOSITORY = "{address}"')
        else:
            new = text.replace(old, address)
        if new != text:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["check"] and len(arguments) <= 2:
        found = faults(*arguments[1:])
        print("\n".join(found) or f"{version()} may be released")
        return 1 if found else 0
    if arguments[:1] == ["address"] and len(arguments) == 2:
        print("\n".join(str(path.relative_to(ROOT)) for path in move(arguments[1])))
        return 0
    print(__doc__, file=sys.stderr)
    return 0 if {"-h", "--help"} & set(arguments) else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
