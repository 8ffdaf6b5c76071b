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
# 11 · Can we merge what was learnt apart?

| | |
|---|---|
| **Question** | Two networks learned from data that may not be put together. Can their weights be? |
| **You will be able to** | merge networks of label-biased halves, and say what the merge knows; refit it; write federated averaging, and count what it sends; say when matching is worth it there, and when a common seed is |
| **You need** | notebook 04 (weight matching); 08 (refit) and 10 (merging many) help |
| **Time** | 45 minutes to read; about two minutes to run on two CPU cores, less on a GPU |
| **Data** | images of MNIST and of CIFAR-10 at 16×16 that come with the package, test images apart; stored runs |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Two halves that stay apart

Two hospitals see different patients. Neither may give its images away; each could give away a
*network*. The paper's section 5.4 makes a model of this: cut one training set into two disjoint
halves. Half A gets 20 % of each of the first classes and 80 % of each of the last ones; half B gets
the rest. The paper does so with CIFAR-100, here it is MNIST.
"""

# %%
import copy
import os

import torch

import rebasin_edu as rb
from rebasin_edu.course import check, figures, given

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))
mnist, packaged = rb.load_data("mnist"), rb.load_data("mnist-5k")
test = mnist.test.first(1000)
counts = {
    part.upper(): torch.bincount(packaged.biased(part).train_targets, minlength=10).tolist()
    for part in "ab"
}
figures.draw_by_class(counts, ylabel="training images", title="the package's MNIST images")

# %% [markdown]
"""
The networks of this notebook have three hidden layers of 256 units. A was trained on half A of the
60,000 images, B on half B, from different seeds, and neither saw an image of the other half.

**Predict.** Ten classes; A saw few images of 0 to 4, B few of 5 to 9. Average the *weights* of the
two, once as they are and once with B matched to A. Is the matched average better than both
networks? In test loss? In accuracy?
"""

# %%
prediction = "..."  # "in loss", "in accuracy", "in both" or "in neither"

# %%
a, b = (rb.load_or_train(rb.Recipe(width=256, part=part, seed=k)) for k, part in enumerate("ab"))
spec = rb.PermutationSpec.from_model(a, test.inputs[:1])
b_matched = spec.apply(b, rb.weight_matching(spec, a, b).permutation)
networks = {"A": a, "B": b, "naive average": rb.mean([a, b])}
networks["matched average"] = rb.mean([a, b_matched])
scores = {name: rb.evaluate(network, test, model=a) for name, network in networks.items()}
scores["ensemble"] = rb.evaluate(rb.lab.Ensemble([a, b]), test)
for name, score in scores.items():
    print(f"{name:15} test loss {score.loss:.3f}, accuracy {score.accuracy:.1%}")

# %% tags=["smoke"]
assert scores["naive average"].accuracy < 0.85 < 0.94 < scores["matched average"].accuracy
assert scores["matched average"].loss < max(scores["A"].loss, scores["B"].loss)
assert scores["matched average"].accuracy < max(scores["A"].accuracy, scores["B"].accuracy)
assert scores["ensemble"].loss < min(scores["A"].loss, scores["B"].loss)

# %% [markdown]
"""
In loss, the matched average keeps up with its parents (on all 10,000 test images it is below both,
as you will see). In accuracy it is below the better one. If you said "in both", you expected that
what the two know adds up. It does add up in the **ensemble**, which asks both networks; but that is
two networks, not one.

This is also what the paper found on CIFAR-100, with a ResNet20 of 32 times the width: merged, the
test loss is lower than that of each half; the accuracy is "not competitive". The ensemble, and a
network trained on all the data, are better. (The paper draws top-5 accuracy as well. The code that
counts it is wrong, so it is left out here.)

## What did the average keep?

