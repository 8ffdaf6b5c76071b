"""The public table of merging: every stored pair, every way to match it, every way to repair it.

    python benchmarks/merging.py [PAIR ...] [--methods weights ...] [--seeds 3]

Both networks of a pair are brought near each other by each method, averaged half-way and scored on
images that nothing was fitted on: as they are, with BatchNorm statistics re-estimated, after REPAIR
and after refit. ``naive`` does not match, so its refit is the control of the others. A row is
written to ``results/merging.json`` as soon as it is there, with the table ``results/merging.md``,
and a run goes on where it was stopped.

To add a row: a pair is a line in ``PAIRS`` (two recipes; networks that are neither stored nor
cached are trained), a method is a function in ``METHODS`` that returns a ``Matching``. Run the
command again: only what is missing is computed. To do a row anew, say ``--again``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from rows import origins
from widths import CIFAR, FASHION, LAYER, SMALL, VGG, WIDE

import rebasin_edu as rb
from rebasin_edu.errors import FileFormatError
from rebasin_edu.lab.metadata import machine, versions
from rebasin_edu.storage import load_json, save_json

RESULTS = Path(__file__).parent / "results"
FORMAT = "rebasin_edu merging table"
MATCHED, FITTED = 2_000, 1_000  # training images: for a matching, for statistics and refit
SCORED = 2_000  # images that no network has seen; 0.3 to 1 points of standard error
LONG = replace(CIFAR, lr=0.4, epochs=60)  # trained to 92.2 and 92.4 % on the held-out images
PRECISE = replace(VGG, precision="float32")  # bfloat16 is ten times slower where a CPU lacks it
SPLIT = rb.Recipe(width=256)


def pair(recipe, first=0, second=1):
    """Two seeds of one recipe."""
    return recipe.with_seed(first), recipe.with_seed(second)


TWO, FOUR = replace(SMALL, width=2, epochs=8), replace(SMALL, width=4, epochs=4)
PAIRS = {  # name → two recipes
    "MNIST MLP 3×512": pair(rb.Recipe()),
    "MNIST MLP 3×512, seeds 2 and 3": pair(rb.Recipe(), 2, 3),
    "MNIST MLP 3×256, halves of the data": tuple(
        replace(SPLIT, part=part, seed=seed) for part, seed in (("a", 0), ("b", 1))
    ),
    "Fashion-MNIST 14×14, BatchNorm ResNet20×1": pair(FASHION),
    "CIFAR-10 16×16, BatchNorm ResNet20×1": pair(SMALL),
    "CIFAR-10 16×16, BatchNorm ResNet20×1, seeds 2 and 3": pair(SMALL, 2, 3),
    "CIFAR-10 16×16, BatchNorm ResNet20×2": pair(TWO),
    "CIFAR-10 16×16, BatchNorm ResNet20×2, seeds 2 and 3": pair(TWO, 2, 3),
    "CIFAR-10 16×16, BatchNorm ResNet20×4": pair(FOUR),
    "CIFAR-10 16×16, BatchNorm ResNet20×4, seeds 1 and 2": pair(FOUR, 1, 2),
    "CIFAR-10, BatchNorm ResNet20×1": pair(CIFAR),
    "CIFAR-10, BatchNorm ResNet20×1, 60 epochs": pair(LONG),
    "CIFAR-10, BatchNorm ResNet20×2": pair(replace(WIDE, width=2, epochs=8)),
    "CIFAR-10, LayerNorm ResNet20×1": pair(LAYER),
    "CIFAR-10, LayerNorm VGG16×1/8": pair(replace(PRECISE, width=1 / 8)),
    "CIFAR-10, LayerNorm VGG16×1/4": pair(replace(PRECISE, width=1 / 4)),
}


def naive(spec, a, b, images, model, seed):
    return None


def weights(spec, a, b, images, model, seed):
    return rb.weight_matching(spec, a, b, seed=seed)


def activations(spec, a, b, images, model, seed):
    return rb.activation_matching(spec, a, b, images, model=model)


def both(spec, a, b, images, model, seed):
    return rb.activation_matching(spec, a, b, images, model=model, weights=0.3)


def descent(spec, a, b, images, model, seed):
    return rb.straight_through_matching(spec, a, b, images, model=model, seed=seed)


def weights_after(spec, a, b, images, model, seed):
    """Weight matching that starts where activation matching ends: is it the search or the aim?"""
    start = rb.activation_matching(spec, a, b, images, model=model).permutation
    return rb.weight_matching(spec, a, b, start=start)


METHODS = {
    "naive": naive,
    "weights": weights,
    "weights from activations": weights_after,
    "activations": activations,
    "activations and weights": both,
    "descent": descent,
}
DRAWN = ("weights", "descent")  # methods with a seed
REPAIRS = ("as it is", "re-estimated", "REPAIR", "refit")


class Pair:
    """Two networks and their data, in memory."""

    def __init__(self, name):
        recipes = PAIRS[name]
        self.recipes = [recipe.to_dict() for recipe in recipes]
        self.data = replace(recipes[0], part=None).load_data()
        parts = [recipe.cut(rb.load_data(recipe.dataset)) if recipe.part else self.data
                 for recipe in recipes]  # fmt: skip
        networks = [rb.load_or_train(r, dataset=part) for r, part in zip(recipes, parts)]
        self.model, self.networks = networks[0], networks
        self.a, self.b = (network.state_dict() for network in networks)
        self.spec = rb.PermutationSpec.from_model(self.model, self.data.test.inputs[:1])
        self.has_statistics = any(name.endswith("running_var") for name in self.a)

    def score(self, network):
        score = rb.evaluate(network, self.data.test.first(SCORED), model=self.model)
        return {"accuracy": round(score.accuracy, 5), "loss": round(score.loss, 5)}

    def row(self, method, seed):
        """One method: what is half-way, as it is and repaired, with the CPU seconds of each."""
        images = self.data.train.first(MATCHED).inputs
        started = time.process_time()
        found = METHODS[method](self.spec, self.a, self.b, images, self.model, seed)
        row = {"CPU seconds": round(time.process_time() - started, 2)}
        row |= {"made": time.strftime("%Y-%m-%d"), "machine": machine()}
        b = self.b if found is None else self.spec.apply(self.b, found.permutation)
        middle, images = rb.lerp(self.a, b, 0.5), images[:FITTED]
        repairs = {
            "as it is": lambda: middle,
            "re-estimated": lambda: rb.reestimate_batchnorm(middle, images, model=self.model),
            "REPAIR": lambda: rb.repair_statistics(self.a, b, images, model=self.model).weights,
            "refit": lambda: rb.refit(self.a, b, images, model=self.model).weights,
        }
        for name, repair in repairs.items():
            if name != "re-estimated" or self.has_statistics:
                started = time.process_time()
                state = repair()
                seconds = round(time.process_time() - started, 2)
                row[name] = self.score(state) | {"CPU seconds": seconds}
        return row

    def ends(self):
        """The two networks themselves, and the mean of their logits."""
        ensemble = rb.lab.Ensemble(self.networks)
        score = rb.evaluate(ensemble, self.data.test.first(SCORED))
        scores = {"accuracy": round(score.accuracy, 5), "loss": round(score.loss, 5)}
        return {
            "recipes": self.recipes,
            "data": self.data.name,
            "parents": [self.score(network) for network in self.networks],
            "ensemble": scores,
            "machine": machine(),
            "versions": versions(),
        }


def points(row, parents):
    """Accuracy lost against the parents' mean, in points, and loss above theirs."""
    lost = statistics.mean(p["accuracy"] for p in parents) - row["accuracy"]
    above = row["loss"] - statistics.mean(p["loss"] for p in parents)
    return 100 * lost, above


