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
# 10 · Can five networks become one?

| | |
|---|---|
| **Question** | Two networks can be matched and averaged. Does it work for three, or five? |
| **You will be able to** | say why an average of seeds fails; tell weak from strong linear mode connectivity; write MergeMany (Algorithm 3 of the paper); read a reliability diagram; tell re-basin from model soups |
| **You need** | notebook 04 (weight matching); what a logarithm of a probability is |
| **Time** | 45 minutes to read; about two minutes to run on two CPU cores, less on a GPU |
| **Data** | MNIST test images, which the networks have not seen: 1,000 come with the package; scikit-learn's small digits; and a stored run |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## "Why does my soup of seeds fail?"

You trained the same network five times, with five seeds. All five are good. An average of five
measurements is better than one measurement, so you average the five *networks*, weight by weight.
People try this again and again: in one public project, seven threads of 2026 report it, with errors
that rise from 13 to values between 833 and 4,920.

**Predict.** Five MNIST networks have a test accuracy of about 98 % each. What has their average:
about 98 %, about 50 %, or about 10 %?
"""

# %%
import itertools
import os

import torch

import rebasin_edu as rb
from rebasin_edu.course import check, figures

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))
mnist = rb.load_data("mnist")
test = mnist.test.first(1000)
nets = [rb.load_or_train(rb.Recipe(seed=seed)) for seed in range(5)]
a, b, c = nets[:3]

# %%
scores = {f"seed {seed}": rb.evaluate(net, test) for seed, net in enumerate(nets)}
scores["plain mean"] = rb.evaluate(rb.mean(nets), test, model=a)
for name, score in scores.items():
    print(f"{name:11} test loss {score.loss:.3f}, accuracy {score.accuracy:.1%}")
assert scores["plain mean"].accuracy < 0.3 < 0.95 < scores["seed 0"].accuracy

# %% [markdown]
"""
About 10 %: the average of the five answers no better than chance. If you said 98 %, you thought of
measurements of *one* quantity; but unit 7 of one network and unit 7 of another are different
quantities (notebook 02). If you said 50 %, you may have thought of two networks: with two, half of
the weights are still "right", with five, only a fifth.

## Three networks: a triangle

Match B to A, and C to A. Then the lines from A to B and from A to C have low barriers.

**Predict.** Nobody has matched B with C. After both were matched to A, is the line from B to C as
low as the other two?

Take small networks, 32 units a layer, trained on scikit-learn's digits in a second each, three
triples of them:
"""

# %%
digits = rb.load_data("digits")
settings = {"epochs": 25, "lr": 3e-3, "batch_size": 128, "progress": False}


def small(seed, width):
    net = rb.lab.MLP(inputs=64, hidden=(width, width), classes=10, seed=seed)
    return rb.train(net, digits, seed=seed, **settings).model


def edges(networks, data=digits.test, model=None):  # the loss barrier on each edge, nine alphas
    barriers = {}
    for pair in ("AB", "AC", "BC"):
        x, y = networks[pair[0]], networks[pair[1]]
        barriers[pair] = rb.linear_path(x, y, data, model=model, alphas=9).barrier.loss
    return barriers


# %%
def three_ways(triple):  # as trained; matched to A; each pair matched on its own
    model, plain = triple[0], dict(zip("ABC", triple))
    spec = rb.PermutationSpec.from_model(model, digits.test.inputs[:1])

    def moved(x, y):  # y matched to x
        return spec.apply(y, rb.weight_matching(spec, x, y).permutation)

    a, b, c = triple
    to_a = {"A": a, "B": moved(a, b), "C": moved(a, c)}
    barriers = edges(to_a, model=model)
    alone = rb.linear_path(b, moved(b, c), digits.test, model=model, alphas=9).barrier.loss
    return {"as trained": edges(plain), "matched to A": barriers, "B, C alone": alone}


pool = [small(seed, 32) for seed in range(6)]
triples = [pool[:3], pool[3:], [pool[0], pool[3], pool[4]]]
ways = [three_ways(triple) for triple in triples]

# %%
for number, way in enumerate(ways, 1):
    heights = ", ".join(f"{pair} {height:.2f}" for pair, height in way["matched to A"].items())
    print(f"triple {number}, both matched to A: {heights}; B and C matched alone: "
          f"{way['B, C alone']:.2f}")
    assert way["matched to A"]["BC"] > 2 * way["B, C alone"]
    assert way["matched to A"]["BC"] < 0.7 * way["as trained"]["BC"]

# %% [markdown]
r"""
Lower than as trained, and not low: two to four times as high as when B and C are matched with each
other. That B and C each have a low line to A does not give them a low line to each other. The field
has words for this (Sharma and others, 2024):