Look at one class after the other. Did the average take the best of both, or the mean?
"""

# %%
def by_class(weights):
    with torch.no_grad():
        answers = torch.func.functional_call(a, weights, test.inputs).argmax(1)
    right = (answers == test.targets).double()
    return [100 * right[test.targets == label].mean().item() for label in range(10)]


named = {"A": a.state_dict(), "B": b.state_dict(), "merged": networks["matched average"]}
accuracies = {name: by_class(weights) for name, weights in named.items()}
title = "MNIST test images; merged = the matched average"
figures.draw_by_class(accuracies, ylabel="right answers (%)", title=title, zero=False)

# %% tags=["smoke"]
assert sum(accuracies["B"][:5]) > sum(accuracies["B"][5:]) + 5
assert sum(m < min(x, y) for x, y, m in zip(*accuracies.values())) >= 2

# %% [markdown]
"""
B, which saw few images of 5 to 9, is weaker there. The average did not take the best of both: in
some classes it is below *both* parents. Averaged units vary less than their parents' units do
(notebook 02, variance collapse), and that knows no border between classes.

## Refit: some images, no labels

Notebook 08 has the cure: fit each layer of the average, in closed form, so that it computes the
mean of what its parents compute, on some images. No labels are needed. Here they are 1,000 training
images of both halves.

**Predict.** Does the refitted network reach the better parent in accuracy?
"""

# %%
images = mnist.train.first(1000)
fitted = rb.refit(a, b_matched, images)
scores["refitted"] = rb.evaluate(fitted.weights, test, model=a)
print(fitted)
for name in ("A", "B", "matched average", "refitted", "ensemble"):
    print(f"{name:15} test loss {scores[name].loss:.3f}, accuracy {scores[name].accuracy:.2%}")

# %% tags=["smoke"]
assert scores["refitted"].accuracy > scores["matched average"].accuracy
assert scores["refitted"].loss < (scores["A"].loss + scores["B"].loss) / 2

# %% [markdown]
"""
The refit brings back most of what the average had lost. Is it above both parents? These images
cannot tell: of 1,000, a tenth of a per cent is one image, and one pair is one pair. The stored run
has three pairs, of two new seeds each, and all 10,000 test images of MNIST; the refit used 2,000
training images.
"""

# %%
run = rb.load_run("mnist-split-data")
pairs = [pair["test"] for pair in run["pairs"]]
rows = ("A", "B", "naive", "naive, refitted", "weight matching", "weight matching, repaired",
        "weight matching, refitted", "ensemble of both")  # fmt: skip
figures.draw_halves(pairs, rows, title=f"{run['data']}, {run['samples']:,} test images")

# %%
for seeds, pair in zip(run["seeds"], pairs):
    line = ", ".join(f"{name} {pair[name]['loss']:.3f} {pair[name]['accuracy']:.2%}"
                     for name in ("A", "B", "weight matching", "weight matching, refitted"))
    print(f"seeds {seeds}: {line}")
print(f"trained on all the data: {run['whole']['loss']:.3f} {run['whole']['accuracy']:.2%}")

# %% tags=["smoke"]
assert len(pairs) == 3
for pair in pairs:
    merged, without = pair["weight matching, refitted"], pair["naive, refitted"]
    for parent in "AB":
        assert merged["loss"] < pair[parent]["loss"]
        assert merged["accuracy"] > pair[parent]["accuracy"]
        assert pair["weight matching"]["loss"] < pair[parent]["loss"]
        assert pair["weight matching"]["accuracy"] < pair[parent]["accuracy"]
    assert without["accuracy"] < merged["accuracy"] and without["loss"] > merged["loss"]
    assert without["accuracy"] < max(pair["A"]["accuracy"], pair["B"]["accuracy"])
    assert pair["ensemble of both"]["accuracy"] > merged["accuracy"]
    assert pair["ensemble of both"]["loss"] < merged["loss"]

# %% [markdown]
"""
In three of three pairs, the refitted network is better than **both** its parents, in test loss and
in accuracy: one network that knows more than each of the two it was made of. It needs the match:
refitted from the average as it is, it stays below the better parent in each pair. And the ensemble
stays ahead in each pair.

Two sentences to keep apart. "Merged, they are better than both parents" is true, for the refitted
network. "A and B lie in one basin" does not follow from it: the refitted network has left the line
between them. The plain matched average is on the line, and its *loss* alone is below both.

## A harder pair: ResNets on CIFAR-10

MNIST forgives much. The same split of CIFAR-10, at 16×16, for two ResNets (ResNet20, BatchNorm,
12 epochs). They come with the package.

