"""What repair gives back: barriers naive → matched → repaired for a pair of trained networks.

    python benchmarks/repair.py '{"model": "vgg11", …}'                     # a recipe; seeds 0 and
    1 are loaded or trained python benchmarks/repair.py '{"model": "resnet20", "norm": "batch", …}'
    --alphas 3 --samples 5000

Without BatchNorm: REPAIR at every alpha between the ends. With it: re-estimation, held against one
full pass of all samples as torch takes it itself. Barriers are the paper's (the worst alpha against
the mean of the ends), on the test set; statistics come from training images.
"""

from __future__ import annotations

import argparse
import copy
import json
import os

import torch
from torch import nn

from rebasin_edu.lab import Recipe, load_or_train
from rebasin_edu.landscape import evaluate, lerp, linear_path
from rebasin_edu.matching import weight_matching
from rebasin_edu.symmetry import PermutationSpec


def full_pass(model: nn.Module, weights: dict, inputs: torch.Tensor) -> dict:
    """The statistics of all inputs in one batch, as torch takes them in training mode."""
    whole = copy.deepcopy(model)
    whole.load_state_dict(weights)
    whole.eval()
    for module in whole.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    with torch.no_grad():
        whole(inputs)
    return whole.state_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=json.loads)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 1))
    parser.add_argument("--alphas", type=int, default=9)
    parser.add_argument(
        "--samples", type=int, default=2000, help="training images that statistics are measured on"
    )
    parser.add_argument("--test", type=int, default=None, help="this many test images only")
    parser.add_argument("--matching", default="weights", choices=["weights", "activations"])
    options = parser.parse_args()
    recipe = Recipe.from_dict(options.recipe)
    data = recipe.load_data()
    test = data.test if options.test is None else data.test.first(options.test)
    a, b = (load_or_train(recipe.with_seed(seed)).eval() for seed in options.seeds)
    model = copy.deepcopy(a)
    spec = PermutationSpec.from_model(model, data.train.inputs[:2])
    started = os.times().user
    if options.matching == "weights":
        matching = weight_matching(spec, a, b)
    else:
        from rebasin_edu.matching import activation_matching

        matching = activation_matching(spec, a, b, data.train.first(options.samples), model=model)
    print(f"{matching}; {os.times().user - started:.1f} s of CPU")
    b2 = spec.apply(b, matching.permutation)
    alphas = tuple(k / (options.alphas - 1) for k in range(options.alphas))
    curves = {
        name: linear_path(a, other, test, alphas=alphas)
        for name, other in (("naive", b), ("matched", b2))
    }
    batchnorm = any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()
    )
    images = data.train.first(options.samples)
    started = os.times().user
    last = "re-estimated" if batchnorm else "repaired"
    curves[last] = linear_path(
        a, b2, test, repair="auto", train_data=images, alphas=alphas, num_samples=options.samples
    )
    print(
        f"{len(alphas) - 2} repairs with {options.samples} images each: "
        f"{os.times().user - started:.1f} s of CPU"
    )
    print(
        f"{recipe.id}, seeds {options.seeds}, {data.name}, {len(test.targets)} test images, "
        f"{len(alphas)} alphas"
    )
    print(f"{'':14s}{'midpoint acc':>13s}{'loss':>8s}{'acc barrier':>13s}{'loss barrier':>13s}")
    for name, curve in curves.items():
        print(
            f"{name:14s}{curve.at(0.5).accuracy:13.2%}{curve.at(0.5).loss:8.3f}"
            f"{100 * curve.barrier.accuracy:13.2f}{curve.barrier.loss:13.3f}"
        )
    print(f"ends: {curves['naive'].at(0).accuracy:.2%} and {curves['naive'].at(1).accuracy:.2%}")
    removed = {
        k: 1 - getattr(curves[last].barrier, k) / getattr(curves["matched"].barrier, k)
        for k in ("accuracy", "loss")
    }
    print(
        f"removed of the matched barrier: accuracy {removed['accuracy']:.1%}, loss "
        f"{removed['loss']:.1%}"
    )
    if batchnorm:
        score = evaluate(full_pass(model, lerp(a, b2, 0.5), images.inputs), test, model=model)
        print(
            f"one full pass of the same images: {score.accuracy:.2%} (midpoint re-estimated: "
            f"{curves[last].at(0.5).accuracy:.2%})"
        )


if __name__ == "__main__":
    main()
