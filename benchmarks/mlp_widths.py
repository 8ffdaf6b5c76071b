"""Barrier over width: MLPs of three hidden layers, three pairs a width, naive and after weight
matching, 25 alphas.

    python benchmarks/mlp_widths.py [--data mnist] [--widths 16 32 64 128 256 512 1024] [--store]

Trains what is neither stored nor cached and prints a row a width; ``--store`` writes
rebasin_edu/lab/stored/runs/NAME.json.
"""

import argparse
import statistics
import time
from dataclasses import replace

from rows import curve_row

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

PAIRS = ((0, 1), (2, 3), (4, 5))
SETTINGS = {
    "mnist": {"precision": "bfloat16"},
    "mnist-5k": {"dataset": "mnist-5k", "batch_size": 100},
}
WIDTHS = [16, 32, 64, 128, 256, 512, 1024]


def pair(recipe, seeds, data):
    """Both lines of one pair, and how good its networks are."""
    a, b = (rb.load_or_train(recipe.with_seed(s), dataset=data, progress=False) for s in seeds)
    spec = rb.PermutationSpec.from_model(a, data.test.inputs[:1])
    found = rb.weight_matching(spec, a, b)
    lines = {"naive": b, "matched": spec.apply(b, found.permutation)}
    curves = {name: rb.linear_path(a, weights, data.test) for name, weights in lines.items()}
    return {"seeds": seeds} | {name: curve_row(curve) for name, curve in curves.items()}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=sorted(SETTINGS), default="mnist")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    recipe, start = rb.Recipe(**SETTINGS[chosen.data]), time.perf_counter()
    data, widths = recipe.load_data(), []
    for width in chosen.widths:
        pairs = [pair(replace(recipe, width=width), seeds, data) for seeds in PAIRS]
        widths.append({"width": width, "pairs": pairs})
        said = []
        for name in ("naive", "matched"):
            heights = [one[name]["loss_barrier"] for one in pairs]
            said.append(
                f"{name} {statistics.mean(heights):.4f} ({', '.join(f'{h:.4f}' for h in heights)})"
            )
        print(f"{data.name}, width {width:4d}, loss barrier: {'; '.join(said)}", flush=True)
    if chosen.store:
        asked = " ".join(map(str, chosen.widths))
        command = f"python benchmarks/mlp_widths.py --data {chosen.data} --widths {asked} --store"
        run = run_metadata(data, recipe, PAIRS, start, command, alphas=25, widths=widths)
        print("stored", save_run(f"{chosen.data}-mlp-widths", run).name)


if __name__ == "__main__":
    main()
