"""Derive and prove the spec of every classification model of torchvision: groups, symmetries,
seconds, memory.

    python benchmarks/symmetry.py                     # all 80
    python benchmarks/symmetry.py resnet50 vit_b_16   # some

Each model runs in a process of its own, so that the peak of memory is its own. Weights are random
(no download) and are filled with generic values for the proof; one image of 224 × 224 pixels.
Seconds are of this process's CPU time, on one thread.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

COLUMNS = (
    "model",
    "groups",
    "log10 plain",
    "with fibres",
    "derive s",
    "prove s",
    "peak GB",
    "proof error",
)


def measure(name: str) -> tuple:
    """One row of the table."""
    import torch
    import torchvision

    from rebasin_edu.symmetry import PermutationSpec
    from rebasin_edu.symmetry.trace import trace

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **extra)
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    start = time.process_time()
    found = trace(model, image)
    derived = time.process_time()
    spec = PermutationSpec(**found.parts)
    without_rule = f" without a rule: {found.unknown}" if found.unknown else ""
    del found  # its graph holds a copy of the weights
    error = spec.check(model, image)
    proved = time.process_time()
    plain = sum(math.lgamma(group.size + 1) for group in spec.groups.values()) / math.log(10)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        name, str(len(spec.groups)), f"{plain:.1f}", f"{spec.log10_symmetries():.1f}",
        f"{derived - start:.1f}",
        f"{proved - derived:.1f}", f"{peak:.1f}", f"{error:.1e}{without_rule}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="MODEL", help="all 80 by default")
    names = parser.parse_args().names
    import torchvision

    import rebasin_edu.symmetry.trace  # noqa: F401  (each model's process begins with what is imported here)

    names = names or torchvision.models.list_models(module=torchvision.models)
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    kept = 0
    for name in names:
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            try:
                row = pool.submit(measure, name).result()
                kept += 1
            except BrokenProcessPool:  # regnet_y_128gf and vit_h_14 take about 20 GB
                row = (name, "its process was killed: too little memory?")
            except Exception as error:
                row = (name, f"{type(error).__name__}: {error}"[:200])
        print("| " + " | ".join(row) + " |", flush=True)
    print(
        f"\n{kept} of {len(names)} models: spec derived, function kept under random permutations "
        f"of every group",
        flush=True,
    )


if __name__ == "__main__":
    main()
