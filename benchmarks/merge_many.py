"""Five networks made one: MergeMany (Algorithm 3 of the paper), its cycle-consistent variant, all
matched to the first, and the ensemble.

    python benchmarks/merge_many.py [FAMILY] [--store]

Loss, accuracy and calibration, on the training and the test set, of each network, of their plain
mean, of the merges, and of the ensemble of all five. Residual networks with BatchNorm
(``cifar10-16px-x2``) have the statistics of each merge re-estimated, and each refitted (both on
1,000 training images); their training images are scored on the first 5,000. ``--store`` writes the
stored run of the family, rebasin_edu/lab/stored/runs/NAME.json.
"""

import argparse
import time

from merging import FITTED, MATCHED, TWO
from rows import score_row

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

SEEDS = (0, 1, 2, 3, 4)
FAMILIES = {  # what it is called → the recipe, the stored run
    "mnist": (rb.Recipe(), "mnist-mlp-merge-many"),
    "cifar10-16px-x2": (TWO, "cifar10-16px-x2-merge-many"),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("family", nargs="?", default="mnist", choices=FAMILIES)
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    (recipe, run_name), rows = FAMILIES[chosen.family], []
    start, data = time.perf_counter(), recipe.load_data()
    networks = [rb.load_or_train(recipe.with_seed(seed), dataset=data).eval() for seed in SEEDS]
    model = networks[0]
    spec = rb.PermutationSpec.from_model(model, data.test.inputs[:1])

    def score(name, network, weights=None, **more):
        train, test = (
            rb.evaluate(weights or network, split, model=network)
            for split in (data.train.first(5000) if recipe.norm else data.train, data.test)
        )
        rows.append(
            {"name": name, "train": score_row(train), "test": score_row(test, bins=True), **more}
        )
        print(
            f"{name:40} train {train.loss:.4f} {train.accuracy:.2%}  test {test.loss:.4f} "
            f"{test.accuracy:.2%}  "
            f"calibration error {test.ece:.4f}",
            flush=True,
        )

    def score_merge(name, states, **about):
        """The mean of some networks, and with BatchNorm the same repaired and refitted."""
        plain = rb.mean(states)
        score(name, model, plain, **about)
        if not recipe.norm:
            return
        fit = data.train.first(FITTED)
        again = rb.reestimate_batchnorm(plain, fit, model=model)
        score(f"{name}, re-estimated", model, again)
        cpu = time.process_time()
        refitted = rb.refit(states, train_data=fit, model=model).weights
        score(f"{name}, refitted", model, refitted, cpu_seconds=round(time.process_time() - cpu, 1))

    for seed, network in zip(SEEDS, networks):
        score(f"seed {seed}", network)
    score_merge("plain mean", networks)
    for name, universe in (("MergeMany", False), ("common universe", True)):
        merged = rb.merge_many(spec, networks, universe=universe)
        near = [spec.apply(*each) for each in zip(networks, merged.permutations)]
        about = {"seconds": round(merged.seconds, 2), "gain": round(merged.gain, 2)}
        score_merge(name, near, **about, sweeps=merged.history[-1].sweep)
    if recipe.norm:
        inputs = data.train.first(MATCHED).inputs
        near = [model.state_dict()]
        for network in networks[1:]:
            found = rb.activation_matching(spec, model, network, inputs)
            near.append(spec.apply(network, found.permutation))
        score_merge("to the first, activations", near)
    score("ensemble", rb.lab.Ensemble(networks))
    singles = [row["test"]["loss"] for row in rows[: len(SEEDS)]]
    for row in rows[len(SEEDS) :]:
        loss = row["test"]["loss"]
        row["under the mean of the five"] = round(1 - loss / (sum(singles) / len(singles)), 4)
        row["under the best of the five"] = round(1 - loss / min(singles), 4)
        print(
            f"{row['name']:40} test loss {row['under the mean of the five']:.1%} under the mean "
            f"of the five, "
            f"{row['under the best of the five']:.1%} under the best"
        )
    if chosen.store:
        command = f"python benchmarks/merge_many.py {chosen.family} --store"
        run = run_metadata(data, recipe, [SEEDS], start, command, rows=rows)
        print("stored", save_run(run_name, run).name)


if __name__ == "__main__":
    main()