- **weak** linear mode connectivity: for each *pair* there is a permutation that makes its line
  flat;
- **simultaneous**: there is one permutation of each network that makes the lines of *all* pairs
  flat;
- **strong**: the permutation that makes the line flat for one pair of networks does so for all
  others that are trained in the same way, and throughout training.

What the paper and most work after it show is the weak form. A merge of many networks needs the
simultaneous one.

## Round the triangle

There is another way to see it. Match B to A, C to B, and A to C, and apply one permutation after
the other. If the three were consistent, every unit would come home.
"""

# %%
a3, b3, c3 = triples[0]
spec3 = rb.PermutationSpec.from_model(a3, digits.test.inputs[:1])
around = (
    rb.weight_matching(spec3, a3, b3).permutation
    @ rb.weight_matching(spec3, b3, c3).permutation
    @ rb.weight_matching(spec3, c3, a3).permutation
)
home = {g: (p == torch.arange(len(p))).float().mean().item() for g, p in around.items()}
print("come home:", {group: f"{share:.0%}" for group, share in home.items()}, "by chance: 3%")
assert all(share < 0.5 for share in home.values())

# %% [markdown]
r"""
Most units do *not* come home. The three permutations contradict each other: they are good answers
to three separate questions.

## MergeMany

Algorithm 3 of the paper asks one question for all. No network is an anchor. Take the networks in
random order; match each to the **mean of all others**; go round until none moves. Each visit raises
the sum of the inner products $\langle \Theta_i, \Theta_j\rangle$ over all pairs, and there are
finitely many permutations, so it ends. By hand, with one weight matching a visit:
"""


# %%
def merge_by_hand(networks, sweeps, seed=0):
    networks, generator = list(networks), torch.Generator().manual_seed(seed)
    distances = []
    for _ in range(sweeps):
        for i in torch.randperm(len(networks), generator=generator).tolist():
            others = rb.mean([net for j, net in enumerate(networks) if j != i])
            match = rb.weight_matching(spec3, others, networks[i], start="identity")
            networks[i] = spec3.apply(networks[i], match.permutation)
            flat = torch.stack([torch.cat([w.flatten() for w in n.values()]) for n in networks])
            distances.append((flat - flat.mean(0)).norm(dim=1).square().mean().item())
    return rb.mean(networks), distances


# %%
by_hand, distances = merge_by_hand([net.state_dict() for net in triples[0]], sweeps=6)
print("mean squared distance to the mean:", " ".join(f"{d:.1f}" for d in distances[::3]))
assert all(later <= earlier + 1e-3 for earlier, later in itertools.pairwise(distances))
score = rb.evaluate(by_hand, digits.test, model=a3)
print(f"merged by hand: test loss {score.loss:.3f}, accuracy {score.accuracy:.1%}")

# %% [markdown]
"""
The networks move towards each other with every visit, and never apart. The library's
`rb.merge_many` does the same, keeps the permutations, and stops when none moves:
"""

# %%
highest = []
for triple, way in zip(triples, ways):
    common = rb.merge_many(spec3, triple)
    moved = [spec3.apply(net, p) for net, p in zip(triple, common.permutations)]
    way["in one order (MergeMany)"] = edges(dict(zip("ABC", moved)), model=a3)
    around = common.between(0, 1) @ common.between(1, 2) @ common.between(2, 0)
    assert all(torch.equal(p, torch.arange(len(p))) for p in around.values())
    highest.append([max(way[name].values()) for name in list(way) if isinstance(way[name], dict)])
for _, to_a, in_one_order in highest:
    print(f"highest of the three: {to_a:.2f} matched to A, {in_one_order:.2f} in one order")
assert all(in_one_order < to_a for _, to_a, in_one_order in highest)

# %%
shown = ("as trained", "matched to A", "in one order (MergeMany)")
figures.draw_triangles({name: ways[0][name] for name in shown})

# %% [markdown]
"""
Now every unit comes home, because all three share one order, and the highest of the three barriers
is lower than with A as the anchor. The price: the two edges at A may rise a little. Crisostomi and
others (2024) reach such a common order without any random order of visits;
`rb.merge_many(..., universe=True)` is a variant of theirs.