**Predict.** The parents know about 70 % of the test images. And the refitted merge: about 60 %, 70 %
or 80 %?
"""

# %%
cifar_run = rb.load_run("cifar10-16px-split-data")
recipes = [rb.Recipe.from_dict(part) for part in cifar_run["pairs"][0]["parts"]]
cifar = rb.load_data("cifar10-45k", size=16)
p, q = (rb.load_or_train(recipe) for recipe in recipes)
merged, report = rb.merge(p, q, cifar.train.first(2000), method="activations", repair="refit")
print(report)

# %%
cifar_pair = cifar_run["pairs"][0]["test"]
shown = ("A", "B", "naive, repaired", "activation matching, repaired", "naive, refitted",
         "activation matching, refitted", "ensemble of both")  # fmt: skip
print(f"{cifar_run['data']}, {cifar_run['samples']:,} test images")
for name in shown:
    print(f"{name:29} loss {cifar_pair[name]['loss']:.3f}, "
          f"accuracy {cifar_pair[name]['accuracy']:.1%}")
print(f"{'trained on all the data':29} loss {cifar_run['whole']['loss']:.3f}, "
      f"accuracy {cifar_run['whole']['accuracy']:.1%}")

# %% tags=["smoke"]
refitted, mean = cifar_pair["activation matching, refitted"], {}
for metric in ("loss", "accuracy"):
    mean[metric] = (cifar_pair["A"][metric] + cifar_pair["B"][metric]) / 2
assert refitted["accuracy"] > mean["accuracy"] and refitted["loss"] < mean["loss"]
assert all(refitted["loss"] < cifar_pair[parent]["loss"] for parent in "AB")
assert round(refitted["accuracy"], 2) == 0.71 < cifar_pair["B"]["accuracy"]
assert round(cifar_pair["activation matching, repaired"]["accuracy"], 2) == 0.61
assert round(cifar_pair["naive, refitted"]["accuracy"], 2) == 0.65
assert round(cifar_pair["ensemble of both"]["accuracy"], 2) == 0.77
assert round(cifar_run["whole"]["accuracy"], 2) == 0.81
assert cifar_pair["activation matching, repaired"]["accuracy"] < mean["accuracy"] - 0.05
assert report.scores["refit"].accuracy > report.scores["matched"].accuracy

# %% [markdown]
"""
About 71 %: above the mean of its parents, in accuracy and in loss; in loss even below both of them,
in accuracy still below the better one. This is one pair, so a difference of a point between merge
and parent is no law. The large steps are safe: matched by activations with new BatchNorm statistics
it is at 61 %, refitted without a match at 65 %. Here again the match and the refit need each other.
The ensemble, at 77 %, and training on all the data, at 81 %, are far ahead: much of what the halves
hold together is *not* in the merge.

## Federated averaging

So far each network was finished before it met the other. **Federated averaging** (McMahan and
others, 2017) meets more often. Each *client* trains a copy for a while on its own images. A *server*
averages the copies and sends the average back. Again, round after round.

Why does averaging work there? In the usual recipe all clients begin with **one start**: notebook 10
called the average of such networks a soup. What if each client brings a start of its own?

