"""A matching is light to look at, and comes back from its file."""

import json

import pytest

from rebasin_edu.errors import FileFormatError
from rebasin_edu.lab.models import MLP
from rebasin_edu.matching import Matching, weight_matching

from ..paper_specs import mlp_spec


def test_saved_and_loaded(tmp_path):
    a, b = MLP(6, (5, 4), 3, seed=1), MLP(6, (5, 4), 3, seed=2)
    found = weight_matching(mlp_spec(a), a, b, restarts=2)
    path = tmp_path / "matching.json"
    found.save(path)
    assert Matching.load(path) == found
    assert "gain" in repr(found)
    assert len(repr(found)) < 300
    path.write_text(path.read_text()[:50])
    with pytest.raises(FileFormatError, match="cut off"):
        Matching.load(path)


def test_a_file_of_version_1_still_loads(tmp_path):
    """Version 1 wrote the parents of nested groups as ``rulers``."""
    tables = {"heads": [1, 0], "width": [[2, 0, 1], [0, 1, 2]]}
    old = {
        "format": "rebasin_edu.Matching",
        "version": 1,
        "permutation": {"tables": tables, "rulers": {"width": ["heads"]}},
        "objective": 3.5,
        "gain": 1.25,
        "method": "weight matching",
        "history": [[0, "start: outward", 1.0, 0.1], [1, "heads", 0.25, 0.2]],
        "converged": True,
        "seconds": 0.2,
        "scores": [],
    }
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    found = Matching.load(path)
    assert found.permutation.parents == {"width": ("heads",)}
    assert {name: table.tolist() for name, table in found.permutation.items()} == tables
    assert (found.gain, found.sweeps, found.history[1].group) == (1.25, 1, "heads")
