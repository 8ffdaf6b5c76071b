"""Loss and accuracy tell different things: the barriers of several pairs in both, and what one
factor on the logits does to the loss alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...show.style import A, colour_of, describe, new_figure, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_pairs(run: Mapping[str, Any], *, title: str = "") -> Figure:
    """The barriers of every pair of a stored run, naive and matched, in loss and in accuracy.

    Args:
        run: a stored run, ``load_run("mnist-mlp-barrier")``.
        title: stands over the figure, before the name of the data.
    """
    figure, axes = new_figure("wide", 1, 2)
    words = []
    for panel, metric, scale in zip(axes[0], ("loss", "accuracy"), (1, 100)):
        for place, name in enumerate(("naive", "matched")):
            colour, marker = colour_of(name)
            heights = [scale * pair[name][f"{metric}_barrier"] for pair in run["pairs"]]
            panel.plot([place, place], [min(heights), max(heights)], color=colour, linewidth=4)
            panel.plot([place] * len(heights), heights, marker, color=colour, mew=2)
            for pair, height in zip(run["pairs"], heights):
                text = f"seeds {pair['seeds'][0]}, {pair['seeds'][1]}: {height:.2f}"
                if name == "naive":
                    write(panel, text, (place, height), (10, 0), va="center", fontsize=9)
            span = f"{min(heights):.3f} to {max(heights):.3f}"
            words.append(f"{name} {metric} barrier {span}")
            if name == "matched":
                write(panel, span, (place, max(heights)), (0, 8), ha="center", color=colour)
        panel.set(xticks=[0, 1], xlim=(-0.4, 1.6), ylim=(0, None))
        panel.set_xticklabels(["naive", "matched"])
        panel.set_ylabel("loss barrier" if metric == "loss" else "accuracy barrier (points)")
    data = f"{run['data']}, {run['samples']:,} test images"
    figure.suptitle(" · ".join(filter(None, (title, data))), x=0.01, ha="left")
    return describe(figure, f"{len(run['pairs'])} pairs, {data}: {'; '.join(words)}.")


def draw_logit_scale(
    logits: Mapping[str, torch.Tensor], labels: torch.Tensor, *, title: str = ""
) -> Figure:
    """The loss of networks whose logits are multiplied by one factor; it moves no answer.

    Args:
        logits: name of a network → ``(images, classes)``.
        labels: the right classes ``(images,)``.
        title: stands over the panel.
    """
    figure, axes = new_figure("one")
    panel, words = axes[0, 0], []
    factors = np.geomspace(0.2, 20, 70)
    for place, (name, values) in enumerate(logits.items()):
        losses = [
            float(torch.nn.functional.cross_entropy(float(k) * values, labels)) for k in factors
        ]
        now = float(torch.nn.functional.cross_entropy(values, labels))
        best = int(np.argmin(losses))
        accuracy = float((values.argmax(1) == labels).float().mean())
        colour = A if name == "A" else colour_of(name.split(",")[0], place)[0]
        style = "--" if "," in name else "-"
        label = f"{name}: right for {accuracy:.0%} at every factor"
        panel.plot(factors, losses, color=colour, linestyle=style, label=label)
        panel.plot(1, now, "o", color=colour, mec="black", zorder=3)
        panel.plot(factors[best], losses[best], "*", color=colour, mec="black", ms=13, zorder=3)
        text = f"{name}: loss {now:.2f} as it is, {losses[best]:.2f} at factor {factors[best]:.1f}"
        words.append(f"{text}, accuracy {accuracy:.1%} at both")
    panel.set(xscale="log", ylim=(0, None), ylabel="loss")
    panel.set_xlabel("factor on the logits (dot: as they are, star: lowest loss)")
    panel.set_xticks([0.2, 0.5, 1, 2, 5, 10, 20], ["0.2", "0.5", "1", "2", "5", "10", "20"])
    panel.minorticks_off()
    panel.legend(frameon=False, fontsize=9)
    panel.set_title(title, loc="left")
    return describe(figure, "The loss over a factor on the logits. " + "; ".join(words))
