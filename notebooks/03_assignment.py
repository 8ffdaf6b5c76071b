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
# 03 · How do we find the shuffle?

| | |
|---|---|
| **Question** | There are 512! ways to pair the units of two layers. How is the best one found in a blink? |
| **You will be able to** | turn matching into a least-squares problem and that into an assignment; solve it three ways; test a matcher on a shuffle that you planted; match two trained networks by their activations |
| **You need** | notebook 01; what a matrix product is |
| **Time** | 30 minutes to read; about a minute to run on two CPU cores, less on a GPU |
| **Data** | MNIST: the full set where it is at hand, else 5,000 images that a dependency ships; the cell says which |
"""

# %% [markdown]
"""
## Watch them work

Two units do the same job if they fire for the same images. So show both networks the same images and write down the activations: for A's
first hidden layer a table $Z_A$ (images × units), for B's a table $Z_B$. If B is a shuffled A, the tables have the same columns in
another order.

We start with a shuffle that we know. Eight units of a trained network, a shuffled copy of them, and a little noise on the copy's weights:
"""

# %%
import itertools
import os

import torch

import rebasin_edu as rb
from rebasin_edu.course import check

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))
a, b = rb.load_or_train(rb.Recipe(seed=0)), rb.load_or_train(rb.Recipe(seed=1))
data = rb.load_data("mnist")
images = data.subset(500 if FAST else 1000, seed=0).train.inputs


def first_layer(weight, bias):
    return torch.relu(images.flatten(1) @ weight.T + bias).detach()  # (images, units)


# %%
g = torch.Generator().manual_seed(0)
lively = first_layer(a.linear1.weight, a.linear1.bias).std(0).topk(8).indices  # eight units that vary much
weight, bias = a.linear1.weight.detach()[lively], a.linear1.bias.detach()[lively]
planted = torch.randperm(8, generator=g)

noisy = weight + weight.std() * torch.randn(weight.shape, generator=g)
za, zb = first_layer(weight, bias), first_layer(noisy[planted], bias[planted])
print(f"place i of the copy holds unit {planted.tolist()}")

# %% [markdown]
r"""
## Least squares, and what is wrong with it

Which matrix $S$ makes $S$ times B's activations most like A's? That is ordinary least squares, $\min_S \sum_k \lVert z_A^{(k)} - S\, z_B^{(k)}\rVert^2$
over the images $k$. **Predict.** Will the best $S$ be a permutation matrix? Would it help us if it is not?
"""

# %%
best_linear = torch.linalg.lstsq(zb, za).solution.T  # (units of A, units of B)
products = za.T @ zb / len(images)  # how much each unit of A fires together with each unit of B
truth = torch.zeros(8, 8)
truth[torch.arange(8), planted.argsort()] = 1

rb.draw_assignments({"least squares": best_linear, "products of activations": products, "the truth": truth})

# %% [markdown]
r"""
Least squares sees the pairs, and blends: every unit of A becomes one unit of B with a little of all others. It fits the activations
best, but it is no symmetry: a ReLU of a blend is not the blend of ReLUs, so moving B's weights by $S$ would change what B computes. Only a permutation may be moved through the network.

