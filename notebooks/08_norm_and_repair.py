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
# 08 · Why did my ResNet collapse at α = 0.5?

| | |
|---|---|
| **Question** | Two good ResNets with BatchNorm, matched, and their average answers little better than chance. What is broken, and what mends it? |
| **You will be able to** | tell three causes of a bad average apart; re-estimate BatchNorm's statistics; say where REPAIR helps and where it costs; refit a network layer by layer in closed form, and say what that does not prove |
| **You need** | notebook 02 (variance collapse), notebook 04 (weight matching); what a convolution is; least squares |
| **Time** | 50 minutes to read; about two minutes to run on two CPU cores, less on a GPU |
| **Data** | CIFAR-10 reduced to 16×16 and MNIST: 2,000 and 4,000 training images and 1,000 unseen ones of each come with the package; and two stored runs |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## The patient

Two ResNet20 with BatchNorm, trained apart on CIFAR-10 at 16×16. Match B to A by their weights, as in
notebook 04, average, and look at images that neither has seen.

**Predict.** Each network is right on about 80 % of them. And the average of A and the matched B?
"""

# %%
import copy
import os

import torch
import torch.nn.functional as F

import rebasin_edu as rb
from rebasin_edu.course import check, figures

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))
run = rb.load_run("cifar10-16px-resnet20-grid")
recipe = rb.Recipe.from_dict(run["recipe"])
a, b = (rb.load_or_train(recipe.with_seed(seed)).eval() for seed in (0, 1))
data = rb.load_data("cifar10-2k")  # the images that come with the package
unseen = data.test.first(500 if FAST else 1000)

# %%
spec = rb.PermutationSpec.from_model(a, unseen.inputs[:1])
match = rb.weight_matching(spec, a, b)
b_matched = spec.apply(b, match.permutation)
patient, naive = rb.lerp(a, b_matched, 0.5), rb.lerp(a, b, 0.5)
named = {"A": a, "B": b, "naive midpoint": naive, "matched midpoint": patient}
for name, network in named.items():
    score = rb.evaluate(network, unseen, model=a)
    print(f"{name:17} {score.accuracy:.1%}, loss {score.loss:.2f}")
assert score.accuracy < 0.4  # the patient's

# %%
stored = rb.load_run("cifar10-resnet20-widths")["pairs"][0]
for row in stored["rows"]:
    accuracy = stored["parents"][0]["accuracy"] - row["as it is"]["midpoint"]["accuracy"]
    print(f"the same architecture at 32×32, {row['method']}: {accuracy:.0%} (chance is 10 %)")

# %% [markdown]
r"""
Matching has hardly helped, and the loss is that of a network that guesses: $\ln 10 = 2.30$. At 32×32
(the stored run; parents 88 %) every midpoint is at 10 %, matched or not.

This is the first thing that everybody meets who averages networks with BatchNorm. There are three
suspects:

1. **The match is bad**: weight matching has paired the wrong units.
2. **Variance collapse** (notebook 02): paired units correlate only partly, so the averaged unit varies
   less than its parents.
3. **Stale statistics**: a BatchNorm layer keeps the mean and the standard deviation of each unit *as
   numbers*, and averaging two networks averages these numbers.

**Predict.** Mend only one of the three. Which one gives back most of the accuracy?
"""

# %%
prediction = "..."  # "the match", "the variance" or "the statistics"

# %% [markdown]
r"""
## Examination: the law, and what BatchNorm believes

The first convolution sees the images themselves, so the law of notebook 02 must hold there to the
last digit. With $\rho$ the correlation of two paired units,

$$\sigma_{mid} = \sqrt{\tfrac14\sigma_0^2 + \tfrac14\sigma_1^2 + \tfrac12\sigma_0\sigma_1\rho}.$$

