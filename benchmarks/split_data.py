"""Two networks that saw different data: the halves of a label-biased split (20 % of one half of the
labels, 80 % of the other).

    python benchmarks/split_data.py [mnist cifar10-16px cifar10-16px-x2] [--store]

As section 5.4 of the paper: each network and its merges on the whole test set, beside the ensemble
of both and a network trained on all the data; on MNIST three pairs. ``--store`` writes
rebasin_edu/lab/stored/runs/NAME-split-data.json. Networks with BatchNorm are merged with its
statistics measured anew, on training images of both halves; the others as they are and after
REPAIR; all are refitted on 2,000 training images of both halves, too.
"""

import argparse
import time
from dataclasses import replace

from rows import curve_row, score_row
from widths import REPAIRED, SAMPLES, SMALL

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

SEEDS = {"mnist": ((0, 1), (2, 3), (4, 5))}  # of the pairs; one pair of the others
RECIPES = {
    "mnist": rb.Recipe(width=256),
    "cifar10-16px": SMALL,
    "cifar10-16px-x2": replace(SMALL, width=2, epochs=8),
}


def pair(recipe, seeds, whole):
    """Rows of scores of two halves and their merges, and the curves of the lines between them."""
    data = rb.load_data(recipe.dataset)
    halves = [replace(recipe, part=part).with_seed(seed) for part, seed in zip("ab", seeds)]
    nets = [rb.load_or_train(half, dataset=half.cut(data)) for half in halves]
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
        fitted = rb.refit(a, near, images, model=model, num_samples=REPAIRED)
        curves[method] = {"as it is": curve_row(curve), "repaired": curve_row(repaired)}
        scores[method], scores[f"{method}, repaired"] = curve.at(0.5), repaired.at(0.5)
        scores[f"{method}, refitted"] = rb.evaluate(fitted.weights, whole.test, model=model)
    scores["ensemble of both"] = rb.evaluate(rb.lab.Ensemble(nets), whole.test)
    return scores, curves, [half.to_dict() for half in halves]


def told(name, scores):
    for row, score in scores.items():
        print(
            f"{name}: {row:32} loss {score.loss:.4f}, {score.accuracy:.2%}, calibration "
            f"error {score.ece:.4f}",
            flush=True,
        )
    return {row: score_row(score, bins=True) for row, score in scores.items()}


def measure(recipe, pairs):
    """All that is stored of one kind of networks."""
    whole, rows = recipe.load_data(), []
    for seeds in pairs:
        scores, curves, parts = pair(recipe, seeds, whole)
        scores = told(f"{whole.name}, seeds {seeds}", scores)
        rows.append({"seeds": list(seeds), "parts": parts, "test": scores, "curves": curves})
    full = rb.load_or_train(recipe.with_seed(pairs[0][0]), dataset=whole)
    full = told(whole.name, {"trained on all the data": rb.evaluate(full, whole.test)})
    return whole, {"pairs": rows, "whole": full["trained on all the data"]}


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
        pairs = SEEDS.get(name, ((0, 1),))
        data, found = measure(RECIPES[name], pairs)
        if chosen.store:
            command = f"python benchmarks/split_data.py {name} --store"
            first = rb.Recipe.from_dict(found["pairs"][0]["parts"][0])
            print(
                "stored",
                save_run(
                    f"{name}-split-data",
                    run_metadata(data, first, pairs, start, command, **found),
                ).name,
            )


if __name__ == "__main__":
    main()
