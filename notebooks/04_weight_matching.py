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
# 04 · What if each layer's permutation depends on the next?

| | |
|---|---|
| **Question** | One layer's best permutation depends on those of its neighbours. Where does one begin? |
| **You will be able to** | write weight matching (Algorithm 1 of the paper) in twenty-five lines; say what it promises and what it does not; see when in training the barrier vanishes |
| **You need** | notebook 01 (permutations and specs) and 03 (assignment) |
| **Time** | 60 minutes to read; one to two minutes to run on two CPU cores, less on a GPU |
| **Data** | MNIST test images, which the networks have not seen: 1,000 come with the package; and a stored run over 25 epochs |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
r"""
## One hidden layer: one assignment

Weight matching looks at no data. It asks for the permutation of B's units that brings B's *weights*
closest to A's. Reordering does not change the length of B's weights, so the smallest distance is
the largest inner product $\langle A, \pi(B)\rangle$: the **objective**.

With one hidden layer, that is a sum over units. Putting unit $j$ of B at place $i$ of A adds the
inner products of their incoming weights, of their biases and of their outgoing weights. All these
numbers make one similarity matrix, and the best permutation is one linear assignment, as in
notebook 03.
"""

# %%
import itertools
import random

import torch

import rebasin_edu as rb
from rebasin_edu.course import check, figures, given

assign = rb.matching.assign
shallow = [rb.lab.MLP(inputs=12, hidden=(16,), classes=4, seed=seed) for seed in (0, 1)]
(w_a, c_a, out_a, _), (w_b, c_b, out_b, _) = (net.state_dict().values() for net in shallow)
by_hand = assign(w_a @ w_b.T + torch.outer(c_a, c_b) + out_a.T @ out_b)  # (16 of A, 16 of B)

spec = rb.PermutationSpec.from_model(shallow[0], torch.zeros(1, 12))
three = [rb.weight_matching(spec, *shallow, seed=seed).permutation for seed in range(3)]
print("the library finds the same, with every seed:",
      all(torch.equal(*permutation.values(), by_hand) for permutation in three))

# %% [markdown]
r"""
## Two hidden layers: each needs the other

Now there is a matrix between two hidden layers. Its rows move with the second layer's permutation,
its columns with the first's: $W_2' = P_2 W_2 P_1^\top$. So the similarity matrix of layer 1
contains $P_2$, and that of layer 2 contains $P_1$. To match one we need the other.

For an MLP of any depth, here is all that this notebook needs, as code. A network is a list of pairs
(weight, bias), one a layer, and a permutation a list of orders, one a hidden layer:
"""

# %%
def layers(state):
    tensors = list(state.values())
    return list(zip(tensors[0::2], tensors[1::2]))


def permuted(b, orders):  # B with each hidden layer's units in the given order
    layers_of_b = []
    for k, (w, bias) in enumerate(b):
        w = w[:, orders[k - 1]] if k > 0 else w  # the columns follow the layer before
        layers_of_b.append((w[orders[k]], bias[orders[k]]) if k < len(orders) else (w, bias))
    return layers_of_b


def objective(a, b, orders):  # the inner product of A and the permuted B
    return sum((x * y).sum() for pair in zip(a, permuted(b, orders)) for x, y in zip(*pair)).item()

# %%
def similarity(a, b, orders, k):  # (n, n): what unit j adds at place i of layer k, all others fixed
    others = [torch.arange(len(p)) if number == k else p for number, p in enumerate(orders)]
    (w_b, bias_b), (out_b, _) = permuted(b, others)[k : k + 2]
    (w_a, bias_a), (out_a, _) = a[k : k + 2]
    return w_a @ w_b.T + torch.outer(bias_a, bias_b) + out_a.T @ out_b

# %% [markdown]
"""
Take two random networks with two hidden layers of *four* units. Each layer has 4! = 24
permutations, so there are 576 pairs, few enough to try them all and to look at them.

**Predict.** Keep one layer fixed and choose the other's best permutation: that is one exact
assignment. Then swap roles, and go on until neither layer can improve alone. Will this end at the
best of all 576 pairs?
"""