BatchNorm divides by a stored number. The average stores $\tfrac12\sigma_0^2+\tfrac12\sigma_1^2$, the mean
of the parents' variances. It does not know of $\rho$.
"""

# %%
train = data.train.first(500 if FAST else 1000)
state_a = a.state_dict()


def first_layer(state):  # (units, images × places)
    with torch.no_grad():
        return F.conv2d(train.inputs, state["stem.weight"], padding=1).transpose(0, 1).flatten(1)


x, y, mid = (first_layer(state).double() for state in (state_a, b_matched, patient))
s0, s1 = x.std(1), y.std(1)
rho = ((x - x.mean(1, True)) * (y - y.mean(1, True))).mean(1) / (s0 * s1)
law = (s0**2 / 4 + s1**2 / 4 + s0 * s1 * rho / 2).sqrt()
believed = patient["stem_norm.running_var"].sqrt().mean()
print(f"correlation of paired units: {rho.mean():.2f} on average; standard deviation: measured "
      f"{mid.std(1).mean():.2f}, law {law.mean():.2f}, BatchNorm believes {believed:.2f}")
assert torch.allclose(mid.std(1), law, rtol=1e-3)

# %% [markdown]
"""
Dividing by a number that is too large makes the next layer's inputs too small. The next layer averages
as well and divides by too large a number as well, and what they keep multiplies.
`diagnose` looks at every layer:
"""

# %%
chart = rb.diagnose(a, b, train, spec=spec, permutation=match)
ratios = list(chart.batchnorm.values())
print("what varies over what BatchNorm believes: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))
assert max(ratios) < 0.95 and all(layer.predicted < 1 for layer in chart.layers[:-1])
title = f"the patient: BatchNorm ResNet20×1, {len(train.targets):,} training images"
rb.show.draw_diagnosis(chart, title=title)

# %% [markdown]
r"""
Every BatchNorm of the network divides by too large a number: the printed ratios lie between about 0.6
and 0.9. In the figure, the dotted line is the law: what averaging *this* layer alone takes. The diamonds
are the network, in which each layer starts from what those before it have left. The right panel shows
suspect 1: paired units do correlate, so the match is no nonsense; it is not perfect either.

## First treatment: measure the statistics again

The remedy needs no training and no labels: send **training** images through the averaged network and
let each BatchNorm write down what it sees. Training images without augmentation, since test images
must stay unseen. By hand, torch's own training mode does it:
"""


# %%
def reestimated(state, inputs):
    network = copy.deepcopy(a)
    network.load_state_dict(state)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches, not a moving average
    network.train()
    with torch.no_grad():
        network(inputs)
    return network.eval().state_dict()


by_hand = reestimated(patient, train.inputs[:500])
library = rb.reestimate_batchnorm(patient, train, model=a, num_samples=500)
assert all(torch.allclose(by_hand[k], library[k], rtol=1e-3, atol=1e-4) for k in library)

# %%
print(f"you said: {prediction}")
for name, network in {"matched": patient, "naive": naive}.items():
    after = rb.reestimate_batchnorm(network, train, model=a)
    plain, mended = (rb.evaluate(each, unseen, model=a) for each in (network, after))
    print(f"{name:8} {plain.accuracy:.1%} → {mended.accuracy:.1%}, loss {mended.loss:.2f}")
    assert name == "naive" or mended.accuracy > plain.accuracy + 0.25
for count in (4, 16, 64, 250):
    few = rb.reestimate_batchnorm(patient, train, model=a, num_samples=count)
    accuracy = rb.evaluate(few, unseen, model=a).accuracy
    print(f"matched, statistics of {count:3} images: {accuracy:.1%}")

# %% [markdown]
"""
If you said "the statistics", you were right, and a few dozen images are enough. If you said "the
variance": it is the *reason* why the statistics are stale, and in a network with BatchNorm the same
measurement mends both, since the layer divides by what there really is. If you said "the match":
without it the same treatment leaves the naive midpoint far below. Both are needed.

