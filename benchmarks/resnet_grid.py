"""Alpha by width for BatchNorm ResNet20 on CIFAR-10 at 16×16: loss and accuracy of every network
on the line, for each way to match, re-estimated and refitted; and what a refit needs.

    python benchmarks/resnet_grid.py [WIDTH ...] [--store]

Takes the pairs of ``cifar10-16px-resnet20-widths`` (stored, or trained in minutes) and the images
that come with the package: 2,000 of the training images to match, measure and fit on, and 1,000
that no network has seen to score. How many images each step uses stands below; labels are unused.

The first pair of each width is measured at 25 alphas, the second at five; refits, which cost most,
at nine and at five. At ×1 the points lost are measured against the number of images of a refit,
too, and on the plane through A, B and π(B) of the first pair, re-estimated at every point; beside
them stands the 32×32 pair without BatchNorm, for which CIFAR-10 has to be here.

Every number is one line of a file in ``--work``, so a call goes on where an earlier one was
stopped, and several may run at once, a width each. ``--store`` makes the stored run
``cifar10-16px-resnet20-grid`` of what is there.
"""

import argparse
import json
import tempfile
import time
from itertools import product
from pathlib import Path

import torch
from widths import FAMILIES

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

NAME = "cifar10-16px-resnet20-grid"
RECIPES = {int(recipe.width): recipe for recipe in FAMILIES["cifar10-16px-resnet20"][0]}
LAYER = FAMILIES["cifar10-resnet20-layer"][0][0]
PAIRS = {1: ((0, 1), (2, 3)), 2: ((0, 1), (2, 3)), 4: ((0, 1), (2, 1))}  # ×4 has three networks
MATCHED_ON = 2000  # training images whose activations are matched
SCORED = {0: 1000, 1: 1000, 2: 1000, 4: 500}  # unseen images
STATISTICS = {0: 1000, 1: 1000, 2: 1000, 4: 500}  # training images
REFIT = {0: 500, 1: 500, 2: 500, 4: 250}  # training images
METHODS = ("naive", "weights", "activations", "descended")
FORMS = {  # form → methods, at the midpoint; at other alphas
    "re-estimated": (METHODS, ("naive", "weights", "descended")),
    "as it is": (("weights", "naive"), ("weights",)),
    "refitted": (("weights", "naive", "descended"), ("weights",)),
}
ALPHAS = {  # of a pair, in units of 1/24: the ends are the parents
    0: (range(1, 24), range(3, 24, 3)),  # the first of a width: of all lines, of refits
    1: (range(6, 24, 6), range(6, 24, 6)),
}
PLANE, COLUMNS, ROWS = 250, 9, 7  # images for each point of the plane; the points
REFITTED, COUNTS = ("weights", "naive"), (8, 32, 125, 500, 2000)


class Numbers:
    """Numbers by their key, each kept in a file as soon as it is known."""

    def __init__(self, file: Path) -> None:
        self.file, self.known, self.seconds = file, {}, {}
        for line in file.read_text().splitlines() if file.exists() else ():
            key, value, *seconds = json.loads(line)
            self.known[tuple(key)] = value
            self.seconds |= {tuple(key): seconds[0]} if seconds else {}

    def get(self, key, measure, *arguments):
        if key not in self.known:
            start = time.process_time()
            self.known[key] = measure(*arguments)
            self.seconds[key] = round(time.process_time() - start, 1)
            with self.file.open("a") as file:
                file.write(json.dumps([key, self.known[key], self.seconds[key]]) + "\n")
            print(*key, self.known[key], f"{self.seconds[key]:.0f} CPU s", flush=True)
        return self.known[key]


