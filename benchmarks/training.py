"""Images a second of ``train`` beside a plain DataLoader over PIL images, ResNet20×1 on CIFAR-10,
same augmentation.

    python benchmarks/training.py [--images 4000] [--rounds 5] [--workers 0 2]

Three loops take turns in one process: the plain one (torchvision transforms on PIL images,
float32), ours in float32, and ours as it trains by default on this machine (bfloat16 where the
processor has it, channels-last). Prints the median of wall and of processor time (worker processes
counted) and the ratios.
"""

import argparse
import os
import statistics
import time
from dataclasses import replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from rebasin_edu.lab import ResNet20, TrainingConfig, load_data, train
from rebasin_edu.lab.training import gains_from_bfloat16

BATCH = 250


class Pictures(TorchDataset):
    """CIFAR-10 as torchvision serves it: one PIL image at a time through its transforms."""

    def __init__(self, dataset):
        self.images = dataset.train_images.permute(0, 2, 3, 1).numpy()
        self.targets = dataset.train_targets.tolist()
        mean, std = ((x.flatten() / 255).tolist() for x in (dataset.mean, dataset.std))
        crop, flip = transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()
        self.transform = transforms.Compose(
            [crop, flip, transforms.ToTensor(), transforms.Normalize(mean, std)]
        )

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        return self.transform(Image.fromarray(self.images[i])), self.targets[i]


def plain(dataset, workers):
    """One epoch of the loop that every tutorial has."""
    model = ResNet20(1, norm="batch", seed=0)
    steps = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
    for images, targets in DataLoader(Pictures(dataset), BATCH, shuffle=True, num_workers=workers):
        loss = F.cross_entropy(model(images), targets)
        steps.zero_grad()
        loss.backward()
        steps.step()
        loss.item()


def ours(dataset, precision):
    """The same epoch by ``train``."""
    config = TrainingConfig(
        optimiser="sgd",
        lr=0.1,
        weight_decay=5e-4,
        augment="crop-flip",
        batch_size=BATCH,
        epochs=1,
        precision=precision,
    )
    train(ResNet20(1, norm="batch", seed=0), dataset, config)


def timed(loop):
    """Wall and processor seconds of one call, those of its child processes included."""

    def spent():
        times = os.times()
        return (
            time.perf_counter(),
            times.user + times.system + times.children_user + times.children_system,
        )

    before = spent()
    loop()
    return [after - start for after, start in zip(spent(), before)]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    chosen = parser.parse_args()
    whole = load_data("cifar10").subset(chosen.images)
    dataset = replace(whole, test_images=whole.test_images[:2], test_targets=whole.test_targets[:2])
    loops = {f"plain, {n} workers": lambda n=n: plain(dataset, n) for n in chosen.workers}
    loops["ours, float32"] = lambda: ours(dataset, "float32")
    loops["ours, auto"] = lambda: ours(dataset, "auto")
    for loop in loops.values():  # the first calls choose kernels
        loop()
    taken = {name: [] for name in loops}
    for _ in range(chosen.rounds):
        for name, loop in loops.items():
            taken[name].append(timed(loop))
    median = {
        name: [statistics.median(column) for column in zip(*rows)] for name, rows in taken.items()
    }
    print(
        f"ResNet20×1, {chosen.images} images of {dataset.name}, batches of {BATCH}, "
        f"{torch.get_num_threads()} threads, bfloat16 instructions: "
        f"{gains_from_bfloat16(dataset.device)}; median of {chosen.rounds} rounds in turn"
    )
    best = [min(median[name][i] for name in loops if name.startswith("plain")) for i in (0, 1)]
    for name, (wall, processor) in median.items():
        print(
            f"{name:18} {chosen.images / wall:6.0f} images/s wall, "
            f"{chosen.images / processor:6.0f} a processor second; "
            f"{best[0] / wall:.2f}× the best plain loop in wall time, "
            f"{best[1] / processor:.2f}× in processor time"
        )


if __name__ == "__main__":
    main()
