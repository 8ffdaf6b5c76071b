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
# 03 · How do we find the permutation of one layer?

| | |
|---|---|
| **Question** | There are 512! ways to pair the units of two layers. How is the best one found in a moment? |
| **You will be able to** | turn matching into a least-squares problem and that into an assignment; solve it three ways; test a matcher on a permutation that you planted; match two trained networks by their activations |
| **You need** | notebook 01; what a matrix product is |
| **Time** | 50 minutes to read; about a minute to run on two CPU cores, less on a GPU |
| **Data** | MNIST: 1,000 training images to match on, and 1,000 test images, which the networks have not seen, to score |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Compare what units answer

Two units do the same job if they fire for the same images. So show both networks the same images
and write down the activations: for A's first hidden layer a table $Z_A$ (images × units), for B's a
table $Z_B$. If B is a permuted A, the tables have the same columns in another order.

We start with a permutation that we know. Eight units of a trained network, a permuted copy of them,
and noise on the copy's weights:
"""

# %%
import itertools

import torch

import rebasin_edu as rb
from rebasin_edu.course import check, figures, given

a, b = rb.load_or_train(rb.Recipe(seed=0)), rb.load_or_train(rb.Recipe(seed=1))
data = rb.load_data("mnist")
images = data.subset(1000, seed=0).train.inputs


def first_layer(weight, bias):
    return torch.relu(images.flatten(1) @ weight.T + bias).detach()  # (images, units)

# %%
g = torch.Generator().manual_seed(0)
w, bias = a.linear1.weight.detach(), a.linear1.bias.detach()
varied = first_layer(w, bias).std(0).topk(8).indices  # eight units that vary much
planted = torch.randperm(8, generator=g)

noisy = w[varied] + w[varied].std() * torch.randn(8, 784, generator=g)
za, zb = first_layer(w[varied], bias[varied]), first_layer(noisy[planted], bias[varied][planted])
print(f"place i of the copy holds unit {planted.tolist()}")

# %% [markdown]
r"""
## Least squares, and what is wrong with it

Which matrix $S$ makes $S$ times B's activations most like A's? That is ordinary least squares,
$\min_S \sum_k \lVert z_A^{(k)} - S\, z_B^{(k)}\rVert^2$ over the images $k$. **Predict.** Will the
best $S$ be a permutation matrix? Would it help us if it is not?
"""

# %%
best_linear = torch.linalg.lstsq(zb, za).solution.T  # (units of A, units of B)
products = za.T @ zb / len(images)  # how much each unit of A fires together with each unit of B
inverse = planted.argsort()  # argsort of a permutation is its inverse
truth = torch.eye(8)[inverse]
figures.draw_assignments(
    {"least squares": best_linear, "products of activations": products, "the truth": truth})

# %% [markdown]
r"""
If you said yes, you thought of perfect pairs. Least squares sees the pairs, and blends: every unit
of A becomes one unit of B with a little of all others. It fits the activations best, but it is no
symmetry: a ReLU of a blend is not the blend of ReLUs, so moving B's weights by $S$ would change
what B computes. Only a permutation may be moved through the network.

