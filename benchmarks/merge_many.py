"""Five MNIST networks made one: MergeMany (Algorithm 3 of the paper), its cycle-consistent variant,
and the ensemble.

    python benchmarks/merge_many.py [--store]

Loss, accuracy and calibration, on the training and the test set, of each network, of their plain
mean, of both merges (as they are and after REPAIR), and of the ensemble of all five. ``--store``
writes rebasin_edu/lab/stored/runs/mnist-mlp-merge-many.json.
"""

import argparse
import time

from rows import score_row

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

SEEDS = (0, 1, 2, 3, 4)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    start, recipe, rows = time.perf_counter(), rb.Recipe(), []
    data = recipe.load_data()
    networks = [rb.load_or_train(recipe.with_seed(seed), dataset=data) for seed in SEEDS]
    model = networks[0]
    spec = rb.PermutationSpec.from_model(model, data.test.inputs[:1])

    def score(name, network, weights=None, **more):
        train, test = (
            rb.evaluate(weights or network, split, model=network)
            for split in (data.train, data.test)
        )
        rows.append(
            {"name": name, "train": score_row(train), "test": score_row(test, bins=True), **more}
        )
        print(
            f"{name:24} train {train.loss:.4f} {train.accuracy:.2%}  test {test.loss:.4f} "
            f"{test.accuracy:.2%}  "
            f"calibration error {test.ece:.4f}",
            flush=True,
        )

    for seed, network in zip(SEEDS, networks):
        score(f"seed {seed}", network)
    score("plain mean", model, rb.mean(networks))
    for name, universe in (("MergeMany", False), ("common universe", True)):
        merged = rb.merge_many(spec, networks, universe=universe)
        about = {
            "seconds": round(merged.seconds, 2),
            "gain": round(merged.gain, 2),
            "sweeps": merged.history[-1].sweep,
        }
        score(name, model, merged.weights, **about)
    score("ensemble", rb.lab.Ensemble(networks))
    singles = [row["test"]["loss"] for row in rows[: len(SEEDS)]]
    for row in rows[len(SEEDS) :]:
        loss = row["test"]["loss"]
        row["under the mean of the five"] = round(1 - loss / (sum(singles) / len(singles)), 4)
        row["under the best of the five"] = round(1 - loss / min(singles), 4)
        print(
            f"{row['name']:24} test loss {row['under the mean of the five']:.1%} under the mean "
            f"of the five, "
            f"{row['under the best of the five']:.1%} under the best"
        )
    if chosen.store:
        run = run_metadata(
            data, recipe, [SEEDS], start, "python benchmarks/merge_many.py --store", rows=rows
        )
        print("stored", save_run("mnist-mlp-merge-many", run).name)


if __name__ == "__main__":
    main()
