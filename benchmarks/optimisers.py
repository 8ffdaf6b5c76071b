"""Does the optimiser decide whether two networks meet? MNIST MLPs by Adam and by SGD at a high and
at a low learning rate.

    python benchmarks/optimisers.py [--store]

Two pairs each, naive and after weight matching, 25 alphas on the test set. The paper names low
rates of SGD among its failure modes (appendix A.1). ``--store`` writes
rebasin_edu/lab/stored/runs/mnist-mlp-optimisers.json.
"""

import argparse
import time

from mlp_widths import pair

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

PAIRS = ((0, 1), (2, 3))
SETTINGS = {
    "Adam, 1e-3": {},
    "SGD, 0.1": {"optimiser": "sgd", "lr": 0.1},
    "SGD, 0.001": {"optimiser": "sgd", "lr": 0.001},
}  # SGD with Nesterov momentum 0.9


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    start, rows = time.perf_counter(), []
    data = rb.load_data("mnist")
    for name, fields in SETTINGS.items():
        recipe = rb.Recipe(**fields)
        pairs = [pair(recipe, seeds, data) for seeds in PAIRS]
        rows.append({"name": name, "recipe": recipe.to_dict(), "pairs": pairs})
        for one in pairs:
            ends = ", ".join(f"{one['naive']['accuracy'][k]:.2%}" for k in (0, -1))
            heights = ", ".join(
                f"{line} {one[line]['loss_barrier']:.4f}" for line in ("naive", "matched")
            )
            print(
                f"{name:12} seeds {one['seeds']}: ends {ends}; loss barrier {heights}", flush=True
            )
    if chosen.store:
        command = "python benchmarks/optimisers.py --store"
        run = run_metadata(data, rb.Recipe(), PAIRS, start, command, alphas=25, optimisers=rows)
        print("stored", save_run("mnist-mlp-optimisers", run).name)


if __name__ == "__main__":
    main()