Both pairs of this width, from the stored grid (1,000 unseen images); and the whole line of ours, now:
"""

# %%
three = ("naive", "matched, as it is", "matched")
rows = [figures.grid_row(run, 1, pair=k) for k in (0, 1)]
for row in rows:
    lost = {name: figures.points_lost(row, name) for name in three}
    words = ", ".join(f"{name} {points:.1f}" for name, points in lost.items())
    print(f"stored, seeds {row['seeds']}, points lost half-way: {words}")
    assert lost["matched"] < 0.5 * min(lost["matched, as it is"], lost["naive"])

# %%
row, alphas = rows[0], 5 if FAST else 9
again = {"alphas": alphas, "repair": "batchnorm", "train_data": train, "num_samples": 500}
for method, other in {"naive": b.state_dict(), "weights": b_matched}.items():
    figures.put_line(row, method, "re-estimated", rb.linear_path(a, other, unseen, **again))
line = rb.linear_path(a, b_matched, unseen, alphas=alphas)
figures.put_line(row, "weights", "as it is", line)
figures.draw_alpha_by_width(row, None, three)

# %% [markdown]
"""
Dotted: the matched line as it is. Solid: each network on the line with its statistics measured anew.
The ends need nothing: A and B keep the statistics that they were trained with.

## What could go wrong: the wrong images

Statistics are means over images, so the images must be a fair sample. Break it on purpose: images of
one class only, as when somebody takes the first folder of a data set.
"""

# %%
one_class, results = train.inputs[train.targets == 0], []
for inputs in (one_class, train.inputs[: len(one_class)]):
    state = rb.reestimate_batchnorm(patient, inputs, model=a)
    results.append(rb.evaluate(state, unseen, model=a).accuracy)
print(f"{len(one_class)} images of one class: {results[0]:.1%}")
print(f"as many, a fair sample: {results[1]:.1%}")
assert results[0] < results[1] - 0.05

# %% [markdown]
r"""
## LayerNorm, and no norm at all: REPAIR

LayerNorm stores no statistics: it normalises each image by what it measures *then*. So nothing is
stale, and there is nothing to re-estimate.

**Predict.** Is a matched ResNet with LayerNorm free of the collapse?

LayerNorm divides by one number for all units together. It undoes a shrinking that all units share;
it cannot undo one that differs from unit to unit, nor a shift of the means. **REPAIR** (Jordan and
others) measures each unit's mean and standard deviation and sets both to the interpolated ones of
its parents. One pair at 32×32, 5 epochs, measured once (`resnet_grid.py`):
"""

# %%
layer = figures.grid_row(run, 1, norm="layer")
ends = figures.parents(layer)["accuracy"]
print(f"LayerNorm ResNet20×1, parents {ends:.1f} %; points lost half-way:")
for name, forms in layer["lines"].items():
    lost = {form: ends - 100 * line["accuracy"][1] for form, line in forms.items()}
    print(f"{name:12} " + ", ".join(f"{form} {points:5.1f}" for form, points in lost.items()))
    assert lost["refitted"] < lost["as it is"]
    assert name == "naive" or lost["repaired"] < lost["as it is"] - 5

# %% [markdown]
r"""
No: it collapses too, and REPAIR gives a part back. (The last column comes later.) One pair, briefly
trained, and another image size: do not compare it with the BatchNorm lines above.

And without any norm? The MNIST networks of the tour, three pairs. Beside REPAIR stands a cheaper
remedy, one that touches nothing inside: multiply the **logits** by one factor. A network whose logits
have shrunk is still right, but unsure, and the *loss* punishes that.

