"""Barriers of trained convolutional pairs over width: naive, matched, and matched with the statistics measured anew.

    python benchmarks/widths.py [NAME ...] [--store]

Trains what is neither stored nor cached (minutes to hours on a CPU; it goes on where it was stopped), prints a row for each
pair and method, and with ``--store`` writes rebasin_edu/lab/stored/runs/NAME.json. Barriers are those of Git Re-Basin (the
worst of 11 alphas, statistics averaged) and, as REPAIR reports them, of the midpoint against the mean of the parents.
Activations and statistics are measured on 5,000 training images.
"""

import argparse
import time
from dataclasses import replace

import rebasin_edu as rb
from rebasin_edu.lab.runs import save_run
from rebasin_edu.lab.zoo import machine, versions
from rebasin_edu.landscape import reestimate_batchnorm
from rebasin_edu.matching.activations import activation_matching

SGD = {"optimiser": "sgd", "weight_decay": 5e-4, "schedule": "one-cycle", "precision": "bfloat16"}
CIFAR = rb.Recipe(
    dataset="cifar10-45k", model="resnet20", width=1, norm="batch", lr=0.2, batch_size=250, augment="crop-flip", epochs=12, **SGD
)
SMALL = replace(CIFAR, size=16)
FASHION = replace(CIFAR, dataset="fashion-mnist", size=14, augment=None, epochs=3)
FAMILIES = {
    "cifar10-16px-resnet20": [SMALL, replace(SMALL, width=2, epochs=6), replace(SMALL, width=4, epochs=3)],
    "cifar10-resnet20": [CIFAR],
    "cifar10-16px-vgg11": [replace(SMALL, model="vgg11", norm=None, lr=0.05, batch_size=125, epochs=8)],
    "fashion-mnist-14px-resnet20": [FASHION],
    "fashion-mnist-14px-vgg11": [replace(FASHION, model="vgg11", norm=None, lr=0.05, batch_size=125, epochs=2)],
}
SEEDS = (0, 1)
ALPHAS = 11
SAMPLES = 5_000  # training images, for activations and for statistics


def methods(model, a, b, data):
    """Name → (B brought near to A, seconds)."""
    spec = rb.PermutationSpec.from_model(model, data.test.inputs[:1])
    yield "naive", b, 0.0
    found = rb.weight_matching(spec, a, b)
    yield "weight matching", spec.apply(b, found.permutation), found.seconds
    found = activation_matching(spec, a, b, data.train.first(SAMPLES).inputs, model=model)
    yield "activation matching", spec.apply(b, found.permutation), found.seconds


def pair(recipe, data):
    """All that is reported of one pair."""
    model, b = (rb.load_or_train(recipe.with_seed(seed), dataset=data) for seed in SEEDS)
    a, b = model.state_dict(), b.state_dict()
    parents = [rb.evaluate(model, weights, data.test) for weights in (a, b)]
    loss, accuracy = (sum(getattr(score, name) for score in parents) / 2 for name in ("loss", "accuracy"))
    rows = []
    for name, near, seconds in methods(model, a, b, data):
        curve = rb.linear_path(model, a, near, data.test, alphas=ALPHAS)
        middles = {"as it is": rb.lerp(a, near, 0.5)}
        if recipe.norm == "batch":
            middles["re-estimated"] = reestimate_batchnorm(model, middles["as it is"], data.train, samples=SAMPLES)
        middles["REPAIR"] = rb.repair(model, a, near, None, data.train, samples=2000).weights
        scores = {kind: rb.evaluate(model, weights, data.test) for kind, weights in middles.items()}
        row = {"method": name, "seconds": round(seconds, 2), "middle": {}}
        row |= {"loss": [round(x, 4) for x in curve.loss], "accuracy": [round(x, 4) for x in curve.accuracy]}
        row |= {"loss_barrier": curve.barrier.loss, "accuracy_barrier": curve.barrier.accuracy}
        for kind, score in scores.items():
            row["middle"][kind] = {"loss": score.loss, "accuracy": score.accuracy}
            row["middle"][kind] |= {"loss_barrier": score.loss - loss, "accuracy_barrier": accuracy - score.accuracy}
        rows.append(row)
        points = ", ".join(
            f"{kind} {100 * (accuracy - s.accuracy):6.2f} points ({s.loss - loss:6.3f})" for kind, s in scores.items()
        )
        print(f"{recipe.model}×{recipe.width} on {data.name}, parents {accuracy:.2%}: {name:20} midpoint {points}", flush=True)
    return {
        "recipe": recipe.to_dict(),
        "seeds": list(SEEDS),
        "width": recipe.width,
        "epochs": recipe.epochs,
        "parents": [{"loss": score.loss, "accuracy": score.accuracy} for score in parents],
        "rows": rows,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(FAMILIES), metavar="NAME", help=", ".join(FAMILIES))
    parser.add_argument("--widths", type=float, nargs="+", help="only these")
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    for name in chosen.names:
        start = time.perf_counter()
        recipes = [recipe for recipe in FAMILIES[name] if not chosen.widths or recipe.width in chosen.widths]
        data = recipes[0].load_data()
        pairs = [pair(recipe, data) for recipe in recipes]
        if chosen.store:
            widths = f" --widths {' '.join(f'{w:g}' for w in chosen.widths)}" if chosen.widths else ""
            about = {
                "data": data.name,
                "samples": len(data.test.targets),
                "recipe": recipes[0].to_dict(),
                "seeds": [list(SEEDS)],
                "machine": machine(),
                "versions": versions(),
                "seconds": round(time.perf_counter() - start, 1),
                "command": f"python benchmarks/widths.py {name}{widths} --store",
                "pairs": pairs,
            }
            print("stored", save_run(f"{name}-widths", about).name)


if __name__ == "__main__":
    main()