# %%
prediction = "..."  # "yes" or "no"
nets = [rb.lab.MLP(inputs=3, hidden=(4, 4), classes=2, seed=seed) for seed in (21, 22)]
four = [layers(net.state_dict()) for net in nets]
every = [list(order) for order in itertools.permutations(range(4))]
values = torch.tensor([[objective(*four, [p, q]) for q in every] for p in every])  # (24, 24)


def walk(first):  # from the identity, layer `first` first: the (row, column) of every state
    orders, path = [torch.arange(4), torch.arange(4)], [(0, 0)]
    for update in range(12):
        k = (first + update) % 2
        orders[k] = assign(similarity(*four, orders, k))
        path.append(tuple(every.index(order.tolist()) for order in orders))
    return path

# %%
paths = {"layer 1 first": walk(0), "layer 2 first": walk(1)}
best = divmod(int(values.argmax()), 24)
print(f"you said: {prediction};", {name: path[-1] == best for name, path in paths.items()})
figures.draw_landscape(values.numpy(), paths, title="every pair of permutations of two layers")

# %% [markdown]
"""
If you said yes, you thought of a hill with one top. Each step moves straight along a row or a
column, to the best square of it. It stops on a square that is the best of its row *and* of its
column. There are several such squares (**local optima**), and which of them a walk reaches depends
on where it starts and on which layer goes first.

## Coordinate descent, by hand

This walk is the paper's Algorithm 1, **permutation coordinate descent**: from the identity, update
the layers in random order, each by the best assignment with all others fixed, and stop when a whole
sweep over the layers changes nothing. (It climbs, since we maximise; the distance between the
networks descends.)
"""

# %%
def descend(a, b, seed=0):
    rng = random.Random(seed)
    orders, updates = [torch.arange(len(bias)) for _, bias in a[:-1]], []
    while True:
        before = orders
        for k in rng.sample(range(len(orders)), len(orders)):
            matrix = similarity(a, b, orders, k)
            new, places = assign(matrix), torch.arange(len(matrix))
            gain = matrix[places, new].sum() - matrix[places, orders[k]].sum()
            if gain > 1e-6:  # accept what raises the objective, no ties
                orders = [*orders[:k], new, *orders[k + 1 :]]
            updates.append((k, matrix, orders))
        if all(torch.equal(x, y) for x, y in zip(before, orders)):
            return orders, updates

# %% [markdown]
"""
To see whether it works, we plant an answer. A is random, with three hidden layers of eight units. B
is A with noise of the weights' own size added to it and then permuted. The descent does not know
the permutation.

Each update of the descent is one picture. Left: the similarity matrix of the layer that is updated,
dark for much; a ring is the unit that stood at each place before, a green dot the one chosen now.
Middle: which unit of A stands at each place; a layer in order is a rainbow. Right: the objective.
**Predict:** does a layer that has been matched once stay as it is?
"""

# %%
def planted_pair(hidden, noise, seeds):  # A, a noisy permuted copy of it, and the permutation
    net = rb.lab.MLP(inputs=12, hidden=hidden, classes=4, seed=seeds[0])
    spec, g = rb.PermutationSpec.from_model(net, torch.zeros(1, 12)), torch.Generator()
    g.manual_seed(seeds[0])
    a = net.state_dict()
    noisy = {name: w + noise * w.std() * torch.randn(w.shape, generator=g) for name, w in a.items()}
    planted = spec.random(seed=seeds[1])
    return spec, a, spec.apply(noisy, planted), planted

# %%
spec, state_a, state_b, planted = planted_pair((8, 8, 8), 1, seeds=(0, 11))
small_a, small_b = layers(state_a), layers(state_b)
small_found, updates = descend(small_a, small_b)
descent = figures.Descent(updates, planted, lambda orders: objective(small_a, small_b, orders))
figures.draw_updates(descent, [0, 1, 2, 3, 4, 7, 8, len(updates)])

