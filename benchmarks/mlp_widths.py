"""Barrier over width: MLPs of three hidden layers, three pairs a width, naive and after weight matching, 25 alphas.

    python benchmarks/mlp_widths.py [--data mnist] [--widths 16 32 64 128 256 512 1024] [--store]

Trains what is neither stored nor cached and prints a row a width; ``--store`` writes rebasin_edu/lab/stored/runs/NAME.json.
"""

import argparse
import statistics
import time
from dataclasses import replace

import rebasin_edu as rb
from rebasin_edu.lab.runs import save_run
from rebasin_edu.lab.zoo import machine, versions

PAIRS = ((0, 1), (2, 3), (4, 5))
SETTINGS = {"mnist": {}, "mnist-5k": {"dataset": "mnist-5k", "batch_size": 100}}


def row(curve):
    """What is kept of a curve."""
    return {
        "loss": [round(x, 4) for x in curve.loss],
        "accuracy": [round(x, 4) for x in curve.accuracy],
        "loss_barrier": round(curve.barrier.loss, 5),
        "accuracy_barrier": round(curve.barrier.accuracy, 5),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(SETTINGS), default="mnist")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512, 1024])
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    recipe, start = rb.Recipe(**SETTINGS[chosen.data]), time.perf_counter()
    data, widths = recipe.load_data(), []
    for width in chosen.widths:
        pairs = []
        for seeds in PAIRS:
            of_width = replace(recipe, width=width)
            a, b = (rb.load_or_train(of_width.with_seed(s), dataset=data, progress=False, say=None) for s in seeds)
            spec = rb.PermutationSpec.from_model(a, data.test.inputs[:1])
            found = rb.weight_matching(spec, a, b)
            lines = {"naive": b, "matched": spec.apply(b, found.permutation)}
            curves = {name: rb.linear_path(a, a, weights, data.test) for name, weights in lines.items()}
            pairs.append({"seeds": seeds} | {name: row(curve) for name, curve in curves.items()})
        widths.append({"width": width, "pairs": pairs})
        said = []
        for name in ("naive", "matched"):
            heights = [pair[name]["loss_barrier"] for pair in pairs]
            said.append(f"{name} {statistics.mean(heights):.4f} ({', '.join(f'{h:.4f}' for h in heights)})")
        print(f"{data.name}, width {width:4d}, loss barrier: {'; '.join(said)}", flush=True)
    if chosen.store:
        asked = f"--data {chosen.data} --widths {' '.join(map(str, chosen.widths))}"
        about = {
            "data": data.name,
            "samples": len(data.test.targets),
            "recipe": recipe.to_dict(),
            "seeds": [list(seeds) for seeds in PAIRS],
            "machine": machine(),
            "versions": versions(),
            "seconds": round(time.perf_counter() - start, 1),
            "command": f"python benchmarks/mlp_widths.py {asked} --store",
            "alphas": 25,
            "widths": widths,
        }
        print("stored", save_run(f"{chosen.data}-mlp-widths", about).name)


if __name__ == "__main__":
    main()
