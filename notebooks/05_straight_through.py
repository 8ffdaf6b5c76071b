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
# 05 · Can we train the permutation?

| | |
|---|---|
| **Question** | What we want is a low loss half-way. Why match weights, and not train the permutation on that very loss? |
| **You will be able to** | train something discrete with a straight-through gradient; compare the paper's three methods by barrier, time and data; choose among starts and restarts |
| **You need** | notebook 04 (weight matching); what a gradient step is |
| **Time** | 30 minutes to read; under a minute to run on two CPU cores, no GPU needed: the networks are tiny |
| **Data** | scikit-learn's digits, which come with it; and a stored run on MNIST |
"""

# %% [markdown]
"""
## Near in weights, or low in loss?

Weight matching brings B's weights close to A's and *hopes* that the loss half-way between them becomes low. With a network small enough we can check the hope
against everything there is. Two networks with one hidden layer of **seven** units, trained apart on small digits: 7! = 5,040 permutations, and
the midpoint loss of each of them.

**Predict.** Is the permutation that is nearest in weights also the one with the lowest loss half-way?
"""

# %%
import itertools
import os

import torch
import torch.nn.functional as F

import rebasin_edu as rb
from rebasin_edu.course import check
from rebasin_edu.course.figures.method_comparison import (
    draw_best_of,
    draw_cloud,
    draw_methods,
    draw_trace,
)
from rebasin_edu.matching import assign

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))
digits = rb.load_data("digits")
images, targets = digits.train.inputs, digits.train.targets


def trained_pair(*hidden, seeds=(0, 1)):
    nets = [rb.MLP(inputs=64, hidden=hidden, classes=10, seed=seed) for seed in seeds]
    return [rb.train(net, digits, epochs=25, lr=3e-3, batch_size=128, seed=seed, progress=False).model for net, seed in zip(nets, seeds)]


# %% [markdown]
"""
With one hidden layer everything can be written down. The gains of every unit of B at every place make one matrix (notebook 04), and a
permutation's objective is a sum over it. For the midpoint loss we mix the two networks and look at the training images.
"""

# %%
def gains(a, b):  # (units of A, units of B)
    (w_a, c_a, out_a, _), (w_b, c_b, out_b, _) = a.values(), b.values()
    return w_a @ w_b.T + torch.outer(c_a, c_b) + out_a.T @ out_b


def permute(b, order):
    w, c, out, last = b.values()
    return dict(zip(b, (w[order], c[order], out[:, order], last)))


def middle_loss(model, a, b, inputs=images, targets=targets):
    mixed = {name: (a[name] + b[name]) / 2 for name in a}
    return F.cross_entropy(torch.func.functional_call(model, mixed, inputs), targets)


# %%
model, other = trained_pair(7)
a, b = model.state_dict(), other.state_dict()
every = torch.tensor(list(itertools.permutations(range(7))))  # (5040, 7)
objectives = gains(a, b)[torch.arange(7), every].sum(1)
with torch.no_grad():
    losses = torch.stack([middle_loss(model, a, permute(b, order)) for order in every])

nearest, lowest = int(objectives.argmax()), int(losses.argmin())
rank, correlation = int((losses < losses[nearest]).sum()), torch.corrcoef(torch.stack([objectives, losses]))[0, 1]
print(f"half-way loss: {losses[0]:.3f} as trained, {losses[nearest]:.3f} nearest in weights, {losses[lowest]:.3f} the lowest there is")
print(f"{rank} permutations of 5,040 are better half-way than the nearest; correlation {correlation:.2f}")
draw_cloud(objectives.numpy(), losses.numpy(), {"naive": 0, "weight matching": nearest, "lowest": lowest}, title="all 5,040 permutations")

# %%
assert losses[lowest] <= losses[nearest] < losses[0] and correlation < -0.5

# %% [markdown]
r"""
The hope is well founded and not fulfilled: near in weights goes with low in loss, but the nearest is not the lowest. With more units we cannot try
everything. Could gradient descent find the way?

## The trouble with gradients