# %%
prediction = "..."  # "yes" or "no"
stepper = rb.show.slider(lambda step: figures.draw_update(descent, step), range(len(updates) + 1),
                         description="update", label=descent.name)
stepper

# %% [markdown]
"""
If you said yes, you thought of one layer alone. The first update sees little: it matches one layer
while its neighbours are still in the wrong order. A neighbour in the right order makes the next
similarity matrix sharper, and layers updated early are put right in the second sweep. A last sweep
changes nothing, and so shows that the descent is done.

The library does the same with less work: it keeps what did not change between updates. Do both
agree?
"""

# %%
match = rb.weight_matching(spec, state_a, state_b)
print("every unit is back in place, by hand and by the library:",
      all(torch.equal(x, y) and torch.equal(x, z) for x, y, z in zip(
          small_found, planted.inverse().values(), match.permutation.values())))

# %% [markdown]
r"""
## Why not simply from front to back?

Match the first layer by its inputs, then the second by the first, and so on: one pass. The paper
has a small example of what this misses (appendix A.7.2): two linear networks of shape 1-2-2-1, both
about $f(x) = x$, and a small $\varepsilon$:

$$A:\ (1\ \ 0)\begin{pmatrix}1&0\\0&\varepsilon\end{pmatrix}\begin{pmatrix}1\\1+\varepsilon\end{pmatrix}x \qquad
B:\ (0\ \ 1)\begin{pmatrix}0&0\\0&1\end{pmatrix}\begin{pmatrix}1\\1+\varepsilon\end{pmatrix}x$$

**Predict.** A computes $x$ and B computes $(1+\varepsilon)x$. Does the midpoint network compute
about $x$, too, after greedy matching, front to back?
"""

# %%
eps, zero = 1e-3, torch.zeros
first = torch.tensor([[1.0], [1 + eps]])
middle_a, middle_b = torch.tensor([[1.0, 0], [0, eps]]), torch.tensor([[0.0, 0], [0, 1]])
net_a = [(first, zero(2)), (middle_a, zero(2)), (torch.tensor([[1.0, 0]]), zero(1))]
net_b = [(first, zero(2)), (middle_b, zero(2)), (torch.tensor([[0.0, 1]]), zero(1))]
p1 = assign(first @ first.T)  # greedy: layer 1 looks back at the inputs only,
p2 = assign(middle_a @ middle_b[:, p1].T)  # and layer 2 looks back at layer 1

computes = {}
for name, pair in {"greedy": [p1, p2], "descent": descend(net_a, net_b)[0]}.items():
    one, two, three = [(x + y) / 2 for (x, _), (y, _) in zip(net_a, permuted(net_b, pair))]
    computes[name] = (three @ two @ one).item()
    print(f"{name:7} {[p.tolist() for p in pair]}: the midpoint computes {computes[name]:.4f} x")

# %% [markdown]
r"""
If you said yes, you thought that close networks have a close average. Greedy keeps both layers as
they are, because looking back shows no reason to move, and the midpoint does *half* of what both
networks do. Looking back *and* ahead, the descent swaps both layers and lands at $(1 +
\varepsilon/2)\,x$. One sweep is not enough on a real network either: after a single sweep of
Algorithm 1, the paper's ResNet50 stays at about 7 % ImageNet accuracy at the midpoint, against 51 %
when it runs to its end and 76 % of the networks themselves (A.7.1).
"""

# %% [markdown]
r"""
## How hard can it be? A round trip hidden in the weights

The descent promises an end, not the best. Could a cleverer method promise the best, quickly? Here
is why nobody expects so. Take six cities. Write their distances $D$ into A's middle matrix, and
into B's a $C$ that has a 1 wherever a place is followed by the next, in a circle:

$$W_A = \lambda I - D, \qquad W_B = \lambda I + C.$$

A large $\lambda$ forces both layers into the *same* order, $P_1 = P_2$. What remains of the
objective is minus the length of a round trip through the cities. **The best permutation is the
shortest tour.**
"""

