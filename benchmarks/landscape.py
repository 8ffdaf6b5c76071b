"""25 alphas of the MNIST MLP on the 10,000 test images: what others do, a plain loop over tensors,
and `linear_path`.

    python benchmarks/landscape.py                # needs MNIST in torchvision's layout in
    $REBASIN_EDU_DATA python benchmarks/landscape.py --repeats 7 --threads 2

The three ways run one after another within each repeat, so that they share the machine's mood;
medians of CPU and wall seconds are printed, and the loss that each way finds. The plain loop gets
its best batch size of those tried.
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from rebasin_edu.lab import Recipe, load_data, load_or_train
from rebasin_edu.lab.models import MLP
from rebasin_edu.landscape import linear_path

ALPHAS = [k / 24 for k in range(25)]


def unpacked(folder):
    """A folder in which torchvision's MNIST finds its files: this one, or a temporary one where it
    holds archives only.
    """
    raw = Path(folder) / "MNIST" / "raw"
    if (raw / "t10k-images-idx3-ubyte").exists():
        return folder
    made = Path(tempfile.gettempdir()) / "rebasin_edu_mnist"
    (made / "MNIST" / "raw").mkdir(parents=True, exist_ok=True)
    for archive in raw.glob("*.gz"):
        (made / "MNIST" / "raw" / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
    return made


@torch.no_grad()
def peers(model, a, b, folder):
    """A state dict loaded for each alpha, a DataLoader over PIL images with ToTensor and Normalize
    in batches of 5,000: what the public PyTorch port of the MNIST experiment does (the constants
    here are those these networks were trained with).
    """
    from torchvision import datasets, transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.0,), (1.0,))])
    loader = DataLoader(
        datasets.MNIST(unpacked(folder), train=False, transform=transform), batch_size=5000
    )
    losses, accuracies = [], []
    for alpha in ALPHAS:
        model.load_state_dict({name: (1 - alpha) * a[name] + alpha * b[name] for name in a})
        model.eval()
        loss = correct = 0
        for images, targets in loader:
            logits = model(images)
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            correct += (logits.argmax(1) == targets).sum().item()
        losses.append(loss / len(loader.dataset))
        accuracies.append(correct / len(loader.dataset))
    return losses, accuracies


@torch.no_grad()
def plain(model, a, b, test, batch_size):
    """The same loop over tensors that are ready in memory."""
    inputs, targets = test
    losses, accuracies = [], []
    for alpha in ALPHAS:
        model.load_state_dict({name: (1 - alpha) * a[name] + alpha * b[name] for name in a})
        model.eval()
        loss = correct = 0
        for start in range(0, len(targets), batch_size):
            logits = model(inputs[start : start + batch_size])
            labels = targets[start : start + batch_size]
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(1) == labels).sum().item()
        losses.append(loss / len(targets))
        accuracies.append(correct / len(targets))
    return losses, accuracies


def ours(model, a, b, test):
    curve = linear_path(a, b, test, model=model, alphas=ALPHAS)
    return list(curve.loss), list(curve.accuracy)


def measured(way):
    cpu, wall = time.process_time(), time.perf_counter()
    found = way()
    return time.process_time() - cpu, time.perf_counter() - wall, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--only-ours", action="store_true", help="nothing else, so that the peak memory is ours"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    test = load_data("mnist").test
    a, b = (load_or_train(Recipe(seed=seed)) for seed in (0, 1))
    a, b = (
        {
            name: x.detach().clone()
            for name, x in getattr(each, "state_dict", lambda each=each: each)().items()
        }
        for each in (a, b)
    )
    model = MLP(seed=0)

    unpacked(folder := os.environ.get("REBASIN_EDU_DATA", "data"))
    ways = {"linear_path": lambda: ours(model, a, b, test)}
    if not options.only_ours:
        ways |= {
            f"plain loop, {n}": lambda n=n: plain(model, a, b, test, n) for n in (500, 1000, 5000)
        }
        ways |= {"peers' way": lambda: peers(model, a, b, folder)}
    for way in ways.values():
        measured(way) if way is not ways.get("peers' way") else None  # warm
    times = {name: [] for name in ways}
    found = {}
    for _ in range(options.repeats):
        for name, way in ways.items():
            *seconds, found[name] = measured(way)
            times[name].append(seconds)
    reference = found["linear_path"]
    median = {
        name: [statistics.median(column) for column in zip(*rows)] for name, rows in times.items()
    }
    print(
        f"{len(test.targets)} images, 25 alphas, {options.threads} threads, torch "
        f"{torch.__version__}, {options.repeats} repeats"
    )
    print(
        f"{'way':22s}{'CPU s':>9s}{'wall s':>9s}{'× CPU':>9s}{'× wall':>9s}"
        f"{'max |Δ loss|':>15s}{'max |Δ acc|':>13s}"
    )
    for name, (cpu, wall) in median.items():
        loss, accuracy = (
            max(abs(x - y) for x, y in zip(found[name][i], reference[i])) for i in (0, 1)
        )
        faster = cpu / median["linear_path"][0], wall / median["linear_path"][1]
        print(
            f"{name:22s}{cpu:9.2f}{wall:9.2f}{faster[0]:9.2f}{faster[1]:9.2f}{loss:15.1e}{accuracy:13.1e}"
        )
    print(
        f"peak memory of the process: "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )


if __name__ == "__main__":
    main()
