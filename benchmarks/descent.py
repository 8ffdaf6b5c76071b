"""Descent on the permutation beside the other matchers, on stored pairs: what the midpoint loses.

    python benchmarks/descent.py [--pairs 16px-x1 …] [--methods descent …] [--seeds 0 1 2]

Each row is one matching of one pair: points of test accuracy that the midpoint lies below the mean
of the parents, its test loss above theirs, and CPU seconds of the matching (one thread). BatchNorm
is re-estimated on 2,000 training images; nothing but the score sees a test image. ``paper`` is
Algorithm 2 of Git Re-Basin with labels, on ``--paper-images`` images that it learns from and
chooses by. Rows are kept one by one in ``results/descent.json`` and made only where they are
missing, so a run may be stopped and gone on with; ``descent.md`` is the table of it. The times of a
machine that others use are too long: the table says what the machine was.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from itertools import product
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import merging
import torch
from rows import origins
from torch.nn.functional import cross_entropy

import rebasin_edu as rb
from rebasin_edu.lab.metadata import machine

OUT = Path(__file__).parent / "results" / "descent.json"
PAIRS = {  # name → the pair in the table of merging
    "16px-x1": "CIFAR-10 16×16, BatchNorm ResNet20×1",
    "16px-x1-second": "CIFAR-10 16×16, BatchNorm ResNet20×1, seeds 2 and 3",
    "mnist": "MNIST MLP 3×512",
    "mnist-second": "MNIST MLP 3×512, seeds 2 and 3",
    "32px-x1": "CIFAR-10, BatchNorm ResNet20×1",
    "16px-x2": "CIFAR-10 16×16, BatchNorm ResNet20×2",
    "16px-x2-second": "CIFAR-10 16×16, BatchNorm ResNet20×2, seeds 2 and 3",
    "32px-x2": "CIFAR-10, BatchNorm ResNet20×2",
    "16px-x4": "CIFAR-10 16×16, BatchNorm ResNet20×4",
    "mnist-halves": "MNIST MLP 3×256, halves of the data",
    "fashion": "Fashion-MNIST 14×14, BatchNorm ResNet20×1",
    "32px-x1-60-epochs": "CIFAR-10, BatchNorm ResNet20×1, 60 epochs",
    "32px-x1-layer-norm": "CIFAR-10, LayerNorm ResNet20×1",
    "vgg-eighth": "CIFAR-10, LayerNorm VGG16×1/8",
    "vgg-quarter": "CIFAR-10, LayerNorm VGG16×1/4",
}
ASKED = {"16px-x1": 11.5, "16px-x1-second": 12.5, "32px-x1": 12.5, "16px-x2": 6.0}
ASKED |= {"16px-x2-second": 6.5, "32px-x2": 4.0, "16px-x4": 4.2}
DRAWN = ("descent", "paper")  # these draw minibatches: a row for each seed
METHODS = ("weights", "activations", *DRAWN)


class Pair:
    """Two stored networks, and what lies half-way between them."""

    def __init__(self, name: str):
        stored = merging.Pair(PAIRS[name])
        self.data, self.spec, (self.a, self.b) = stored.data, stored.spec, stored.networks

    def parents(self) -> dict:
        scores = [rb.evaluate(network, self.data.test) for network in (self.a, self.b)]
        return {
            "accuracy": statistics.mean(score.accuracy for score in scores),
            "loss": statistics.mean(score.loss for score in scores),
        }

    def matched(self, method: str, seed: int, paper_images: int) -> rb.Matching:
        networks = self.spec, self.a, self.b
        if method == "weights":
            return rb.weight_matching(*networks)
        if method == "activations":
            return rb.activation_matching(*networks, self.data.train.first(5000).inputs)
        if method == "descent":
            return rb.straight_through_matching(*networks, self.data.train, seed=seed)
        return rb.straight_through_matching(
            *networks, self.data.train, method="paper", loss=cross_entropy, seed=seed,
            num_samples=paper_images,
        )  # fmt: skip

    def row(self, found: rb.Matching, parents: dict) -> dict:
        middle = rb.lerp(self.a, self.spec.apply(self.b, found.permutation), 0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a network without BatchNorm stays as it is
            middle = rb.reestimate_batchnorm(middle, self.data.train, model=self.a)
        score = rb.evaluate(middle, self.data.test, model=self.a)
        return {
            "points": round(100 * (parents["accuracy"] - score.accuracy), 2),
            "loss": round(score.loss - parents["loss"], 4),
        }


def rows_of(pair: dict, method: str) -> list[dict]:
    """The rows of one method, a row a seed."""
    return [row for key, row in pair["rows"].items() if key.split()[0] == method]


def markdown(content: dict) -> str:
    """A row for each pair, a column for each method: the mean over seeds, and each."""
    lines = [f"| pair | {' | '.join(METHODS)} | asked of descent |", "|---" * 6 + "|"]
    for name, pair in content["pairs"].items():
        cells = []
        for method in METHODS:
            rows = rows_of(pair, method)
            points = [row["points"] for row in rows]
            each = f" ({', '.join(f'{x:.1f}' for x in points)})" if len(points) > 1 else ""
            seconds = statistics.median(row["cpu_seconds"] for row in rows) if rows else 0
            cells.append(
                f"{statistics.mean(points):.2f}{each}, {seconds:.1f} s" if rows else "not measured"
            )
        lines.append(f"| {name} | {' | '.join(cells)} | {ASKED.get(name, '')} |")
    made = (
        (row["machine"], method)
        for method, pair in product(METHODS, content["pairs"].values())
        for row in rows_of(pair, method)
    )
    return "\n".join(
        [
            "Points of test accuracy below the mean of the parents at the midpoint, BatchNorm",
            "re-estimated: mean over seeds (each seed), median CPU seconds of one thread.",
            "`descent`: on the permutation, its defaults (6,000 images, no labels).",
            "`paper`: Algorithm 2 of Git Re-Basin, 48 steps, with the labels of 2,000 images.",
            "",
            *lines,
            "",
            *origins(made),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=PAIRS)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--paper-images", type=int, default=2000)
    parser.add_argument("--again", action="store_true", help="measure rows that are there too")
    parser.add_argument("--note", default="", help="what else the machine did")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.pairs:
        pair = None
        for method in options.methods:
            for seed in options.seeds if method in DRAWN else [0]:
                key = f"{method} seed {seed}" if method in DRAWN else method
                content = json.loads(OUT.read_text()) if OUT.exists() else {"pairs": {}}
                here = content["pairs"].get(name, {"rows": {}})
                if key in here["rows"] and not options.again:
                    continue
                pair = pair or Pair(name)
                here.setdefault("parents", None)
                here["parents"] = here["parents"] or pair.parents()
                cpu = time.process_time()
                found = pair.matched(method, seed, options.paper_images)
                cpu = time.process_time() - cpu
                row = pair.row(found, here["parents"]) | {"cpu_seconds": round(cpu, 1)}
                row["converged"] = found.converged
                content = json.loads(OUT.read_text()) if OUT.exists() else {"pairs": {}}
                here["rows"] |= content["pairs"].get(name, {"rows": {}})["rows"] | {key: row}
                command = f"python benchmarks/descent.py --pairs {name}"
                row["machine"] = f"{machine(pair.data.device)}. {options.note}".strip()
                content["pairs"][name] = here | {"data": pair.data.name, "command": command}
                OUT.write_text(json.dumps(content, indent=1))
                OUT.with_suffix(".md").write_text(markdown(content))
                print(name, key, row, flush=True)


if __name__ == "__main__":
    main()
