"""The plane through two MNIST networks and the reordered second one (the paper's first figure), and
what averaging does inside.

    python benchmarks/mnist_plane.py [--resolution 31 25] [--store]

Needs the full MNIST test set (in ``$REBASIN_EDU_DATA``). Prints the losses that matter, and with
``--store`` writes the run that notebook 02 shows: rebasin_edu/lab/stored/runs/mnist-mlp-plane.json.
"""

import argparse
import time
from dataclasses import asdict

import torch

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run
from rebasin_edu.landscape import diagnose, loss_plane, repair_statistics

SEEDS = (0, 1)
SHUFFLE = 3  # seed of the permutation that A is averaged with its own copy under


def short(rows: tuple, digits: int) -> list:
    return [[round(value, digits) for value in row] for row in rows]


def middle(a, state, data) -> dict:
    """The half-way network: plain, and with the deviation of every unit put back on training
    images.
    """
    plain = rb.lerp(a, state, 0.5)
    repaired = repair_statistics(a, state, data.train, num_samples=10_000).weights
    scores = {
        "plain": rb.evaluate(plain, data.test, model=a),
        "repaired": rb.evaluate(repaired, data.test, model=a),
    }
    return {
        name: {"loss": score.loss, "accuracy": score.accuracy} for name, score in scores.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resolution", type=int, nargs=2, default=(31, 25))
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    start = time.perf_counter()
    recipe = rb.Recipe()
    data = recipe.load_data()
    a, b = (rb.load_or_train(recipe.with_seed(seed), dataset=data) for seed in SEEDS)
    spec = rb.PermutationSpec.from_model(a, torch.zeros(1, 784))
    others = {
        "naive": b.state_dict(),
        "matched": spec.apply(b, rb.weight_matching(spec, a, b).permutation),
        "shuffled self": spec.apply(a, spec.random(seed=SHUFFLE)),
    }
    curves, layers, middles = {}, {}, {}
    for name, state in others.items():
        curve = rb.linear_path(a, state, data.test)
        curves[name] = {
            "alphas": curve.alphas,
            "loss": curve.loss,
            "accuracy": curve.accuracy,
            "loss_barrier": curve.barrier.loss,
        }
        seen = diagnose(a, state, data.test, num_samples=len(data.test.targets))
        layers[name] = {
            layer.name: [layer.mean_correlation, layer.measured, layer.predicted]
            for layer in seen.layers
        }
        middles[name] = middle(a, state, data)
        print(
            f"{name:14} loss barrier {curve.barrier.loss:.4f}  middle {middles[name]}  layers "
            f"{layers[name]}"
        )
    plane = loss_plane(
        a,
        b,
        others["matched"],
        data.test,
        resolution=tuple(options.resolution),
    )
    lowest, highest = min(map(min, plane.loss)), max(map(max, plane.loss))
    print(
        f"plane: {plane.points}, one unit is {plane.distance:.2f} long; loss {lowest:.3f} to "
        f"{highest:.3f}"
    )
    if options.store:
        command = "python benchmarks/mnist_plane.py --store"
        about = run_metadata(data, recipe, [SEEDS], start, command) | {
            "curves": curves,
            "layers": layers,
            "middles": middles,
            "plane": asdict(plane)
            | {"loss": short(plane.loss, 4), "accuracy": short(plane.accuracy, 4)},
        }
        print("stored", save_run("mnist-mlp-plane", about).name)


if __name__ == "__main__":
    main()
