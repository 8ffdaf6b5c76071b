# ---
# jupyter:
#   jupytext:
#     cell_markers: '"""'
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
"""
# 09 · Is a ResNet linearly mode connected?

| | |
|---|---|
| **Question** | Two ResNets trained apart: is there a permutation that leaves no barrier between them? |
| **You will be able to** | measure linear mode connectivity (LMC) of ResNets fairly; say what width does, and what it cannot be blamed for; tell claims about permutations from claims about merging; run the same on wider networks, a GPU or a cluster |
| **You need** | notebooks 04, 05 and 08 |
| **Time** | 50 minutes to read; two to three minutes to run on two CPU cores, less on a GPU |
| **Data** | CIFAR-10 reduced to 16×16: 2,000 training images and 1,000 that no network has seen come with the package; where you have CIFAR-10, all 5,000 of the latter; and three stored runs |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Three widths, two networks each

The paper's headline is a ResNet20, 32 times as wide as usual: its barrier is gone. On two CPU cores
we go up to four times (stored networks), and up to eight times in stored curves. The networks have
BatchNorm and were trained for 12, 8 and 4 epochs: good enough to look at (80 %), far from the state of
the art.

**Predict.** All midpoints are matched by weights, and their statistics measured again (notebook 08).
How many points of accuracy does each width lose: ×1, ×2, ×4?
"""

# %%
import os

import torch

import rebasin_edu as rb
from rebasin_edu.course import check, figures

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))
run = rb.load_run("cifar10-16px-resnet20-grid")
widths = rb.load_run("cifar10-16px-resnet20-widths")
ours = rb.load_data("cifar10-2k")  # the images that come with the package
rows = {width: figures.grid_row(run, width) for width in (1, 2, 4)}
recipes = {width: rb.Recipe.from_dict(row["recipe"]) for width, row in rows.items()}
pairs = {
    width: [rb.load_or_train(recipe.with_seed(seed)).eval() for seed in (0, 1)]
    for width, recipe in recipes.items()
}
prediction = {1: "…", 2: "…", 4: "…"}  # points lost

# %% [markdown]
r"""
No spec is written by hand: `from_model` traces the network, and verifies what it found. Twelve groups,
at every width: three residual streams, shared by all blocks of a stage, and nine inner layers. Then
the line's midpoint is scored:

$$\text{points lost} = \tfrac12\big(\mathrm{acc}(A)+\mathrm{acc}(B)\big) - \mathrm{acc}\big(\tfrac12 A+\tfrac12\pi(B)\big).$$
"""

# %%
def points_lost(a, other, images):  # at the midpoint, re-estimated
    mid = rb.reestimate_batchnorm(rb.lerp(a, other, 0.5), statistics, model=a)
    ends = [rb.evaluate(end, images, model=a).accuracy for end in (a, other)]
    return 50 * sum(ends) - 100 * rb.evaluate(mid, images, model=a).accuracy


statistics = ours.train.first(250 if FAST else 500)
matched, live = {}, {}
for width, (a, b) in pairs.items():
    spec = rb.PermutationSpec.from_model(a, ours.test.inputs[:1])
    match = rb.weight_matching(spec, a, b)
    matched[width] = spec.apply(b, match.permutation)
    print(f"×{width}: {len(spec.groups)} groups, 10^{spec.log10_symmetries():.0f} permutations, "
          f"matched in {match.seconds:.1f} s")