**Predict.** Where does REPAIR help, and can it cost anything?
"""

# %%
mnist = rb.load_data("mnist-5k")
digits, some = mnist.test.first(500 if FAST else 1000), mnist.train.first(1000)
halves = [(digits.inputs[k::2], digits.targets[k::2]) for k in (0, 1)]  # to choose by, to score
nets = [rb.load_or_train(rb.Recipe(seed=seed)) for seed in range(5)]
mlp_spec = rb.PermutationSpec.from_model(nets[0], torch.zeros(1, 784))


def losses_of(network, factor):  # of the logits times a factor, on both halves
    with torch.no_grad():
        outputs = [torch.func.functional_call(nets[0], network, x) for x, _ in halves]
    return [F.cross_entropy(factor * z, y).item() for z, (_, y) in zip(outputs, halves)]


def three_ways(p, other):  # as it is, with scaled logits, repaired
    half = rb.lerp(p, other, 0.5)
    factor = min((1, 2, 4, 6, 8, 12), key=lambda each: losses_of(half, each)[0])
    repaired = rb.repair_statistics(p, other, some).weights
    plain, after = (rb.evaluate(each, halves[1], model=p) for each in (half, repaired))
    return plain, (factor, losses_of(half, factor)[1]), after


# %%
print("MNIST MLPs, midpoint: loss    as it is      logits scaled       REPAIR")
for first, second in ((0, 1), (2, 3), (4, 0)):
    p, q = nets[first], nets[second]
    matched = mlp_spec.apply(q, rb.weight_matching(mlp_spec, p, q).permutation)
    for name, other in {"naive": q.state_dict(), "matched": matched}.items():
        plain, (factor, scaled), after = three_ways(p, other)
        row_head = f"seeds {first}, {second}, {name:8} {plain.loss:15.3f} ({plain.accuracy:.1%})"
        print(f"{row_head} {scaled:9.3f} (× {factor}) {after.loss:9.3f} ({after.accuracy:.1%})")
        assert name == "matched" or max(after.loss, scaled) < plain.loss
        assert name == "naive" or abs(after.accuracy - plain.accuracy) < 0.02

# %% [markdown]
r"""
Three things to take from this table.

* Naive: REPAIR helps, in loss *and* accuracy. There the units have lost most of their variance.
* A large part of a naive *loss* barrier is nothing but the scale of the logits. One factor (chosen
  on half of the images, scored on the others) removes it, and the accuracy does not move. So show the accuracy beside the loss, or say the factor.
* Matched: there is little to repair, and REPAIR is no gift. It sets each unit's statistics to those
  of the parents, who are surer of themselves than their average; the loss can rise.

## Refit: derive it for one layer

REPAIR corrects two numbers a unit. Why not all its weights? One linear layer, with inputs $X$ (a row
an image), gives $XW^\top$, and we want it to give $T$. Least squares, held near the weights $W_0$ that
we have:

$$\min_W \tfrac1n\|XW^\top - T\|^2 + \lambda\|W-W_0\|^2,\qquad
W = W_0 + \tfrac1n(T-XW_0^\top)^\top X\,\big(\tfrac1n X^\top X + \lambda I\big)^{-1}.$$

No gradient steps, and no labels: $T$ is what the parents compute.
"""


# %%
def fit(x, t, w0, ridge=1e-3):  # x (images, inputs), t (images, units), w0 (units, inputs)
    x, t, w = x.double(), t.double(), w0.double()
    gram = x.T @ x / len(x)
    penalty = ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    return (w + (t - x @ w.T).T @ x / len(x) @ torch.linalg.inv(gram + penalty)).float()


g = torch.Generator().manual_seed(0)
x, w = torch.randn(200, 6, generator=g), torch.randn(3, 6, generator=g)
found = fit(x, x @ w.T, torch.zeros(3, 6))
print(f"from zero to a known layer: largest error {(found - w).abs().max():.4f}")
assert torch.allclose(found, w, atol=0.02)

# %% [markdown]
r"""
A network is many layers. **Layer by layer**, from the input: the inputs $X$ are what the *merged* network
feeds the layer, with all earlier layers fitted already; the target $T$ is the mean of what A and the
matched B compute at this place. So each layer also makes good what those before it could not. For
an MLP that is a loop:
"""


# %%
def refit_by_hand(p, q, images):
    merged = {name: (p[name] + q[name]) / 2 for name in p}
    ones = torch.ones(len(images), 1)
    x, of_p, of_q = images, images, images
    for weight, bias in zip(list(merged)[0::2], list(merged)[1::2]):
        of_p, of_q = (F.linear(h, s[weight], s[bias]) for h, s in ((of_p, p), (of_q, q)))
        w0 = torch.cat([merged[weight], merged[bias][:, None]], 1)  # the bias: a column of ones
        new = fit(torch.cat([x, ones], 1), (of_p + of_q) / 2, w0)
        merged[weight], merged[bias] = new[:, :-1], new[:, -1]
        x, of_p, of_q = (h.relu() for h in (F.linear(x, merged[weight], merged[bias]), of_p, of_q))
    return merged


# %%
mlp_match = rb.weight_matching(mlp_spec, nets[0], nets[1])
p, q = nets[0].state_dict(), mlp_spec.apply(nets[1], mlp_match.permutation)
by_hand = refit_by_hand(p, q, some.inputs[:300].flatten(1))
library = rb.refit(nets[0], q, some, num_samples=300).weights
gap = max((by_hand[k] - library[k]).abs().max().item() for k in p)
print(f"by hand and library: largest difference of any weight {gap:.1e}")
assert gap < 2e-3

# %% [markdown]
"""
A convolution is the same, with a row for each image *and place*; a BatchNorm takes its statistics
anew on the way. The library walks through any network so. Back to the patient, on 500 training
images; beside it the **control**: the same refit of the average *without* matching.