def table(content):
    """The lines of the Markdown table of all rows."""
    head = ["pair", "method", *REPAIRS, "CPU s: matching", "refit"]
    lines = [f"| {' | '.join(head)} |", "|---" * 2 + "|---:" * 6 + "|"]
    for name in (name for name in PAIRS if name in content["pairs"]):
        about = content["pairs"][name]
        parents = " and ".join(f"{100 * p['accuracy']:.2f}" for p in about["parents"])
        lines.append(f"| **{name}**, parents {parents} % |" + " |" * 7)
        for method in METHODS:
            found = [r for r in content["rows"] if (r["pair"], r["method"]) == (name, method)]
            if not found:
                continue
            cells = []
            for repair in REPAIRS:
                both = [points(row[repair], about["parents"]) for row in found if repair in row]
                lost, above = (statistics.mean(x) for x in zip(*both)) if both else (0.0, 0.0)
                cells.append(f"{lost:.2f} ({above:.3f})" if both else "")
            times = [statistics.mean(row["CPU seconds"] for row in found)]
            times.append(statistics.mean(row["refit"]["CPU seconds"] for row in found))
            seeds = f" ({len(found)} seeds)" if len(found) > 1 else ""
            cells += [f"{seconds:.1f}" for seconds in times]
            lines.append(f"| | {method}{seeds} | {' | '.join(cells)} |")
        lost, above = points(about["ensemble"], about["parents"])
        lines.append(f"| | ensemble of both | {lost:.2f} ({above:.3f})" + " |" * 6)
    return lines


