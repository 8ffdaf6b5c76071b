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
# 04 · What if each layer's shuffle depends on the next?

| | |
|---|---|
| **Question** | One layer's best order depends on the orders of its neighbours. Where does one begin? |
| **You will be able to** | write weight matching (Algorithm 1 of the paper) in ten lines; say what it promises and what it does not; see when in training the barrier goes |
| **You need** | notebook 01 (permutations and specs) and 03 (assignment) |
| **Time** | 30 minutes to read; one to two minutes to run on two CPU cores, less on a GPU |
| **Data** | MNIST: the full test set where it is at hand, else 1,000 images that a dependency ships; and a stored run over 25 epochs |
"""

# %% [markdown]
r"""
## One hidden layer: nothing to worry about

Weight matching looks at no data. It asks for the order of B's units that brings B's *weights* closest to A's. Reordering does not change
the length of B's weights, so the smallest distance is the largest inner product $\langle A, \pi(B)\rangle$: the **objective**.

With one hidden layer, that is a sum over units. Putting unit $j$ of B at place $i$ gains what their incoming weights, biases and outgoing
weights have in common. All these gains make one matrix, and the best order is one linear assignment, as in notebook 03.
"""

# %%
import itertools
import os
import random

import torch

import rebasin_edu as rb
from rebasin_edu.course import check
from rebasin_edu.course.figures.barrier_over_training import (
    barriers,
    describe_onset,
    draw_onset,
    draw_onset_sheet,
)
from rebasin_edu.course.figures.coordinate_descent import (
    draw_landscape,
    draw_progress,
    draw_step,
    draw_steps,
    draw_tours,
)
from rebasin_edu.matching import assign

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))

# %% tags=["nbval-check-output"]
shallow = [rb.MLP(inputs=12, hidden=(16,), classes=4, seed=seed) for seed in (0, 1)]
(w_a, c_a, out_a, _), (w_b, c_b, out_b, _) = (list(net.state_dict().values()) for net in shallow)
order = assign(w_a @ w_b.T + torch.outer(c_a, c_b) + out_a.T @ out_b)  # gains: (16 places of A, 16 units of B)

spec = rb.PermutationSpec.from_model(shallow[0], torch.zeros(1, 12))
for seed in range(3):
    (found,) = rb.weight_matching(spec, *shallow, seed=seed).permutation.values()
    print(f"seed {seed}: the library finds the order found by hand: {torch.equal(found, order)}")

# %% [markdown]
r"""
One hidden layer has one answer, found exactly, whatever the seed.

## Two hidden layers: hen and egg

Now there is a matrix between two hidden layers. Its rows move with the second layer's order, its columns with the first's:
$W_2' = P_2 W_2 P_1^\top$. So the gains of layer 1 contain $P_2$, and the gains of layer 2 contain $P_1$. To match one we need the other.

For a network of any depth, here are the three formulas of this notebook, as code. A network is a list of pairs (weight, bias):
"""

# %%
def layers(state):
    tensors = list(state.values())
    return list(zip(tensors[0::2], tensors[1::2]))


def moved(b, orders):  # B with each hidden layer's units in the given order
    found = []
    for k, (w, c) in enumerate(b):
        w = w[:, orders[k - 1]] if k > 0 else w  # the columns follow the layer before
        found.append((w[orders[k]], c[orders[k]]) if k < len(orders) else (w, c))
    return found


def objective(a, b, orders):
    return sum((x * y).sum() for pair in zip(a, moved(b, orders)) for x, y in zip(*pair)).item()


# %%
def gains(a, b, orders, k):  # (n, n): what place i of layer k gains from unit j, all other layers held as they are
    others = [torch.arange(len(order)) if number == k else order for number, order in enumerate(orders)]
    (w, c), (after, _) = moved(b, others)[k : k + 2]
    return a[k][0] @ w.T + torch.outer(a[k][1], c) + a[k + 1][0].T @ after


# %% [markdown]
"""
Take two random networks with two hidden layers of *four* units. Each layer has 4! = 24 orders, so there are 576 pairs of orders, few enough
to try them all and to look at them.