A permutation is a discrete thing. Let a tensor $\tilde\Theta$ with the shape of the weights stand for it through **projection**: the permutation
that brings B nearest to $\tilde\Theta$. Move $\tilde\Theta$ a little, and almost always the permutation stays the same, so the loss does: its gradient
is zero wherever there is one. **Predict** what torch says when we ask for it.
"""

# %%
def project(theta, b):  # with one hidden layer, weight matching is one assignment
    return assign(gains(theta, b))


theta = {name: value.clone().requires_grad_() for name, value in a.items()}
loss = middle_loss(model, a, permute(b, project(theta, b)))
print("the loss knows of theta:", loss.requires_grad)

# %% [markdown]
r"""
It does not even know that $\tilde\Theta$ was there. The **straight-through** trick (Bengio and others, 2013) is to lie in the backward pass: on the way
forward use the projected weights $\pi(B)$, on the way back pretend that the projection was the identity. In torch that is one line: add something that
is zero in value and one in gradient.
"""

# %% tags=["nbval-check-output"]
def straight_through(value, theta):
    return value + theta - theta.detach()


projected = permute(b, project(theta, b))
through = {name: straight_through(projected[name], theta[name]) for name in a}
print("the value is that of the permuted B:", all(torch.allclose(through[name], projected[name], atol=1e-5) for name in a))
middle_loss(model, a, through).backward()
print("every tensor of theta has a gradient:", all(theta[name].grad.abs().max() > 0 for name in a))

# %% [markdown]
r"""
## Training a permutation, by hand

Algorithm 2 of the paper: start with $\tilde\Theta = A$, so that the first projection *is* weight matching. Then repeat: project, measure the loss half-way,
send its gradient straight through to $\tilde\Theta$, take a step of SGD. Keep the best permutation that was met on the way.

Now with 24 units: 24! is about $6 \cdot 10^{23}$, too many to try.
"""

# %%
def train_permutation(model, a, b, steps, lr=0.1):
    theta = {name: value.clone().requires_grad_() for name, value in a.items()}
    optimiser, orders, losses = torch.optim.SGD(theta.values(), lr=lr, momentum=0.9), [], []
    for _ in range(steps):
        orders.append(project({name: value.detach() for name, value in theta.items()}, b))
        through = {name: straight_through(value, theta[name]) for name, value in permute(b, orders[-1]).items()}
        loss = middle_loss(model, a, through)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return orders, losses


# %%
model, other = trained_pair(24, seeds=(2, 3))
a, b = model.state_dict(), other.state_dict()
orders, losses = train_permutation(model, a, b, steps=150)
best = min(range(len(losses)), key=losses.__getitem__)
ends = (rb.evaluate(model, a, digits.train).loss + rb.evaluate(model, b, digits.train).loss) / 2
print(f"half-way loss: {losses[0]:.4f} with weight matching, {losses[best]:.4f} at step {best}; the mean of both ends: {ends:.4f}")
print(f"different permutations met: {len({tuple(order.tolist()) for order in orders})}")
assert losses[best] < losses[0]
draw_trace(losses, [order.tolist() for order in orders], len(losses) - 1, ends=ends)

# %% [markdown]
r"""
The loss does not fall smoothly, as in ordinary training: it stands still while $\tilde\Theta$ moves within one permutation's territory, and jumps when
the projection changes, up as well as down. So the best so far is kept. Slide through the steps: the upper strip is weight matching's order, as a rainbow.
"""

# %%
steps = sorted({*range(0, 150, 10), best, 149})
trainer = rb.frames(
    [rb.png(draw_trace(losses, [order.tolist() for order in orders], step, ends=ends)) for step in steps],
    [str(step) for step in steps],
    description="step",
    texts=[f"step {step}: half-way loss {losses[step]:.4f}, best so far {min(losses[: step + 1]):.4f}" for step in steps],
)
trainer

# %% [markdown]
"""
On the *test* images, which took no part in choosing, over the whole line:
"""

# %%
naive = rb.linear_path(model, a, b, digits.test)
lines = {
    "matched": rb.linear_path(model, a, permute(b, orders[0]), digits.test),
    "straight-through": rb.linear_path(model, a, permute(b, orders[best]), digits.test),
}
print(f"loss barriers: {naive.barrier.loss:.3f} naive, " + ", ".join(f"{line.barrier.loss:.3f} {name}" for name, line in lines.items()))
assert lines["straight-through"].barrier.loss < 0.5 * naive.barrier.loss
rb.draw_curves(lines, metrics=("loss",), title="one hidden layer of 24 units, test images")

# %% [markdown]
"""
## The same with the library

