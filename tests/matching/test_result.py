"""A matching is light to look at, and comes back from its file."""

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