And on wide networks? The MNIST networks have 512 units a layer:
"""

# %%
spec = rb.PermutationSpec.from_model(a, test.inputs[:1])
to_a = {"A": a} | {
    name: spec.apply(net, rb.weight_matching(spec, a, net).permutation)
    for name, net in (("B", b), ("C", c))
}
wide = {"as trained": edges({"A": a, "B": b, "C": c}, test), "matched to A": edges(to_a, test, a)}
print({name: {k: round(h, 3) for k, h in e.items()} for name, e in wide.items()})
assert max(wide["matched to A"].values()) < 0.05 < min(wide["as trained"].values())

# %% [markdown]
"""
All three lines are flat, also the one from B to C, where the anchor took no part. Width makes the
weak form and the simultaneous form nearly the same here.

## Five MNIST networks

It takes half a minute to merge the five, and the variant two minutes, so here is the stored run.

**Predict.** Is the merged network better than each of the five: in test loss? In accuracy?
"""

# %%
run = rb.load_run("mnist-mlp-merge-many")
rows = {row["name"]: row["test"] for row in run["rows"] if row["name"] != "plain mean"}
print(f"{run['data']}, {run['samples']:,} test images; {run['command']}; {run['machine']}")
axes = {"loss": "test loss", "accuracy": "test accuracy", "ece": "calibration error"}
made = ("MergeMany", "common universe", "ensemble")
figures.draw_scores(rows, axes, marked=made, title=f"{run['data']}, {run['samples']:,} test images")

# %%
singles = [rows[f"seed {seed}"] for seed in range(5)]
best, mean = min(s["loss"] for s in singles), sum(s["loss"] for s in singles) / 5
merged = rows["MergeMany"]
print(f"loss {merged['loss']:.4f}: {1 - merged['loss'] / mean:.0%} below the mean of the five, "
      f"{1 - merged['loss'] / best:.0%} below the best of them")
below = sum(merged["accuracy"] < s["accuracy"] for s in singles)
print(f"accuracy {merged['accuracy']:.2%}: below {below} of the five")
assert merged["loss"] < best and below >= 3
assert rows["ensemble"]["loss"] < merged["loss"] and rows["ensemble"]["accuracy"] > max(
    s["accuracy"] for s in singles
)

# %% [markdown]
"""
In *loss* the merged network is better than each of the five. In *accuracy* it is not. The ensemble,
which runs all five, is better in both, at five times the cost.

The paper's own table says the same. Its merged network has a test loss of 0.0727. The paper calls
that a gain of 43 %: against the *mean* of the five inputs (0.1293). Against the best of them
(0.1108) it is 34 %. Its accuracy, 98.31 %, is below every input (98.54 to 98.71 %).

If you predicted both, you are in good company: the sentence "merging beats its parents" circulates.
It is true for the loss here. How can the loss be lower, when more answers are wrong?

## Calibration

Cross-entropy punishes *confident* mistakes. The reliability diagram groups the answers by their
confidence, and asks how many of each group are right. On the diagonal, a network is right as often
as it says.
"""

# %%
def stored_score(row):
    bins = rb.landscape.Reliability(**row["bins"])
    return rb.landscape.Score(row["loss"], row["accuracy"], row["ece"], run["samples"], bins)


shown = {"one network": "seed 0", "MergeMany": "MergeMany", "ensemble": "ensemble"}
reliability = {name: stored_score(rows[key]) for name, key in shown.items()}
rb.show.draw_reliability(reliability, title=f"{run['data']}, {run['samples']:,} test images")

# %%
live = rb.merge_many(spec, nets, max_sweeps=3 if FAST else 30)
merged_live = rb.evaluate(live.weights, test, model=a)
print(f"merged here: test loss {merged_live.loss:.3f} on the 1,000 images, in {live.seconds:.0f} s")
assert merged_live.loss < sum(scores[f"seed {k}"].loss for k in range(5)) / 5

# %% [markdown]
"""
A single network is nearly always sure, also when it is wrong: overconfident. Averaging weights
makes the logits smaller (notebook 02), so the merged network is less sure, and its confidence fits
better. Part of its lower loss is this and nothing more: dividing the logits of a *single* network
by a temperature would do some of it too.

## More and more networks