# %%
for width, (a, b) in pairs.items():
    images = ours.test.first((500 if FAST else 1000) // (1 + width // 4))
    live[width] = [points_lost(a, other, images) for other in (b, matched[width])]
    stored = [figures.points_lost(rows[width], name) for name in ("naive", "matched")]
    print(f"×{width}: you said {prediction[width]}; naive {live[width][0]:.1f}, matched "
          f"{live[width][1]:.1f} (stored, 1,000 images: {stored[0]:.1f}, {stored[1]:.1f})")
    assert live[width][1] < 0.6 * live[width][0]
    assert abs(live[width][1] - stored[1]) < 8  # fewer images, other statistics

# %% [markdown]
"""
Wider networks lose less. And look at the *naive* midpoint: it loses less with the width, too. Width
alone helps, and the match helps at every width. If your first number was small, you thought of the
MLPs of notebook 04: a narrow ResNet is harder.

Where CIFAR-10 itself is at hand, the same on all 5,000 unseen images:
"""

# %%
held_out = recipes[1].load_data().test
lost = points_lost(pairs[1][0], matched[1], held_out)
print(f"×1, matched: {lost:.1f} points lost on {len(held_out.targets):,} images ({held_out.name})")
for pair in widths["pairs"]:
    found = {x["method"]: 100 * x["repaired"]["midpoint"]["accuracy"] for x in pair["rows"]}
    words = ", ".join(f"{name} {points:.1f}" for name, points in found.items())
    print(f"stored, 5,000 images, ×{pair['width']:g}, seeds {pair['seeds']}: {words}")

# %% [markdown]
"""
## Alpha × width

Now every network on the line, and five ways:

* **matched, as it is** (dotted): the permutation alone, with averaged BatchNorm statistics;
* **naive**: no permutation; **matched**: weight matching; **descended**: the permutation trained on the
  midpoint loss (notebook 05). All three with statistics measured again, that is, *repaired*.
* **refitted** (purple, dashed): weight matching, and then layers fitted to the parents. This is *merging*:
  the network is off the line, so it says nothing about connectivity (notebook 08).

Only grey, green and blue are claims about permutations. The three lines of ×1 are measured now, at five
alphas; beside them stands what the stored grid has there. The descent takes most of the time.
"""

# %%
a, b = pairs[1]
spec = rb.PermutationSpec.from_model(a, ours.test.inputs[:1])
options = {"start": "activations", "num_samples": 1000, "steps": 4} if FAST else {}
descent = rb.straight_through_matching(spec, a, b, ours.train, **options)
ends = {"naive": b, "matched": matched[1], "descended": spec.apply(b, descent.permutation)}
images = ours.test.first(250 if FAST else 1000)
options = {"alphas": 5, "model": a, "repair": "batchnorm", "train_data": statistics}
lines = {name: rb.linear_path(a, x, images, **options) for name, x in ends.items()}
for name, curve in lines.items():
    stored = figures.grid_curves(rows[1])[name]
    now, then = (100 * line.at(0.5).accuracy for line in (curve, stored))
    print(f"{name:9} half-way: {now:.1f} % now, {then:.1f} % in the stored grid")
    assert abs(now - then) < 10  # fewer images, other statistics

# %% [markdown]
"""
The still figure; each column prints its parents, since they differ.
"""

# %%
scored = ", ".join(f"{row['samples']:,}" for row in rows.values())
source = f"CIFAR-10 at 16×16, one pair a column, {scored} unseen images; dashed: the parents' mean"
lost = {
    width: {name: figures.points_lost(row, name) for name in figures.grid_curves(row)}
    for width, row in rows.items()
}
for each in lost.values():
    assert each["naive"] > each["matched"] > each["refitted"]
    assert each["descended"] < each["matched"]
assert lost[1]["matched"] > lost[4]["matched"] and lost[1]["naive"] > lost[4]["naive"]
figures.draw_widths(list(rows.values()), title=source)

# %% [markdown]
"""
At every width the descent loses less than weight matching, with a permutation alone: the search, and
not only the networks, makes a barrier. And naive is good at a quarter of the way and bad half-way; one
alpha is not a line.

As two sliders. They need no kernel: every picture is drawn already. The last position of the width is
a stored run on 5,000 unseen images, ×8: measured at three alphas, and neither descended nor refitted.
A large dot stands only where a network was measured: refits at the quarters.
"""

# %%
explored = {f"×{width}": row for width, row in rows.items()}
explored["×8, stored"] = figures.stored_rows(widths, 8)[0]
alphas = list(figures.grid_curves(rows[1])["naive"].alphas)[:: 6 if FAST else 2]
explorer = rb.show.slider_grid(
    lambda width, alpha: figures.draw_alpha_by_width(explored[width], alpha),
    list(explored),
    alphas,
    descriptions=("width", "alpha"),
    text=lambda width, alpha: figures.describe_alpha(explored[width], alpha),
    labels=(str, "{:.2f}".format),
    start=(0, len(alphas) // 2),
)
explorer

# %% [markdown]
"""
## What width cannot be blamed for

The columns differ in more than width: wider networks were trained for fewer epochs, and ×8 with smaller
batches. Epochs and batch size move the barrier too (notebook 07). So "the loss falls from column to
column" is what we measured, and "because of the width" is a guess that the paper's longer runs support.

At 32×32 the stored curves tell the same story, with better parents. A LayerNorm pair stands in a figure
of its own: it has another norm, another optimiser and fewer epochs, and belongs to no curve over width.
"""

# %%
large = figures.stored_rows(rb.load_run("cifar10-resnet20-widths"))
title = "CIFAR-10, 32×32, 5,000 unseen images; one pair a column; stored"
drawn = ("naive", "matched", "matched, as it is")
falls = [figures.points_lost(row, "matched") for row in large]
assert falls == sorted(falls, reverse=True)
figures.draw_widths(large, drawn, title=title)

# %% [markdown]
"""
## The plane through A, B and π(B)

The line is one cut. Here is the plane through the three networks of ×1, with the statistics measured
again at every one of its 63 points, since a BatchNorm network off the ends is at chance otherwise.

**Predict.** A and B are both good. Is there a good region around each, and where does π(B) lie?
"""

# %%
table = {name: rows[1]["plane"][name] for name in ("x", "y", "loss", "accuracy", "points")}
plane = rb.Plane(**table, distance=1.0)
a, b = (network.state_dict() for network in pairs[1])
names = [name for name, _ in pairs[1][0].named_parameters()]
u, v = (torch.cat([(end[n] - a[n]).flatten() for n in names]) for end in (b, matched[1]))
print(f"|π(B) − A| is {v.norm() / u.norm():.2f} of |B − A|; cosine of the two ways "
      f"{torch.cosine_similarity(u, v, 0):.2f}")
assert abs(v.norm() / u.norm() - torch.tensor(plane.points["π(B)"]).norm()) < 0.02
rb.show.draw_plane(plane, metric="accuracy", title="re-estimated everywhere, 250 unseen images")

# %% [markdown]
"""
Between A and B lies a valley of bad networks; between A and π(B) the way is better, and still not flat at
this width. And π(B) is hardly nearer to A than B is: *matched* does not mean *equal*.

## Beside the literature
"""

# %%
REPAIR = {1: 25.95, 2: 9.77, 4: 4.05, 8: 2.23, 16: 1.45, 32: 0.98}  # BatchNorm, 32×32, test set
here = [("16×16", explored[name]) for name in ("×1", "×2", "×4", "×8, stored")]
here += [("32×32", row) for row in large]
print("points lost half-way, BatchNorm   naive  weights   REPAIR (32×32, activations)")
for size, row in here:
    naive, found = (figures.points_lost(row, name) for name in ("naive", "matched"))
    ends, width = figures.parents(row)["accuracy"], row["width"]
    head = f"×{width:g} at {size}, parents {ends:.1f} %"
    print(f"{head} {naive:13.1f} {found:8.1f} {REPAIR[width]:8.2f}")
print(f"×16 and ×32 {'':45} {REPAIR[16]:.2f}, {REPAIR[32]:.2f}")

# %% [markdown]
"""
What differs: REPAIR's networks are trained much longer (parents 93.6 % at ×1 to 96.9 % at ×32, at 32×32),
are matched by activations, and are scored on the test set. Ours are weaker; at 16×16 they lose less than
REPAIR's at ×1 and more from ×2 on. Which of the differences does it, we have not measured.

| | network, norm | what is claimed |
|---|---|---|
| *Git Re-Basin*, figures 2 and 4 | ResNet20, **LayerNorm**, ×1 to ×32, weights | barrier falls with width, "zero" at ×32; a figure without digits |
| *REPAIR*, the same with LayerNorm | activations | 41.6 points at ×1, 4.1 at ×32; with REPAIR 23.6 and 1.6 |
| *REPAIR*, **BatchNorm** | activations, statistics measured again | 26.0 at ×1, 0.98 at ×32 |
| this notebook | **BatchNorm**, ×1 to ×8, 16×16 | the table above |

LayerNorm and BatchNorm differ in the network itself, so they are two curves, never one. And the paper's
title claim, one basin modulo permutations, rests on the widest networks.

## Run it wider

Here is the whole experiment as one function of a recipe. On a GPU take `width=16` and 40 epochs; here
it runs small, so that it really runs.
"""


# %%
def experiment(recipe, data):
    a, b = (
        rb.train(recipe.with_seed(seed).build(data), data, recipe.with_seed(seed).training).model
        for seed in (0, 1)
    )
    spec = rb.PermutationSpec.from_model(a, data.test.inputs[:1])
    match = rb.weight_matching(spec, a, b)
    options = {"repair": "batchnorm", "train_data": data.train, "num_samples": 500, "alphas": 3}
    ends = {"naive": b, "matched": spec.apply(b, match.permutation)}
    lines = {name: rb.linear_path(a, x, data.test, **options) for name, x in ends.items()}
    return a, b, spec, match, lines


# %%
device = "cuda" if torch.cuda.is_available() else "cpu"
width, epochs = (4, 10) if device == "cuda" else (0.25, 1 if FAST else 2)
base = recipes[1].to_dict() | {"dataset": "cifar10-2k", "size": None, "precision": "float32"}
base |= {"batch_size": 50, "lr": 0.1}  # more and smaller steps: there are only 2,000 images
small = rb.Recipe.from_dict(base | {"width": width, "epochs": epochs})
*_, lines = experiment(small, ours.to(device))
for name, line in lines.items():
    first, middle, last = (f"{x:.1%}" for x in line.accuracy)
    print(f"×{width} on {device}, {epochs} epochs: {name} {middle}, parents {first}, {last}")

# %% [markdown]
"""
Many widths, many machines: `sweep` runs a function over recipes on any executor. A Dask client gives
one; on a cluster only the line that makes the client changes (README). What is finished is stored and
not run again. (One epoch on 2,000 images: networks so weak show that it runs, and say nothing of
matching.)
"""

# %%
import tempfile

from dask.distributed import Client, LocalCluster


def lost_by(recipe):  # what each worker does: a recipe in, numbers out
    *_, lines = experiment(recipe, rb.load_data("cifar10-2k"))
    return {name: 100 * line.barrier.accuracy for name, line in lines.items()}


grid = [rb.Recipe.from_dict(base | {"width": each, "epochs": 1}) for each in (0.125, 0.25)]
local = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
with tempfile.TemporaryDirectory() as kept, LocalCluster(**local) as head, Client(head) as client:
    results = rb.lab.sweep(grid, client.get_executor(), work=lost_by, folder=kept)
for recipe, result in zip(grid, results):
    words = ", ".join(f"{name} {points:.1f} points" for name, points in result.items())
    print(f"×{recipe.width}: {words}")
assert len(results) == 2

# %% [markdown]
"""
## Your own pair

Two networks that nobody has trained before: choose two seeds. Half the usual width, the package's 2,000
training images, a minute of training each. They will be weak (there are few images), and `diagnose`
judges the merge all the same.

**Predict.** Weak parents, few epochs: will their barrier be higher or lower than that of the stored
pair of ×1?
"""

# %%
my_seeds = (2024, 7)  # yours
mine = rb.Recipe.from_dict(base | {"width": 0.5, "epochs": 3 if FAST else 10})
a, b = (
    rb.train(mine.with_seed(seed).build(ours), ours, mine.with_seed(seed).training).model
    for seed in my_seeds
)
spec = rb.PermutationSpec.from_model(a, ours.test.inputs[:1])
match = rb.weight_matching(spec, a, b)
judged = rb.diagnose(a, b, ours.test.first(500), spec=spec, permutation=match)
assert judged.equivalence < 1e-3  # π(B) is the same function as B

# %%
for name, score in judged.scores.items():
    print(f"{name:13} {score.accuracy:.1%}, loss {score.loss:.2f}")
print(f"cause: {judged.cause}", *judged.verdict[:2], sep="\n")

# %% [markdown]
"""
The re-estimated midpoint against your parents: that difference is your barrier at this width. Read the
verdict with care. Networks of so few images disagree about many of them, and their units have little in
common under any match. The numbers are right; the name of the cause is made for well-trained networks
(notebook 08 shows it on one).
"""

# %%
fresh = [mine.with_seed(seed).build(ours).eval() for seed in (0, 1)]
options = {"alphas": 3, "repair": "batchnorm", "train_data": ours.train, "num_samples": 250}
line = rb.linear_path(*fresh, ours.test.first(500), **options)
words = ", ".join(f"{x:.0%}" for x in line.accuracy)
print(f"untrained: barrier {100 * line.barrier.accuracy:.1f} points, accuracy {words}")
assert line.barrier.accuracy < 0.08 and max(line.accuracy) < 0.25

# %% [markdown]
"""
## Recap

Two ResNets trained apart, matched and with their statistics measured again, lose a few points half-way,
and fewer the wider they are. At the widths of this notebook a barrier remains: these ResNets are *nearly* linearly
mode connected, and the paper's "zero" belongs to ×32. A refit wins most of the rest and is no evidence of
connectivity. Every number stands beside its parents, its norm and its epochs.

## Exercises

**09-1** · easy · 6 minutes. Write `log10_symmetries(width)` for the ResNet20: three stages of 16, 32 and 64
channels times the width; each stage has one permutation for its residual stream and one inside each of
its three blocks.

<details><summary>Hint</summary><code>math.lgamma(n + 1)</code> is the natural logarithm of n!.</details>
"""


# %% tags=["exercise"]
def log10_symmetries(width):
    return ...


# check("09-1", log10_symmetries)

# %% tags=["solution"]
import math


def log10_symmetries(width):
    units = [int(16 * width), int(32 * width), int(64 * width)]
    return sum(4 * math.lgamma(n + 1) / math.log(10) for n in units)


check("09-1", log10_symmetries)

# %% [markdown]
"""
**09-2** · medium · 12 minutes. Write `width_for(widths, points, wanted)`: draw a straight line through the
points lost on double-logarithmic axes (least squares), and say at which width it comes down to
`wanted`.

<details><summary>Hint</summary>Fit log(points) = c + s · log(width), then solve for the width.</details>
"""


# %% tags=["exercise"]
def width_for(widths, points, wanted):
    return ...


# check("09-2", width_for)


# %% tags=["solution"]
def width_for(widths, points, wanted):
    x, y = (torch.tensor(each, dtype=torch.float64).log() for each in (widths, points))
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return float(((math.log(wanted) - y.mean()) / slope + x.mean()).exp())


check("09-2", width_for)
print(
    f"REPAIR's six widths: 0.5 points at ×{width_for(list(REPAIR), list(REPAIR.values()), 0.5):.0f}"
)

# %% [markdown]
"""
**09-3** · easy · 6 minutes. Write `worst(accuracy)`: from the accuracies along a line, ends included, the
points (of 100) that its worst network loses against the mean of both ends.

<details><summary>Hint</summary>The worst place need not be the middle; and the ends count as well.</details>
"""


# %% tags=["exercise"]
def worst(accuracy):
    return ...


# check("09-3", worst)


# %% tags=["solution"]
def worst(accuracy):
    return 100 * ((accuracy[0] + accuracy[-1]) / 2 - min(accuracy))


check("09-3", worst)

# %% [markdown]
"""
**09-4** · a figure · 15 minutes. Draw the points lost over the width, both axes logarithmic: naive and
matched, our 16×16 rows, and REPAIR's numbers as another marker. Where would you *not* join the dots?
"""

# %% tags=["solution"]
figure, axes = rb.show.new_figure("one")
panel = axes[0, 0]
for name in ("naive", "matched"):
    colour, marker = rb.show.colour_of(name)
    ways = [(row["width"], figures.points_lost(row, name)) for size, row in here if size == "16×16"]
    panel.plot(*zip(*ways), color=colour, marker=marker, linestyle="none", label=f"{name}, 16×16")
panel.plot(list(REPAIR), list(REPAIR.values()), "k*", label="REPAIR, 32×32, activations")
panel.set(xscale="log", yscale="log", xlabel="width", ylabel="points lost half-way")
panel.set_xticks(list(REPAIR), [f"×{width}" for width in REPAIR])
panel.minorticks_off()
panel.legend(frameon=False)
rb.show.describe(figure, "Points lost over width; other recipes are not joined by a line.")

# %% [markdown]
"""
**Wider than we went** · open · an evening. On a GPU run `experiment` with ×8 and ×16 and as many epochs for
every width. Does the fall with the width stay when the epochs are equal? Draw it beside ours.

## Questions

**1.** What does "linearly mode connected modulo permutations" mean for two ResNets?
<details><summary>Some permutation of B leaves no barrier on the straight line from A.</summary>Right.</details>
<details><summary>Their average can be repaired.</summary>No: a repair with new weights leaves the line.</details>

**2.** Why must the parents' accuracy stand beside a barrier?
<details><summary>Weak parents have little to lose; untrained ones have no barrier.</summary>Right.</details>
<details><summary>It is the paper's definition of the barrier.</summary>No: the definition takes it off, and so hides it.</details>

**3.** The points lost fall from ×1 to ×4 in our table. What follows?
<details><summary>Width is the cause.</summary>Not from this table: the epochs fall as well.</details>
<details><summary>Wider *and* shorter trained pairs lose less here; equal epochs would have to tell.</summary>Right.</details>

**4.** The naive midpoint improves with the width too. What does the match add?
<details><summary>Nothing, at large width.</summary>No: at every width the matched line lies far above the naive one.</details>
<details><summary>Most of what remains, at each width.</summary>Right.</details>

**5.** Which line in the explorer is no claim about permutations?
<details><summary>Descended: it uses images.</summary>No: it uses them to find a permutation, and stays on the line.</details>
<details><summary>Refitted: it writes new weights.</summary>Right.</details>

**6.** The paper's ResNet has LayerNorm, ours BatchNorm. May the numbers be joined?
<details><summary>No: another network, and another repair.</summary>Right.</details>
<details><summary>Yes, at the same width.</summary>No.</details>

**7.** Why is a midpoint of a BatchNorm network at chance, as it is?
<details><summary>Its averaged statistics do not fit the averaged weights (notebook 08).</summary>Right.</details>
<details><summary>There is a barrier that no permutation removes.</summary>No: measured again, most of it is gone.</details>

**8.** How many permutations has the residual stream of a stage with three blocks?
<details><summary>One, shared by all of its blocks.</summary>Right: what is added must have the same order.</details>
<details><summary>One for each block.</summary>No: then the sum would mix different units.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: section 5.3, figures 2 and 4.
* Jordan, Sedghi, Saukh, Entezari, Neyshabur: *REPAIR*, ICLR 2023: the numbers per width are those of
  its public figure data.
* Entezari, Sedghi, Saukh, Neyshabur: *The Role of Permutation Invariance in Linear Mode Connectivity
  of Neural Networks*, ICLR 2022.
* He, Zhang, Ren, Sun: *Deep Residual Learning for Image Recognition*, CVPR 2016.
"""

# %% tags=["smoke"]
assert rb.show.move_all(explorer) == len(explored) + len(alphas)