Four clients with 1,000 images each: both halves from above, each cut in two. By hand:
"""

# %%
clients = [
    packaged.biased(half).biased(part, share=0.5, seed=1) for half in "ab" for part in "ab"
]
start_recipe = rb.Recipe(dataset="mnist-5k", width=256)
server_images = packaged.train.first(500)


def federated(seeds, rounds, average):
    nets, accuracy = [start_recipe.with_seed(seed).build(packaged) for seed in seeds], []
    for number in range(rounds):
        for k, client in enumerate(clients):
            settings = {"epochs": 5, "batch_size": 50, "seed": 10 * number + k}
            nets[k] = rb.train(nets[k], client, **settings).model
        nets[0].load_state_dict(average(nets))
        nets = [copy.deepcopy(nets[0]) for _ in clients]
        accuracy.append(rb.evaluate(nets[0], packaged.test).accuracy)
    return accuracy


# %% [markdown]
"""
The function `average` is all that the server does. Three servers: one averages, one matches the
copies with `merge_many` first, one refits the matched average on 500 images without labels. The
second one also counts how many units it moves.
"""

# %%
moves = []


def in_one_order(nets):
    orders = rb.merge_many(spec, nets).permutations
    order = [torch.cat([x for _, x in p.items()]) for p in orders]
    places = torch.cat([torch.arange(len(x)) for _, x in orders[0].items()])
    moves.append(sum((x != places).sum().item() for x in order))
    return [spec.apply(net, p) for net, p in zip(nets, orders)]


def matched_mean(nets):
    return rb.mean(in_one_order(nets))


def matched_refit(nets):
    return rb.refit(in_one_order(nets), train_data=server_images, model=nets[0]).weights


# %% [markdown]
"""
**Predict.** After the *first* round, order the four by accuracy: one start; different starts;
different starts, matched; different starts, matched and refitted. And after the second?
"""

# %%
rounds, apart = 2 if FAST else 3, range(4)
live = {
    "one start": federated([0] * 4, rounds, rb.mean),
    "different starts": federated(apart, rounds, rb.mean),
    "matched": federated(apart, rounds, matched_mean),
    "matched and refitted": federated(apart, rounds, matched_refit),
}
for name, accuracy in live.items():
    print(f"{name:21}", " ".join(f"{value:.1%}" for value in accuracy))
print("units that matching moved, in each round:", moves[:rounds], "of", 4 * 3 * 256)

# %% tags=["smoke"]
first = {name: accuracy[0] for name, accuracy in live.items()}
assert first["different starts"] + 0.1 < first["matched"] < first["one start"] - 0.1
assert first["matched and refitted"] > first["matched"] + 0.1
assert all(accuracy[1] > 0.85 for accuracy in live.values())
assert moves[0] > 2000 and max(moves[1:rounds]) < 30

# %% [markdown]
"""
In the first round all depends on the start. Averaged as they are, four networks from different
starts know little; matching brings much of it back; refitting brings back nearly all. From the
**second** round on the four rows come closer, and the last line says why: matching moves next to
no unit any more. After one round all clients have the same start, namely the average, and a bad
start is a start too.

So matching is for networks that have *never* shared a start. The clients of federated learning can
share one for the price of a number: the seed.

## Rounds to 95 %

The stored run does the same with 60,000 images, one epoch a round, and three draws of the seeds. A
fifth way is its control: refitted *without* matching. The slider adds round after round.
"""

# %%
fed = rb.load_run("mnist-federated")
runs = fed["runs"]
length = len(runs[0]["one start"])
title = f"{fed['data']}, {fed['samples']:,} test images"


def round_text(count):
    means = {way: sum(run[way][count - 1]["accuracy"] for run in runs) / 3 for way in runs[0]}
    return f"after {count}: " + ", ".join(f"{way} {mean:.1%}" for way, mean in means.items())


by_round = rb.show.slider(
    lambda count: figures.draw_rounds(runs, count, title=title),
    list(range(1, length + 1)),
    description="rounds",
    start=0,
    text=round_text,
)
by_round

# %%
def rounds_to(goal, way):
    return [
        next(k for k, score in enumerate(run[way], 1) if score["accuracy"] >= goal) for run in runs
    ]


needed = {way: rounds_to(0.95, way) for way in runs[0]}
for way, found in needed.items():
    print(f"{way:22} reaches 95 % in round", found)

# %% tags=["smoke"]
assert all(found == [2, 2, 2] for way, found in needed.items() if way not in ("different starts",
                                                                            "matched"))
assert needed["different starts"] == needed["matched"] == [3, 3, 3]
for each in runs:
    apart_at, matched_at = ([s["accuracy"] for s in each[way]] for way in list(each)[1:3])
    assert apart_at[0] < 0.4 and 0.55 < matched_at[0] < 0.8 and matched_at[1] > apart_at[1]
    refits = [each[way][0]["accuracy"] for way in list(each)[3:]]
    assert 0 < refits[0] - refits[1] < 0.01 and refits[1] > 0.92

# %% [markdown]
"""
With one start, 95 % are reached in round 2; with different starts in round 3. That is all that
different starts cost here: one round. Matching lifts the first round from below 40 % to between 55
and 80 %, and is still ahead in the second; but it does not save the round. Refitting does. And look
at the control: *without* matching, the refit is within a point of the refit with it. So the saved
round is the refit's merit.