# %%
cities = torch.rand(6, 2, generator=torch.Generator().manual_seed(179), dtype=torch.float64)
distances, eye = torch.cdist(cities, cities), torch.eye(6).double()
strong = 5 * 6 * max(1.0, distances.max().item())  # larger than any tour
tsp_a, tsp_b = strong * eye - distances, strong * eye + eye.roll(1, 1)

tries = torch.tensor(list(itertools.permutations(range(6))))  # (720, 6)
table = torch.stack([(tsp_a * tsp_b[p][:, tries].transpose(0, 1)).sum((1, 2)) for p in tries])
p, q = divmod(int(table.argmax()), 720)  # the best of 720 × 720 pairs (rows p, columns q)
print("both layers in the same order:", torch.equal(tries[p], tries[q]))

# %%
none = [(zero(6, 1).double(), zero(6).double()), (zero(1, 6).double(), zero(1).double())]
stuck, _ = descend(*([none[0], (middle, zero(6).double()), none[1]] for middle in (tsp_a, tsp_b)))
tours = {"coordinate descent": stuck[0].argsort(), "best of 518,400 pairs": tries[p].argsort()}
figures.draw_tours(cities.numpy(), {name: tour.tolist() for name, tour in tours.items()})

# %% [markdown]
"""
The best pair of permutations is the shortest of all round trips (right). A quick method for the
best permutation of *every* pair of networks would plan shortest round trips quickly, and with it
every problem in NP. Problems of this kind are called **NP-hard** (the paper's Lemma 1; its proof
reduces quadratic assignment, of which round trips are a case). Unless P = NP, not even a
constant-factor approximation exists. And on this instance coordinate descent never takes a step:
moving one layer alone breaks $P_1 = P_2$.

Three things this does *not* say. One hidden layer is easy (the lemma needs more than two layers of
weights). It speaks of the worst networks one can build, not of trained ones. And the best
permutation by weights need not be the one with the lowest barrier.

## MNIST

The two networks of the tour: three hidden layers of 512 units, about $10^{3499}$ permutations. Our
own code, unchanged:
"""

# %%
a, b = rb.load_or_train(rb.Recipe(seed=0)), rb.load_or_train(rb.Recipe(seed=1))
digits = rb.load_data("mnist").test.first(1000)
spec = rb.PermutationSpec.from_model(a, torch.zeros(1, 784))
layers_a, layers_b = layers(a.state_dict()), layers(b.state_dict())
found, updates = descend(layers_a, layers_b)
states = [[torch.arange(512)] * 3, *(orders for _, _, orders in updates[:18])]
copies = [spec.apply(b, rb.Permutation(dict(zip(spec.groups, orders)))) for orders in states]
losses = [rb.evaluate(rb.lerp(a, copy, 0.5), digits, model=a).loss for copy in copies]
heights = [objective(layers_a, layers_b, orders) for orders in states]
figures.draw_progress(heights, losses, sweep=3)

# %% [markdown]
"""
The objective never falls, and the loss at the midpoint falls to almost nothing, though the descent
has never seen an image. Most of the way is done in the first two sweeps; the figure shows six of
them, and the descent goes on for longer. Its end, on the whole line:
"""

# %%
b_matched = spec.apply(b, rb.Permutation(dict(zip(spec.groups, found))))
lines = {"naive": rb.linear_path(a, b, digits), "matched": rb.linear_path(a, b_matched, digits)}
rb.show.draw_curves(lines, title="matched by hand")

# %% [markdown]
"""
## When does the barrier vanish?

**Predict.** After matching, when is the barrier gone: after one epoch of training, after about
five, or only at the end, after 25?

The networks were kept after every epoch. Three pairs of them were matched at each, and measured
once on all 10,000 test images; the numbers come with the package. First, four moments of training
(epochs 0, 1, 5 and 25). Thin lines: single pairs. Thick lines: their mean. In the slider below,
bands span the three pairs.
"""

