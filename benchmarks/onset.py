"""When does the barrier go? Weight matching after every epoch of training, as in figure 3 of the
paper, on MNIST and CIFAR-10.

    python benchmarks/onset.py [--data cifar10-45k] [--epochs 0 1 2 5 25] [--store]

Takes the snapshots that every epoch of the networks left in the cache (and trains those that are
missing, a few minutes each on one core), matches each pair at each epoch, measures both lines at 25
alphas on the test set, prints a row an epoch, and with ``--store`` writes the run that notebook 04
shows: rebasin_edu/lab/stored/runs/NAME.json. ``cifar10-45k-sgd`` is the other optimiser of the
authors' training program for this MLP; its rate falls by a cosine over 100 epochs there, by 15 %
in the first 25, and is constant here.
"""

import argparse
import time

from rows import curve_row, digits

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

PAIRS = ((0, 1), (2, 3), (4, 5))
CIFAR = {"dataset": "cifar10-45k", "augment": "paper", "batch_size": 100, "precision": "bfloat16"}
SGD = {"optimiser": "sgd", "lr": 0.1, "weight_decay": 5e-4, "warmup": 1.0}
SETTINGS = {  # what it is called → the recipe, the seeds of the pairs
    "mnist": ({}, PAIRS),
    "mnist-5k": ({"dataset": "mnist-5k", "batch_size": 100}, PAIRS),
    "cifar10-45k": (CIFAR, PAIRS[:1]),
    "cifar10-45k-sgd": (CIFAR | SGD, PAIRS),
}


def measure(
    recipe: rb.Recipe,
    data: rb.lab.Dataset,
    spec: rb.PermutationSpec,
    seeds: tuple[int, int],
    epoch: int,
) -> dict:
    """Both lines of one pair after one epoch."""
    a, b = (rb.load_or_train(recipe.with_seed(seed), epoch=epoch, dataset=data) for seed in seeds)
    found = rb.weight_matching(spec, a, b, start="identity")  # the start of the paper
    lines = {
        "naive": rb.linear_path(a, b, data.test),
        "matched": rb.linear_path(a, spec.apply(b, found.permutation), data.test),
    }
    rows = {name: curve_row(line) for name, line in lines.items()}
    print(
        f"seeds {seeds}, epoch {epoch:2}: "
        + ", ".join(f"{name} {line.barrier.loss:.4f}" for name, line in lines.items()),
        flush=True,
    )
    return {"epoch": epoch, "sweeps": found.sweeps, "gain": round(found.gain, 3)} | rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=sorted(SETTINGS), default="mnist")
    parser.add_argument("--epochs", type=int, nargs="+", default=list(range(26)))
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    fields, groups = SETTINGS[options.data]
    recipe = rb.Recipe(**fields)
    data = recipe.load_data()
    spec = rb.PermutationSpec.from_model(recipe.build(data), data.test.inputs[:1])
    start, cpu = time.perf_counter(), time.process_time()
    rows = {
        seeds: [measure(recipe, data, spec, seeds, epoch) for epoch in options.epochs]
        for seeds in groups
    }
    pairs = [{"seeds": list(seeds), "epochs": epochs} for seeds, epochs in rows.items()]
    if options.store:
        command = f"python benchmarks/onset.py --data {options.data} --store"
        run = run_metadata(
            data,
            recipe,
            groups,
            start,
            command,
            alphas=digits((k / 24 for k in range(25)), 6),
            pairs=pairs,
        )
        run["cpu_seconds"] = round(time.process_time() - cpu, 1)
        print("stored", save_run(f"{options.data.replace('-45k', '')}-mlp-onset", run).name)


if __name__ == "__main__":
    main()
