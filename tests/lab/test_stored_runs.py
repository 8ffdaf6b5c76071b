"""Stored runs: each says how it was made, and the smallest is made anew and compared."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

import rebasin_edu as rb
from rebasin_edu.errors import FileFormatError
from rebasin_edu.lab.stored_runs import NEEDED, load_run, run_metadata, save_run
from rebasin_edu.lab.zoo import stored_dir

RUNS = sorted((stored_dir() / "runs").glob("*.json"))
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_each_run_says_how_it_was_made(path):
    run = load_run(path.stem)
    assert all(run[field] for field in NEEDED)
    rb.Recipe.from_dict(run["recipe"])
    script = re.fullmatch(r"python (\S+\.py)( .*)?", run["command"])
    assert script, run["command"]
    assert (ROOT / script[1]).is_file()
    assert not re.search(r'"/(home|root|tmp|work)', path.read_text())
    assert path.stat().st_size < 2e6


def test_the_smallest_run_is_made_anew_from_its_stored_networks():
    run = load_run("digits-mlp-barrier")
    recipe, stored = rb.Recipe.from_dict(run["recipe"]), run["pairs"][0]
    test = recipe.load_data().test
    assert (len(test.targets), stored["seeds"]) == (run["samples"], [0, 1])
    a, b = (rb.load_or_train(recipe.with_seed(seed)) for seed in stored["seeds"])
    spec = rb.PermutationSpec.from_model(a, test.inputs[:1])
    near = spec.apply(b, rb.weight_matching(spec, a, b).permutation)
    for name, weights in (("naive", b), ("matched", near)):
        curve = rb.linear_path(a, weights, test)
        assert curve.alphas == pytest.approx(stored[name]["alphas"])
        # the stored networks are in half precision, those of the run were not
        torch.testing.assert_close(
            torch.tensor(curve.loss), torch.tensor(stored[name]["loss"]), atol=5e-3, rtol=5e-3
        )
        assert curve.barrier.loss == pytest.approx(stored[name]["loss_barrier"], abs=5e-3)
    assert stored["matched"]["loss_barrier"] < 0.3 * stored["naive"]["loss_barrier"]


def test_an_unknown_or_unexplained_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("rebasin_edu.lab.stored_runs.stored_dir", lambda: tmp_path)
    for name in ("x", "../x", "../runs/x", "x.json"):
        with pytest.raises(FileFormatError, match=f"no stored run '{name}'; there are"):
            load_run(name)
    whole = dict.fromkeys(NEEDED, "something")
    assert load_run(save_run("x", whole).stem) == whole
    with pytest.raises(FileFormatError, match="'y' lacks seeds, command"):
        save_run("y", {k: v for k, v in whole.items() if k not in ("seeds", "command")})
    (tmp_path / "runs" / "x.json").write_text(json.dumps(whole)[:20])
    with pytest.raises(FileFormatError, match="'x' is damaged"):
        load_run("x")


def test_a_run_is_described_by_what_made_it():
    recipe = rb.Recipe(dataset="digits", width=16, depth=1, epochs=2, batch_size=200)
    data = recipe.load_data()
    run = run_metadata(
        data, recipe, [(0, 1), (2, 3)], 0.0, "python benchmarks/rows.py", heights=[1.0]
    )
    assert all(run[field] for field in NEEDED)
    assert run["seeds"] == [[0, 1], [2, 3]]
    assert run["heights"] == [1.0]
    assert run["samples"] == len(data.test.targets)
    assert rb.Recipe.from_dict(run["recipe"]) == recipe


def test_the_results_list_what_is_stored():
    text = (ROOT / "benchmarks/results/README.md").read_text()
    listed = re.findall(r"`([a-z0-9-]+)`", text.split("## Stored runs")[1].split("## ")[0])
    assert sorted(listed) == [path.stem for path in RUNS]


def test_the_table_of_published_figures_is_that_of_the_stored_runs(monkeypatch, capsys, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import reference

    kept = reference.OUT.read_text()
    monkeypatch.setattr(reference, "OUT", tmp_path / "reference.md")
    monkeypatch.setattr(sys, "argv", ["reference.py"])
    reference.main()
    assert reference.OUT.read_text() == kept
    assert kept.count("\n|") > 10
