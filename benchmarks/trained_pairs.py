"""Which start gives the lowest barrier between networks that were trained: ResNet20 at two widths,
on CIFAR-10 and Fashion-MNIST.

    REBASIN_EDU_CACHE=… python benchmarks/trained_pairs.py --nets cifar-x1 cifar-x4 --seeds 0 1 2
    --orders 20

Every pair of the seeds whose networks are in the cache (or can be trained) is matched from each
start, and by the best of ``--orders`` random orders, chosen by the objective and by the midpoint's
loss on training images. Reported is the midpoint's loss above the mean of the two ends, on test
images, BatchNorm re-estimated after averaging. Saves ``results/trained_pairs.json``, and a table of
it as ``trained_pairs.md``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from widths import FAMILIES

from rebasin_edu.lab import Recipe, load_or_train
from rebasin_edu.landscape import evaluate, lerp, reestimate_batchnorm
from rebasin_edu.matching import STARTS, weight_matching
from rebasin_edu.symmetry import Permutation, PermutationSpec

(SMALL_1, _, SMALL_4, _), _ = FAMILIES["cifar10-16px-resnet20"]
NETS = {
    "cifar-x1": SMALL_1,
    "cifar-x4": SMALL_4,
    "fashion-x1": FAMILIES["fashion-mnist-14px-resnet20"][0][0],
}
OUT = Path(__file__).parent / "results" / "trained_pairs.json"


class Pair:
    """Two trained networks, and the loss half-way between them."""

    def __init__(self, recipe: Recipe, seeds: tuple[int, int], test: int, train: int):
        self.model, other = (
            load_or_train(recipe.with_seed(seed), progress=False) for seed in seeds
        )
        self.a, self.b = self.model.state_dict(), other.state_dict()
        data = recipe.load_data()
        self.train, self.test = data.train.first(train), data.test.first(test)
        self.spec = PermutationSpec.from_model(self.model, self.test.inputs[:2])
        ends = [evaluate(state, self.test, model=self.model) for state in (self.a, self.b)]
        self.ends = statistics.mean(end.loss for end in ends)
        self.accuracy = statistics.mean(end.accuracy for end in ends)

    def middle(self, permutation: Permutation) -> dict:
        halfway = lerp(self.a, self.spec.apply(self.b, permutation), 0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reestimate_batchnorm(halfway, self.train, model=self.model)

    def train_loss(self, permutation: Permutation) -> float:
        return evaluate(self.middle(permutation), self.train, model=self.model).loss

    def barrier(self, permutation: Permutation) -> dict:
        found = evaluate(self.middle(permutation), self.test, model=self.model)
        return {"loss": found.loss - self.ends, "accuracy": self.accuracy - found.accuracy}


def user() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def measure(pair: Pair, orders: int) -> dict:
    rows = {"naive": {**pair.barrier(pair.spec.identity()), "gain": 0.0, "seconds": 0.0}}
    for start in STARTS:
        begun = user()
        found = weight_matching(pair.spec, pair.a, pair.b, start=start)
        rows[start] = {
            "gain": found.gain,
            "seconds": user() - begun,
            **pair.barrier(found.permutation),
        }
        print(start, rows[start], flush=True)
    singles = [
        weight_matching(pair.spec, pair.a, pair.b, start="identity", seed=seed)
        for seed in range(orders)
    ]
    rows["random orders, best objective"] = _row(pair, max(singles, key=lambda one: one.objective))
    losses = [pair.train_loss(one.permutation) for one in singles]
    rows["random orders, best midpoint"] = _row(pair, singles[losses.index(min(losses))])
    middle = sorted(losses)[len(losses) // 2]
    rows["random orders, median midpoint"] = _row(pair, singles[losses.index(middle)])
    return rows


def _row(pair: Pair, one) -> dict:
    return {"gain": one.gain, "seconds": one.seconds, **pair.barrier(one.permutation)}


def markdown(content: dict) -> str:
    """A row for each method, a column for each kind of network: the mean of the loss barriers, and
    those of the pairs.
    """
    nets = list(dict.fromkeys(name.split()[0] for name in content))
    methods = list(dict.fromkeys(method for one in content.values() for method in one["rows"]))
    lines = [f"| start | {' | '.join(nets)} |", "|---" * (len(nets) + 1) + "|"]
    for method in methods:
        cells = []
        for net in nets:
            found = [
                one["rows"][method]["loss"]
                for name, one in content.items()
                if name.split()[0] == net
            ]
            cells.append(
                f"{statistics.mean(found):.2f} ({', '.join(f'{loss:.2f}' for loss in found)})"
            )
        lines.append(f"| {method} | {' | '.join(cells)} |")
    ends = [f"{name}: ends {one['ends']['accuracy']:.1%}" for name, one in content.items()]
    return "\n".join(
        [
            "Midpoint test loss above the mean of the ends, BatchNorm re-estimated.",
            "",
            *lines,
            "",
            *ends,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="*", default=list(NETS), choices=NETS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--train", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    content = json.loads(OUT.read_text()) if OUT.exists() else {}
    for name, seeds in itertools.product(options.nets, itertools.combinations(options.seeds, 2)):
        pair = Pair(NETS[name], seeds, options.test, options.train)
        rows = measure(pair, options.orders)
        sizes = {
            "test images": options.test,
            "train images": options.train,
            "orders": options.orders,
        }
        ends = {"loss": pair.ends, "accuracy": pair.accuracy}
        content[f"{name} seeds {seeds[0]},{seeds[1]}"] = {"ends": ends, **sizes, "rows": rows}
        OUT.parent.mkdir(exist_ok=True)
        OUT.write_text(json.dumps(content, indent=1))
        OUT.with_suffix(".md").write_text(markdown(content))
        print(f"\n{name}, seeds {seeds}: ends {pair.ends:.3f}, {100 * pair.accuracy:.1f} %")
        for method, row in rows.items():
            print(
                f"  {method:32s} barrier {row['loss']:+.3f} ({100 * row['accuracy']:+.1f} "
                f"points) gain {row['gain']:.2f}"
            )


if __name__ == "__main__":
    main()
