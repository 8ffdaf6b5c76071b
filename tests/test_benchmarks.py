"""The tables of the benchmarks are made from the rows that are stored beside them."""

import importlib
import json
import statistics
import sys
from pathlib import Path

import pytest

import rebasin_edu as rb

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark by its name, and forgets it after the test."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # benchmarks set it, and it is put back
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def merging(benchmark):
    return benchmark("merging")


def test_the_table_of_merging_is_that_of_its_rows(merging):
    content = merging.load()
    path = BENCHMARKS / "results" / "merging.md"
    assert path.exists() == bool(content["rows"])
    assert not content["rows"] or path.read_text() == merging.text(content)


@pytest.mark.parametrize("name", ["descent", "matching", "trained_pairs"])
def test_other_tables_are_those_of_their_rows(benchmark, name):
    results = BENCHMARKS / "results"
    content = json.loads((results / f"{name}.json").read_text())
    assert (results / f"{name}.md").read_text() == benchmark(name).markdown(content)


def test_descent_is_nowhere_above_the_papers_estimator(benchmark):
    rows_of = benchmark("descent").rows_of
    content = json.loads((BENCHMARKS / "results" / "descent.json").read_text())
    assert len(content["pairs"]) == 15
    for name, pair in content["pairs"].items():
        descent, paper = (
            statistics.mean(row["points"] for row in rows_of(pair, method))
            for method in ("descent", "paper")
        )
        assert descent <= paper, name


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_readmes_table_of_merging_is_an_excerpt_of_it():
    whole: dict[str, dict[str, list[str]]] = {}
    for line in (BENCHMARKS / "results" / "merging.md").read_text().splitlines():
        if line.startswith("| **"):
            pair = whole.setdefault(cells(line)[0].replace("**", ""), {})
        elif line.startswith("| |"):
            pair[cells(line)[1]] = [cell.split(" ")[0] for cell in cells(line)[2:]]
    text = (BENCHMARKS.parent / "README.md").read_text().split("| pair, its parents |")[1]
    rows = [cells(line) for line in text.split("\n\n")[0].splitlines()[2:]]
    assert len(rows) >= 4
    for name, *shown in rows:
        of = whole[name]
        repaired = [of[method][2] for method in ("weights", "activations", "descent")]
        naive, ensemble = of["naive"][0], of["ensemble of both"][0]
        assert shown == [naive, of["weights"][0], *repaired, of["weights"][3], ensemble], name


def test_a_row_says_how_far_below_its_parents_a_merge_is(merging):
    name = next(iter(merging.PAIRS))
    score = {"accuracy": 0.85, "loss": 0.5, "CPU seconds": 1.25}
    about = {
        "parents": [{"accuracy": 0.9, "loss": 0.25}, {"accuracy": 0.92, "loss": 0.35}],
        "ensemble": {"accuracy": 0.94, "loss": 0.2},
    }
    row = {"pair": name, "method": "weights", "CPU seconds": 3.0, "as it is": score, "refit": score}
    rows = [{**row, "seed": 0}, {**row, "seed": 1, "refit": {**score, "accuracy": 0.87}}]
    lines = merging.table({"pairs": {name: about}, "rows": rows})
    assert [line.count("|") for line in lines] == [9] * 5
    assert "90.00 and 92.00 %" in lines[2]
    cells = [cell.strip() for cell in lines[3].split("|")]
    assert cells[2:9] == ["weights (2 seeds)", "6.00 (0.200)", "", "", "5.00 (0.200)", "3.0", "1.2"]
    assert "-3.00 (-0.100)" in lines[4]


def test_every_pair_is_two_networks_of_one_shape(merging):
    for a, b in merging.PAIRS.values():
        assert a != b
        assert (a.model, a.width, a.norm, a.size) == (b.model, b.width, b.norm, b.size)


def test_the_gains_of_each_start_in_the_table_of_matching_are_those_of_today(benchmark):
    matching = benchmark("matching")
    stored = json.loads((BENCHMARKS / "results" / "matching.json").read_text())
    stored = stored["random"]["resnet20x1"]
    a, b = (matching.network("resnet20x1", seed) for seed in (1, 2))
    spec = matching.hand_spec("resnet20x1", a)
    for start in ("output_first", "input_first", "barycentre", "identity"):
        found = rb.weight_matching(spec, a, b, start=start)
        gains = [row["gain"] for row in stored[start]["rows"]]
        assert min(gains) * 0.99 <= found.gain <= max(gains) * 1.01, start
    outputs, inputs = (stored[start]["gain"] for start in ("output_first", "input_first"))
    assert inputs > 1.05 * outputs, "rows under each other's name would pass"