**Predict.** The matched midpoint, re-estimated, loses about 15 points. How many after the refit? And
the control?
"""

# %%
fitted = {}
for name, other in {"matched": b_matched, "no match": b}.items():
    report = rb.refit(a, other, train, num_samples=250 if FAST else 500)
    score = rb.evaluate(report.weights, unseen, model=a)
    fitted[name] = (figures.parents(row)["accuracy"] - 100 * score.accuracy, report.weights)
    print(f"{name:9} refitted: {score.accuracy:.1%}, {fitted[name][0]:.1f} points lost, "
          f"loss {score.loss:.3f}")  # fmt: skip
assert fitted["matched"][0] < fitted["no match"][0] < figures.points_lost(row, "naive") / 2
assert fitted["matched"][0] < 0.7 * figures.points_lost(row, "matched")
assert abs(fitted["no match"][0] - figures.points_lost(row, "matched")) < 5

# %% [markdown]
"""
Both are far better than before, and the match is worth about ten points. How many images does it take? The stored curves: both pairs of this width, with the match and without. Dotted: what
re-estimating alone gives. The cross is your refit of a minute ago.
"""

# %%
for each in rows:
    with_match, without = (
        [accuracy for *_, accuracy in each["refit images"][name]] for name in ("weights", "naive")
    )
    assert with_match[0] + 0.02 < with_match[-2] < with_match[-1] + 0.02  # 8, 500, 2,000 images
    assert with_match[-1] > without[-1] + 0.04
now = [(250 if FAST else 500, max(0.0, fitted["matched"][0]))]
figures.draw_refit_images(rows, now, title="refitted midpoints, ResNet20×1, 1,000 unseen images")

# %% [markdown]
r"""
With 8 images a refit is no better than re-estimating alone; some hundred are enough, and 2,000 add little.
More images do not replace the match either: the grey line stays above the purple one.

## What a refit proves, and what it does not

It proves that a good network of this size can be made from two, without labels and without gradient
steps. It is *merging*. It says **nothing about linear mode connectivity**: the network has left the
line between A and π(B). How far?
"""

# %%
floats = [name for name, x in patient.items() if x.ndim > 1]  # weights of layers


def distance(u, v):
    return sum((u[name] - v[name]).square().sum() for name in floats).sqrt().item()


for name, other in {"matched": b_matched, "no match": b.state_dict()}.items():
    whole, away = distance(state_a, other), distance(fitted[name][1], rb.lerp(a, other, 0.5))
    print(f"{name:9} |A − B| = {whole:.1f}; the refitted network lies {away:.1f} from the midpoint")
    assert away > 0.1 * whole
with torch.no_grad():
    both = (a(unseen.inputs).softmax(1) + b(unseen.inputs).softmax(1)).argmax(1)
correct = (both == unseen.targets).float().mean()
print(f"the ensemble of A and B, two networks at every use: {correct:.1%}")

# %% [markdown]
"""
And a refit can hide a bad match: the control, with no match at all, loses about as much as the matched
network that was only re-estimated; and for the LayerNorm pair above no match at all costs less than
three points more than the match. So report these two numbers beside a refit, always. Permutations move a network inside its own
class of equal functions; re-estimating reads off statistics; a refit writes new weights. In the
figures the first two are solid lines, a refit is dashed and purple.