Why does matching help so little here, when it helped the finished pairs above? These copies have
seen one epoch, and young networks match badly (notebook 12). If you expected more of matching, you
are not alone: "federated learning" is among the uses that the paper *names*; it reports no such
experiment.

## What it costs to send

The reason to send networks and not images is often the size, too. Count the bytes.
"""

# %%
weights = sum(x.numel() for x in a.parameters())
sizes = {
    "the weights of one network": 4 * weights,
    "the same, in half precision": 2 * weights,
    "a permutation, two bytes a unit": 2 * 3 * 256,
    "a common seed": 8,
    "1,000 images for the refit": 1000 * 28 * 28,
    "the images of one half": 30_000 * 28 * 28,
}
for name, size in sizes.items():
    print(f"{name:32} {size:12,} bytes")

# %% tags=["smoke"]
assert 24 * sizes["the weights of one network"] > sizes["the images of one half"]
assert sizes["the images of one half"] > 17 * sizes["the weights of one network"]
assert sizes["the weights of one network"] > 800 * sizes["a permutation, two bytes a unit"]

# %% [markdown]
"""
One network is less than a seventeenth of the images of its half. But four clients that send and
receive it in each of three rounds move 24 times its size, *more* than the images of one half. Many
rounds cost what the images would. A merge of finished networks sends each of them once.

Matching costs nothing to send: a permutation is smaller than the network by a factor of 800.

Small is not the same as private. Images have been reconstructed from the gradients that clients
send (Zhu and others, 2019). And the refit wants images. Whose are they? The next section tries.

## What could go wrong: refitted on the wrong images

A refit asks for no labels, so it takes any images of the right shape. Four servers have images: of
both halves; of half A; of one digit alone; and noise.

**Predict.** Which of the four make the merge worse than no refit at all?
"""

# %%
labels = mnist.train.targets[:4000]
for_refit = {
    "both halves": images.inputs,
    "half A": mnist.biased("a").train.first(1000).inputs,
    "the digit 3": mnist.train.inputs[:4000][labels == 3][:1000],
    "noise": torch.rand(1000, *mnist.shape, generator=torch.Generator().manual_seed(0)),
}
wrong = {"not refitted": scores["matched average"]}
for name, inputs in for_refit.items():
    weights_on = rb.refit(a, b_matched, inputs).weights
    wrong[name] = rb.evaluate(weights_on, test, model=a)
for name, score in wrong.items():
    print(f"{name:14} test loss {score.loss:.3f}, accuracy {score.accuracy:.1%}")

# %% tags=["smoke"]
assert abs(wrong["half A"].loss - wrong["both halves"].loss) < 0.02
assert wrong["half A"].accuracy > wrong["both halves"].accuracy - 0.01
assert wrong["the digit 3"].loss > wrong["not refitted"].loss
assert wrong["noise"].loss > 1.4 * wrong["not refitted"].loss

# %% [markdown]
"""
The images of one half do as well as those of both: here a hospital may refit on its own images. A
single digit is too little, and noise is worse: both give a higher loss than no refit. The layers
were fitted to inputs that are not those of the task. And nothing warns you, because a refit sees no
labels. Score on test images, before and after.

## Recap

Two networks of label-biased halves, matched and averaged, have a lower loss than both, and a lower
accuracy. Refitted on a thousand images without labels, the average is above both in both, on MNIST
in three of three pairs; the ensemble and training on all the data stay ahead. In federated averaging
matching matters once, in the first round; a common start makes it needless.

## Exercises

**11-1** · easy · 3 minutes. A network with `sizes["weights"]` weights in single precision is trained
by federated averaging. How many *megabytes* (millions of bytes) go over the wire in all, both ways,
for all clients and all rounds?

<details><summary>Hint</summary>Single precision has four bytes a weight. Each client sends its copy and receives the average.</details>
"""

# %% tags=["exercise"]
reader = "..."  # your name, or any word
sizes = given("11-1", reader)
print(sizes)
answer = ...
# check("11-1", answer)

# %% tags=["solution"]
sizes = given("11-1", reader)
answer = 2 * 4 * sizes["weights"] * sizes["clients"] * sizes["rounds"] / 1e6
check("11-1", answer)

# %% [markdown]
"""
**11-2** · medium · 8 minutes. Clients have different numbers of images. Write `federated_mean(networks,
counts)`: the average of the networks (dictionaries of tensors) in which each weighs as much as its
share of all images.

