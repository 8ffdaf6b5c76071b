"""The pages of the site that are no notebooks: its index, the API reference, how a spec is
derived.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import rebasin_edu

CARD = """\
<a class="card" href="{name}.html">
<img src="_static/pictures/{name}.png" alt="{alt}" loading="lazy">
<span class="title">{title}</span>
<span>{question}</span>
</a>"""

INDEX = """\
# Git Re-Basin, taught and done

Two networks trained apart are often the same network with its hidden units shuffled. Find the
permutation, and the straight line between them is nearly free of any barrier: *linear mode
connectivity*. These pages tell it one question at a time. Every slider moves in your browser;
nothing has to be installed.

<div class="cards">
{cards}
</div>

To run it yourself: `pip install "rebasin_edu[lab]"`, then `rebasin-edu lab`.

```{{toctree}}
:hidden:
:caption: The course

{notebooks}
```

```{{toctree}}
:hidden:
:caption: Beside it

{beside}
```
"""

SPEC = """\
# How a spec is derived

A *spec* says which axes of which parameters one permutation must reorder together. Nobody writes
one here: `PermutationSpec.from_model(model, inputs)` derives it.

1. **Export.** `torch.export` runs the model once and gives its graph of ATen operators.
2. **Label.** Every axis of every parameter and input gets a label of its own, with its size.
3. **Send the labels through the graph.** One rule for each operator says what becomes of them. A
   linear layer or a convolution makes its weight's input axis and the activation's channel axis
   equal, and gives the result the label of its output axis. A residual sum makes both sides equal.
   Normalisation ties its gains to the channels. Element-wise operators hand labels on.
4. **Refine before fixing.** A cut through an axis leaves two smaller axes; a reshape into heads
   leaves a product of heads and widths. Only what truly mixes the order (an index, a roll, a sort)
   fixes an axis, and inputs and outputs are fixed.
5. **What is left free is a symmetry.** Axes with one label are a *group*: one permutation for all.
6. **Verify.** Generic weights, a random permutation of every group, float64: the outputs must be
   the same. An operator without a rule fixes what it touches and says so, so a spec is never wrong,
   at worst incomplete.

Below is a network with a residual connection, and what each of its axes belongs to. One colour is
one group: the stem and the sum share theirs, the inner layer of the block has its own.

![{alt}](_static/spec.png)

```python
{code}
```

```text
{described}
```
"""

CODE = """\
import torch
import rebasin_edu as rb

class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Linear(6, 8)
        self.inner = torch.nn.Linear(8, 5)
        self.back = torch.nn.Linear(5, 8)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = x + self.back(torch.relu(self.inner(x)))
        return self.head(x)

spec = rb.PermutationSpec.from_model(Block(), torch.zeros(2, 6))
print(spec.describe())"""


def index_page(cards: Sequence[Mapping[str, str]], *, results: bool = False) -> str:
    """Return the index: a picture and a question for each notebook.

    Args:
        results: whether the folder ``results`` is among the pages.
    """
    beside = ["GLOSSARY", "spec", "api", "DATA", *["results/README"] * results, "TEACHING"]
    escaped = [{key: html.escape(html.unescape(x)) for key, x in each.items()} for each in cards]
    return INDEX.format(
        cards="\n".join(CARD.format(**each) for each in escaped),
        notebooks="\n".join(each["name"] for each in cards),
        beside="\n".join(beside),
    )


def spec_page(static: Path) -> str:
    """Return the page on how a spec is derived, with a picture that is drawn now."""
    names: dict = {}
    exec(CODE.replace("print(spec.describe())", ""), names)
    figure = rebasin_edu.show.draw_spec(names["spec"])
    static.mkdir(parents=True, exist_ok=True)
    (static / "spec.png").write_bytes(rebasin_edu.show.png(figure))
    alt = "the axes of every parameter of a network with a residual connection, by group"
    return SPEC.format(alt=alt, code=CODE, described=names["spec"].describe())


def api_page() -> str:
    """Return the API reference, from the docstrings of what is public."""
    title = "API reference"
    parts = [f"{title}\n{'=' * len(title)}\n", ".. currentmodule:: rebasin_edu\n"]
    parts += [_entry("rebasin_edu", name, rebasin_edu) for name in rebasin_edu.__all__]
    for room in ("lab", "show", "matching", "landscape", "errors"):
        module = getattr(rebasin_edu, room)
        heading = f"rebasin_edu.{room}"
        parts.append(f"{heading}\n{'-' * len(heading)}\n")
        names = getattr(module, "__all__", None) or [
            name for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ]  # fmt: skip
        parts += [
            _entry(heading, name, module)
            for name in names
            if name not in rebasin_edu.__all__ and callable(getattr(module, name))
        ]
    return "\n".join(parts)


def _entry(module: str, name: str, where: ModuleType) -> str:
    if inspect.isclass(getattr(where, name)):
        return f".. autoclass:: {module}.{name}\n   :members:\n"
    return f".. autofunction:: {module}.{name}\n"
