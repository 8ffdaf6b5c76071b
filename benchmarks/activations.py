"""Activation matching of two ResNet20 (width 1): one pass of running moments against two passes
(means, then covariances).

    python benchmarks/activations.py --images 10000

Each way runs in a process of its own, with one thread: user CPU seconds, and peak memory above the
networks, the images and the libraries. The reference is plain: forward hooks, all layers'
activations of a batch of 500 kept, as published code does it. Saves ``results/activations.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path[:0] = [str(Path(__file__).parent.parent)]
OUT = Path(__file__).parent / "results" / "activations.json"


def used() -> tuple[float, float]:
    found = resource.getrusage(resource.RUSAGE_SELF)
    return found.ru_utime, found.ru_maxrss / 1024


def two_passes(nets, images):
    """The correlation of every layer's units after its norm and ReLU, from two passes with
    everything of a batch in memory.
    """
    import torch

    layers = [
        [m for n, m in net.named_modules() if n.endswith(("stem_norm", "norm1", "norm2"))]
        for net in nets
    ]
    means, averages, moments = None, None, None
    for second in (False, True):
        count = 0
        for batch in images.split(500):
            kept: list[list] = [[], []]
            for net, modules, store in zip(nets, layers, kept):
                hooks = [
                    m.register_forward_hook(
                        lambda m, x, y, store=store: store.append(torch.relu(y))
                    )
                    for m in modules
                ]
                net(batch)
                for hook in hooks:
                    hook.remove()
            flat = [[y.movedim(1, 0).flatten(1) for y in store] for store in kept]
            count += flat[0][0].shape[1]
            if not second:
                sums = [[y.sum(1).double() for y in store] for store in flat]
                means = (
                    sums
                    if means is None
                    else [[m + s for m, s in zip(*pair)] for pair in zip(means, sums)]
                )
            else:
                found = []
                for a, b, mean_a, mean_b in zip(*flat, *averages):
                    a, b = a - mean_a[:, None], b - mean_b[:, None]
                    found.append(
                        torch.stack([(x @ y.T).double() for x, y in ((a, b), (a, a), (b, b))])
                    )
                moments = found if moments is None else [m + f for m, f in zip(moments, found)]
        if not second:
            averages = [[(m / count).float() for m in store] for store in means]
    return moments


def once(way: str, count: int) -> dict:
    import torch

    from rebasin_edu.lab.models import ResNet20
    from rebasin_edu.matching import activation_matching
    from tests.paper_specs import resnet20_spec

    torch.set_num_threads(1)
    nets = [ResNet20(1, seed=seed).eval() for seed in (1, 2)]
    images = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for net in nets:
            net(images[:2])
        seconds, memory = used()
        if way == "one pass":
            activation_matching(resnet20_spec(nets[0]), *nets, images, num_samples=None)
        else:
            two_passes(nets, images)
    return {"seconds": used()[0] - seconds, "peak_mb": used()[1] - memory}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.once, options.images)))
        return
    rows = {}
    for way in ("one pass", "two passes"):
        command = [sys.executable, __file__, "--images", str(options.images), "--once", way]
        rows[way] = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[
                -1
            ]
        )
        print(way, rows[way], flush=True)
    ratio = rows["one pass"]["seconds"] / rows["two passes"]["seconds"]
    print(f"one pass takes {ratio:.2f} of the CPU of two")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"images": options.images, "ratio": ratio, **rows}, indent=1))


if __name__ == "__main__":
    main()
