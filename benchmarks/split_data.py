"""Two networks that saw different data: the halves of a label-biased split (20 % of one half of the
labels, 80 % of the other).

    python benchmarks/split_data.py [mnist cifar10-16px cifar10-16px-x2] [--store]

As section 5.4 of the paper: each network and its merges on the whole test set, beside the ensemble
of both and a network trained on all the data. ``--store`` writes
rebasin_edu/lab/stored/runs/NAME-split-data.json. Networks with BatchNorm are merged with its
statistics measured anew, on training images of both halves; the others as they are and after
REPAIR.
"""

import argparse
import time
from dataclasses import replace

from rows import curve_row, score_row
from widths import REPAIRED, SAMPLES, SMALL

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

SEEDS = (0, 1)
RECIPES = {
    "mnist": rb.Recipe(width=256),
    "cifar10-16px": SMALL,
    "cifar10-16px-x2": replace(SMALL, width=2, epochs=8),
}


def measure(name, recipe):
    """Rows of scores, and the curves of the lines between the two."""
    whole = recipe.load_data()
    halves = [replace(recipe, part=part, seed=seed) for part, seed in zip("ab", SEEDS)]
    nets = [
        rb.load_or_train(half, dataset=half.cut(rb.load_data(recipe.dataset))) for half in halves
    ]
    a, b = (net.state_dict() for net in nets)
    model = nets[0]
    spec = rb.PermutationSpec.from_model(model, whole.test.inputs[:1])
    images = whole.train.first(SAMPLES)
    found = {
        "naive": spec.identity(),
        "weight matching": rb.weight_matching(spec, a, b).permutation,
        "activation matching": rb.activation_matching(
            spec, a, b, images.inputs, model=model
        ).permutation,
    }
    scores = {
        name: rb.evaluate(state, whole.test, model=model) for name, state in (("A", a), ("B", b))
    }
    curves = {}
    for method, permutation in found.items():
        near = spec.apply(b, permutation)
        curve = rb.linear_path(a, near, whole.test, model=model, alphas=11)
        options = {"repair": "auto", "train_data": images, "num_samples": REPAIRED}
        repaired = rb.linear_path(a, near, whole.test, model=model, alphas=5, **options)
        curves[method] = {"as it is": curve_row(curve), "repaired": curve_row(repaired)}
        scores[method], scores[f"{method}, repaired"] = curve.at(0.5), repaired.at(0.5)
    scores["ensemble of both"] = rb.evaluate(rb.lab.Ensemble(nets), whole.test)
    full = replace(recipe, seed=SEEDS[0])
    scores["trained on all the data"] = rb.evaluate(
        rb.load_or_train(full, dataset=whole), whole.test
    )
    for row, score in scores.items():
        print(
            f"{whole.name}: {row:32} loss {score.loss:.4f}, {score.accuracy:.2%}, calibration "
            f"error {score.ece:.4f}"
        )
    rows = [{"name": row, "test": score_row(score, bins=True)} for row, score in scores.items()]
    return whole, {"rows": rows, "curves": curves, "parts": [half.to_dict() for half in halves]}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", default=list(RECIPES), metavar="NAME", help=", ".join(RECIPES)
    )
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    for name in chosen.names:
        start = time.perf_counter()
        data, found = measure(name, RECIPES[name])
        if chosen.store:
            command = f"python benchmarks/split_data.py {name} --store"
            first = rb.Recipe.from_dict(found["parts"][0])
            print(
                "stored",
                save_run(
                    f"{name}-split-data",
                    run_metadata(data, first, [SEEDS], start, command, **found),
                ).name,
            )


if __name__ == "__main__":
    main()