def origin(row):
    """When and on which machine a row was made."""
    return f"{row['made']}, {row['machine']}" if "made" in row else "earlier, not noted"


def key_of(row):
    """What a row is of; a row of the same key takes its place."""
    return row["pair"], row["method"], row["seed"]


def text(content):
    """All of ``results/merging.md``."""
    made = ((origin(r), name) for name in PAIRS for r in content["rows"] if r["pair"] == name)
    return "\n".join(
        [
            "# Two networks merged into one, half-way",
            "",
            "Points of accuracy lost against the mean of the parents (loss above theirs), on "
            f"{SCORED:,} images that no network has seen (of CIFAR-10: of its last 5,000 training "
            f"images). A matching looks at {MATCHED:,} training images, a repair at "
            f"{FITTED:,}; no labels. `naive` is not matched: its refit is the control of the other "
            "refits. An ensemble is twice as large and slow.",
            "",
            *table(content),
            "",
            "Made by `python benchmarks/merging.py` from `merging.json`. To add a row: a pair is a "
            "line in `PAIRS`, a method a function in `METHODS`; run the command again, and it "
            "computes what is missing.",
            "",
            *origins(made),
            "",
        ]
    )


def load():
    """What was computed so far."""
    try:
        return load_json(RESULTS / "merging.json", format=FORMAT)
    except FileFormatError:
        return {"pairs": {}, "rows": []}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(PAIRS), metavar="PAIR")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=1, help="of the methods that draw")
    parser.add_argument("--again", action="store_true", help="make rows that are there too")
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # CPU seconds of one thread
    content = load()
    for name in chosen.names:
        done = {key_of(row) for row in content["rows"]}
        wanted = [(method, seed) for method in chosen.methods
                  for seed in range(chosen.seeds if method in DRAWN else 1)]  # fmt: skip
        wanted = [key for key in wanted if chosen.again or (name, *key) not in done]
        if not wanted:
            continue
        networks = Pair(name)
        about = None if chosen.again else content["pairs"].get(name)
        about = about or networks.ends()
        for method, seed in wanted:
            row = {"pair": name, "method": method, "seed": seed, **networks.row(method, seed)}
            content = load()  # another process may work on other pairs
            content["pairs"][name] = about
            others = [other for other in content["rows"] if key_of(other) != key_of(row)]
            content["rows"] = [*others, row]
            save_json(RESULTS / "merging.json", content, format=FORMAT)
            (RESULTS / "merging.md").write_text(text(content))
            lost = (f"{r} {points(row[r], about['parents'])[0]:.2f}" for r in REPAIRS if r in row)
            print(f"{name}: {method} (seed {seed}): {', '.join(lost)}", flush=True)


if __name__ == "__main__":
    main()