`rb.straight_through_matching` does this for any architecture. In deeper networks the projection is coordinate descent, and it starts from the
permutation of the step before (a *warm start*), since little has changed. It learns from minibatches and judges every permutation on one fixed set of images. With *all* images
in each batch it should walk the very path that we walked:
"""

# %%
spec = rb.PermutationSpec.from_model(model, torch.zeros(1, 64))
every_image = {"batch_size": len(images), "evaluation": len(images)}
found = rb.straight_through_matching(spec, a, b, (images, targets), model=model, steps=149, lr=0.1, progress=False, **every_image)
print(f"half-way loss: {losses[0]:.4f} weight matching, {losses[best]:.4f} by hand, {found.scores[-1]:.4f} the library, in {found.seconds:.1f} s")
assert abs(found.scores[0] - losses[0]) < 1e-4 and abs(found.scores[-1] - losses[best]) < 1e-4

# %% [markdown]
"""
## Three methods side by side

The paper has a third method: **activation matching** (notebook 03) runs both networks on the same images and pairs units that fire together. So the three differ in what they
look at: weights only; activations; or the midpoint loss itself.

**Predict** for the MNIST networks of notebook 04, three hidden layers of 512 units: which is fastest, which is lowest, and by how much?
Measured once for three pairs and stored:
"""

# %%
run = rb.load_run("mnist-mlp-three-methods")
print(f"{run['data']}, {run['samples']:,} test images, means of the pairs with seeds {run['seeds']}, on {run['machine']}")
names = list(run["pairs"][0]["methods"])
mean = {name: {key: sum(pair["methods"][name][key] for pair in run["pairs"]) / len(run["pairs"]) for key in run["keys"]} for name in names}
print(f"{'':20} loss barrier   loss half-way (test)   (training)   CPU seconds   training images")
for name, row in mean.items():
    print(f"{name:20} {row['loss_barrier']:12.4f} {row['middle_loss']:22.4f} {row['train_middle_loss']:12.4f}", end="")
    print(f" {row['cpu_seconds']:13.1f}   {run['images'][name]}")

# %%
draw_methods(run)

# %% [markdown]
"""
Did you expect three equal barriers? The paper's barrier is the *worst* point of the line less the mean of both ends. Once the hill is gone, the worst point is the worse of the two ends,
and the barrier cannot fall below half of their difference, whatever the method. To tell the methods apart, look half-way: there every pair of networks is better
on test images than either end.
"""

# %% tags=["nbval-check-output"]
for name in names[1:]:
    rows = [pair["methods"][name] for pair in run["pairs"]]
    floor = all(abs(row["loss_barrier"] - abs(row["loss"][0] - row["loss"][-1]) / 2) < 2e-4 for row in rows)
    better = all(row["middle_loss"] < min(row["loss"][0], row["loss"][-1]) for row in rows)
    print(f"{name:20} barrier at its floor: {floor}, half-way better than both ends: {better}, pairs: {len(rows)}")

# %% [markdown]
"""
Half-way, the order is: activation matching, weight matching, straight-through. The last one is lowest, on test images, too, and pays for it with many times the seconds and with labelled data.
The paper calls weight matching orders of magnitude faster than activation matching (caption of its figure 2); with one pass over 10,000 images the gap is small here. Its own step size for
the straight-through method, 0.01, moved nothing within so few steps; the one used here was chosen on training images of the first pair.
On one pair the permutation chosen by 2,000 images is even slightly worse on all 60,000 than weight matching. On networks as wide as these, all three differences are small beside the hill that is gone.
"""

# %%
middle = {name: row["middle_loss"] for name, row in mean.items()}
assert middle["straight-through"] < middle["weight matching"] < middle["activation matching"] < 0.2 * middle["naive"]
trained, plain = ([pair["methods"][name]["train_middle_loss"] for pair in run["pairs"]] for name in ("straight-through", "weight matching"))
assert sum(x > y for x, y in zip(trained, plain)) == 1
assert mean["straight-through"]["cpu_seconds"] > 5 * mean["weight matching"]["cpu_seconds"]

# %% [markdown]
"""
## Better starts, and the best of N