**Predict.** Hold one layer's order and choose the other's best: that is one exact assignment. Then swap roles, and go on until neither layer can
improve alone. Will this end at the best of all 576 pairs?
"""

# %%
four = [layers(rb.MLP(inputs=3, hidden=(4, 4), classes=2, seed=seed).state_dict()) for seed in (21, 22)]
all_orders = [torch.tensor(order) for order in itertools.permutations(range(4))]
values = torch.tensor([[objective(*four, [p, q]) for q in all_orders] for p in all_orders])  # (24, 24)


def walk(first):  # from the identity, layer `first` first: the (row, column) of every state
    orders, path = [torch.arange(4), torch.arange(4)], [(0, 0)]
    for visit in range(12):
        k = (first + visit) % 2
        orders[k] = assign(gains(*four, orders, k))
        path.append(tuple(next(n for n, p in enumerate(all_orders) if torch.equal(p, order)) for order in orders))
    return path


paths = {"layer 1 first": walk(0), "layer 2 first": walk(1)}
draw_landscape(values.numpy(), paths, title="every pair of orders of two layers")

# %% tags=["nbval-check-output"]
best = divmod(int(values.argmax()), 24)
peaks = (values >= values.max(0, keepdim=True).values) & (values >= values.max(1, keepdim=True).values)
print("pairs of orders:", values.numel(), "  of which neither layer can improve alone:", int(peaks.sum()))
for name, path in paths.items():
    print(f"{name}: ends where neither can improve: {bool(peaks[path[-1]])}, at the best of all: {path[-1] == best}")

# %% [markdown]
"""
Each step moves straight along a row or a column, to the best square of it. It stops on a square that is the best of its row *and* of
its column. There are several such squares, and which of them a walk reaches hangs on where it starts and on which layer goes first.

## Coordinate descent, by hand

This walk is the paper's Algorithm 1, **permutation coordinate descent**: from the identity, visit the layers in random order, give each the
best assignment with all others held, and stop when a whole sweep over the layers changes nothing. (It climbs, since we maximise; the
distance between the networks descends.)
"""

# %%
def descend(a, b, seed=0):
    rng = random.Random(seed)
    orders, visits = [torch.arange(len(c)) for _, c in a[:-1]], []
    while True:
        before = orders
        for k in rng.sample(range(len(orders)), len(orders)):
            matrix = gains(a, b, orders, k)
            orders = [*orders[:k], assign(matrix), *orders[k + 1 :]]
            visits.append((k, matrix, orders))
        if all(torch.equal(x, y) for x, y in zip(before, orders)):
            return orders, visits


# %% [markdown]
"""
To see whether it finds anything, we plant an answer. A is random, with three hidden layers of eight units. B is A with noise of the weights' own
size added to it and then shuffled. The descent does not know the shuffle.

Each visit of the descent is one picture. Left: the gains of the layer that is visited, dark for much; a ring is the unit that stood at each
place before, a green dot the one chosen now. Middle: which unit of A stands at each place; a layer in order is a rainbow. Right:
the objective. **Predict:** does a layer that has been matched once stay as it is?
"""

# %%
model = rb.MLP(inputs=12, hidden=(8, 8, 8), classes=4, seed=0)
spec = rb.PermutationSpec.from_model(model, torch.zeros(1, 12))
state_a, hidden, generator = model.state_dict(), spec.random(seed=11), torch.Generator().manual_seed(0)
noisy = {name: value + value.std() * torch.randn(value.shape, generator=generator) for name, value in state_a.items()}
state_b = spec.apply(noisy, hidden)

a, b = layers(state_a), layers(state_b)
orders, visits = descend(a, b)
start = [torch.arange(8)] * 3
states = [start] + [after for _, _, after in visits]
heights = [objective(a, b, each) for each in states]
assert all(later >= earlier - 1e-5 for earlier, later in itertools.pairwise(heights))

# %%
def picture(step):
    k, matrix, _ = visits[max(step, 1) - 1]
    units = {str(n + 1): table[order].tolist() for n, (table, order) in enumerate(zip(hidden.values(), states[step]))}
    old = states[max(step, 1) - 1]
    return draw_step(matrix, old[k], states[step][k], units, heights, step, layer=str(k + 1))


labels = ["start"] + [f"visit {n}: layer {k + 1}" for n, (k, _, _) in enumerate(visits, 1)]
texts = [f"objective {height:.2f}, {height - before:+.2f}" for before, height in zip([heights[0], *heights], heights)]
stepper = rb.frames([rb.png(picture(n)) for n in range(len(states))], labels, description="step", texts=texts)
stepper

# %% [markdown]
"""
For those who only scroll, the strips at the start, after some of the visits, and at the end:
"""

# %%
shown = [0, 1, 2, 3, 4, 7, 8, len(visits)]
strips = [[table[order].tolist() for table, order in zip(hidden.values(), states[n])] for n in shown]
draw_steps(strips, [labels[n].replace("visit ", "").replace(": ", "\n") for n in shown], [heights[n] for n in shown])

# %% [markdown]
"""
The first visit sees little: it matches one layer while its neighbours are still shuffled. A neighbour in the right order makes the next gains
sharper, and layers visited early are put right in the second sweep. A last sweep changes nothing, and so proves that the descent is done.