**Predict.** Merge 1, 2, … 6 small digit networks of 64 units a layer. Does the merged network get
better with each, as the ensemble of them does?
"""

# %%
counts = range(1, 7)
smalls = [small(seed, 64) for seed in counts]
states = [net.state_dict() for net in smalls]
small_spec = rb.PermutationSpec.from_model(smalls[0], digits.test.inputs[:1])


def score_of(weights):
    score = rb.evaluate(weights, digits.test, model=smalls[0])
    return {"loss": score.loss, "accuracy": score.accuracy}


anchors = [states[0]] + [
    small_spec.apply(s, rb.weight_matching(small_spec, states[0], s).permutation)
    for s in states[1:]
]
ensembles = [rb.evaluate(rb.lab.Ensemble(smalls[:k]), digits.test) for k in counts]

# %%
merges = [states[0]] + [rb.merge_many(small_spec, states[:k]).weights for k in counts[1:]]
growth = {
    "plain mean": [score_of(rb.mean(states[:k])) for k in counts],
    "matched to one": [score_of(rb.mean(anchors[:k])) for k in counts],
    "MergeMany": [score_of(weights) for weights in merges],
    "ensemble": [{"loss": s.loss, "accuracy": s.accuracy} for s in ensembles],
}
figures.draw_growth(growth, 6, title="scikit-learn's digits, test images")

# %% [markdown]
"""
The ensemble stays as good as its members. Every merge of six is worse than a merge of two, and the
plain mean loses fastest. MergeMany has a lower loss than an anchor has, at each count; in accuracy,
the two are close to each other. These networks have 64 units a layer, where the MNIST networks have
512: with few units there are few good partners (notebook 07). Others report the same for
convolutional networks: more networks, worse merges. The slider walks through the counts.
"""

# %%
grower = rb.show.slider(
    lambda k: figures.draw_growth(growth, k, title="scikit-learn's digits, test images"),
    list(counts),
    description="networks",
    start=1,
    text=lambda k: (
        f"{k} networks in one: accuracy {growth['plain mean'][k - 1]['accuracy']:.1%} plain mean, "
        f"{growth['MergeMany'][k - 1]['accuracy']:.1%} MergeMany, "
        f"{growth['ensemble'][k - 1]['accuracy']:.1%} ensemble"
    ),
)
grower

# %%
assert growth["MergeMany"][5]["loss"] > 1.5 * growth["MergeMany"][0]["loss"]
for k in counts[2:]:
    assert growth["plain mean"][k - 1]["loss"] > 2 * growth["MergeMany"][k - 1]["loss"]
    assert growth["ensemble"][k - 1]["loss"] < growth["MergeMany"][k - 1]["loss"]
    assert growth["MergeMany"][k - 1]["loss"] < 1.1 * growth["matched to one"][k - 1]["loss"]

# %% [markdown]
"""
## Refit the merged network

Notebook 08 fits the layers of a merged network, one after the other, to what its parents compute on
some images without labels. `rb.merge` takes a list of networks and does all steps: common order,
mean, and whichever repair has the lowest loss on images that took no part.
"""

# %%
merged, report = rb.merge(smalls, train_data=digits.train)
final = rb.evaluate(merged, digits.test, model=smalls[0])
parents = [rb.evaluate(net, digits.test) for net in smalls]
print(report)
print(f"test accuracy: parents {min(p.accuracy for p in parents):.1%} to "
      f"{max(p.accuracy for p in parents):.1%}, MergeMany "
      f"{growth['MergeMany'][5]['accuracy']:.1%}, then {report.repair} {final.accuracy:.1%}")
assert final.loss < growth["MergeMany"][5]["loss"]

# %% [markdown]
"""
As *merging*, that is a success: six networks in one, at the cost of one. As *evidence* about basins
it says nothing: the refitted network has left the plane of the six. Keep the two claims apart.

### Five ResNets

The same with five stored ResNet20, twice as wide as usual, BatchNorm, CIFAR-10 at 16×16. Matching
is the first column, statistics measured again the second, a refit on 1,000 images the third.

