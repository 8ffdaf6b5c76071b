"""Barriers of trained convolutional pairs over width: naive, matched by weights or activations, and
the same repaired.

    python benchmarks/widths.py [FAMILY ...] [--widths 1 2] [--store]

Trains what is neither stored nor cached (minutes to hours on a CPU; it goes on where it was
stopped), prints a line for each pair and method, and with ``--store`` adds the pairs, each with its
command, to the stored run FAMILY-widths. ``barrier`` is Git Re-Basin's (the worst alpha against the
mean of the ends), ``midpoint`` is what REPAIR reports (alpha ½ against the mean of the parents).
Networks with BatchNorm are repaired by measuring its statistics anew, the others by REPAIR; the
naive line, which no repair saves, at its midpoint alone. Activations are read on 5,000 training
images, statistics on 2,000 of them.
"""

import argparse
import time
from dataclasses import replace

import torch
from rows import curve_row, digits

import rebasin_edu as rb
from rebasin_edu.errors import FileFormatError
from rebasin_edu.lab.stored_runs import load_run, run_metadata, save_run

SGD = {"optimiser": "sgd", "weight_decay": 5e-4, "schedule": "one-cycle", "precision": "bfloat16"}
CIFAR = rb.Recipe(
    dataset="cifar10-45k",
    model="resnet20",
    width=1,
    norm="batch",
    lr=0.2,
    batch_size=250,
    augment="crop-flip",
    epochs=12,
    **SGD,
)
WIDE = replace(
    CIFAR, lr=0.4, weight_decay=1e-3
)  # at 16×16 these two lower the barrier more than any choice of matcher
FEW = replace(
    WIDE, batch_size=125
)  # twice the steps in the same time, for networks that get few epochs
SMALL = replace(WIDE, size=16)
FASHION = replace(CIFAR, dataset="fashion-mnist", size=14, augment=None, epochs=3)
LAYER = replace(
    CIFAR, norm="layer", optimiser="adam", lr=2e-3, batch_size=100, epochs=5
)  # SGD learns slower in so few epochs
VGG = replace(LAYER, model="vgg16", lr=1e-3)
PLAIN = {"model": "vgg11", "norm": None, "lr": 0.05, "weight_decay": 5e-4, "batch_size": 125}
FAMILIES = {  # name → recipes, seeds of the pairs
    "cifar10-16px-resnet20": (
        [
            SMALL,
            replace(SMALL, width=2, epochs=8),
            replace(SMALL, width=4, epochs=4),
            replace(FEW, size=16, width=8, epochs=3),
        ],
        ((0, 1), (2, 3)),
    ),
    "cifar10-resnet20": (
        [CIFAR, replace(WIDE, width=2, epochs=8), replace(FEW, width=4, epochs=7)],
        ((0, 1),),
    ),
    "cifar10-resnet20-layer": ([LAYER], ((0, 1),)),
    "cifar10-vgg16": (
        [replace(VGG, width=1 / 8), replace(VGG, width=1 / 4), replace(VGG, width=1 / 2), VGG],
        ((0, 1),),
    ),
    "cifar10-16px-vgg11": ([replace(SMALL, epochs=8, **PLAIN)], ((0, 1),)),
    "fashion-mnist-14px-resnet20": ([FASHION], ((0, 1),)),
    "fashion-mnist-14px-vgg11": ([replace(FASHION, epochs=2, **PLAIN)], ((0, 1),)),
}
SCORED = ("alphas", "loss", "accuracy", "ece", "reliability")
SAMPLES, REPAIRED = 5_000, 2_000  # training images: for activations, for statistics


def methods(model, a, b, data):
    """Name → (B brought near to A, seconds)."""
    spec = rb.PermutationSpec.from_model(model, data.test.inputs[:1])
    yield "naive", b, 0.0
    found = rb.weight_matching(spec, a, b)
    yield "weight matching", spec.apply(b, found.permutation), found.seconds
    found = rb.activation_matching(spec, a, b, data.train.first(SAMPLES).inputs, model=model)
    yield "activation matching", spec.apply(b, found.permutation), found.seconds


def between(ends, curve):
    """A curve of the points between A and B, with its ends: no permutation changes what a network
    scores, so once is enough.
    """
    whole = {
        name: (getattr(ends, name)[0], *getattr(curve, name), getattr(ends, name)[-1])
        for name in SCORED
    }
    return replace(curve, **whole)


def measured(curve):
    """A curve with both barriers."""
    loss, accuracy = curve.barrier_at_midpoint
    return (
        {"alphas": digits(curve.alphas)}
        | curve_row(curve)
        | {"midpoint": {"loss": round(loss, 5), "accuracy": round(accuracy, 5)}}
    )