class Pair:
    """Two stored networks, B near A by each method, and what is measured of them."""

    def __init__(self, width, seeds, data, work) -> None:
        self.width, self.seeds, self.data, self.work = width, seeds, data, work
        self.key = (width, *seeds)
        self.recipe = RECIPES[width] if width else LAYER
        self.a, self.b = (rb.load_or_train(self.recipe.with_seed(seed)) for seed in seeds)
        self.spec = rb.PermutationSpec.from_model(self.a, data.test.inputs[:1])
        self.test = data.test.first(SCORED[width])
        self.near = {"naive": self.b.state_dict()}

    def matched(self, method):
        if method not in self.near:
            name = f"{self.recipe.norm}-{self.width}-{self.seeds[0]}-{self.seeds[1]}-{method}.json"
            file = self.work / name
            if not file.exists():
                start = time.process_time()
                self.match(method).save(file)
                print(self.width, method, f"{time.process_time() - start:.0f} CPU s", flush=True)
            self.near[method] = self.spec.apply(self.b, rb.Permutation.load(file))
        return self.near[method]

    def match(self, method):
        pair, train = (self.spec, self.a, self.b), self.data.train
        if method == "weights":
            return rb.weight_matching(*pair).permutation
        if method == "activations":
            return rb.activation_matching(*pair, train.first(MATCHED_ON).inputs).permutation
        return rb.straight_through_matching(*pair, train).permutation

    def score(self, method, form, alpha, images=None):
        near = self.matched(method)
        state, train = rb.lerp(self.a, near, alpha), self.data.train
        if form == "re-estimated":
            options = {"model": self.a, "num_samples": STATISTICS[self.width]}
            state = rb.reestimate_batchnorm(state, train, **options)
        elif form == "repaired":
            options = {"alpha": alpha, "num_samples": STATISTICS[self.width]}
            report = rb.repair_statistics(self.a, near, train, **options)
            state = report.weights
        elif form == "refitted":
            report = rb.refit(
                self.a, near, train, alpha=alpha, num_samples=images or REFIT[self.width]
            )
            state = report.weights
        score = rb.evaluate(state, self.test, model=self.a)
        return [round(score.loss, 4), round(score.accuracy, 4)]

    def plane(self):
        """Coordinates of π(B) in units of |B - A|, and the network at any place of the plane."""
        a, b, c = (rb.lerp(x, x, 0) for x in (self.a, self.b, self.matched("weights")))
        names = [name for name, _ in self.a.named_parameters()]
        first = torch.cat([(b[name] - a[name]).flatten() for name in names]).double()
        second = torch.cat([(c[name] - a[name]).flatten() for name in names]).double()
        x = float(second @ first / (first @ first))
        y = float((second - x * first).norm() / first.norm())

        def network(u, v):
            toward_c = v / y
            toward_b = u - toward_c * x
            mixed = {n: a[n] + toward_b * (b[n] - a[n]) + toward_c * (c[n] - a[n]) for n in names}
            return {**a, **mixed}

        return x, y, network

    def on_the_plane(self, u, v, network):
        options = {"model": self.a, "num_samples": PLANE}
        state = rb.reestimate_batchnorm(network(u, v), self.data.train, **options)
        score = rb.evaluate(state, self.test.first(PLANE), model=self.a)
        return [round(score.loss, 3), round(score.accuracy, 3)]

    def parent(self, end):
        score = rb.evaluate((self.a, self.b)[end], self.test)
        return [round(score.loss, 4), round(score.accuracy, 4)]


def measure(widths, numbers, work):
    """Everything that is not known yet, the first pairs before the second."""
    data = rb.load_data("cifar10-2k")
    pairs = {
        (width, n): Pair(width, PAIRS[width][n], data, work) for n in (0, 1) for width in widths
    }
    parents(pairs.values(), numbers)
    for ((_, n), pair), form in product(pairs.items(), FORMS):
        for method in METHODS:
            for step in sorted(ALPHAS[n][form == "refitted"], key=lambda step: abs(step - 12)):
                if method in FORMS[form][step != 12]:
                    key = (*pair.key, method, form, step)
                    numbers.get(key, pair.score, method, form, step / 24)
    if 1 not in widths:
        return
    for pair, method, count in product([pairs[1, 0], pairs[1, 1]], REFITTED, COUNTS):
        key = (*pair.key, method, "refit images", count)
        numbers.get(key, pair.score, method, "refitted", 0.5, count)
    pair = pairs[1, 0]
    x, y, network = pair.plane()
    numbers.get((*pair.key, "plane", "point"), lambda: [round(x, 4), round(y, 4)])
    for v, u in product(spread(0, y, ROWS), spread(0, 1, COLUMNS)):
        numbers.get((*pair.key, "plane", u, v), pair.on_the_plane, u, v, network)
    pair = Pair(0, (0, 1), LAYER.load_data(), work)
    parents([pair], numbers)
    for method, form in product(METHODS[:3], ("as it is", "repaired", "refitted")):
        numbers.get((*pair.key, method, form, 12), pair.score, method, form, 0.5)