<details><summary>Hint</summary>The shares are <code>count / sum(counts)</code>. Build a new dictionary; change none of the given tensors.</details>
"""


# %% tags=["exercise"]
def federated_mean(networks, counts):
    return ...


# check("11-2", federated_mean)


# %% tags=["solution"]
def federated_mean(networks, counts):
    shares = [count / sum(counts) for count in counts]
    return {
        name: sum(share * network[name] for share, network in zip(shares, networks))
        for name in networks[0]
    }


check("11-2", federated_mean)

# %% [markdown]
"""
**11-3** · medium · 6 minutes. Two bytes a unit is a lazy way to send a permutation. Write
`permutation_bytes(widths)`: the smallest whole number of bytes that can tell apart *all* orders of
hidden layers of these widths.

<details><summary>Hint</summary>n units have n! orders; k bits tell 2 to the power of k of them apart. <code>math.log2</code> takes whole numbers of any size.</details>
"""


# %% tags=["exercise"]
def permutation_bytes(widths):
    return ...


# check("11-3", permutation_bytes)


# %% tags=["solution"]
import math


def permutation_bytes(widths):
    return math.ceil(sum(math.log2(math.factorial(width)) for width in widths) / 8)


check("11-3", permutation_bytes)

# %% [markdown]
"""
**How biased may the halves be?** · answer: a figure · 25 minutes. `packaged.biased(part, share)`
takes any share between 0 and 1. Train a pair for shares of 0.5, 0.2, 0.05 and 0.01, and draw the
accuracy of the better parent, the matched average, the refitted average and the ensemble against
the share. Where does the merge help most over the better parent?

**A federation of your own** · open · 40 minutes. Take data of yours that have a natural border
(writer, year, place). Train one network on each side, and merge them with `rb.merge`. Report loss
and accuracy on test images of *both* sides, the ensemble's beside them, what you sent in bytes, and
which images you refitted on.

## Questions

**1.** The halves are 20/80. What did the matched average of two MNIST networks gain?
<details><summary>A higher accuracy than both parents.</summary>No: its accuracy is below both.</details>
<details><summary>A lower test loss than both parents, in all three pairs.</summary>Right.</details>

**2.** What does the refit need?
<details><summary>Some images like those of the networks; no labels.</summary>Right: those of one half are enough.</details>
<details><summary>The labels of both halves.</summary>No: the parents' outputs are its targets.</details>

**3.** The refitted network is better than both parents. Do the two lie in one basin?
<details><summary>Yes, otherwise the merge would be bad.</summary>No: the refitted network is off the line.</details>
<details><summary>It does not say.</summary>Right.</details>

**4.** Why does federated averaging usually work without any matching?
<details><summary>All clients begin a round with the same network.</summary>Right.</details>
<details><summary>Averages of networks are good in general.</summary>No: see the first round of different starts.</details>

**5.** In which round of federated averaging does matching help?
<details><summary>In every round a little.</summary>No: from the second round on it moves next to no unit.</details>
<details><summary>In the first, and only from different starts.</summary>Right.</details>

**6.** A server refits on noise. What happens?
<details><summary>Nothing: no labels are used anyway.</summary>No: the layers are fitted where the digits are not.</details>
<details><summary>The loss gets higher than without any refit, and no warning appears.</summary>Right.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: section 5.4, figures 5 and 10.
* McMahan, Moore, Ramage, Hampson, Agüera y Arcas: *Communication-Efficient Learning of Deep
  Networks from Decentralized Data*, AISTATS 2017 (federated averaging).
* Wang, Yurochkin, Sun, Papailiopoulos, Khazaeni: *Federated Learning with Matched Averaging*, ICLR
  2020.
* Zhu, Liu, Han: *Deep Leakage from Gradients*, NeurIPS 2019.
"""

# %% tags=["smoke"]
assert rb.show.move_all(by_round) == length  # every position of every control was visited