Slide along the line under the three treatments:
"""

# %%
shown = ("matched, as it is", "matched", "refitted")
refits = {"alphas": 5, "repair": "refit", "train_data": train, "num_samples": 250 if FAST else 500}
figures.put_line(row, "weights", "refitted", rb.linear_path(a, b_matched, unseen, **refits))
treatments = rb.show.slider(
    lambda alpha: figures.draw_alpha_by_width(row, alpha, shown),
    line.alphas,
    description="alpha",
    text=lambda alpha: figures.describe_alpha(row, alpha, shown),
    start=alphas // 2,
)
treatments

# %% [markdown]
"""
## The chart, read by the library

`diagnose` compares the suspects for you: correlations, measured against stored statistics, the score
after re-estimating; and it names one cause and one remedy.
"""

# %%
print(f"cause: {chart.cause}")
print("\n".join(chart.verdict))
assert chart.scores["re-estimated"].accuracy > chart.scores["merged"].accuracy + 0.2

# %% [markdown]
"""
## When to use which

| your networks | first | then |
|---|---|---|
| have BatchNorm | match, average, `reestimate_batchnorm`: always | `refit`, if merging is what you want |
| have LayerNorm, or no norm and a deep or narrow network | match, `repair_statistics`; keep it if the loss is lower | `refit` |
| wide MLPs, matched well | nothing: look at the factor of the logits | `refit` may still help the accuracy |
| you want to know about connectivity | re-estimate only, and show the whole line | never a refit |

## Recap

A matched BatchNorm network collapses because its averaged statistics do not fit its averaged weights:
paired units correlate only in part, so they vary less than BatchNorm believes, layer after layer.
Measuring the statistics again, on training images, brings most of the accuracy back. REPAIR does the
same for networks without BatchNorm, and can cost where nothing is broken. A refit fits each layer in
closed form to its parents; it needs some hundred images, it wins most of what is left, and it proves
that the two can be merged, not that they are linearly connected.

## Exercises

**08-1** · easy · 4 minutes. Two units have standard deviation 2 each and correlate at 0.28. BatchNorm's
averaged statistic and the real standard deviation of the average: give the pair `(believed, real)`.

<details><summary>Hint</summary>The stored number is a variance. Average the variances, then take the root.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("08-1", answer)

# %% tags=["solution"]
answer = (2.0, (0.25 * 4 + 0.25 * 4 + 0.5 * 4 * 0.28) ** 0.5)
check("08-1", answer)

# %% [markdown]
"""
**08-2** · medium · 10 minutes. Write `statistics(batches)`: the mean and the variance over all rows of a
list of tensors `(rows, units)`, of unequal lengths, looking at one batch at a time. The variance
between the batches is part of the variance.

<details><summary>Hint</summary>Keep three running sums: the number of rows, the sum, the sum of squares.</details>
"""


# %% tags=["exercise"]
def statistics(batches):
    return ...


# check("08-2", statistics)


# %% tags=["solution"]
def statistics(batches):
    rows = sum(len(batch) for batch in batches)
    mean = sum(batch.sum(0) for batch in batches) / rows
    return mean, sum(batch.square().sum(0) for batch in batches) / rows - mean**2


check("08-2", statistics)

# %% [markdown]
"""
**08-3** · medium · 10 minutes. Write `fit_bias(x, t, w0)`: the weights stay `w0`; only a bias is fitted, in
closed form, so that `x @ w0.T + bias` comes as near to `t` as it can. What is left of REPAIR's two
numbers a unit is one of them.

<details><summary>Hint</summary>The best constant is a mean.</details>
"""


# %% tags=["exercise"]
def fit_bias(x, t, w0):
    return ...


# check("08-3", fit_bias)


# %% tags=["solution"]
def fit_bias(x, t, w0):
    return (t - x @ w0.T).mean(0)


check("08-3", fit_bias)