# %%
prediction = "..."  # 1, 5 or 25
run = rb.load_run("mnist-mlp-onset")
print(f"{run['data']}, {run['samples']:,} test images, seeds {run['seeds']}")
figures.draw_onset_sheet(run, (0, 1, 5, 25))

# %%
onset = rb.show.slider(
    lambda epoch: figures.draw_onset(run, epoch), range(26), description="epoch", start=1)
onset

# %%
naive, matched = (figures.barriers(run, line).mean(0) for line in ("naive", "matched"))
print(f"you said: {prediction}; mean loss barriers of the three pairs")
for epoch in (0, 1, 2, 5, 10, 25):
    print(f"epoch {epoch:2}: {naive[epoch]:.3f} naive, {matched[epoch]:.4f} matched")

# %% [markdown]
"""
Freshly initialised networks have no barrier worth the name: nowhere on the line is there anything
to lose. After one epoch there is a high one, and *matching does not remove it*. It vanishes within
the first ten epochs of training and stays away. So linear mode connectivity after matching is not a
property of the architecture alone. It emerges during training (section 5.2 and figure 3 of the
paper; its own barrier after one epoch is read off a plot as about 0.6).

## What could go wrong: all layers at once

Why one layer after another? All similarity matrices can be computed from the *old* permutations,
and every layer updated at once. Each layer then makes the best choice for neighbours that have just
changed. **Predict.** Does the objective still never fall?
"""

# %%
_, *pair, planted = planted_pair((64, 64, 64), 2, seeds=(2, 7))
wide_a, wide_b = (layers(state) for state in pair)
orders, at_once = [torch.arange(64)] * 3, []
for _ in range(20):
    orders = [assign(similarity(wide_a, wide_b, orders, k)) for k in range(3)]  # all from the old
    at_once.append(objective(wide_a, wide_b, orders))
one_by_one = [objective(wide_a, wide_b, after) for _, _, after in descend(wide_a, wide_b)[1]]
print("all at once, the last six rounds:", " ".join(f"{height:.1f}" for height in at_once[-6:]))
print(f"one by one: ends at {one_by_one[-1]:.1f}")

# %% [markdown]
"""
If you said yes, you thought that three good choices make a better whole. When all layers move at
once, their updates can conflict, and the procedure may cycle. One by one, each accepted change
raises the objective (a tie is no change), and there are finitely many permutations, so the descent
must end (Lemma 2). That argument is the whole guarantee.

## It ends, but where?

In the last example we planted the answer, so we know a permutation that is better than what the
descent found. How often do descents with other random sequences of layers find it?
"""

# %%
target = objective(wide_a, wide_b, list(planted.inverse().values()))
ends = [objective(wide_a, wide_b, descend(wide_a, wide_b, seed=seed)[0]) for seed in range(10)]
print(f"planted: {target:.1f};  descents: {', '.join(f'{end:.1f}' for end in sorted(ends))}")

# %% [markdown]
r"""
Never: with noise of twice the weights' size, every descent stops at a lower local optimum, and not
always at the same one. This is the price of looking at one layer at a time. Better starts go
further on such problems; the next notebook has some. On wide and well-trained MLPs, such as those
above, the local optimum is good enough.

## Recap

With one hidden layer the best permutation is one exact assignment; with more, each layer's
similarity matrix depends on its neighbours' permutations, and finding the best is NP-hard.
Coordinate descent solves one layer at a time with the others fixed: its objective never falls, it
always ends, and it may end below the best. On trained MNIST networks that is enough to make the
barrier vanish, after a few epochs of training and not before.

## Exercises

Your numbers are drawn from a word of your choice.

**04-1** · easy · 4 minutes. In the example of appendix A.7.2, let $\varepsilon$ be as below. What
does the midpoint network multiply its input by after *greedy* matching?

<details><summary>Hint</summary>Greedy leaves both layers as they are. Average the three matrices of A and B one by one, then multiply them.</details>
"""