So we **restrict** the least-squares problem to permutation matrices $P$ (the paper's equation 1), and it becomes simpler. Open the square:

$$\sum_k \lVert z_A^{(k)} - P z_B^{(k)}\rVert^2 = \underbrace{\lVert Z_A\rVert^2 + \lVert Z_B\rVert^2}_{\text{the same for every } P} - 2\,\sum_i \big(Z_A^\top Z_B\big)_{i,\,p(i)}.$$

What is left is a table of numbers, the middle picture, and the task to choose one entry in each row and column with the largest sum.
That is a **linear assignment problem**. First, is the algebra right? For all the 8! = 40,320 permutations:
"""

# %% tags=["nbval-check-output"]
every = torch.tensor(list(itertools.permutations(range(8))))  # (40320, 8): the unit of B for each unit of A
x, y = za.double(), zb.double()
gains = x.T @ y
sums = gains[torch.arange(8), every].sum(1)
squares = torch.stack([(x - y[:, order]).square().sum() for order in every[::97]])
constant = x.square().sum() + y.square().sum()
print(len(every), "permutations")
print("the square is the constant minus twice the sum:", torch.allclose(squares, constant - 2 * sums[::97]))
print("the best one is the planted one:", torch.equal(every[sums.argmax()], planted.argsort()))

# %% [markdown]
"""
## Three ways to solve it

**Brute force** tries all $n!$: fine for 8 units, hopeless for 20. **Greedy** takes the largest entry, crosses out its row and column, and
goes on. The **Hungarian** method (1955; the library calls scipy's descendant of it) finds the best assignment in about $n^3$ steps.

**Predict.** Where will greedy fail? Try to make a table of two rows and two columns on which it does.
"""


# %%
def greedy(gains):
    left, order = gains.clone(), torch.empty(len(gains), dtype=torch.long)
    for _ in range(len(gains)):
        i, j = divmod(int(left.argmax()), len(gains))
        order[i] = j
        left[i], left[:, j] = -torch.inf, -torch.inf
    return order


def total(gains, order):
    return gains[torch.arange(len(gains)), order].sum().item()


trap = torch.tensor([[10.0, 9.0], [9.0, 1.0]])
rb.draw_assignments(
    {"greedy: 10 + 1": trap, "the best: 9 + 9": trap}, {"greedy: 10 + 1": greedy(trap), "the best: 9 + 9": rb.assign(trap)}
)

# %% [markdown]
"""
Greedy grabs the 10 and must take the 1. A locally best pair can cost two good ones. It is never worse than half the best sum, for tables without negative
entries, and a table like the one below comes as near to half as you please:
"""

# %% tags=["nbval-check-output"]
worst = torch.tensor([[1.01, 1.0], [1.0, 0.0]])
print(f"greedy {total(worst, greedy(worst)):.2f}, best {total(worst, rb.assign(worst)):.2f}")

agree, lost = 0, 0
for seed in range(50):
    table = torch.rand(7, 7, generator=torch.Generator().manual_seed(seed))
    best = max(total(table, torch.tensor(order)) for order in itertools.permutations(range(7))) if seed < 2 else None
    agree += best is not None and abs(total(table, rb.assign(table)) - best) < 1e-5
    lost += total(table, greedy(table)) < total(table, rb.assign(table)) - 1e-6
print("assign equals brute force:", agree, "of 2 tables of 7 × 7")
print("greedy finds less on", lost, "of 50")

# %% [markdown]
"""
## The laboratory: a planted shuffle

Now a whole layer: the 512 units of A's first layer, shuffled, and with noise on the weights, from none to five times the size of the
weights themselves. The match is found from the activations alone, and since we planted the shuffle we can count what was found.

The picture is the check: rainbow, noise, rainbow. **Predict** at which noise the rainbow breaks: half the weights' own size, twice, five times?
"""

# %%
w, bias = a.linear1.weight.detach(), a.linear1.bias.detach()
planted = torch.randperm(512, generator=g)
noise = w.std() * torch.randn(w.shape, generator=g)
z = first_layer(w, bias)


def centred(z):
    return z - z.mean(0)


def correlation(z, other):
    z, other = centred(z), centred(other)
    return (z / z.norm(dim=0).clamp_min(1e-6)).T @ (other / other.norm(dim=0).clamp_min(1e-6))


def share_found(order):
    return (planted[order] == torch.arange(512)).float().mean().item()


# %%
levels = [0.0, 1.0, 2.0, 4.0] if FAST else [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0]
copies = {level: first_layer((w + level * noise)[planted], bias[planted]) for level in levels}
ways = {
    "correlation, best": lambda other: rb.assign(correlation(z, other)),
    "correlation, greedy": lambda other: greedy(correlation(z, other)),
    "products, best": lambda other: rb.assign(z.T @ other),
    "products, greedy": lambda other: greedy(z.T @ other),
}
orders = {name: [way(copies[level]) for level in levels] for name, way in ways.items()}
shares = {name: (levels, [share_found(order) for order in found]) for name, found in orders.items()}
rb.draw_recovery(shares, xlabel="noise, in sizes of the weights", title="512 units: how many pairs come back")

# %%
at = levels.index(2.0)
strips = {"A": range(512), "shuffled copy, noise 2": planted}
rb.draw_rainbow(strips | {f"put back by {name}": planted[orders[name][at]] for name in ("correlation, best", "products, greedy")})

# %% [markdown]
"""
Above, what comes back at each noise, for four ways of looking (the next paragraphs say what they are); below them, two of the ways at noise 2 as a
rainbow. Slide through the noise for the best of the four:
"""

# %%
pictures, texts = [], []
for level, order in zip(levels, orders["correlation, best"]):
    strips = {"A": range(512), "shuffled, noisy copy": planted, "put back": planted[order]}
    pictures.append(rb.png(rb.draw_rainbow(strips, title=f"noise {level:g} times the weights")))
    texts.append(f"noise {level:g}: {share_found(order):.0%} of the units found")

lab = rb.frames(pictures, [f"{level:g}" for level in levels], description="noise", texts=texts, start=1)
lab

# %% tags=["nbval-check-output"]
best, hasty, plain = (dict(zip(*shares[name])) for name in ("correlation, best", "correlation, greedy", "products, best"))
print("noise 0: nearly all found, by all but greedy on products:", min(x[0.0] for x in (best, hasty, plain)) > 0.97)
print("noise 1, as large as the weights: nearly all found:", best[1.0] > 0.97)
print("noise 2: the best assignment finds more than greedy:", best[2.0] > hasty[2.0])
print("noise 2: correlations find more than raw products:", best[2.0] > plain[2.0])
print("noise 4: most are lost:", best[4.0] < 0.5)

# %% [markdown]
r"""
The still figure tells the story. Noise as large as the weights themselves does no harm: a unit is known by its answers to a thousand images, and
those average the noise away. Then it goes quickly. Two things cost pairs: to be greedy, and to multiply activations as they are.
Without noise a unit may still be missed if it is silent on all these images: nothing tells it from another silent one.

## Centred or not?

Why do raw products do worse? Write each activation as its mean plus a rest. The average product of two units splits exactly:

$$\tfrac1n \big(Z_A^\top Z_B\big)_{ij} = \mu_i\,\mu_j + \mathrm{cov}_{ij}.$$

The first term knows only how *active* a unit is, not what it reacts to. Its best assignment pairs the most active with the most active,
whatever they do.
"""

# %%
other = copies[1.0]
raw = z.T @ other / len(images)
means = z.mean(0)[:, None] * other.mean(0)[None, :]
covariance = centred(z).T @ centred(other) / len(images)
assert torch.allclose(raw, means + covariance, atol=1e-4)
print(f"share of the raw table's size that is means: {(means.norm() / raw.norm()) ** 2:.0%}")

# %% [markdown]
"""
Make it worse, to see it plainly. Shift each unit of the copy by a constant of its own (its bias), or scale each by a factor of its own. What
each unit *reacts to* has not changed. **Predict** which of the three measures survives which treatment. (Before the ReLU, so that a shift is just a shift.)
"""

# %%
flat = images.flatten(1)
before = flat @ w.T + bias
shift, scale = 2 * torch.randn(512, generator=g), 8 ** (2 * torch.rand(512, generator=g) - 1)
treated = {"as it is": before, "shifted": before + shift, "scaled": before * scale, "both": before * scale + shift}
measures = {
    "raw products": lambda x, y: x.T @ y,
    "covariance": lambda x, y: centred(x).T @ centred(y),
    "correlation": correlation,
}
table = {m: [share_found(rb.assign(f(before, y[:, planted]))) for y in treated.values()] for m, f in measures.items()}
print(f"{'':14}" + "".join(f"{name:>10}" for name in treated))
for name, row in table.items():
    print(f"{name:14}" + "".join(f"{value:>10.0%}" for value in row))

# %% tags=["nbval-check-output"]
print("a shift breaks raw products, not the covariance:", table["raw products"][1] < 0.9 and table["covariance"][1] > 0.99)
print("correlation survives all:", min(table["correlation"]) > 0.99)
print("scales cost the covariance some pairs:", table["covariance"][2] < 0.99)

# %% [markdown]
"""
The paper's code uses raw products and reports that correlations do equally well; on the networks below you will find little difference
either. On a VGG16 without normalisation others have measured a large one, in favour of centring (Qu and Horváth). So this library
centres and scales unless told otherwise.

## Two real networks

No planted truth any more. A and B were trained apart; which unit of B belongs to which of A? Each layer is an assignment of its own, so by hand
it is three lines a layer. Activations are read where the next layer reads them, after the ReLU.
"""


# %%
def activations(network, images):
    found, h = [], images.flatten(1)
    for layer in (network.linear1, network.linear2, network.linear3):
        h = torch.relu(layer(h)).detach()
        found.append(h)
    return found


spec = rb.PermutationSpec.from_model(a, torch.zeros(1, 784))
tables = {group: correlation(x, y) for group, x, y in zip(spec.groups, activations(a, images), activations(b, images))}
by_hand = rb.Permutation({group: rb.assign(table) for group, table in tables.items()})

for group, table in tables.items():
    pairs = table[torch.arange(512), by_hand[group]]
    print(f"{group}: median correlation of a pair {pairs.median():.2f}, of all pairs {table.median():.2f}; "
          f"below 0.3: {(pairs < 0.3).sum()} of 512 pairs")  # fmt: skip

# %% [markdown]
"""
The library reads every layer in one pass over the images, whatever the architecture. It must find the same pairs:
"""

# %%
found = rb.activation_matching(spec, a, b, images)
print(found)
for group, x, y in zip(spec.groups, activations(a, images), activations(b, images)):
    mine, theirs = by_hand[group], found.permutation[group]
    silent_a, silent_b = x.std(0) < 1e-6, y.std(0) < 1e-6
    other, silent = mine != theirs, silent_a | silent_b[mine] | silent_b[theirs]
    print(f"{group}: {other.sum()} of 512 pairs differ, {(other & ~silent).sum()} of them between units that ever change")
    assert (other & ~silent).sum() <= 2

by_hand_sum = sum(total(table, by_hand[group]) for group, table in tables.items())
assert abs(found.objective - by_hand_sum) < 1e-3 * by_hand_sum

# %% [markdown]
"""
Where the two differ, a unit is **silent**: zero on all these images (or, rarely, constant), so that its correlation with everything is 0 and any partner is as
good as another. Every unit that speaks got the same partner, and the sums agree. Now the line from
A to B, for these pairs, for greedy ones, and for the paper's raw products:
"""

# %%
digits = data.test.first(500 if FAST else 1000)
alphas = 7 if FAST else 13
uncentred = rb.activation_matching(spec, a, b, images, centred=False)
in_line = rb.Permutation({group: greedy(table) for group, table in tables.items()})
lines = {
    "naive": rb.linear_path(a, a, b, digits, alphas=alphas),
    "matched": rb.linear_path(a, a, spec.apply(b, by_hand), digits, alphas=alphas),
    "greedy": rb.linear_path(a, a, spec.apply(b, in_line), digits, alphas=alphas),
    "uncentred": rb.linear_path(a, a, spec.apply(b, uncentred.permutation), digits, alphas=alphas),
}
for name, line in lines.items():
    print(f"{name:9} barrier {line.barrier.loss:.4f}")
assert max(lines["matched"].barrier.loss, lines["uncentred"].barrier.loss) < 0.1 * lines["naive"].barrier.loss

rb.draw_curves({name: lines[name] for name in ("naive", "matched")}, title="matched by activations")

# %% [markdown]
"""
## An honest negative: greedy is not that bad here

The hill is gone. But look at the third row: with the greedy pairs it is nearly gone as well. (Where the full test set is at hand, all but
the first row may show one and the same small number: no hill at all, and half the difference of the two ends, as in notebook 02.) Greedy's sum is a few
per cent short:
"""

# %%
for group, table in tables.items():
    short = 1 - total(table, in_line[group]) / total(table, by_hand[group])
    same = (in_line[group] == by_hand[group]).float().mean()
    print(f"{group}: greedy's sum is {short:.1%} short; {same:.0%} of its pairs are those of the best assignment")
    assert 0 <= short < 0.1
assert lines["greedy"].barrier.loss < 0.2 * lines["naive"].barrier.loss

# %% [markdown]
"""
Many pairs differ, and the line hardly minds: among hundreds of units several are about equally good partners. And the correlations
above say that these are no twins: the best assignment pairs units that agree in part. Nothing like the planted copy. That the average works all the same is the
surprising thing about wide networks, and it is an experimental finding, not a theorem.

## What could go wrong

**The wrong way round.** "Unit $i$ of A belongs to unit $p(i)$ of B" means that B's unit $p(i)$ must come to place $i$. The inverse looks the same:
a permutation, the right size, the same function. **Predict** the barrier when it is used.
"""

# %%
backwards = rb.linear_path(a, a, spec.apply(b, by_hand.inverse()), digits, alphas=alphas)
print(f"the inverse: barrier {backwards.barrier.loss:.3f};  mended: {lines['matched'].barrier.loss:.3f};  "
      f"naive: {lines['naive'].barrier.loss:.3f}")  # fmt: skip
assert backwards.barrier.loss > 10 * lines["matched"].barrier.loss

# %% [markdown]
"""
As bad as no matching at all, and nothing warns you: a planted shuffle would, which is why every matcher is first tried on one.

**Too few images.** 512 units cannot be told apart by ten images:
"""

# %%
counts = (10, 100, len(images))
few = {}
for n in counts:
    acts = zip(spec.groups, activations(a, images[:n]), activations(b, images[:n]))
    order = rb.Permutation({group: rb.assign(correlation(x, y)) for group, x, y in acts})
    few[n] = rb.linear_path(a, a, spec.apply(b, order), digits, alphas=alphas).barrier.loss
    print(f"{n:5} images: barrier {few[n]:.3f}")
assert few[10] > 2 * few[100] and few[10] > 2 * few[len(images)]

# %% [markdown]
"""
A hundred do most of it here. The paper runs all of the training images through both networks and says that this may be unnecessary.

## Recap

Restricted to permutations, least squares on activations is a linear assignment problem: choose one entry in each row and column of a table of
similarities. It is solved exactly in about $n^3$ steps; greedy choice can lose up to half, and loses little on these networks. Correlations are
the safe measure, a planted shuffle is the test of any matcher, and each layer can be solved alone, because activations need no partner's order.

## Exercises

**03-1** · easy · 4 minutes. Rows are units of A, columns units of B, entries similarities: `[[8, 7, 1], [7, 2, 1], [3, 6, 5]]`. Which unit of B belongs to each
unit of A? Give a list of three numbers.

<details><summary>Hint</summary>There are six ways. Do not start with the 8.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("03-1", answer)

# %% tags=["solution"]
answer = rb.assign(torch.tensor([[8.0, 7.0, 1.0], [7.0, 2.0, 1.0], [3.0, 6.0, 5.0]])).tolist()
check("03-1", answer)

# %% [markdown]
"""
**03-2** · medium · 8 minutes. Write `similarity(x, y)`: the table of correlations between the columns of `x` and those of `y` (both images × units). A unit that
never changes has a correlation of 0 with everything.

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
**03-3** · medium · 8 minutes. Write `unshuffle(x, y)`: the columns of `y` in the order that makes them most like those of `x`, one to one.
Use `rb.assign`.

<details><summary>Hint</summary><code>rb.assign(table)[i]</code> is the column chosen for row <code>i</code>. Which side should the rows stand for?</details>
"""


# %% tags=["exercise"]
def unshuffle(x, y):
    return ...


# check("03-3", unshuffle)


# %% tags=["solution"]
def unshuffle(x, y):
    return y[:, rb.assign(similarity(x, y))]


check("03-3", unshuffle)

# %% [markdown]
"""
## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR 2023: section 3.1, equation 1.
* Li, Yosinski, Clune, Lipson, Hopcroft: *Convergent Learning: Do Different Neural Networks Learn the Same Representations?*, ICLR 2016: units paired by correlation.
* Kuhn: *The Hungarian Method for the Assignment Problem*, Naval Research Logistics Quarterly 2, 1955.
* Qu, Horváth: arXiv 2402.05966 (CPAL 2025), with notebooks that compare activation matching centred and not.
"""

# %% tags=["smoke"]
assert rb.move_all(lab) == len(levels)  # every position of every control was visited
