"""What do the batch size and weight decay do? MNIST MLPs trained by SGD, three pairs a setting,
naive and after weight matching.

    python benchmarks/noise_scale.py [--store]

One axis at a time: batches of 20 to 500 images without decay, and decay from 0 to 0.01 with batches
of 100; all else is the same (256 units, 25 epochs, rate 0.05 falling to zero by a cosine). A larger
batch means fewer steps, so the batch axis changes both. The images come with the package, and the
run takes about ten minutes on one core. ``--store`` writes
rebasin_edu/lab/stored/runs/mnist-5k-mlp-noise.json.
"""

import argparse
import time

from mlp_widths import PAIRS, pair

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

BASE = {"dataset": "mnist-5k", "width": 256, "optimiser": "sgd", "lr": 0.05, "schedule": "cosine"}
BASE |= {"batch_size": 100}
AXES = {
    "batch_size": (20, 50, 100, 250, 500),
    "weight_decay": (0.0, 0.0003, 0.001, 0.003, 0.01),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    start, axes, known = time.perf_counter(), {}, {}
    data = rb.load_data("mnist-5k")
    for axis, values in AXES.items():
        axes[axis] = []
        for value in values:
            recipe = rb.Recipe(**BASE | {axis: value})
            if recipe not in known:
                known[recipe] = [pair(recipe, seeds, data) for seeds in PAIRS]
            pairs = known[recipe]
            axes[axis].append({"value": value, "recipe": recipe.to_dict(), "pairs": pairs})
            ends = [one["naive"]["accuracy"][k] for one in pairs for k in (0, -1)]
            words = [f"parents {sum(ends) / len(ends):.2%}"]
            for line in ("naive", "matched"):
                heights = ", ".join(f"{one[line]['loss_barrier']:.3f}" for one in pairs)
                words.append(f"{line} loss barriers {heights}")
            print(f"{axis} {value:g}: {'; '.join(words)}", flush=True)
    if chosen.store:
        command = "python benchmarks/noise_scale.py --store"
        run = run_metadata(data, rb.Recipe(**BASE), PAIRS, start, command, alphas=25, axes=axes)
        print("stored", save_run("mnist-5k-mlp-noise", run).name)


if __name__ == "__main__":
    main()
