"""Published figures beside ours, and what differs in the setting: one table from the stored runs.

    python benchmarks/reference.py

Theirs: REPAIR's stored figure data (Jordan et al., ICLR 2023; activation matching, midpoint against
the mean of the parents) and Git Re-Basin's text (Table 3) and figure 3. Ours:
rebasin_edu/lab/stored/runs. Saves ``results/reference.md``.
"""

import argparse
import statistics
from pathlib import Path

from rebasin_edu.errors import FileFormatError
from rebasin_edu.lab.stored_runs import load_run

OUT = Path(__file__).parent / "results" / "reference.md"
# norm → width → parents' test accuracy, accuracy barrier matched only, repaired (points), repaired
# loss barrier
REPAIR = {
    "batch": {
        1: (93.58, 80.93, 25.95, 0.993),
        2: (95.22, 79.08, 9.77, 0.337),
        4: (96.12, 61.33, 4.05, 0.113),
        8: (96.58, 64.33, 2.23, 0.062),
    },
    "layer": {1: (92.36, 41.64, 23.61, 0.767), 2: (94.47, 15.02, 9.52, 0.386)},
}
RUNS = {
    "cifar10-resnet20-widths": "held-out 5k for the test set, {epochs} epochs for 250",
    "cifar10-resnet20-layer-widths": "held-out 5k for the test set, {epochs} epochs for 250",
    "cifar10-16px-resnet20-widths": "images reduced to 16×16, {epochs} epochs for 250",
}
MERGED = {"mean of five": (0.1293, None), "MergeMany": (0.0727, 98.31)}  # test loss, test accuracy
ONSET = {
    "mnist": {1: 0.6, 25: 0.0},
    "cifar10": {1: 0.31, 22: 0.015},
}  # read off the arrows of the figure's code


def stored(name):
    """The run, or ``None`` where it is not made yet."""
    try:
        return load_run(name)
    except FileFormatError:
        return None


def convolutions():
    """A row for each width of ResNet20 that both have run."""
    for name, differs in RUNS.items():
        pairs = (stored(name) or {"pairs": []})["pairs"]
        for width in sorted({pair["width"] for pair in pairs}):
            chosen = [pair for pair in pairs if pair["width"] == width]
            norm = chosen[0]["recipe"]["norm"]
            if width not in REPAIR[norm]:
                continue
            parents, matched, repaired, loss = REPAIR[norm][width]
            rows = [
                next(row for row in pair["rows"] if row["method"] == "activation matching")
                for pair in chosen
            ]
            accuracy = 100 * statistics.mean(
                end["accuracy"] for pair in chosen for end in pair["parents"]
            )
            ours = [[row[kind]["midpoint"] for row in rows] for kind in ("as it is", "repaired")]
            points = [
                ", ".join(f"{100 * middle['accuracy']:.1f}" for middle in kind) for kind in ours
            ]
            losses = ", ".join(f"{middle['loss']:.3f}" for middle in ours[1])
            size = chosen[0]["recipe"]["size"]
            what = f"ResNet20×{width}, {norm} norm" + (f", at {size}×{size}" if size else "")
            setting = differs.format(**chosen[0]) + (
                ", scored in bfloat16" if "scored in" in chosen[0] else ""
            )
            yield (
                f"{what}: accuracy of the parents",
                f"{parents:.1f} %",
                f"{accuracy:.1f} %",
                setting,
            )
            yield f"{what}: matched, accuracy barrier (points)", f"{matched:.1f}", points[0], "same"
            yield (
                f"{what}: matched and repaired, accuracy barrier",
                f"{repaired:.2f}",
                points[1],
                "same",
            )
            yield f"{what}: matched and repaired, loss barrier", f"{loss:.3f}", losses, "same"


def merging():
    """MergeMany of five MNIST networks."""
    run = stored("mnist-mlp-merge-many")
    if run is None:
        return
    rows = {row["name"]: row["test"] for row in run["rows"]}
    mean = statistics.mean(row["loss"] for name, row in rows.items() if name.startswith("seed"))
    best = min(row["loss"] for name, row in rows.items() if name.startswith("seed"))
    merged = rows["MergeMany"]
    differs = f"{run['recipe']['epochs']} epochs for 100"
    yield (
        "MNIST, five networks: mean test loss",
        f"{MERGED['mean of five'][0]:.4f}",
        f"{mean:.4f}",
        differs,
    )
    loss, accuracy = MERGED["MergeMany"]
    theirs = f"{loss:.4f} ({1 - loss / MERGED['mean of five'][0]:.0%} under the mean)"
    under = f"{1 - merged['loss'] / mean:.0%}; {1 - merged['loss'] / best:.0%} under the best"
    ours = f"{merged['loss']:.4f} ({under})"
    yield "MergeMany: test loss", theirs, ours, "same"
    yield (
        "MergeMany: test accuracy",
        f"{accuracy:.2f} %",
        f"{100 * merged['accuracy']:.2f} %",
        "same",
    )


def onset():
    """The barrier after weight matching early and late in training."""
    for name, theirs in ONSET.items():
        run = stored(f"{name}-mlp-onset")
        for epoch, height in theirs.items() if run else ():
            at = [
                next(row for row in pair["epochs"] if row["epoch"] == epoch)
                for pair in run["pairs"]
            ]
            ours = ", ".join(f"{row['matched']['loss_barrier']:.3f}" for row in at)
            differs = "theirs is a place in a figure, not a printed number"
            yield (
                f"{name} MLP 3×512, matched loss barrier after epoch {epoch}",
                f"about {height:g}",
                ours,
                differs,
            )


def main():
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    rows = [*convolutions(), *merging(), *onset()]
    lines = [
        "| | theirs | ours | what differs |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    OUT.write_text(
        "\n".join([*lines, "", "`python benchmarks/reference.py`, from the stored runs.", ""])
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
