"""How fast and how good weight matching is: this package, plain Algorithm 1, and PyPI's ``rebasin``
in its own environment.

    python benchmarks/matching.py --pairs mlp resnet20x1 resnet20x4 resnet20x8 vgg16 resnet50
    --rebasin /path/to/other/python

Every run is a process of its own with one thread, on the same pair of networks for all methods.
*Seconds* are user CPU seconds of the matching alone (median of ``--repeat``), *gain* is ⟨A,
permuted B⟩ − ⟨A, B⟩ in float64, *peak* is the process's memory above what the two networks and the
libraries take, *limit* is one sweep's matrix products at the measured rate plus one assignment a
group. Prints a table, and saves it with the machine and the versions to
``benchmarks/results/matching.{json,md}``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path[:0] = [str(Path(__file__).parent.parent)]
RESULTS = Path(__file__).parent / "results"
PAIRS = ("mlp", "resnet20x1", "resnet20x4", "resnet20x8", "vgg16", "resnet50")
METHODS = ("plain", "output_first", "input_first", "barycentre", "identity", "rebasin")
INPUTS = {"mlp": (1, 28, 28), "resnet50": (3, 64, 64)}


def user() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def peak() -> float:
    """Megabytes; the most this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def network(pair: str, seed: int):
    """A network with torch's default first weights (those of ``peers``' figures): all methods get
    the same pair.
    """
    import torch
    import torchvision

    from rebasin_edu.lab.models import MLP, VGG16, ResNet20

    torch.manual_seed(seed)
    if pair == "resnet50":
        return torchvision.models.resnet50()
    model = (
        MLP()
        if pair == "mlp"
        else VGG16()
        if pair == "vgg16"
        else ResNet20(int(pair.rpartition("x")[2]))
    )
    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            module.reset_parameters()
    return model


def hand_spec(pair: str, model):
    from tests import paper_specs

    name = "resnet50" if pair == "resnet50" else pair.rpartition("x")[0] or pair
    return getattr(paper_specs, {"vgg16": "vgg"}.get(name, name) + "_spec")(model)


def planted(spec, state: dict, sigma: float, seed: int):
    """B is a permuted A with noise of ``sigma`` times each tensor's own rms."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    noisy = {
        name: x + sigma * x.square().mean().sqrt() * torch.randn(x.shape, generator=generator)
        if x.is_floating_point()
        else x
        for name, x in state.items()
    }
    permutation = spec.random(100 + seed)
    return spec.apply(noisy, permutation), permutation.inverse()


def once(pair: str, method: str, seeds: list[int], pair_seed: int, sigma: float | None) -> dict:
    """Runs in a process of its own: one method on one pair, for several seeds of the method."""
    import scipy.optimize
    import torch

    torch.set_num_threads(1)
    scipy.optimize.linear_sum_assignment([[0.0]])
    model_a, model_b = network(pair, 2 * pair_seed + 1), network(pair, 2 * pair_seed + 2)
    spec = hand_spec(pair, model_a)
    a, b = model_a.state_dict(), model_b.state_dict()
    truth = None
    if sigma is not None:
        b, truth = planted(spec, a, sigma, pair_seed)
        model_b.load_state_dict(b)
    (torch.randn(64, 64) @ torch.randn(64, 64)).sum()
    if method == "limit":
        return limit(spec, a, b)
    if method == "rebasin":
        return pypi_rebasin(pair, spec, model_a, model_b, a, b)
    from rebasin_edu.matching import weight_matching
    from tests.oracles import algorithm_1, objective

    base, before, rows = objective(spec, a, b, spec.identity()), peak(), []
    for seed in seeds:
        start = user()
        if method == "plain":
            found, sweeps = algorithm_1(spec, a, b, seed=seed)
            seconds = user() - start
        else:
            matching = weight_matching(spec, a, b, start=method, seed=seed)
            seconds = user() - start
            found, sweeps = matching.permutation, matching.sweeps
        gain = objective(spec, a, b, found) - base
        rows.append(
            {
                "seconds": seconds,
                "gain": gain,
                "sweeps": sweeps,
                "exact": None if truth is None else found == truth,
            }
        )
    return {"rows": rows, "peak_mb": peak() - before}


def pypi_rebasin(pair: str, spec, model_a, model_b, a: dict, b: dict) -> dict:
    """PyPI's package changes its second model; gains are counted over the same tensors as ours."""
    import torch
    from rebasin import PermutationCoordinateDescent

    moving = [
        n for n in spec.axes if any(x.name in spec.groups for p in spec.pieces[n] for x in p.leaves)
    ]
    names = [n for n in moving if n not in spec.buffers]
    inner = lambda x, y: sum(float((x[n].double() * y[n].double()).sum()) for n in names)  # noqa: E731
    base, before, start = inner(a, b), peak(), user()
    descent = PermutationCoordinateDescent(
        model_a, model_b, torch.randn(1, *INPUTS.get(pair, (3, 32, 32)))
    )
    descent.rebasin()
    seconds = user() - start
    after = {name: x.detach() for name, x in model_b.state_dict().items()}
    row = {"seconds": seconds, "gain": inner(a, after) - base, "sweeps": None, "exact": None}
    return {"rows": [row], "peak_mb": peak() - before}