# %% [markdown]
"""
**08-4** · a figure · 15 minutes. Draw accuracy against the number of images (4 … 1,000) for re-estimating
the *matched* and the *naive* midpoint, with the parents as a dashed line. At which number does more
data stop to help, and does the gap between the two close? Your answer is the figure.
"""

# %% tags=["solution"]
counts = [4, 16, 64, 250]
answers = {
    name: [rb.evaluate(rb.reestimate_batchnorm(network, train, model=a, num_samples=count),
                       unseen, model=a).accuracy for count in counts]
    for name, network in {"matched": patient, "naive": naive}.items()
}  # fmt: skip
figure, axes = rb.show.new_figure("one")
for name, line in answers.items():
    colour, marker = rb.show.colour_of(name)
    axes[0, 0].plot(counts, line, color=colour, marker=marker, label=name)
axes[0, 0].axhline(figures.parents(row)["accuracy"] / 100, color="0.5", linestyle="--")
axes[0, 0].set(xscale="log", xlabel="training images", ylabel="accuracy on unseen images")
axes[0, 0].legend(frameon=False)
rb.show.describe(figure, "Accuracy of re-estimated midpoints over the number of images.")

# %% [markdown]
"""
**Your own patient** · open · 30 minutes. Train two small networks of your own with BatchNorm (or take two
checkpoints), match and average them, and let `rb.diagnose` read the chart before and after
`rb.reestimate_batchnorm`. Then take the norm out and do it again. Which remedy helps which?

## Questions

**1.** A matched BatchNorm network is at 10 % half-way. What do you try first?
<details><summary>Another matcher.</summary>No: with stale statistics a good match and a bad one look alike.</details>
<details><summary>Measure the BatchNorm statistics again on training images.</summary>Right.</details>

**2.** Why does the averaged running variance not fit?
<details><summary>It is the mean of the parents' variances and does not know their correlation.</summary>Right: the real variance is smaller unless ρ = 1.</details>
<details><summary>Averaging rounds it.</summary>No.</details>

**3.** On which images are statistics measured?
<details><summary>On test images, they are what counts.</summary>No: then the score is no longer one on unseen images.</details>
<details><summary>On a fair sample of training images, without augmentation; labels are not needed.</summary>Right.</details>

**4.** LayerNorm stores no statistics. So nothing collapses?
<details><summary>Right, it measures them anew for each image.</summary>No: it divides all units by one number, and units shrink by different amounts.</details>
<details><summary>Units still lose variance by different amounts; REPAIR helps, in part.</summary>Right.</details>

**5.** After matching, the loss is high and the accuracy is nearly that of the parents. What is likely?
<details><summary>The logits have shrunk: try one factor.</summary>Right.</details>
<details><summary>The permutation is wrong.</summary>No: then the accuracy would fall too.</details>

**6.** A refitted midpoint loses 1 point. Are A and B linearly mode connected?
<details><summary>Yes, nearly.</summary>No: the refitted network is not on the line, and the control without a match is good as well.</details>
<details><summary>That does not follow; look at the re-estimated line.</summary>Right.</details>

**7.** Which comparison belongs beside every refit?
<details><summary>The same refit without matching, and the same match without refit.</summary>Right.</details>
<details><summary>A refit with more images.</summary>No: that says how many it needs, not what the match is worth.</details>

**8.** Can REPAIR make a merge worse?
<details><summary>No, it only restores what was lost.</summary>No: where nothing was lost, the parents' statistics need not be the best ones for the average.</details>
<details><summary>Yes: keep it only where the loss on images not used to choose is lower.</summary>Right.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: appendix A.4 (normalisation layers).
* Jordan, Sedghi, Saukh, Entezari, Neyshabur: *REPAIR: REnormalizing Permuted Activations for
  Interpolation Repair*, ICLR 2023: section 3.
* Ioffe, Szegedy: *Batch Normalization*, ICML 2015; Ba, Kiros, Hinton: *Layer Normalization*, 2016.
* Layer-wise least squares for merging: Nasery and others, *PLeaS*, CVPR 2025.
"""

# %% tags=["smoke"]
assert rb.show.move_all(treatments) == alphas