def parents(pairs, numbers):
    """The scores of A and B of every pair."""
    for pair, end in product(pairs, (0, 1)):
        numbers.get((*pair.key, "parent", end), pair.parent, end)


def spread(low, high, count):
    """Places from 0.3 below to 0.3 above."""
    width = high - low + 0.6
    return [round(low - 0.3 + width * k / (count - 1), 4) for k in range(count)]


def plane_of(mine):
    """The plane of a pair as ``Plane`` takes it, or nothing where it is not whole."""
    points = {k[1:]: value for k, value in mine.items() if k[0] == "plane" and k[1] != "point"}
    if len(points) != ROWS * COLUMNS:
        return {}
    xs, ys = (sorted({k[axis] for k in points}) for axis in (0, 1))
    tables = [[[points[x, y][metric] for x in xs] for y in ys] for metric in (0, 1)]
    place = {"A": [0, 0], "B": [1, 0], "π(B)": mine["plane", "point"]}
    return {"x": xs, "y": ys, "loss": tables[0], "accuracy": tables[1], "points": place}


def collected(numbers):
    """What is known, a pair a row: method → form → alphas, loss and accuracy, the ends included."""
    rows = []
    for width, seeds in [(w, s) for w in PAIRS for s in PAIRS[w]] + [(0, (0, 1))]:
        mine = {k[3:]: v for k, v in numbers.known.items() if k[:3] == (width, *seeds)}
        if not all(("parent", end) in mine for end in (0, 1)):
            continue
        ends = [mine["parent", 0], mine["parent", 1]]
        lines = {}
        for method in METHODS:
            for form in (*FORMS, "repaired"):
                inner = sorted((k[2], v) for k, v in mine.items() if k[:2] == (method, form))
                if inner:
                    points = [(0, ends[0]), *inner, (24, ends[1])]
                    lines.setdefault(method, {})[form] = {
                        "alphas": [round(step / 24, 5) for step, _ in points],
                        "loss": [value[0] for _, value in points],
                        "accuracy": [value[1] for _, value in points],
                    }
        row = {"width": width or 1, "norm": "batch" if width else "layer", "seeds": list(seeds)}
        row |= {"recipe": (RECIPES[width] if width else LAYER).to_dict(), "lines": lines}
        row |= {"parents": [{"loss": e[0], "accuracy": e[1]} for e in ends]}
        row |= {"data": rb.load_data("cifar10-2k").name if width else "CIFAR-10, held-out 5k"}
        row |= {"samples": SCORED[width], "epochs": row["recipe"]["epochs"]}
        row |= {"statistics": STATISTICS[width], "refit": REFIT[width]}
        row["refit images"] = {}
        for method in REFITTED:
            counts = [[k[2], *v] for k, v in mine.items() if k[:2] == (method, "refit images")]
            row["refit images"] |= {method: sorted(counts)} if counts else {}
        row |= {"plane": plane} if (plane := plane_of(mine)) else {}
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("widths", type=int, nargs="*", metavar="WIDTH", help="of 1, 2, 4")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / NAME)
    parser.add_argument("--store", action="store_true")
    chosen, start = parser.parse_args(), time.perf_counter()
    chosen.work.mkdir(parents=True, exist_ok=True)
    numbers = Numbers(chosen.work / "numbers.jsonl")
    measure(chosen.widths or tuple(PAIRS), numbers, chosen.work)
    if chosen.store:
        recipe, data = RECIPES[1], rb.load_data("cifar10-2k")
        numbers = Numbers(chosen.work / "numbers.jsonl")
        rows = collected(numbers)
        about = {"matched on": MATCHED_ON, "pairs": rows}
        command = "python benchmarks/resnet_grid.py --store"
        seeds = [row["seeds"] for row in rows]
        run = run_metadata(data, recipe, seeds, start, command, **about)
        run["seconds"] = round(sum(numbers.seconds.values()))  # of CPU, one thread
        run["timed"] = f"{len(numbers.seconds)} of {len(numbers.known)} numbers"
        print("stored", save_run(NAME, run))


if __name__ == "__main__":
    main()