The library does the same with less work: it keeps what did not change between visits. Do both agree?
"""

# %% tags=["nbval-check-output"]
found = rb.weight_matching(spec, state_a, state_b)
print("by hand, every unit is back in place:", all(torch.equal(x, y) for x, y in zip(orders, hidden.inverse().values())))
print("the library finds the same orders:", all(torch.equal(x, y) for x, y in zip(orders, found.permutation.values())))
print("and the same gain:", abs(found.gain - (heights[-1] - heights[0])) < 1e-3)

# %% [markdown]
r"""
## Why not simply from front to back?

Match the first layer by its inputs, then the second by the first, and so on: one pass, no hen and egg. The paper has a small
example of what this misses (appendix A.7.2): two linear networks of shape 1-2-2-1, both about $f(x) = x$, and a small $\varepsilon$:

$$A:\ (1\ \ 0)\begin{pmatrix}1&0\\0&\varepsilon\end{pmatrix}\begin{pmatrix}1\\1+\varepsilon\end{pmatrix}x \qquad
B:\ (0\ \ 1)\begin{pmatrix}0&0\\0&1\end{pmatrix}\begin{pmatrix}1\\1+\varepsilon\end{pmatrix}x$$

**Predict.** A computes $x$ and B computes $(1+\varepsilon)x$. What does the network half-way between them compute after greedy matching?
"""

# %%
eps, zero = 1e-3, torch.zeros
first = torch.tensor([[1.0], [1 + eps]])
net_a = [(first, zero(2)), (torch.tensor([[1.0, 0], [0, eps]]), zero(2)), (torch.tensor([[1.0, 0]]), zero(1))]
net_b = [(first, zero(2)), (torch.tensor([[0.0, 0], [0, 1]]), zero(2)), (torch.tensor([[0.0, 1]]), zero(1))]


def half_way(orders):  # what the midpoint network multiplies its input by
    one, two, three = [(x + y) / 2 for (x, _), (y, _) in zip(net_a, moved(net_b, orders))]
    return (three @ two @ one).item()


p1 = assign(first @ first.T)  # greedy: layer 1 looks back at the inputs only,
p2 = assign(net_a[1][0] @ net_b[1][0][:, p1].T)  # and layer 2 looks back at layer 1
greedy, descent = [p1, p2], descend(net_a, net_b)[0]

# %% tags=["nbval-check-output"]
for name, pair in {"greedy": greedy, "descent": descent}.items():
    print(f"{name:7} {[order.tolist() for order in pair]}: half-way, f(x) = {half_way(pair):.4f} x, objective {objective(net_a, net_b, pair):.3f}")

# %% [markdown]
r"""
Greedy keeps both layers as they are, because looking back shows no reason to move, and the midpoint does *half* of what both networks do.
Looking back *and* ahead, the descent swaps both layers and lands at $(1 + \varepsilon/2)\,x$. On a real network the same happens on a larger
scale: with a single pass, the paper's ResNet50 stays at about 7 % ImageNet accuracy half-way, against 51 % when it runs to its end (A.7.1).
"""

# %%
assert abs(half_way(greedy) - (0.25 + (1 + eps) ** 2 / 4)) < 1e-6 and abs(half_way(descent) - (1 + eps / 2)) < 1e-6

# %% [markdown]
r"""
## How hard can it be? A round trip hidden in the weights