# %% tags=["exercise"]
reader = "..."  # your name, or any word
eps = given("04-1", reader)
print(eps)
answer = ...
# check("04-1", answer)

# %% tags=["solution"]
one, two = torch.tensor([[1.0], [1 + eps]]), torch.diag(torch.tensor([0.5, (1 + eps) / 2]))
answer = (torch.tensor([[0.5, 0.5]]) @ two @ one).item()
check("04-1", answer)

# %% [markdown]
"""
**04-2** · medium · 8 minutes. Write `middle_gains(w_a, w_b, before, after_a, after_b, after)`: the
similarity matrix of a layer without biases. `w_a`, `w_b` (units, units before) are the weights into
it, `after_a`, `after_b` (units after, units) those out of it, `before` and `after` the permutations
of B's neighbouring layers.

<details><summary>Hint</summary>Bring B's neighbours into their orders first: the columns of <code>w_b</code> and the rows of <code>after_b</code>. Rows of the answer are units of A.</details>
"""

# %% tags=["exercise"]
def middle_gains(w_a, w_b, before, after_a, after_b, after):
    return ...


# check("04-2", middle_gains)

# %% tags=["solution"]
def middle_gains(w_a, w_b, before, after_a, after_b, after):
    return w_a @ w_b[:, before].T + after_a.T @ after_b[after]


check("04-2", middle_gains)

# %% [markdown]
"""
**04-3** · hard · 15 minutes. Write `align(a, b)` for networks with *two* hidden layers and no
biases: `a` and `b` are lists of three matrices. Return the permutations `[p1, p2]` at which neither
layer can improve alone, and leave `a` and `b` as they are.

<details><summary>Hint</summary>Begin with two identities. Use <code>middle_gains</code> for layer 2; layer 1 has no layer before it that moves, and layer 2 none after it. Repeat until a sweep changes neither.</details>
"""

# %% tags=["exercise"]
def align(a, b):
    return ...


# check("04-3", align)

# %% tags=["solution"]
def align(a, b):
    p1, p2 = torch.arange(len(a[0])), torch.arange(len(a[1]))
    while True:
        q1 = assign(a[0] @ b[0].T + a[1].T @ b[1][p2])
        q2 = assign(a[1] @ b[1][:, q1].T + a[2].T @ b[2])
        if torch.equal(p1, q1) and torch.equal(p2, q2):
            return [p1, p2]
        p1, p2 = q1, q2


check("04-3", align)

# %% [markdown]
"""
**04-4** · easy · 5 minutes. In the stored run over 25 epochs: after which epoch is the *mean*
matched barrier of the three pairs for the first time below what it is after epoch 1, divided by
`factor`? (Epoch 0 does not count: nothing is learned yet.)

<details><summary>Hint</summary><code>matched</code> has one mean for each epoch, epoch 0 first.</details>
"""

# %% tags=["exercise"]
factor = given("04-4", reader)
print(factor)
answer = ...
# check("04-4", answer)

# %% tags=["solution"]
answer = next(epoch for epoch in range(1, 26) if matched[epoch] < matched[1] / factor)
check("04-4", answer)

# %% [markdown]
"""
**Another landscape** · figure · 6 minutes. Draw the landscape of two networks for which *both*
walks end at the best of all 576 pairs, or at least one of them. How many seeds did you have to try?

<details><summary>Hint</summary><code>walk</code> reads <code>four</code>; set <code>four</code> and <code>values</code> anew for other seeds.</details>
"""

# %% tags=["exercise"]
# your figure

# %% tags=["solution"]
for seed in range(0, 100, 2):
    nets = [rb.lab.MLP(inputs=3, hidden=(4, 4), classes=2, seed=seed + k) for k in (0, 1)]
    four = [layers(net.state_dict()) for net in nets]
    values = torch.tensor([[objective(*four, [p, q]) for q in every] for p in every])
    paths = {"layer 1 first": walk(0), "layer 2 first": walk(1)}
    if {path[-1] for path in paths.values()} == {divmod(int(values.argmax()), 24)}:
        break