**Predict.** How many points below their mean (81.4 %) is the mean of five *without* a match, once
it is refitted? And with one?
"""

# %%
five = rb.load_run("cifar10-16px-x2-merge-many")
scores = {row["name"]: 100 * row["test"]["accuracy"] for row in five["rows"]}
mean = sum(scores[f"seed {seed}"] for seed in range(5)) / 5
print(f"{five['data']}, {five['samples']:,} images; mean of the five {mean:.1f} %, "
      f"ensemble {scores['ensemble']:.1f} %")
print("points below that mean:  as it is  re-estimated  refitted")
lost = {}
for way in ("plain mean", "MergeMany", "common universe", "to the first, activations"):
    forms = ("", ", re-estimated", ", refitted")
    lost[way] = [mean - scores[way + form] for form in forms]
    print(f"{way:24}" + "".join(f"{points:11.1f}" for points in lost[way]))
assert all(row[2] < 4 and row[1] < 25 for way, row in lost.items() if way != "plain mean")
assert lost["plain mean"][2] > 10 and lost["plain mean"][1] > 60

# %% [markdown]
"""
The permutations alone lose 15 to 20 points (second column: no weight was changed, only statistics
were measured); the refit brings the five within four points, and it needs the match: without one it
stays 12 points below. Two such networks lose 6 to 11 points by permutation alone (notebook 09):
each further network makes a common order harder.

## Soups are another dish

"Model soups" (Wortsman and others, 2022) are plain means of networks that were fine-tuned from
**one** pretrained start. They work without any permutation. The paper taught here did not propose
them, and they are no counterexample to the first figure. Test it: train one network for five
epochs; let three copies go on alone, with different batch orders; average the three.
"""

# %%
short = settings | {"epochs": 5}
start = rb.train(rb.lab.MLP(64, (64, 64), 10, seed=9), digits, seed=9, **short).model
cooks = [rb.train(start, digits, seed=seed, **settings).model for seed in (1, 2, 3)]
soup = rb.evaluate(rb.mean(cooks), digits.test, model=start)
alone = [rb.evaluate(net, digits.test) for net in cooks]
print(f"three cooks {[round(s.accuracy, 3) for s in alone]}, their soup {soup.accuracy:.3f}; "
      f"three seeds {growth['plain mean'][2]['accuracy']:.3f}")
match = rb.weight_matching(small_spec, cooks[0], cooks[1], start="identity").permutation
moved = sum((order != torch.arange(len(order))).sum().item() for order in match.values())
print(f"weight matching moves {moved} of 128 units of one cook to match another")
assert soup.accuracy > 0.9 > growth["plain mean"][2]["accuracy"] and moved < 13

# %% [markdown]
"""
The common start has fixed which unit does what. So before you merge, ask: do these networks share a
start? Then average. Do they come from different seeds? Then match first.

## What could go wrong: networks that are too narrow

The same with 16 units a layer, where six networks merge badly whatever we do:
"""

# %%
narrow = [small(seed, 16) for seed in range(3 if FAST else 6)]
narrow_spec = rb.PermutationSpec.from_model(narrow[0], digits.test.inputs[:1])
narrow_merge = rb.merge_many(narrow_spec, narrow).weights
names = {"one network": narrow[0], "MergeMany": narrow_merge, "plain mean": rb.mean(narrow)}
results = {
    name: rb.evaluate(weights, digits.test, model=narrow[0]) for name, weights in names.items()
}
print({name: f"{result.accuracy:.1%}" for name, result in results.items()})
assert results["plain mean"].accuracy < results["MergeMany"].accuracy < 0.93

# %% [markdown]
"""
Better than the plain mean, and useless. `rb.diagnose` would name the cause (notebook 08); the cure
is to train wider networks, to keep the ensemble, or to refit and to say so.

## Recap

Networks of different seeds cannot be averaged as they are. Matched to one anchor, each is near the
anchor, but not near each other; MergeMany brings all into one order. On wide MNIST networks the
merged network has a lower test loss than each of its five parents, partly because it is less
overconfident, and not a higher accuracy; on narrow networks each further network makes it worse.
The ensemble is better, and costs more.

## Exercises

**10-1** · easy · 5 minutes. Write `gains(merged, singles)`: two fractions, by how much the merged
loss lies below the *mean* of the singles' losses, and below the *best* of them. (0.34 means 34 %
below.)

<details><summary>Hint</summary>One minus a quotient, twice.</details>
"""


# %% tags=["exercise"]
def gains(merged, singles):
    return ...


# check("10-1", gains)


# %% tags=["solution"]
def gains(merged, singles):
    return 1 - merged * len(singles) / sum(singles), 1 - merged / min(singles)


check("10-1", gains)

# %% [markdown]
"""
**10-2** · medium · 8 minutes. Write `come_home(b_to_a, c_to_b, a_to_c)`: the fraction of units that
come back to their place when the three permutations of one layer are applied one after the other.
Each is a tensor of indices: place `i` gets unit `order[i]`.