The descent promises an end, not the best. Could a cleverer method promise the best? Here is why nobody expects so. Take six cities. Write
their distances $D$ into A's middle matrix, and into B's a $C$ that says "each place is followed by the next":

$$W_A = \lambda I - D, \qquad W_B = \lambda I + C.$$

A large $\lambda$ forces both layers into the *same* order, $P_1 = P_2$. What is left of the objective is minus the length of a round trip
through the cities. **The best shuffle is the shortest tour.**
"""

# %%
cities = torch.rand(6, 2, generator=torch.Generator().manual_seed(179), dtype=torch.float64)
distances, circle, eye = torch.cdist(cities, cities), torch.eye(6).double().roll(1, 1), torch.eye(6).double()
strong = 5 * 6 * max(1.0, distances.max().item())
middle_a, middle_b = strong * eye - distances, strong * eye + circle

every = torch.tensor(list(itertools.permutations(range(6))))  # (720, 6)
rows = torch.einsum("ij,pik->pjk", middle_a, middle_b[every])  # all orders of layer 2
tours = rows.flatten(1) @ eye[every].flatten(1).T  # (720, 720): the objective of every pair of orders
p, q = divmod(int(tours.argmax()), 720)

outer = (zero(6, 1).double(), zero(6).double()), (zero(1, 6).double(), zero(1).double())  # first and last layer: nothing
stuck, _ = descend(*([outer[0], (middle, zero(6).double()), outer[1]] for middle in (middle_a, middle_b)))
draw_tours(cities.numpy(), {"coordinate descent": stuck[0].argsort().tolist(), "best of 518,400 pairs": every[p].argsort().tolist()})

# %% tags=["nbval-check-output"]
def length(tour):
    return distances[tour, tour.roll(-1)].sum().item()


print("pairs of orders tried:", tours.numel(), "  both layers in one order at the best:", bool(torch.equal(every[p], every[q])))
print("the best shuffle is the shortest tour:", abs(length(every[p].argsort()) - min(length(tour) for tour in every)) < 1e-9)
print("coordinate descent ever moved:", any(not torch.equal(order, torch.arange(6)) for order in stuck))

# %% [markdown]
"""
A quick method for the best shuffle of *every* pair of networks would plan shortest round trips quickly, and so would solve all the problems called
**NP-hard** (the paper's Lemma 1; its proof reduces quadratic assignment, of which round trips are a case). It cannot even be approximated within a
constant factor. And on this instance coordinate descent never takes a step: moving one layer alone breaks $P_1 = P_2$.

Three things this does *not* say. One hidden layer is easy (the lemma needs more than two layers of weights). It speaks of the worst networks one can
build, not of trained ones. And the best shuffle by weights need not be the one with the lowest barrier.

## MNIST

The two networks of the tour: three hidden layers of 512 units, about $10^{3499}$ permutations. Our ten lines, unchanged:
"""

# %%
a_net, b_net = rb.load_or_train(rb.Recipe(seed=0)), rb.load_or_train(rb.Recipe(seed=1))
digits = rb.load_data("mnist").test
spec = rb.PermutationSpec.from_model(a_net, torch.zeros(1, 784))
a, b = layers(a_net.state_dict()), layers(b_net.state_dict())
orders, visits = descend(a, b)
by_hand = rb.Permutation(dict(zip(spec.groups, orders)))

library = rb.weight_matching(spec, a_net, b_net, start=by_hand)
gain = objective(a, b, orders) - objective(a, b, [torch.arange(512)] * 3)
print(f"by hand: a gain of {gain:.2f} in {len(visits)} visits; the library measures {library.gain:.2f}")
assert library.permutation == by_hand  # started where we stopped, it finds nothing to improve
assert abs(library.gain - gain) < 1e-3 * gain

# %%
def middle_loss(orders):
    mixed = rb.lerp(a_net.state_dict(), spec.apply(b_net, rb.Permutation(dict(zip(spec.groups, orders)))), 0.5)
    return rb.evaluate(a_net, mixed, digits).loss


states = [[torch.arange(512)] * 3] + [after for _, _, after in visits]
heights, losses = [objective(a, b, each) for each in states], [middle_loss(each) for each in states]
draw_progress(heights, losses, sweep=3)

# %% [markdown]
"""
The objective climbs with every visit, and the loss half-way between A and B falls to almost nothing, though the descent has never seen an image. Most of
the way is done in the first two sweeps.
"""

# %%
lines = {
    "naive": rb.linear_path(a_net, a_net, b_net, digits),
    "matched": rb.linear_path(a_net, a_net, spec.apply(b_net, by_hand), digits),
}
assert lines["matched"].barrier.loss < 0.02 < 0.3 < lines["naive"].barrier.loss
rb.draw_curves(lines, title="matched by hand")

# %% [markdown]
"""
## When does the barrier go?

**Predict.** Two networks that have just been initialised, after one epoch, after 25: when can they be merged?

The networks were kept after every epoch. Three pairs of them were matched at each, and measured once on all 10,000 test images; the numbers come with the
package. Bands span the three pairs. First four epochs side by side, thin lines for the pairs and thick for their mean:
"""

# %%
run = rb.load_run("mnist-mlp-onset")
print(f"{run['data']}, {run['samples']:,} test images, seeds {run['seeds']}; {run['cpu_seconds'] / 60:.0f} minutes of CPU, {run['machine']}")
draw_onset_sheet(run, (0, 1, 5, 25))

# %%
epochs = [row["epoch"] for row in run["pairs"][0]["epochs"]]
onset = rb.frames(
    [rb.png(draw_onset(run, epoch)) for epoch in epochs],
    [str(epoch) for epoch in epochs],
    description="epoch",
    texts=[describe_onset(run, epoch) for epoch in epochs],
    start=1,
)
onset

# %%
draw_onset(run)

# %%
naive, matched = barriers(run, "naive").mean(0), barriers(run, "matched").mean(0)
for epoch in (0, 1, 2, 5, 10, 25):
    print(f"epoch {epoch:2}: mean loss barrier {naive[epoch]:.3f} naive, {matched[epoch]:.4f} matched")
assert matched[1] > 0.3 and matched[10:].max() < 0.05 and naive[1:].min() > 0.5

# %% [markdown]
"""
Freshly initialised networks have no barrier worth the name: nowhere on the line is there anything to lose. After one epoch there is a high
one, and *matching does not remove it*. It goes within the first ten epochs of training and stays away. So that two networks are one up to a shuffle is no fact about
the architecture: training makes it so (section 5.2 and figure 3 of the paper; its own barrier after one epoch is read off a plot as about 0.6).

## What could go wrong: all layers at once

Why one layer after another? All gains can be computed in parallel from the *old* orders, and every layer moved at once. Each layer then makes the best move
against neighbours that have just moved away.
"""

# %%
def noisy_pair(width, noise, seed):
    net = rb.MLP(inputs=12, hidden=(width,) * 3, classes=4, seed=seed)
    spec, generator = rb.PermutationSpec.from_model(net, torch.zeros(1, 12)), torch.Generator().manual_seed(seed)
    state = net.state_dict()
    other = {name: value + noise * value.std() * torch.randn(value.shape, generator=generator) for name, value in state.items()}
    hidden = spec.random(seed=7)
    return spec, state, spec.apply(other, hidden), hidden.inverse()


spec, state_a, state_b, planted = noisy_pair(width=64, noise=2.0, seed=2)
a, b = layers(state_a), layers(state_b)
orders, heights = [torch.arange(64)] * 3, []
for _ in range(20):
    orders = [assign(gains(a, b, orders, k)) for k in range(3)]  # every layer against the old orders of the others
    heights.append(objective(a, b, orders))

# %% tags=["nbval-check-output"]
one_by_one = [objective(a, b, after) for _, _, after in descend(a, b)[1]]
print("all at once: the objective fell at least once:", any(y < x - 1e-3 for x, y in itertools.pairwise(heights)))
print("all at once: at rest after 20 rounds:", abs(heights[-1] - heights[-2]) < 1e-3)
print("one by one: the objective never falls:", all(y >= x - 1e-3 for x, y in itertools.pairwise(one_by_one)))
print("one by one ends higher:", one_by_one[-1] > max(heights))

# %% [markdown]
"""
All at once, the layers dodge one another and may go round for ever. One by one, each accepted change raises the objective, there are finitely many
permutations, so the descent must end (Lemma 2). That argument is the whole guarantee.

## It ends, but where?

In the last example we planted the answer, so we know an order that is better than what the descent found. How often do descents from other
random visiting orders find it?
"""

# %%
target = objective(a, b, list(planted.values()))
ends = [objective(a, b, descend(a, b, seed=seed)[0]) for seed in range(3 if FAST else 10)]
print(f"planted: {target:.1f};  descents: {', '.join(f'{end:.1f}' for end in sorted(ends))}")
assert max(ends) < target

# %% [markdown]
r"""
Never: with noise of twice the weights' size, every descent stops on a lower peak, and not always on the same one. This is the price of
looking at one layer at a time. Better starts go further on such problems, and are the business of the next notebook.
On wide and well-trained networks, such as those above, the peak that is found is good enough.

## Recap

With one hidden layer the best shuffle is one exact assignment; with more, each layer's gains depend on its neighbours' orders and finding the best is
NP-hard. Coordinate descent solves one layer at a time with the others held: it always climbs, always ends, and may end below the best.
On trained MNIST networks that is enough to make the barrier vanish, after a few epochs of training and not before.

## Exercises

**04-1** · easy · 4 minutes. In the example of appendix A.7.2, let $\varepsilon = 0.1$. What does the midpoint network multiply its input by after *greedy* matching?

<details><summary>Hint</summary>Greedy leaves both layers as they are. Average the three matrices of A and B one by one, then multiply them.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("04-1", answer)

# %% tags=["solution"]
one, two, three = torch.tensor([[1.0], [1.1]]), torch.diag(torch.tensor([0.5, 0.55])), torch.tensor([[0.5, 0.5]])
answer = (three @ two @ one).item()
check("04-1", answer)

# %% [markdown]
"""
**04-2** · medium · 8 minutes. Write `middle_gains(w_a, w_b, before, after_a, after_b, after)`: the gains of a layer without biases. `w_a`, `w_b` (units, units before)
are the weights into it, `after_a`, `after_b` (units after, units) those out of it, `before` and `after` the orders that B's neighbours stand in.

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
**04-3** · hard · 15 minutes. Write `align(a, b)` for networks with *two* hidden layers and no biases: `a` and `b` are lists of three matrices. Return the orders
`[p1, p2]` at which neither layer can improve alone, and leave `a` and `b` as they are.

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
**04-4** · easy · 5 minutes. In the stored run over 25 epochs: after which epoch is the *mean* matched barrier of the three pairs for the first time below a
tenth of what it is after epoch 1? (Epoch 0 does not count: nothing is learned yet.)

<details><summary>Hint</summary><code>matched</code> has one mean for each epoch, epoch 0 first.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("04-4", answer)

# %% tags=["solution"]
answer = next(epoch for epoch in range(1, 26) if matched[epoch] < 0.1 * matched[1])
check("04-4", answer)

# %% [markdown]
"""
## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR 2023: section 3.2, Algorithm 1, Lemmas 1 and 2;
  section 5.2 and figure 3 for the onset; appendices A.5, A.7 and A.12.
* Koopmans, Beckmann: *Assignment Problems and the Location of Economic Activities*, Econometrica 1957, for quadratic assignment.
"""

# %% tags=["smoke"]
assert rb.move_all(stepper) == len(labels)  # every position of every control was visited
assert rb.move_all(onset) == len(epochs)
