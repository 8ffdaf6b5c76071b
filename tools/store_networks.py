"""Copy networks from the user's cache into the package, in the fewest bits that move their loss by
less than 1e-3.

    python tools/store_networks.py [--precision half] [--repack] '{"seed": 0}' '{"seed": 1}'

Each argument is a recipe; a network that is not in the cache is trained first. The loss is measured
on the test set, so the recipe's data has to be here. ``--precision`` asks for more bits than it
needs. What is stored already stays as it is, but with ``--repack``: then it is packed anew, from
what is stored.
"""

from __future__ import annotations

import argparse
import json

from rebasin_edu.lab import Recipe, load_or_train
from rebasin_edu.lab.quantization import PRECISIONS, pack
from rebasin_edu.lab.zoo import network, provenance, save_network, stored_dir
from rebasin_edu.landscape import evaluate

LIMIT = 1e-3


def main() -> None:
    """Store the network of every recipe given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="+", metavar="RECIPE", help="JSON")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="at least this much"
    )
    parser.add_argument("--repack", action="store_true", help="also what is stored already")
    chosen = parser.parse_args()
    for text in chosen.recipes:
        recipe = Recipe.from_dict(json.loads(text))
        dataset = recipe.load_data()
        model = load_or_train(recipe, dataset=dataset)
        about = provenance(recipe)
        stored = about.get("precision")
        if stored and not chosen.repack:
            print(f"{recipe.id} is stored already: {stored}")
            continue
        full = evaluate(model, dataset.test).loss
        for precision in PRECISIONS[PRECISIONS.index(chosen.precision) :]:
            packed = network(recipe, pack(model.state_dict(), precision), about)
            loss = evaluate(packed, dataset.test).loss
            if abs(loss - full) < LIMIT:
                break
        before = stored.split()[0] if stored else "single"
        if stored and precision == before:
            print(f"{recipe.id} stays as it is: {stored}")
            continue
        about["precision"] = f"{precision} (test loss {full:.6f} {before}, {loss:.6f} {precision})"
        path = save_network(stored_dir() / "networks", model, about, precision)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {about['precision']}")


if __name__ == "__main__":
    main()
