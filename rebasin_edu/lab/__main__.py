"""Make the network of one recipe: ``python -m rebasin_edu.lab '{"model": "mlp", "seed": 1}'``, or a
file with it.
"""

from __future__ import annotations

import json
import sys

from ..errors import RebasinError
from .recipe import Recipe
from .zoo import load_or_train


def main(arguments: list[str]) -> int:
    """Make the network of the recipe given as JSON, or as a file; ``--every-epoch`` keeps all
    epochs.
    """
    every_epoch = "--every-epoch" in arguments
    given = [a for a in arguments if a != "--every-epoch"]
    if len(given) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    text = given[0]
    try:
        in_words = text.lstrip().startswith("{")
        recipe = Recipe.from_dict(json.loads(text)) if in_words else Recipe.from_file(text)
        load_or_train(recipe, every_epoch=every_epoch, progress=sys.stderr.isatty())
    except json.JSONDecodeError as error:
        print(f"{text} is not JSON: {error}", file=sys.stderr)
        return 1
    except (RebasinError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