So we **restrict** the least-squares problem to permutation matrices $P$ (the paper's equation 1),
and it becomes simpler. Open the square:

$$\sum_k \lVert z_A^{(k)} - P z_B^{(k)}\rVert^2 = \underbrace{\lVert Z_A\rVert^2 + \lVert Z_B\rVert^2}_{\text{the same for every } P} - 2\,\sum_i \big(Z_A^\top Z_B\big)_{i,\,p(i)}.$$

What remains is a table of numbers, a **similarity matrix** (with a minus sign: a cost matrix), and
the task to choose one entry in each row and column with the largest sum. That is a **linear
assignment problem**. First, is the algebra right? For all the 8! = 40,320 permutations:
"""

# %%
every = torch.tensor(list(itertools.permutations(range(8))))  # (40320, 8): a unit of B for each
x, y = za.double(), zb.double()
sums = (x.T @ y)[torch.arange(8), every].sum(1)
squares = torch.stack([(x - y[:, order]).square().sum() for order in every[::97]])
assert torch.allclose(squares, x.square().sum() + y.square().sum() - 2 * sums[::97])
print(f"{len(every):,} permutations; the best is the planted one:",
      torch.equal(every[sums.argmax()], inverse))

# %% [markdown]
"""
## Three ways to solve it

**Brute force** tries all $n!$: fine for 8 units, hopeless for 20. **Greedy** takes the largest
entry, crosses out its row and column, and goes on. The **Hungarian** method (1955; the library
calls scipy's descendant of it) finds the best assignment in about $n^3$ steps.

**Predict.** On which table will greedy fail? Try to make a table of two rows and two columns on
which it does.
"""

# %%
def greedy(matrix):
    remaining, order = matrix.clone(), torch.empty(len(matrix), dtype=torch.long)
    for _ in range(len(matrix)):
        i, j = divmod(int(remaining.argmax()), len(matrix))
        order[i] = j
        remaining[i], remaining[:, j] = -torch.inf, -torch.inf
    return order


trap = torch.tensor([[10.0, 9.0], [9.0, 1.0]])
chosen = {"greedy: 10 + 1": greedy(trap), "the best: 9 + 9": rb.matching.assign(trap)}
figures.draw_assignments(dict.fromkeys(chosen, trap), chosen)

# %% [markdown]
"""
Greedy takes the 10 and must then take the 1. A locally best pair can cost two good ones. For tables
without negative entries, greedy never gets less than half the best sum, and the table ((1.01, 1),
(1, 0)) comes near to half. **Predict.** On how many of 50 random tables does it get less than the
best: about 5, about 25 or about 40?
"""

# %%
prediction = "..."  # 5, 25 or 40


def total(matrix, order):
    return matrix[torch.arange(len(matrix)), order].sum().item()


tables = torch.rand(50, 7, 7, generator=torch.Generator().manual_seed(0))
lost = sum(total(t, greedy(t)) < total(t, rb.matching.assign(t)) - 1e-6 for t in tables)
print(f"you said {prediction}: greedy finds less than the best on {lost} of 50 tables of 7 × 7")

# %% [markdown]
"""
## A test with a known answer: a planted permutation

Now a whole layer: the 512 units of A's first layer, permuted, and with noise on the weights, from
none to five times the size of the weights themselves. The match is found from the activations
alone, and since we planted the permutation we can count what was recovered.

Two things may matter: how the table is *solved* (the best assignment or greedy), and what is *in*
it. Raw **products** $Z_A^\top Z_B$ are the paper's choice. **Correlations** first take off each
unit's mean and divide by its standard deviation.

The picture is the check: rainbow, noise, rainbow. **Predict** at which noise the rainbow breaks:
half the weights' own size, twice, five times?
"""

# %%
planted = torch.randperm(512, generator=g)
noise = w.std() * torch.randn(w.shape, generator=g)
z = first_layer(w, bias)


def centred(z):
    return z - z.mean(0)


def correlation(z, other):
    z, other = centred(z), centred(other)
    return (z / z.norm(dim=0).clamp_min(1e-6)).T @ (other / other.norm(dim=0).clamp_min(1e-6))

# %%
def share_recovered(order):
    return (planted[order] == torch.arange(512)).float().mean().item()


levels = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0]
copies = {level: first_layer((w + level * noise)[planted], bias[planted]) for level in levels}
contents = {"correlation": correlation, "products": lambda x, y: x.T @ y}
orders = {f"{content}, {name}": [solve(table(z, copies[level])) for level in levels]
          for content, table in contents.items()
          for name, solve in {"best": rb.matching.assign, "greedy": greedy}.items()}
shares = {name: (levels, [share_recovered(p) for p in row]) for name, row in orders.items()}
figures.draw_recovery(
    shares, xlabel="noise, in sizes of the weights", title="512 units: how many pairs come back")

# %%
def rainbow(level):
    back = planted[orders["correlation, best"][levels.index(level)]]
    strips = {"A": range(512), "permuted, noisy copy": planted, "put back": back}
    return figures.draw_rainbow(strips, title=f"noise {level:g} times the weights")


recovery = rb.show.slider(rainbow, levels, description="noise", start=1)
recovery

# %% [markdown]
r"""
Noise as large as the weights themselves does no harm, and then it goes quickly. Two choices lose
pairs: greedy assignment, and uncentred products. Without noise a unit may still be missed if it is
silent on all these images: nothing tells it from another silent one.

Why does so much noise do no harm? **Predict.** With more images, does a unit's correlation with its
noisy copy rise? Below are medians over the units.
"""

# %%
true, truth = {}, (torch.arange(512), planted.argsort())
for n in (30, 100, 1000):
    table = correlation(z[:n], copies[1.0][:n])
    true[n] = table[truth].median()
    wrong = table.index_put(truth, torch.tensor(-1.0)).max(1).values.median()
    print(f"{n:5} images: {true[n]:.2f} with the true partner, {wrong:.2f} with the best wrong one")

# %% [markdown]
r"""
It does not. If you said yes, you thought that images average the noise away. The noise is on the
*weights*, so it is the same for every image. But random weight noise is nearly orthogonal to every
other unit: the true partner keeps its correlation of about 0.8, and with enough images no wrong
partner comes near.

## Centred or not?

Why do raw products do worse? Write each activation as its mean plus a rest. The average product of
two units splits exactly:

$$\tfrac1n \big(Z_A^\top Z_B\big)_{ij} = \mu_i\,\mu_j + \mathrm{cov}_{ij}.$$

The first term knows only how *active* a unit is, not what it reacts to. Its best assignment pairs
the most active with the most active, whatever they do.
"""

# %%
noisy_z = copies[1.0]
raw = z.T @ noisy_z / len(images)
means = z.mean(0)[:, None] * noisy_z.mean(0)
assert torch.allclose(raw, means + centred(z).T @ centred(noisy_z) / len(images), atol=1e-4)
print(f"share of the raw table's size that is means: {(means.norm() / raw.norm()) ** 2:.0%}")

# %% [markdown]
"""
Make it worse, to see it plainly. Shift each unit of the copy by another constant (its bias), or
scale each by another factor. What each unit *reacts to* has not changed. **Predict** which of the
three measures survives which treatment. (Before the ReLU, so that a shift is just a shift.)
"""

# %%
before = images.flatten(1) @ w.T + bias
shift, scale = 2 * torch.randn(512, generator=g), 8 ** (2 * torch.rand(512, generator=g) - 1)
treated = {"as it is": before, "shifted": before + shift, "scaled": before * scale,
           "both": before * scale + shift}
measures = {"raw products": lambda x, y: x.T @ y,
            "covariance": lambda x, y: centred(x).T @ centred(y), "correlation": correlation}
survived = {}
print(f"{'':14}" + "".join(f"{name:>10}" for name in treated))
for name, measure in measures.items():
    permuted = (rb.matching.assign(measure(before, y[:, planted])) for y in treated.values())
    survived[name] = [share_recovered(order) for order in permuted]
    print(f"{name:14}" + "".join(f"{share:>10.0%}" for share in survived[name]))

# %% [markdown]
"""
The paper uses raw products and reports that correlations do equally well; on the networks below you
will find little difference either. On a VGG16 without normalisation others have measured a large
one, in favour of centring (Qu and Horváth). So this library centres and scales unless told
otherwise.

## Two real networks

No planted truth any more. A and B were trained apart; which unit of B belongs to which of A? Each
layer is an assignment of its own, so by hand it is three lines. Activations are read where the next
layer reads them, after the ReLU.
"""

# %%
def activations(network):
    layers, h = [], images.flatten(1)
    for layer in (network.linear1, network.linear2, network.linear3):
        h = torch.relu(layer(h)).detach()
        layers.append(h)
    return layers

# %%
spec = rb.PermutationSpec.from_model(a, torch.zeros(1, 784))
layers = zip(spec.groups, activations(a), activations(b))
tables = {group: correlation(x, y) for group, x, y in layers}
by_hand = rb.Permutation({group: rb.matching.assign(table) for group, table in tables.items()})
for group, table in tables.items():
    paired = table[torch.arange(512), by_hand[group]]
    print(f"{group}: median correlation of a pair {paired.median():.2f}, of any two units "
          f"{table.median():.2f}; below 0.3: {(paired < 0.3).sum()} of 512 pairs")

# %% [markdown]
"""
The library reads every layer in one pass over the images, whatever the architecture. Its sum of
correlations must be ours. (Single pairs may differ: a unit that is silent on all these images has a
correlation of 0 with every other, so any partner is as good.)
"""

# %%
match = rb.activation_matching(spec, a, b, images)
by_hand_sum = sum(total(table, by_hand[group]) for group, table in tables.items())
print(f"sum of correlations: {by_hand_sum:.2f} by hand, {match.objective:.2f} by the library")

# %% [markdown]
"""
Now the line from A to B, for these pairs, for greedy ones, and for the paper's raw products.
**Predict.** Is the barrier of the greedy pairs as high as the naive one, in between, or as low as
that of the best pairs?
"""

# %%
prediction = "..."  # "naive", "in between" or "as low"
digits = data.test.first(1000)
uncentred = rb.activation_matching(spec, a, b, images, centred=False).permutation
greedy_pairs = rb.Permutation({group: greedy(table) for group, table in tables.items()})
ends = {"naive": b, "matched": spec.apply(b, by_hand), "greedy": spec.apply(b, greedy_pairs),
        "uncentred": spec.apply(b, uncentred)}
lines = {name: rb.linear_path(a, end, digits, alphas=13) for name, end in ends.items()}
print(f"you said: {prediction}")
for name, line in lines.items():
    print(f"{name:9} loss barrier {line.barrier.loss:.4f}, midpoint loss {line.at(0.5).loss:.4f}, "
          f"accuracy barrier {100 * line.barrier.accuracy:.2f} points")

# %%
rb.show.draw_curves({name: lines[name] for name in ("naive", "matched", "greedy")},
                    title="matched by activations")

# %% [markdown]
"""
## An honest negative: greedy is not that bad here

The barrier is gone. But look at the greedy pairs: with them it is gone as well. (The three
small barriers are one number: where no hill remains, the barrier is half the difference of the two
ends, as in notebook 02. The midpoint losses differ a little.) Greedy's sum is a few per cent short:
"""

# %%
short = {}
for group, table in tables.items():
    short[group] = 1 - total(table, greedy_pairs[group]) / total(table, by_hand[group])
    same = (greedy_pairs[group] == by_hand[group]).float().mean()
    print(f"{group}: greedy's sum is {short[group]:.1%} short; {same:.0%} of the pairs are equal")

# %% [markdown]
"""
Many pairs differ, and the barrier hardly does: among hundreds of units several are about equally
good partners. The correlations above also say that these are no copies: the best assignment pairs
units that agree in part. That the average works all the same is the surprising thing about wide
networks, and it is an experimental finding, not a theorem.

## What could go wrong

**The wrong way round.** "Unit $i$ of A belongs to unit $p(i)$ of B" means that B's unit $p(i)$ must
come to place $i$. The inverse looks the same: a permutation, the right size, the same function.
**Predict.** Is the barrier low all the same when it is used?
"""

# %%
backwards = rb.linear_path(a, spec.apply(b, by_hand.inverse()), digits, alphas=13)
print(f"the inverse: barrier {backwards.barrier.loss:.3f};  "
      f"right: {lines['matched'].barrier.loss:.3f}; naive: {lines['naive'].barrier.loss:.3f}")

# %% [markdown]
"""
As bad as no matching at all, and nothing warns you. If you said yes, you thought of the function,
which is B's either way; but its units stand in the wrong places. No check of shapes or outputs
finds it: a planted permutation would, which is why every matcher is first tried on one.

**Too few images.** 512 units cannot be told apart by ten images:
"""

# %%
few = {}
for n in (10, 100, len(images)):
    permutation = rb.activation_matching(spec, a, b, images[:n]).permutation
    few[n] = rb.linear_path(a, spec.apply(b, permutation), digits, alphas=13).barrier.loss
    print(f"{n:5} images: barrier {few[n]:.3f}")

# %% [markdown]
"""
A hundred do most of it here. The paper runs all of the training images through both networks and
says that this may be unnecessary.

## Recap

Restricted to permutations, least squares on activations is a linear assignment problem: choose one
entry in each row and column of a table of similarities. It is solved exactly in about $n^3$ steps;
greedy choice can lose up to half, and loses little on these networks. Correlations are the safe
measure, a planted permutation is the test of any matcher, and each layer is a separate problem,
because a unit's activations do not depend on the order of the units in other layers.

## Exercises

Your numbers are drawn from a word of your choice.

**03-1** · easy · 4 minutes. Rows are units of A, columns units of B, entries similarities. Which
unit of B belongs to each unit of A? Give a list of three numbers.

<details><summary>Hint</summary>There are six ways. Do not start with the largest entry.</details>
"""

# %% tags=["exercise"]
reader = "..."  # your name, or any word
table = given("03-1", reader)
print(table)
answer = ...
# check("03-1", answer)

# %% tags=["solution"]
answer = rb.matching.assign(torch.tensor(table, dtype=torch.float32)).tolist()
check("03-1", answer)

# %% [markdown]
"""
**03-2** · medium · 8 minutes. Write `similarity(x, y)`: the table of correlations between the
columns of `x` and those of `y` (both images × units). A unit that never changes has a correlation
of 0 with everything.

<details><summary>Hint</summary>Centre each column, divide by its length (but never by zero), multiply the tables.</details>
"""

# %% tags=["exercise"]
def similarity(x, y):
    return ...


# check("03-2", similarity)

# %% tags=["solution"]
def similarity(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return (x / x.norm(dim=0).clamp_min(1e-12)).T @ (y / y.norm(dim=0).clamp_min(1e-12))


check("03-2", similarity)

# %% [markdown]
"""
**03-3** · medium · 8 minutes. Write `unshuffle(x, y)`: the columns of `y` in the order that makes
them most like those of `x`, one to one. Use `rb.matching.assign`.

<details><summary>Hint</summary><code>rb.matching.assign(table)[i]</code> is the column chosen for row <code>i</code>. Which side should the rows stand for?</details>
"""

# %% tags=["exercise"]
def unshuffle(x, y):
    return ...


# check("03-3", unshuffle)

# %% tags=["solution"]
def unshuffle(x, y):
    return y[:, rb.matching.assign(similarity(x, y))]


check("03-3", unshuffle)

# %% [markdown]
"""
**How many images?** · figure · 6 minutes. Draw the share of the 512 planted pairs that come back
against the number of images (10, 30, 100, 300, 1000), for noise 1 and noise 2, with
`figures.draw_recovery`.

<details><summary>Hint</summary><code>copies[level][:n]</code> are the activations on the first n images.</details>
"""

# %% tags=["exercise"]
# your figure

# %% tags=["solution"]
counts = [10, 30, 100, 300, 1000]
curves = {f"noise {level:g}": (counts, [
    share_recovered(rb.matching.assign(correlation(z[:n], copies[level][:n]))) for n in counts])
    for level in (1.0, 2.0)}
figures.draw_recovery(curves, xlabel="images", title="512 units: how many pairs come back")

# %% [markdown]
"""
**Units that agree** · open · 20 minutes. Draw the incoming weights of the eight pairs with the
highest correlation in the first layer, and of the eight with the lowest, with `figures.draw_units`.
Are the pairs that agree most in activations those that agree most in weights? 

## Questions

**1.** Why is the best *linear* map from B's activations to A's of no use here?
<details><summary>It fits the activations badly.</summary>No: it fits them best of all.</details>
<details><summary>A ReLU of a blend is not the blend of the ReLUs, so B's function would change.</summary>Right.</details>

**2.** What does the assignment problem ask for?
<details><summary>The largest entry of each row.</summary>No: two rows may want the same column.</details>
<details><summary>One entry in each row and column, with the largest sum.</summary>Right.</details>

**3.** How long does the best assignment of 512 units take?
<details><summary>512! steps</summary>No: nobody tries all permutations.</details>
<details><summary>About 512³ steps</summary>Right: the Hungarian method is cubic, well below a second.</details>

**4.** Why do many images help, if the noise is on the weights?
<details><summary>They average the noise away.</summary>No: it is the same for every image.</details>
<details><summary>Wrong partners correlate less by chance.</summary>Right: the true partner keeps 0.8, the best wrong one falls.</details>

**5.** When do raw products go wrong?
<details><summary>When units differ in how active they are.</summary>Right: then the means decide, and not what units react to.</details>
<details><summary>Never: the paper uses them.</summary>No: they did well on its networks. With shifted units they fail.</details>

**6.** You used the inverse of the right permutation. Who notices?
<details><summary>Nobody but the barrier.</summary>Right: it is a permutation of the right size, and B stays the same function.</details>
<details><summary>The spec's check.</summary>No: any permutation passes it.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: section 3.1, equation 1.
* Li, Yosinski, Clune, Lipson, Hopcroft: *Convergent Learning: Do Different Neural Networks Learn
  the Same Representations?*, ICLR 2016: units paired by correlation.
* Kuhn: *The Hungarian Method for the Assignment Problem*, Naval Research Logistics Quarterly 2,
  1955.
* Qu, Horváth: arXiv 2402.05966 (CPAL 2025), with notebooks that compare activation matching centred
  and not.
"""

# %% tags=["smoke"]
assert rb.show.move_all(recovery) == len(levels)  # every position of every control was visited
best, quick, raw = (dict(zip(*shares[name]))
                    for name in ("correlation, best", "correlation, greedy", "products, best"))
assert min(x[0.0] for x in (best, quick, raw)) > 0.97 and best[1.0] > 0.97 and best[4.0] < 0.5
assert best[2.0] > max(quick[2.0], raw[2.0]) and lost > 25 and abs(true[1000] - true[30]) < 0.05
assert survived["raw products"][1] < 0.9
assert survived["covariance"][1] > 0.99 > survived["covariance"][2]
assert min(survived["correlation"]) > 0.99
assert abs(match.objective - by_hand_sum) < 1e-3 * by_hand_sum
high, low = lines["naive"].barrier.loss, lines["matched"].barrier.loss
assert max(low, lines["uncentred"].barrier.loss, 0.5 * lines["greedy"].barrier.loss) < 0.1 * high
assert all(0 <= share < 0.1 for share in short.values()) and backwards.barrier.loss > 10 * low
assert few[10] > 2 * few[100] and few[10] > 2 * few[1000]