<details><summary>Hint</summary>Index one tensor with the other: <code>first[second]</code>. For the fraction it does not matter from which corner you start.</details>
"""


# %% tags=["exercise"]
def come_home(b_to_a, c_to_b, a_to_c):
    return ...


# check("10-2", come_home)


# %% tags=["solution"]
def come_home(b_to_a, c_to_b, a_to_c):
    around = a_to_c[c_to_b[b_to_a]]
    return (around == torch.arange(len(around))).float().mean().item()


check("10-2", come_home)

# %% [markdown]
"""
**10-3** · hard · 12 minutes. Write `calibration_error(confidence, right, bins)`: sort the answers
into equal bins of confidence, (0, 1/bins], (1/bins, 2/bins] and so on; in each, take the distance
between the mean confidence and the share of right answers; return the mean of these distances,
weighted by the number of answers. Both arguments are tensors; `right` holds 0 and 1.

<details><summary>Hint</summary><code>(confidence * bins).ceil()</code> is the number of the bin. A bin without answers counts nothing.</details>
"""


# %% tags=["exercise"]
def calibration_error(confidence, right, bins):
    return ...


# check("10-3", calibration_error)


# %% tags=["solution"]
def calibration_error(confidence, right, bins):
    number, error = (confidence * bins).ceil(), 0.0
    for k in range(1, bins + 1):
        inside = number == k
        if inside.any():
            gap = confidence[inside].mean() - right[inside].float().mean()
            error += inside.float().mean().item() * abs(gap.item())
    return error


check("10-3", calibration_error)

# %% [markdown]
"""
**How many is too many?** · answer: a figure · 20 minutes. Draw `draw_growth` for networks of 16, 64
and 256 units a layer, on one scale. From which width on does the third network no longer hurt?

**Your own soup** · open · 40 minutes. Take a model of your own, train it three times from different
seeds and three times from one start. Merge each three in four ways (plain mean, matched to one,
`rb.merge_many`, `rb.merge`). Report loss, accuracy and calibration error, and what you would ship.

## Questions

**1.** Why does the plain mean of five seeds fail?
<details><summary>Five networks are too few for a good mean.</summary>No: more networks make it worse.</details>
<details><summary>Unit k of one network and unit k of another do different things.</summary>Right.</details>

**2.** B and C are both matched to A. What follows for the line from B to C?
<details><summary>It is as flat as the other two.</summary>No: its barrier was several times higher than theirs.</details>
<details><summary>Its barrier falls, but it need not be flat.</summary>Right: weak connectivity of pairs is not simultaneous connectivity.</details>

**3.** What does MergeMany match each network to?
<details><summary>To the first network.</summary>No: that would be an anchor.</details>
<details><summary>To the mean of all the others.</summary>Right.</details>

**4.** The paper's "43 %" is against what?
<details><summary>Against the best of the five networks.</summary>No: that is 34 %.</details>
<details><summary>Against the mean loss of the five.</summary>Right.</details>

**5.** The merged MNIST network has a lower loss and not a higher accuracy. How can that be?
<details><summary>The measurement must be wrong.</summary>No: loss and accuracy are different things.</details>
<details><summary>It is less overconfident, so its mistakes cost less.</summary>Right.</details>

**6.** Three networks were fine-tuned from one pretrained start. What should you do first?
<details><summary>Match them.</summary>Not needed: hardly any unit would move.</details>
<details><summary>Average them as they are, and test.</summary>Right: that is a model soup.</details>

**7.** The refitted merge is nearly as good as its parents. What does that say about basins?
<details><summary>That all six lie in one basin.</summary>No: refitting leaves the plane through them.</details>
<details><summary>Nothing; it says that the merge is good.</summary>Right.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: Algorithm 3, section 5.4 and appendix A.10 (Table 3).
* Sharma, Kwok, Denton, Roy, Rolnick, Dziugaite: *Simultaneous Linear Connectivity of Neural
  Networks Modulo Permutation*, ECML-PKDD 2024.
* Crisostomi, Fumero, Baieri, Bernard, Rodolà: *C²M³: Cycle-Consistent Multi-Model Merging*, NeurIPS
  2024.
* Wortsman and others: *Model soups: averaging weights of multiple fine-tuned models improves
  accuracy without increasing inference time*, ICML 2022.
* Guo, Pleiss, Sun, Weinberger: *On Calibration of Modern Neural Networks*, ICML 2017.
"""

# %% tags=["smoke"]
assert rb.show.move_all(grower) == len(counts)  # every position of every control was visited
