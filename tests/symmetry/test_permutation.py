"""Permutations as a group, nested ones included, and their files."""

from __future__ import annotations

import json

import pytest
import torch

from rebasin_edu.errors import FileFormatError, SpecError
from rebasin_edu.symmetry import Permutation

SHAPES = {"a": 5, "heads": 3, "width": (3, 4), "deep": (3, 4, 2)}
PARENTS = {"width": ("heads",), "deep": ("heads", "width")}


def random(seed: int) -> Permutation:
    return Permutation.random(SHAPES, seed, PARENTS)


def test_group_laws():
    p, q, r, one = random(1), random(2), random(3), Permutation.identity(SHAPES, PARENTS)
    assert (p @ q) @ r == p @ (q @ r)
    assert p @ p.inverse() == one == p.inverse() @ p
    assert p @ one == p == one @ p
    assert (p @ q).inverse() == q.inverse() @ p.inverse()
    assert p != q


def test_what_a_plain_table_means():
    p, q = Permutation({"a": [2, 0, 1]}), Permutation({"a": [1, 0, 2]})
    x = torch.tensor([10, 11, 12])
    assert x[p["a"]][q["a"]].tolist() == x[(q @ p)["a"]].tolist()


def test_a_seed_gives_the_same_permutation_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    assert random(7) == random(7)
    assert torch.equal(torch.get_rng_state(), before)


def test_moved_counts_units_that_are_elsewhere():
    assert Permutation({"a": [1, 0, 2]}).moved("a") == 2
    assert Permutation.identity(SHAPES, PARENTS).moved("width") == 0


@pytest.mark.parametrize(
    ("tables", "parents", "message"),
    [
        ({"a": [0, 0, 1]}, None, "does not hold each of 0 … 2 exactly once"),
        ({"a": [[0, 1], [1, 0]]}, None, "has 2 axes; with 0 parent groups it needs 1"),
        (
            {"a": [0.9, 1.7, 2.2]},
            None,
            "holds torch.float32 numbers; units are numbered by integers",
        ),
        ({"a": [0, 1]}, {"a": ("b",)}, "has 1 axes; with 1 parent groups it needs 2"),
    ],
)
def test_what_is_no_permutation_is_refused(tables, parents, message):
    with pytest.raises(SpecError, match=message):
        Permutation(tables, parents)


def test_permutations_of_different_networks_do_not_compose():
    with pytest.raises(SpecError, match="permute different things"):
        Permutation({"a": [0, 1]}) @ Permutation({"b": [0, 1]})


def test_a_file_gives_back_what_was_saved(tmp_path):
    random(1).save(tmp_path / "p.json")
    assert Permutation.load(tmp_path / "p.json") == random(1)
    assert Permutation.load(tmp_path / "p.json").parents == PARENTS
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ('{"format": "another/1"}', "should hold a rebasin_edu.Permutation, it holds a another"),
        ("[1, 2]", "holds a list, not a stored result"),
        ('{"format": "rebasin_edu.Permutation/1"}', "is not a whole permutation"),
    ],
)
def test_a_file_that_is_cut_off_or_another_s_says_so(tmp_path, content, message):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(FileFormatError, match=message):
        Permutation.load(tmp_path / "p.json")


def test_a_file_of_the_first_version_still_loads(tmp_path):
    tables = {name: table.tolist() for name, table in random(1).items()}
    old = {"format": "rebasin_edu.Permutation/1", "rulers": PARENTS, "tables": tables}
    (tmp_path / "p.json").write_text(json.dumps(old))
    assert Permutation.load(tmp_path / "p.json") == random(1)


def test_what_a_permutation_hands_out_does_not_change_it():
    p, order = Permutation({"a": [2, 0, 1]}), torch.tensor([2, 0, 1])
    for table in (p["a"], *p.values(), order):
        table[0] = 0
    assert p["a"].tolist() == [2, 0, 1]


def test_permutations_nested_in_other_groups_are_not_equal():
    tables = {"a": [1, 0], "b": [1, 0], "width": [[0, 1], [1, 0]]}
    p, q = (Permutation(tables, {"width": (parent,)}) for parent in "ab")
    assert p != q
    assert p == Permutation(tables, {"width": ("a",)})