def limit(spec, a: dict, b: dict) -> dict:
    """One sweep's matrix products at this machine's rate, and one assignment a group, each measured
    here and now.
    """
    import torch

    from rebasin_edu.matching import assign
    from rebasin_edu.matching.gain_matrices import GainMatrices
    from rebasin_edu.matching.objective import Problem

    problem = Problem(spec, a, b)
    products = GainMatrices(problem, dict(spec.identity()))
    gains = {key: products.gains(key).clone() for key in problem.keys}
    x, y = torch.randn(512, 4608), torch.randn(512, 4608)
    rates = []
    for _ in range(7):
        start = user()
        for _ in range(8):
            x @ y.T
        rates.append(8 * 2 * 512 * 512 * 4608 / max(user() - start, 1e-3))
    rate = statistics.median(rates)
    start = user()
    for matrix in gains.values():
        assign(matrix)
    assignments = user() - start
    seconds = products.flops / rate + assignments
    return {
        "flops": products.flops,
        "gflops": rate / 1e9,
        "assignments": assignments,
        "seconds": seconds,
    }


def ask(python: str, *arguments) -> dict:
    """Run ``once`` in another process."""
    command = [python, __file__, "--once", json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    if done.returncode:
        return {
            "failed": done.stderr.strip().splitlines()[-1]
            if done.stderr.strip()
            else f"exit {done.returncode}"
        }
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    packages = ("torch", "torchvision", "scipy", "numpy")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": 1,
        "python": platform.python_version(),
        **versions,
    }


def summary(found: dict) -> dict:
    if "failed" in found or "rows" not in found:
        return found
    rows = found["rows"]
    middle = {key: statistics.median(row[key] for row in rows) for key in ("seconds", "gain")}
    exact = None if rows[0]["exact"] is None else sum(row["exact"] for row in rows)
    sweeps = None if rows[0]["sweeps"] is None else statistics.median(row["sweeps"] for row in rows)
    return {
        **middle,
        "sweeps": sweeps,
        "peak_mb": found["peak_mb"],
        "runs": len(rows),
        "exact": exact,
        "rows": rows,
    }


def markdown(content: dict) -> str:
    head = [
        "pair",
        "method",
        "CPU s",
        "× plain",
        "× limit",
        "gain",
        "over plain",
        "sweeps",
        "peak MB",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for pair, methods in content["random"].items():
        plain, bound = methods.get("plain", {}), methods.get("limit", {}).get("seconds", math.nan)
        for name, one in methods.items():
            if name == "limit":
                lines.append(
                    f"| {pair} | limit ({one['gflops']:.0f} GFLOP/s) | {bound:.3f} | | | | | 1 | |"
                )
            elif "failed" in one:
                lines.append(f"| {pair} | {name} | failed: {one['failed']} | | | | | | |")
            else:
                ratio = one["seconds"] / plain.get("seconds", math.nan)
                better = 100 * (one["gain"] / plain.get("gain", math.nan) - 1)
                sweeps = "" if one["sweeps"] is None else f"{one['sweeps']:g}"
                row = [
                    pair,
                    name,
                    f"{one['seconds']:.3f}",
                    f"{ratio:.2f}",
                    f"{one['seconds'] / bound:.1f}",
                ]
                row += [f"{one['gain']:.1f}", f"{better:+.1f} %", sweeps, f"{one['peak_mb']:.0f}"]
                lines.append(f"| {' | '.join(row)} |")
    if content["planted"]:
        lines += ["", "| pair | noise (× rms) | start | exact |", "|---|---|---|---|"]
        for row in content["planted"]:
            lines.append(
                f"| {row['pair']} | {row['sigma']} | {row['method']} | {row['exact']} of "
                f"{row['of']} |"
            )
    what = ", ".join(f"{name} {value}" for name, value in content["machine"].items())
    return "\n".join([f"One thread, user CPU seconds, medians. {what}.", "", *lines, ""])


def save(content: dict, name: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1))
    (RESULTS / f"{name}.md").write_text(markdown(content))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=PAIRS)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument(
        "--repeat",
        type=int,
        default=10,
        help="seeds of each method; the two largest pairs run three",
    )
    parser.add_argument(
        "--rebasin",
        help="an interpreter that has PyPI's rebasin 0.0.47 (and torch, torchvision, scipy)",
    )
    parser.add_argument(
        "--planted", nargs="*", default=[], help="PAIR:SIGMA:START, as resnet20x4:4:barycentre"
    )
    parser.add_argument(
        "--out",
        default="matching",
        help="name of the files under benchmarks/results; they are added to",
    )
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(*json.loads(options.once))))
        return
    path = RESULTS / f"{options.out}.json"
    content = json.loads(path.read_text()) if path.exists() else {"random": {}, "planted": []}
    content["machine"] = machine()
    for pair in options.pairs:
        here = content["random"].setdefault(pair, {})
        seeds = list(
            range(min(options.repeat, 3) if pair in ("vgg16", "resnet50") else options.repeat)
        )
        for method in ("limit", *options.methods):
            if method == "rebasin":
                if not options.rebasin:
                    continue
                found = ask(options.rebasin, pair, method, [0], 0, None)
            else:
                found = ask(sys.executable, pair, method, seeds, 0, None)
            here[method] = summary(found)
            print(
                pair,
                method,
                {key: value for key, value in here[method].items() if key != "rows"},
                flush=True,
            )
            save(content, options.out)
    for one in options.planted:
        pair, sigma, method = one.split(":")
        found = [ask(sys.executable, pair, method, [0], k, float(sigma)) for k in range(5)]
        exact = sum(bool(f["rows"][0]["exact"]) for f in found if "rows" in f)
        mark = {"pair": pair, "sigma": float(sigma), "method": method}
        content["planted"] = [
            row for row in content["planted"] if {key: row[key] for key in mark} != mark
        ]
        content["planted"].append(
            {
                **mark,
                "exact": exact,
                "of": len(found),
                "seconds": [f["rows"][0]["seconds"] for f in found],
            }
        )
        print(content["planted"][-1], flush=True)
        save(content, options.out)
    print(markdown(content))


if __name__ == "__main__":
    main()