def pair(recipe, seeds, data, alphas, half):
    """All that is reported of one pair; matched in single precision always."""
    model, b = (rb.load_or_train(recipe.with_seed(seed), dataset=data) for seed in seeds)
    a, b, rows = model.state_dict(), b.state_dict(), []
    inner = [k / (alphas - 1) for k in range(1, alphas - 1)]
    scoring = torch.autocast(data.device.type, torch.bfloat16, enabled=half)
    with scoring:
        ends = rb.linear_path(a, b, data.test, model=model, alphas=2)
    parents = [{"loss": ends.at(end).loss, "accuracy": ends.at(end).accuracy} for end in (0, 1)]
    for name, near, seconds in methods(model, a, b, data):
        steps = [0.5] if name == "naive" else inner
        with scoring:
            curve = rb.linear_path(a, near, data.test, model=model, alphas=inner)
            options = {"repair": "auto", "train_data": data.train, "num_samples": REPAIRED}
            repaired = rb.linear_path(a, near, data.test, model=model, alphas=steps, **options)
        curve, repaired = between(ends, curve), between(ends, repaired)
        rows.append(
            {
                "method": name,
                "seconds": round(seconds, 2),
                "as it is": measured(curve),
                "repaired": measured(repaired),
            }
        )
        loss, accuracy = repaired.barrier_at_midpoint
        print(
            f"{recipe.model}×{recipe.width:g} on {data.name}, seeds {seeds}, parents "
            f"{parents[0]['accuracy']:.2%}, "
            f"{parents[1]['accuracy']:.2%}: {name:20} midpoint "
            f"{100 * curve.barrier_at_midpoint.accuracy:6.2f} points "
            f"({curve.barrier_at_midpoint.loss:6.3f}), repaired {100 * accuracy:6.2f} "
            f"({loss:6.3f})",
            flush=True,
        )
    about = {
        "recipe": recipe.to_dict(),
        "seeds": list(seeds),
        "width": recipe.width,
        "epochs": recipe.epochs,
    }
    about |= {"scored in": "bfloat16"} if half else {}
    return about | {"repair": repaired.meta["repair"], "parents": parents, "rows": rows}


def merged(name, found):
    """This pair among those of earlier calls, by width; one whose recipe the family no longer has
    is dropped.
    """
    try:
        before = load_run(f"{name}-widths")["pairs"]
    except FileFormatError:
        before = []
    family = [recipe.to_dict() for recipe in FAMILIES[name][0]]
    kept = [
        one
        for one in before
        if one["recipe"] in family
        and (one["recipe"], one["seeds"]) != (found["recipe"], found["seeds"])
    ]
    return sorted([*kept, found], key=lambda one: (one["width"], one["seeds"]))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", default=list(FAMILIES), metavar="FAMILY", help=", ".join(FAMILIES)
    )
    parser.add_argument("--widths", type=float, nargs="+", help="only these")
    parser.add_argument("--pairs", type=int, help="only the first so many of each width")
    parser.add_argument(
        "--alphas", type=int, default=11, help="an odd number, so that the midpoint is among them"
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="score in it: faster where the CPU has it, 0.1 points off",
    )
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    for name in chosen.names:
        recipes, seeds = FAMILIES[name]
        recipes = [
            recipe for recipe in recipes if not chosen.widths or recipe.width in chosen.widths
        ]
        data = recipes[0].load_data()
        for recipe in recipes:
            for each in seeds[: chosen.pairs]:
                start = time.perf_counter()
                found = pair(recipe, each, data, chosen.alphas, chosen.bfloat16)
                if chosen.store:  # pair by pair: a long run may be stopped
                    found["seconds"] = round(time.perf_counter() - start, 1)
                    command = f"python benchmarks/widths.py {name}"
                    half = " --bfloat16" * chosen.bfloat16
                    options = f"--widths {recipe.width:g} --alphas {chosen.alphas}{half}"
                    found["command"] = f"{command} {options} --store"
                    pairs = merged(name, found)
                    first = rb.Recipe.from_dict(pairs[0]["recipe"])
                    run = run_metadata(
                        data,
                        first,
                        [one["seeds"] for one in pairs],
                        start,
                        f"{command} --store",
                        pairs=pairs,
                    )
                    run["seconds"] = round(sum(one["seconds"] for one in pairs), 1)
                    print("stored", save_run(f"{name}-widths", run).name, flush=True)


if __name__ == "__main__":
    main()
