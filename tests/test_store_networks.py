"""The tool that stores networks with the package: the fewest bits that pass, once, and anew when
asked.
"""

import json
import runpy
import sys
from pathlib import Path

import pytest

from rebasin_edu.lab import zoo
from rebasin_edu.lab.recipe import Recipe
from rebasin_edu.lab.zoo import provenance

TOOL = Path(__file__).parents[1] / "tools" / "store_networks.py"
TINY = Recipe(dataset="digits", width=16, depth=1, batch_size=200, epochs=2)


@pytest.fixture
def store(monkeypatch, tmp_path, capsys):
    """Run the tool on one recipe with another package folder; returns what it printed last."""
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "stored_dir", lambda: tmp_path / "stored")
    main = runpy.run_path(str(TOOL))["main"]

    def run(*options, limit=1e-3):
        monkeypatch.setitem(main.__globals__, "LIMIT", limit)
        monkeypatch.setattr(
            sys, "argv", ["store_networks.py", *options, json.dumps(TINY.changed())]
        )
        main()
        return capsys.readouterr().out.splitlines()[-1]

    return run


def test_stored_in_the_fewest_bits_that_pass_and_only_once(store, tmp_path):
    assert ", byte (test loss " in store(limit=1.0)
    assert [path.stem for path in (tmp_path / "stored" / "networks").glob("*.safetensors")] == [
        TINY.id
    ]
    assert store(limit=1.0).startswith(f"{TINY.id} is stored already: byte (")


def test_a_network_that_fewer_bits_would_move_is_stored_in_single_precision(store):
    assert ", single (test loss " in store(limit=1e-12)
    assert provenance(TINY)["precision"].startswith("single (")


def test_repack_starts_from_what_is_stored_and_leaves_what_cannot_be_smaller(store):
    store("--precision", "half", limit=1.0)
    before = provenance(TINY)["precision"]
    assert store("--repack", limit=1e-12) == f"{TINY.id} stays as it is: {before}"
    assert " half, " in store("--repack", limit=1.0)
    assert provenance(TINY)["precision"].startswith("byte (")
