"""Copy networks from the user's cache into the package, in half precision where their loss moves by less than 1e-3.

    python tools/store_networks.py '{"seed": 0}' '{"seed": 1}'

Each argument is a recipe; a network that is not in the cache is trained first. The loss is measured on the test set,
so the recipe's data has to be here.
"""

from __future__ import annotations

import copy
import json
import sys

import torch
import torch.nn.functional as F
from torch import nn

from rebasin_edu.lab import Dataset, Recipe, load_or_train
from rebasin_edu.lab.zoo import provenance, save_network, stored_dir

LIMIT = 1e-3


@torch.inference_mode()
def test_loss(model: nn.Module, dataset: Dataset) -> float:
    """Mean cross-entropy on the test set."""
    parts = zip(dataset.test.inputs.split(500), dataset.test.targets.split(500))
    return sum(F.cross_entropy(model(x), y, reduction="sum").item() for x, y in parts) / len(dataset.test.targets)


def main(arguments: list[str]) -> int:
    """Store the network of every recipe given."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for text in arguments:
        recipe = Recipe.from_dict(json.loads(text))
        dataset = recipe.load_data()
        model = load_or_train(recipe, dataset=dataset)
        about = provenance(recipe)
        halved = copy.deepcopy(model).half().float()
        full, half = test_loss(model, dataset), test_loss(halved, dataset)
        fits = abs(full - half) < LIMIT
        about["precision"] = f"{'half' if fits else 'single'} (test loss {full:.6f} single, {half:.6f} half)"
        path = save_network(stored_dir() / "networks", model, about, half=fits)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {about['precision']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