On narrow networks with several layers, where a descent starts decides where it ends. The library knows six starts. Three hidden layers of 16 units, on the digits:
"""

# %%
narrow = trained_pair(16, 16, 16)
spec = rb.PermutationSpec.from_model(narrow[0], torch.zeros(1, 64))
states = [net.state_dict() for net in narrow]


def judge(permutation, split=digits.train):
    return middle_loss(narrow[0], states[0], spec.apply(states[1], permutation), *split).item()


for start in ("identity", "random", "outward", "forward", "backward", "barycentre"):
    found = rb.weight_matching(spec, *narrow, start=start)
    print(f"{start:11} objective {found.objective:6.2f}   half-way loss {judge(found.permutation):.3f}   {1000 * found.seconds:4.0f} ms")
print(f"as trained: half-way loss {judge(spec.identity()):.3f}")

# %% [markdown]
"""
*identity* is the paper's. *outward* fixes each layer once, from the ends of the network where nothing may move. *forward* and *backward* first trust the weights into a
layer more, or those out of it. *barycentre* begins with "every unit matched to all others equally" and moves all layers at once (Frank-Wolfe), before it is rounded.

**Predict.** If we run many descents from random starts and keep the one with the best objective, do we also get the best half-way loss? Slide N:
the left picture shows the first N descents, the right one what the best of them is, chosen in two ways.
"""

# %%
tries = 12 if FAST else 30
descents = [rb.weight_matching(spec, *narrow, start="random", seed=seed) for seed in range(tries)]
heights, middles = [found.objective for found in descents], [judge(found.permutation) for found in descents]
counts = sorted({1, 2, 3, 5, 8, 12, tries})
best_of_slider = rb.frames(
    [rb.png(draw_best_of(heights, middles, count)) for count in counts],
    [str(count) for count in counts],
    description="N",
    texts=[
        f"best of {n} by objective: half-way loss {middles[max(range(n), key=heights.__getitem__)]:.3f}; by loss: {min(middles[:n]):.3f}" for n in counts
    ],
    start=len(counts) - 1,
)
best_of_slider

# %%
correlation = torch.corrcoef(torch.tensor([heights, middles]))[0, 1]
by_objective, by_loss = max(range(tries), key=heights.__getitem__), min(range(tries), key=middles.__getitem__)
print(f"correlation of objective and half-way loss over {tries} descents: {correlation:.2f}")
print(f"half-way loss: {sorted(middles)[tries // 2]:.3f} in the middle, {middles[by_objective]:.3f} best objective, {middles[by_loss]:.3f} best loss")
print(f"on test images: {judge(descents[by_objective].permutation, digits.test):.3f} and {judge(descents[by_loss].permutation, digits.test):.3f}")
assert middles[by_loss] < sorted(middles)[tries // 2] and correlation > -0.8
draw_best_of(heights, middles, tries)

# %% [markdown]
"""
Among all permutations, near in weights goes with low in loss (the first figure). Among the *local optima* of a narrow network the two have hardly anything to do with each
other: **a better objective is not always a lower barrier.** Where images are at hand, choose among restarts by the midpoint loss. The library does it when it is told how to judge:
"""

# %% tags=["nbval-check-output"]
chosen = rb.weight_matching(spec, *narrow, start="random", restarts=8, loss=judge)
print("restarts judged:", len(chosen.scores))
print("the one that is kept has the lowest half-way loss:", abs(judge(chosen.permutation) - min(chosen.scores)) < 1e-6)

# %% [markdown]
"""
## What could go wrong: a noisy judge

In the authors' code the straight-through method returns the permutation with the lowest loss *on its own minibatch*. Each permutation was judged on other images, so the winner
is partly the one with the easiest minibatch. Break it: batches of 20 images and a large step. Then mend it: judge all permutations on the same images.
"""

# %%
def train_noisily(seed, batch=20, steps=80):
    generator = torch.Generator().manual_seed(seed)
    theta = {name: value.clone().requires_grad_() for name, value in a.items()}
    optimiser, orders, noisy = torch.optim.SGD(theta.values(), lr=1.0, momentum=0.9), [], []
    for _ in range(steps):
        orders.append(project({name: value.detach() for name, value in theta.items()}, b))
        through = {name: straight_through(value, theta[name]) for name, value in permute(b, orders[-1]).items()}
        drawn = torch.randint(len(images), (batch,), generator=generator)
        loss = middle_loss(model, a, through, images[drawn], targets[drawn])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        noisy.append(loss.item())
    return orders, noisy


# %%
claims, truths, mended = [], [], []
for seed in range(5):
    met, noisy = train_noisily(seed)
    with torch.no_grad():
        full = [middle_loss(model, a, permute(b, order)).item() for order in met]
    easiest = min(range(len(met)), key=noisy.__getitem__)
    claims.append(noisy[easiest]), truths.append(full[easiest]), mended.append(min(full))
for name, row in {"its minibatch claims": claims, "all images say": truths, "judged on all images": mended}.items():
    print(f"{name:21} {'  '.join(f'{loss:.3f}' for loss in row)}")
print(f"{'weight matching':21} {losses[0]:.3f}")
assert all(claim < truth for claim, truth in zip(claims, truths)) and sum(mended) < sum(truths)

# %% [markdown]
"""
The claims lie far below what *any* permutation attains, and what they chose is sometimes no better than weight matching, where the search began.

