"""When does the barrier go? Weight matching after every epoch of training, as in figure 3 of the paper, on MNIST.

    python benchmarks/onset.py [--data mnist-5k] [--epochs 0 1 2 5 25] [--store]

Takes the snapshots that every epoch of three pairs of networks left in the cache (and trains those that are missing, a few
minutes each on one core), matches each pair at each epoch, measures both lines at 25 alphas on the test set, prints a row an
epoch, and with ``--store`` writes the run that notebook 04 shows: rebasin_edu/lab/stored/runs/NAME.json.
"""

import argparse
import time

import rebasin_edu as rb
from rebasin_edu.lab.runs import save_run
from rebasin_edu.lab.zoo import machine, versions

PAIRS = ((0, 1), (2, 3), (4, 5))
SETTINGS = {"mnist": {}, "mnist-5k": {"dataset": "mnist-5k", "batch_size": 100}}


def digits(numbers: tuple[float, ...], places: int) -> list[float]:
    return [round(number, places) for number in numbers]


def row(curve: rb.Curve) -> dict:
    """The curve of one pair at one epoch, in few digits."""
    return {
        "loss": digits(curve.loss, 4),
        "accuracy": digits(curve.accuracy, 4),
        "loss_barrier": round(curve.barrier.loss, 5),
        "accuracy_barrier": round(curve.barrier.accuracy, 5),
    }


def measure(recipe: rb.Recipe, data: rb.Dataset, spec: rb.PermutationSpec, seeds: tuple[int, int], epoch: int) -> dict:
    """Both lines of one pair after one epoch."""
    a, b = (rb.load_or_train(recipe.with_seed(seed), epoch=epoch, dataset=data, say=None) for seed in seeds)
    found = rb.weight_matching(spec, a, b, start="identity")  # the start of the paper
    lines = {
        "naive": rb.linear_path(a, a, b, data.test),
        "matched": rb.linear_path(a, a, spec.apply(b, found.permutation), data.test),
    }
    described = {name: row(line) for name, line in lines.items()}
    print(
        f"seeds {seeds}, epoch {epoch:2}: " + ", ".join(f"{name} {line.barrier.loss:.4f}" for name, line in lines.items()),
        flush=True,
    )
    return {"epoch": epoch, "sweeps": found.sweeps, "gain": round(found.gain, 3)} | described


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(SETTINGS), default="mnist")
    parser.add_argument("--epochs", type=int, nargs="+", default=list(range(26)))
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    recipe = rb.Recipe(**SETTINGS[options.data])
    data = recipe.load_data()
    spec = rb.PermutationSpec.from_model(recipe.build(data), data.test.inputs[:1])
    start, cpu = time.perf_counter(), time.process_time()
    pairs = [{"seeds": list(seeds), "epochs": [measure(recipe, data, spec, seeds, e) for e in options.epochs]} for seeds in PAIRS]
    if options.store:
        about = {
            "data": data.name,
            "samples": len(data.test.targets),
            "recipe": recipe.to_dict(),
            "seeds": [list(seeds) for seeds in PAIRS],
            "machine": machine(),
            "versions": versions(),
            "seconds": round(time.perf_counter() - start, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "command": f"python benchmarks/onset.py --data {options.data} --store",
            "alphas": digits(tuple(k / 24 for k in range(25)), 6),
            "pairs": pairs,
        }
        print("stored", save_run(f"{options.data}-mlp-onset", about).name)


if __name__ == "__main__":
    main()
