"""The first figure of the course: three pairs of MNIST networks, naive and after weight matching,
25 alphas.

    python benchmarks/mnist_barrier.py [--data mnist-5k] [--store]

Trains what is not stored or cached (six networks of 25 epochs, a few minutes each on one core),
prints a row a pair, and with ``--store`` writes the run that the notebooks show:
rebasin_edu/lab/stored/runs/NAME.json.
"""

import argparse
import statistics
import time

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

PAIRS = ((0, 1), (2, 3), (4, 5))
SETTINGS = {
    "mnist": {},
    "mnist-5k": {"dataset": "mnist-5k", "batch_size": 100},
    "digits": {"dataset": "digits", "width": 128, "batch_size": 50, "epochs": 20},
}


def row(curve: rb.Curve) -> dict:
    """What the table and the notebooks need of a curve."""
    return {
        "alphas": curve.alphas,
        "loss": curve.loss,
        "accuracy": curve.accuracy,
        "loss_barrier": curve.barrier.loss,
        "accuracy_barrier": curve.barrier.accuracy,
        "middle_loss": curve.at(0.5).loss,
        "end_losses": [curve.at(0).loss, curve.at(1).loss],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=sorted(SETTINGS), default="mnist")
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    recipe = rb.Recipe(**SETTINGS[options.data])
    data = recipe.load_data()
    pairs = []
    start = time.perf_counter()
    for seeds in PAIRS:
        a, b = (rb.load_or_train(recipe.with_seed(seed), dataset=data) for seed in seeds)
        spec = rb.PermutationSpec.from_model(a, data.test.inputs[:1])
        found = rb.weight_matching(spec, a, b)
        curves = {
            "naive": rb.linear_path(a, b, data.test),
            "matched": rb.linear_path(a, spec.apply(b, found.permutation), data.test),
        }
        pairs.append(
            {"seeds": seeds, "matching_seconds": found.seconds}
            | {name: row(curve) for name, curve in curves.items()}
        )
        for name, curve in curves.items():
            ends_and_middle = [curve.at(alpha) for alpha in (0, 0.5, 1)]
            print(
                f"{data.name}, seeds {seeds}, {name:8} barrier: loss {curve.barrier.loss:7.4f}, "
                f"accuracy {100 * curve.barrier.accuracy:6.2f} points; loss at A, middle, B: "
                + ", ".join(f"{score.loss:.4f}" for score in ends_and_middle)
                + "; accuracy: "
                + ", ".join(f"{score.accuracy:.2%}" for score in ends_and_middle)
            )
    middle = statistics.median(pair["matched"]["loss_barrier"] for pair in pairs)
    print(
        f"median matched loss barrier of {len(pairs)} pairs: {middle:.4f}; "
        f"{len(data.test.targets):,} test images"
    )
    if options.store:
        command = f"python benchmarks/mnist_barrier.py --data {options.data} --store"
        about = run_metadata(data, recipe, PAIRS, start, command) | {
            "pairs": pairs,
        }
        print("stored", save_run(f"{options.data}-mlp-barrier", about).name)


if __name__ == "__main__":
    main()