figures.draw_landscape(values.numpy(), paths, title=f"seeds {seed} and {seed + 1}")

# %% [markdown]
"""
**Your own order** · open · 20 minutes. `descend` takes the layers in random sequence. Write a
version that always takes the layer whose update gains most, and compare it with ten random ones on
the planted pair of 64 units: draw the objectives against the number of updates.

## Questions

**1.** Why can two hidden layers not be matched one after the other?
<details><summary>The similarity matrix of each contains the permutation of the other.</summary>Right.</details>
<details><summary>They can: the first does not depend on the second.</summary>No: its outgoing weights are the second layer's incoming ones.</details>

**2.** What does coordinate descent guarantee?
<details><summary>The best permutation.</summary>No: there are local optima, with four units already.</details>
<details><summary>An end, at a point that no single layer can improve.</summary>Right.</details>
<details><summary>A low barrier.</summary>No: it never looks at the loss.</details>

**3.** Why must it end?
<details><summary>Each accepted change raises the objective, and there are finitely many permutations.</summary>Right.</details>
<details><summary>There is a limit on the number of sweeps.</summary>No: it needs none.</details>

**4.** "Finding the best permutation is NP-hard." So …
<details><summary>matching trained networks is hopeless.</summary>No: the lemma speaks of the worst networks one can build.</details>
<details><summary>nobody expects a quick method that is right for all networks.</summary>Right.</details>
<details><summary>one hidden layer takes exponential time.</summary>No: that is one assignment.</details>

**5.** Untrained networks have no barrier. Does matching work best for them?
<details><summary>Yes.</summary>No: nowhere on that line is there anything to lose.</details>
<details><summary>No, there is just nothing to lose.</summary>Right: after one epoch matching still leaves a high barrier.</details>

**6.** At the midpoint the merged ResNet50 of the paper has 51 % accuracy. Is that good?
<details><summary>Yes, far above chance.</summary>It is; but each of the two networks alone has 76 %.</details>
<details><summary>Not yet: the parents have 76 %.</summary>Right: a merge must be compared with its parents. Notebook 08 repairs it.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: section 3.2, Algorithm 1, Lemmas 1 and 2; section 5.2 and figure 3 for the onset; appendices
  A.5, A.7 and A.12.
* Koopmans, Beckmann: *Assignment Problems and the Location of Economic Activities*, Econometrica
  1957, for quadratic assignment.
"""

# %% tags=["smoke"]
assert rb.show.move_all(stepper) == len(descent.heights)  # every position of every control
assert rb.show.move_all(onset) == 26
assert all(later >= earlier for earlier, later in itertools.pairwise(descent.heights))
assert all(torch.equal(x, y) for x, y in zip(small_found, match.permutation.values()))
assert abs(computes["greedy"] - (0.25 + 1.001**2 / 4)) < 1e-6
assert abs(computes["descent"] - 1.0005) < 1e-6
lengths = torch.stack([distances[tour, tour.roll(-1)].sum() for tour in tries])
tour = tours["best of 518,400 pairs"]
assert abs(distances[tour, tour.roll(-1)].sum() - lengths.min()) < 1e-9
assert all(torch.equal(order, torch.arange(6)) for order in stuck)

# %% tags=["smoke"]
assert lines["matched"].barrier.loss < 0.05 < 0.3 < lines["naive"].barrier.loss
assert matched[1] > 0.3 and matched[10:].max() < 0.05 and naive[1:].min() > 0.5
assert any(y < x - 1e-3 for x, y in itertools.pairwise(at_once)) and one_by_one[-1] > max(at_once)
assert all(y >= x - 1e-3 for x, y in itertools.pairwise(one_by_one)) and max(ends) < target