## When to use which

| you have | use |
|---|---|
| only the weights | `weight_matching`; some restarts cost little |
| wide, well-trained networks | `weight_matching`: little is left to gain |
| some images, labels or not | `activation_matching` besides, and keep the better one; no normalisation: centred |
| labelled images, narrow or deep networks | restarts or starts of `weight_matching` with `loss=`; then `straight_through_matching` from there, if minutes do not matter |

An honest word on the last line: the straight-through method optimises the midpoint of *this* pair on *these* images, and nothing promises that a merge of three networks gains by it.
A follow-up study (Ito and others, ICLR 2025) finds, for fully connected networks on CIFAR-10, that two networks which weight matching brought to a common third can be merged with each other
too, and that those which the straight-through method brought there have a barrier between them.

## Recap

A permutation can be trained: project on the way forward, pretend on the way back that the projection was not there, and keep the best that was met. It lowers
the very loss we care about, and it costs labelled data and far more time than weight matching, which is near enough on wide networks. Among several candidates choose by the midpoint loss,
always on the same images: the objective alone does not tell.

## Exercises

**05-1** · easy · 4 minutes. Write `through(value, theta)` that has the value of `value` and sends its gradient to `theta`, none of it to `value`.

<details><summary>Hint</summary>In the text, <code>value</code> came from an index and knew of no gradient. Here it may.</details>
"""

# %% tags=["exercise"]
def through(value, theta):
    return ...


# check("05-1", through)


# %% tags=["solution"]
def through(value, theta):
    return value.detach() + theta - theta.detach()


check("05-1", through)

# %% [markdown]
"""
**05-2** · medium · 8 minutes. Write `best_of(objectives, losses, count)`: a pair of numbers, the loss of the descent with the best *objective* among the first `count`, and the lowest *loss* among them.

<details><summary>Hint</summary>The objective is better when it is larger, the loss when it is smaller.</details>
"""

# %% tags=["exercise"]
def best_of(objectives, losses, count):
    return ...


# check("05-2", best_of)


# %% tags=["solution"]
def best_of(objectives, losses, count):
    chosen = max(range(count), key=lambda n: objectives[n])
    return losses[chosen], min(losses[:count])


check("05-2", best_of)

# %% [markdown]
"""
**05-3** · hard · 12 minutes. Write `step(theta, b, project, loss_at, lr)`: one step of the straight-through method for a single matrix `theta` whose *rows* are permuted. `project(theta, b)` gives the order,
`loss_at(rows)` the loss of a permuted matrix. Return the new `theta` after plain SGD; leave the old one as it is.

<details><summary>Hint</summary>Make a copy that requires a gradient; the loss sees <code>b[order]</code> with that copy's gradient; <code>torch.autograd.grad</code> gives it.</details>
"""

# %% tags=["exercise"]
def step(theta, b, project, loss_at, lr):
    return ...


# check("05-3", step)


# %% tags=["solution"]
def step(theta, b, project, loss_at, lr):
    free = theta.detach().clone().requires_grad_()
    order = project(free.detach(), b)
    (gradient,) = torch.autograd.grad(loss_at(b[order] + free - free.detach()), free)
    return theta - lr * gradient


check("05-3", step)

# %% [markdown]
"""
## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR 2023: section 3.3 and Algorithm 2; figure 2 for the three methods.
* Bengio, Léonard, Courville: *Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation*, 2013.
* Ito, Yamada, Kumagai: *Analysis of Linear Mode Connectivity via Permutation-Based Weight Matching*, ICLR 2025.
"""

# %% tags=["smoke"]
assert rb.move_all(trainer) == len(steps)  # every position of every control was visited
assert rb.move_all(best_of_slider) == len(counts)
