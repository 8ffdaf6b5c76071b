"""The paper's three matchers side by side on three pairs of MNIST networks: barrier, CPU seconds,
and what each has to see.

    python benchmarks/three_methods.py [--data mnist-5k] [--samples 10000] [--steps 300] [--store]

Networks that are not stored or cached are trained first (a few minutes each on one core). Each
method's time is that of the process on the CPU, from call to return. Barriers are measured on the
test set at 25 alphas; what is chosen by data is chosen by training data alone. Prints a row a pair
and method; ``--store`` writes the run that notebook 05 shows:
rebasin_edu/lab/stored/runs/NAME.json.
"""

import argparse
import time

from torch.nn.functional import cross_entropy

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run
from rebasin_edu.matching import activation_matching, straight_through_matching, weight_matching

PAIRS = ((0, 1), (2, 3), (4, 5))
SETTINGS = {"mnist": {}, "mnist-5k": {"dataset": "mnist-5k", "batch_size": 100}}
KEYS = (
    "loss_barrier",
    "accuracy_barrier",
    "middle_loss",
    "train_middle_loss",
    "objective",
    "cpu_seconds",
)


def inner(a: dict, b: dict) -> float:
    """The objective of weight matching, whichever method found the order of ``b``."""
    return sum(float((a[name].double() * b[name].double()).sum()) for name in a)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=sorted(SETTINGS), default="mnist")
    parser.add_argument(
        "--samples", type=int, default=10_000, help="training images of activation matching"
    )
    parser.add_argument(
        "--steps", type=int, default=150, help="of the straight-through method, each of 500 images"
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=10.0,
        help="of the straight-through method; chosen on the training images of the first pair",
    )
    parser.add_argument(
        "--pool",
        type=int,
        default=5_000,
        help="images that the straight-through method learns from and chooses by",
    )
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    recipe = rb.Recipe(**SETTINGS[options.data])
    data = recipe.load_data()
    spec = rb.PermutationSpec.from_model(recipe.build(data), data.test.inputs[:1])
    samples = min(options.samples, len(data.train.targets))

    def through(a, b):
        return straight_through_matching(
            spec,
            a,
            b,
            data.train,
            method="paper",
            loss=cross_entropy,
            steps=options.steps,
            minibatch=500,
            rate=options.rate,
            num_samples=options.pool,
        )

    methods = {
        "naive": None,
        "activation matching": lambda a, b: activation_matching(
            spec, a, b, data.train, num_samples=samples
        ),
        "weight matching": lambda a, b: weight_matching(spec, a, b),
        "straight-through": through,
    }
    start, pairs = time.perf_counter(), []
    for seeds in PAIRS:
        a, b = (rb.load_or_train(recipe.with_seed(seed), dataset=data) for seed in seeds)
        rows = {}
        for name, method in methods.items():
            cpu = time.process_time()
            found = method(a, b) if method else None
            cpu = time.process_time() - cpu if method else 0.0
            matched = spec.apply(b, found.permutation if found else spec.identity())
            curve = rb.linear_path(a, matched, data.test)
            trained = rb.evaluate(rb.lerp(a, matched, 0.5), data.train, model=a).loss
            numbers = (
                curve.barrier.loss,
                curve.barrier.accuracy,
                curve.at(0.5).loss,
                trained,
                inner(a.state_dict(), matched),
                cpu,
            )
            rows[name] = {key: round(number, 5) for key, number in zip(KEYS, numbers)} | {
                "loss": [round(loss, 4) for loss in curve.loss],
                "accuracy": [round(accuracy, 4) for accuracy in curve.accuracy],
            }
            print(
                f"seeds {seeds}, {name:20}"
                + "".join(f"  {key} {rows[name][key]:.4f}" for key in KEYS),
                flush=True,
            )
        pairs.append({"seeds": list(seeds), "methods": rows})
    if options.store:
        command = (
            f"python benchmarks/three_methods.py --data {options.data} --samples {options.samples} "
            f"--steps {options.steps} --rate {options.rate:g} --pool {options.pool} --store"
        )
        about = run_metadata(data, recipe, PAIRS, start, command) | {
            "alphas": [round(alpha, 6) for alpha in curve.alphas],
            "keys": list(KEYS),
            "images": {
                "naive": "none",
                "activation matching": f"{samples:,}, without labels",
                "weight matching": "none",
                "straight-through": f"{options.pool:,} with labels",
            },
            "pairs": pairs,
        }
        print("stored", save_run(f"{options.data}-mlp-three-methods", about).name)


if __name__ == "__main__":
    main()
