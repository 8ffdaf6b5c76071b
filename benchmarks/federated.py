"""Federated averaging on MNIST: how many rounds until the averaged network knows 95 % of the test
images, with clients from one start and from different starts.

    python benchmarks/federated.py [--seeds 0 1 2] [--rounds 4] [--store]

Four clients; two share the images of one half of the label-biased split, two those of the other.
In a round each client trains its copy for one epoch on its own images, and the server averages the
four: as they are, in one order of units (``merge_many``), or so and refitted on 1,000 training
images without labels. The average is what all clients start the next round from. ``--store`` writes
rebasin_edu/lab/stored/runs/mnist-federated.json.
"""

import argparse
import copy
import time
from dataclasses import replace

from rows import score_row

import rebasin_edu as rb
from rebasin_edu.lab.stored_runs import run_metadata, save_run

CLIENTS, IMAGES = 4, 1000  # the server has this many images
RECIPE = rb.Recipe(width=256, batch_size=100, epochs=1)
WAYS = {  # name → (one start, matched, refitted)
    "one start": (True, False, False),
    "different starts": (False, False, False),
    "matched": (False, True, False),
    "matched and refitted": (False, True, True),
    "refitted, not matched": (False, False, True),
}


def clients_of(data):
    """Four data sets: each label-biased half, cut in two at random; of the test images only a few,
    which ``train`` scores after every epoch.
    """
    few = replace(data, test_images=data.test_images[:100], test_targets=data.test_targets[:100])
    halves = [few.biased(part) for part in "ab"]
    return [half.biased(part, share=0.5, seed=1) for half in halves for part in "ab"]


def starts_of(data, seed, one):
    """The untrained networks of the clients."""
    seeds = [CLIENTS * seed + (0 if one else k) for k in range(CLIENTS)]
    return [RECIPE.with_seed(number).build(data) for number in seeds]


def trained(nets, clients, seed, number):
    """Every client's network after one epoch on its own images."""
    return [
        rb.train(net, client, RECIPE.training, seed=1000 * seed + 10 * number + k).model
        for k, (net, client) in enumerate(zip(nets, clients))
    ]


def average(nets, spec, images, model, matched, refitted):
    """What the server sends back."""
    if matched:
        found = rb.merge_many(spec, nets)
        nets = [spec.apply(net.state_dict(), p) for net, p in zip(nets, found.permutations)]
    else:
        nets = [net.state_dict() for net in nets]
    if refitted:
        return rb.refit(nets, train_data=images, model=model).weights
    return rb.mean(nets)


def measure(data, seed, rounds):
    """Way → scores of the average after each round."""
    clients, images, rows = clients_of(data), data.train.first(IMAGES), {}
    model = RECIPE.build(data)
    spec = rb.PermutationSpec.from_model(model, data.test.inputs[:1])
    for way, (one, *how) in WAYS.items():
        nets, rows[way] = starts_of(data, seed, one), []
        for number in range(rounds):
            nets = trained(nets, clients, seed, number)
            weights = average(nets, spec, images, model, *how)
            rows[way].append(score_row(rb.evaluate(weights, data.test, model=model)))
            model.load_state_dict(weights)
            nets = [copy.deepcopy(model) for _ in clients]
        told(way, rows[way])
    return rows


def told(way, scores):
    print(f"{way:22}", " ".join(f"{score['accuracy']:.2%}" for score in scores), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    start, data = time.perf_counter(), RECIPE.load_data()
    runs = [measure(data, seed, chosen.rounds) for seed in chosen.seeds]
    if chosen.store:
        seeds = [[CLIENTS * seed + k for k in range(CLIENTS)] for seed in chosen.seeds]
        command = "python benchmarks/federated.py --store"
        run = run_metadata(data, RECIPE, seeds, start, command, clients=CLIENTS, runs=runs)
        print("stored", save_run("mnist-federated", run).name)


if __name__ == "__main__":
    main()
