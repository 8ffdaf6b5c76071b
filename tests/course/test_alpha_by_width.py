"""Figures over alpha and width say what was measured, and nothing else."""

import pytest

import rebasin_edu as rb
from rebasin_edu.course import figures

from .figures_08_09 import grid_row

RUN = rb.load_run("cifar10-16px-resnet20-grid")


def test_points_lost_are_counted_from_the_mean_of_the_parents():
    row = grid_row()
    assert figures.points_lost(row, "matched") == pytest.approx(10)
    assert figures.points_lost(row, "matched", 0.0) == pytest.approx(0)
    assert figures.parents(row) == {"loss": 0.5, "accuracy": 80.0}


def test_a_line_that_was_not_measured_at_an_alpha_is_not_named_there():
    assert "matched" in figures.describe_alpha(grid_row(), 0.5)
    words = figures.describe_alpha(grid_row(), 0.25)
    assert "naive" not in words and "parents" in words


def test_merging_is_called_merging_and_has_a_colour_of_its_own():
    assert "refitted (merging)" in figures.describe_alpha(grid_row(), 0.5)
    looks = {line.get_label(): line.get_color() for line in figures.draw_alpha_by_width(
        grid_row(), None).axes[0].lines}  # fmt: skip
    merged = looks.pop("refitted (merging)")
    assert merged not in looks.values()


def test_pairs_are_found_by_width_and_norm_and_norms_are_not_mixed():
    run = {"pairs": [grid_row(1), grid_row(1, seeds=(2, 3)), grid_row(1, norm="layer")]}
    assert figures.grid_row(run, 1, pair=1)["seeds"] == [2, 3]
    assert figures.grid_row(run, 1, norm="layer")["norm"] == "layer"


@pytest.mark.parametrize("name", ["cifar10-16px-resnet20-widths", "cifar10-resnet20-widths"])
def test_a_stored_run_of_widths_gives_rows_of_the_grid(name):
    run = rb.load_run(name)
    rows = figures.stored_rows(run)
    assert [row["width"] for row in rows] == sorted({pair["width"] for pair in run["pairs"]})
    for row, pair in zip(rows, [p for p in run["pairs"] if p["seeds"] == [0, 1]]):
        matched = next(x for x in pair["rows"] if x["method"] == "weight matching")
        wanted = 100 * matched["repaired"]["midpoint"]["accuracy"]
        assert figures.points_lost(row, "matched") == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("row", [row for row in RUN["pairs"] if row["norm"] == "batch"],
                         ids=lambda row: f"x{row['width']}-{row['seeds']}")  # fmt: skip
def test_the_stored_grid_has_what_the_notebooks_say(row):
    lost = {name: figures.points_lost(row, name) for name in figures.grid_curves(row)}
    assert lost["matched"] < lost["naive"]
    assert lost["matched"] < lost["matched, as it is"]
    assert lost["refitted"] < lost["matched"]
    for curve in figures.grid_curves(row).values():
        ends = [curve.at(end).accuracy for end in (0, 1)]
        assert ends == [parent["accuracy"] for parent in row["parents"]]


def test_a_refit_of_the_layer_norm_pair_hardly_needs_a_match():
    row = figures.grid_row(RUN, 1, norm="layer")
    ends = figures.parents(row)["accuracy"]
    lost = {
        (method, form): ends - 100 * line["accuracy"][1]
        for method, forms in row["lines"].items()
        for form, line in forms.items()
    }
    assert 0 < lost["naive", "refitted"] - lost["weights", "refitted"] < 4
    assert lost["weights", "refitted"] < 0.2 * lost["weights", "repaired"]
    assert lost["activations", "repaired"] < 0.7 * lost["activations", "as it is"]
