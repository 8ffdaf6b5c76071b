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
| **Question** | What we want is a low loss at the midpoint. Why match weights, and not train the permutation on that very loss? |
| **You will be able to** | train something discrete with a straight-through gradient; compare the paper's three methods by barrier, time and data; choose among starts and restarts |
| **You need** | notebook 04 (weight matching); what a gradient step is |
| **Time** | 50 minutes to read; about a minute to run on two CPU cores, no GPU needed: the networks are tiny |
| **Data** | scikit-learn's small digits: training images to match on, test images to score; and a stored run on MNIST |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Near in weights, or low in loss?

Weight matching brings B's weights close to A's and *hopes* that the loss at the midpoint becomes
low. With networks this small we can check the hope against every permutation there is. Two networks
with one hidden layer of **seven** units, trained apart on small digits: 7! = 5,040 permutations,
and the midpoint loss of each of them.

**Predict.** Is the permutation that is nearest in weights also the one with the lowest midpoint
loss? If not: how many of the 5,040 are better?
"""

# %%
import itertools

import torch
import torch.nn.functional as F

import rebasin_edu as rb
from rebasin_edu.course import check, figures

assign = rb.matching.assign
digits = rb.load_data("digits")


def trained_pair(*hidden, seeds=(0, 1)):
    settings = {"epochs": 25, "lr": 3e-3, "batch_size": 128, "progress": False}
    nets = [rb.lab.MLP(inputs=64, hidden=hidden, classes=10, seed=seed) for seed in seeds]
    return [rb.train(net, digits, seed=seed, **settings).model for net, seed in zip(nets, seeds)]

# %% [markdown]
"""
With one hidden layer everything can be written down. One similarity matrix says what every unit of
B adds at every place of A (notebook 04), and a permutation's objective is a sum over it. For the
midpoint loss we mix the two networks and look at the training images.
"""

# %%
def similarity(a, b):  # (units of A, units of B)
    (w_a, bias_a, out_a, _), (w_b, bias_b, out_b, _) = a.values(), b.values()
    return w_a @ w_b.T + torch.outer(bias_a, bias_b) + out_a.T @ out_b


def permute(b, order):
    w, bias, out, last = b.values()
    return dict(zip(b, (w[order], bias[order], out[:, order], last)))


def midpoint_loss(model, a, b, images=digits.train.inputs, targets=digits.train.targets):
    mixed = {name: (a[name] + b[name]) / 2 for name in a}
    return F.cross_entropy(torch.func.functional_call(model, mixed, images), targets)

# %%
prediction = "..."  # how many of 5,040 are better?
seven, other = trained_pair(7)
a, b = seven.state_dict(), other.state_dict()
every = torch.tensor(list(itertools.permutations(range(7))))  # (5040, 7)
objectives = similarity(a, b)[torch.arange(7), every].sum(1)
with torch.no_grad():
    of_all = torch.stack([midpoint_loss(seven, a, permute(b, order)) for order in every])

nearest, lowest = int(objectives.argmax()), int(of_all.argmin())
better, r = int((of_all < of_all[nearest]).sum()), torch.corrcoef(torch.stack([objectives, of_all]))
print(f"you said: {prediction}; {better} of 5,040 are better; correlation {r[0, 1]:.2f}")
figures.draw_cloud(
    objectives.numpy(), of_all.numpy(),
    {"naive": 0, "weight matching": nearest, "lowest": lowest}, title="all 5,040, training images")

# %% [markdown]
r"""
If you said that the nearest is the best, you thought of loss as a distance. Permutations that are
closer in weights tend to have a lower midpoint loss, but the closest is not the best. With more
units we cannot try everything. Could gradient descent find the way?

## The trouble with gradients

A permutation is a discrete thing. Let a tensor $\tilde\Theta$ with the shape of the weights stand
for it through **projection**: the permutation that brings B nearest to $\tilde\Theta$. Move
$\tilde\Theta$ a little, and almost always the permutation stays the same, so the loss does: its
gradient is zero wherever there is one. What does torch say?
"""

# %%
def project(theta, b):  # with one hidden layer, weight matching is one assignment
    return assign(similarity(theta, b))


theta = {name: value.clone().requires_grad_() for name, value in a.items()}
loss = midpoint_loss(seven, a, permute(b, project(theta, b)))
print("the loss knows of theta:", loss.requires_grad)

# %% [markdown]
r"""
It does not even know that $\tilde\Theta$ was there. The **straight-through** trick (Bengio and
others, 2013) is to lie in the backward pass: on the way forward use the projected weights $\pi(B)$,
on the way back pretend that the projection was the identity. In torch that is one line: add
something that is zero in value and one in gradient.
"""

# %%
def straight_through(value, theta):
    return value + theta - theta.detach()


projected = permute(b, project(theta, b))
through = {name: straight_through(projected[name], theta[name]) for name in a}
midpoint_loss(seven, a, through).backward()
equal = all(torch.allclose(through[k], projected[k], atol=1e-5) for k in a)
print("the value is that of π(B):", equal)
print("every tensor of theta has a gradient:", all(theta[k].grad.abs().max() > 0 for k in a))

# %% [markdown]
r"""
## Training a permutation, by hand

Algorithm 2 of the paper: start with $\tilde\Theta = A$, so that the first projection *is* weight
matching. Then repeat: project, measure the midpoint loss, send its gradient straight through to
$\tilde\Theta$, take a step of SGD. Keep the best permutation met on the way.

Now with 24 units: 24! is about $6 \cdot 10^{23}$, too many to try. **Predict.** Will the loss fall
smoothly from step to step, as in ordinary training?
"""

# %%
def train_permutation(model, a, b, steps, lr=0.1, batches=None):
    theta = {name: value.clone().requires_grad_() for name, value in a.items()}
    optimiser, orders, losses = torch.optim.SGD(theta.values(), lr=lr, momentum=0.9), [], []
    for step in range(steps):
        orders.append(project({name: value.detach() for name, value in theta.items()}, b))
        projected = permute(b, orders[-1])
        through = {name: straight_through(projected[name], theta[name]) for name in a}
        loss = midpoint_loss(model, a, through, *(batches[step] if batches else ()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return orders, losses

# %%
prediction = "..."  # "smoothly" or "in jumps"
model, other = trained_pair(24, seeds=(2, 3))
a, b = model.state_dict(), other.state_dict()
orders, losses = train_permutation(model, a, b, steps=150)
best = min(range(150), key=losses.__getitem__)
ends = (rb.evaluate(model, digits.train).loss + rb.evaluate(other, digits.train).loss) / 2
print(f"you said: {prediction}; permutations met: {len({tuple(p.tolist()) for p in orders})}")
print(f"midpoint loss: {losses[0]:.4f} weight matching, {losses[best]:.4f} at step {best}")
figures.draw_trace(losses, torch.stack(orders), 149, ends=ends)

# %% [markdown]
r"""
The loss does not fall smoothly: it stays the same while the projection of
$\tilde\Theta$ stays the same, and jumps when the projection changes, up as well as down. So the
best so far is kept. Slide through the steps: the upper strip is weight matching's permutation, as a
rainbow.
"""

# %%
trainer = rb.show.slider(
    lambda step: figures.draw_trace(losses, torch.stack(orders), step, ends=ends),
    sorted({*range(0, 150, 10), best, 149}), description="step")
trainer

# %% [markdown]
"""
On the *test* images, which took no part in choosing, over the whole line:
"""

# %%
copies = {"matched": permute(b, orders[0]), "straight-through": permute(b, orders[best])}
lines = {name: rb.linear_path(model, end, digits.test)
         for name, end in {"naive": other, **copies}.items()}
rb.show.draw_curves(lines, title="one hidden layer of 24 units")

# %% [markdown]
"""
## The same with the library

`rb.straight_through_matching` trains the permutation of any architecture, and judges every
candidate on one fixed set of images. Its default is a later variant, which moves the similarity
matrices of all layers instead of a copy of the weights. On our pair:
"""

# %%
spec = rb.PermutationSpec.from_model(model, torch.zeros(1, 64))
match = rb.straight_through_matching(spec, model, other, digits.train)
trained = midpoint_loss(model, a, spec.apply(b, match.permutation)).item()
print(f"midpoint loss: {losses[0]:.4f} weight matching, {losses[best]:.4f} by hand,",
      f"{trained:.4f} the library, in {match.seconds:.1f} s")

# %% [markdown]
"""
## Three methods side by side

The paper has a third method: **activation matching** (notebook 03) runs both networks on the same
images and pairs units that fire together. So the three differ in what they look at: weights only;
activations; or the midpoint loss itself.

**Predict** for the MNIST networks of notebook 04, three hidden layers of 512 units: which method
has the lowest barrier? Measured once for three pairs and stored:
"""

# %%
prediction = "..."  # "activation matching", "weight matching", "straight-through" or "all equal"
run = rb.load_run("mnist-mlp-three-methods")
print(f"you said: {prediction}; {run['data']}, {run['samples']:,} test images, three pairs")
for name in run["pairs"][0]["methods"]:
    rows = [pair["methods"][name] for pair in run["pairs"]]
    barrier, middle, seconds = (
        sum(row[key] for row in rows) / 3 for key in ("loss_barrier", "middle_loss", "cpu_seconds"))
    print(f"{name:20} loss barrier {barrier:.4f}   midpoint loss {middle:.4f}   {seconds:6.1f} "
          f"CPU s   training images: {run['images'][name]}")

# %%
figures.draw_methods(run)

# %% [markdown]
"""
If you named one method, you thought of the barrier as a measure of quality. The paper's barrier is
the *worst* point of the line less the mean of both ends. Once the line has no hill, the worst point
is the worse of the two ends, and the barrier cannot fall below half of their difference, whatever
the method. To tell the methods apart, look at the midpoint: there every pair of networks has a
lower test loss than either end.
"""

# %% [markdown]
"""
At that midpoint, activation matching has the highest loss, weight matching a lower one, and
straight-through the lowest. But the straight-through method needs many times the seconds, and
labelled data. The paper calls weight matching orders of magnitude faster than activation matching
(caption of its figure 2). With one pass over 10,000 images the gap is small here. On networks as
wide as these, all three differences are small beside the naive barrier.
"""

# %% [markdown]
"""
## Better starts, and the best of N

On narrow networks with several layers, where a descent starts decides where it ends.
`weight_matching` can start from the identity (the paper's choice), from random permutations, from
one pass over the layers beginning at the output, or from "every unit matched to all others equally"
(the barycentre). Three hidden layers of 16 units, on the small digits:
"""

# %%
def judge_of(model, other):  # the midpoint loss of a permutation, on training or test images
    spec = rb.PermutationSpec.from_model(model, torch.zeros(1, 64))
    a, b = model.state_dict(), other.state_dict()
    return spec, lambda p, split=digits.train: midpoint_loss(
        model, a, spec.apply(b, p), *split).item()

# %%
narrow = [trained_pair(16, 16, 16, seeds=seeds) for seeds in ((0, 1), (2, 3), (4, 5))]
spec, judge = judge_of(*narrow[0])
print(f"as trained: midpoint loss {judge(spec.identity()):.3f}")
for start in ("identity", "random", "output_first", "barycentre"):
    match = rb.weight_matching(spec, *narrow[0], start=start)
    print(f"{start:12} objective {match.objective:6.2f}   loss {judge(match.permutation):.3f}")

# %% [markdown]
"""
**Predict.** If we run many descents from random starts and keep the one with the best *objective*,
do we also get the best midpoint *loss*?
"""

# %%
prediction, results = "...", []  # "yes" or "no"
for pair in narrow:
    spec, judge = judge_of(*pair)
    matches = [rb.weight_matching(spec, *pair, start="random", seed=seed) for seed in range(30)]
    results.append(([m.objective for m in matches], [judge(m.permutation) for m in matches]))

print(f"you said: {prediction}; midpoint losses of 30 descents, for three pairs:")
for heights, mids in results:
    chosen = mids[heights.index(max(heights))]
    print(f"best objective {chosen:.3f}, median {sorted(mids)[15]:.3f}, lowest {min(mids):.3f}; "
          f"correlation {torch.corrcoef(torch.tensor([heights, mids]))[0, 1]:+.2f}")

# %% [markdown]
"""
If you said yes, you thought of the first figure: among *all* permutations, near in weights goes
with low in loss. Among the *local
optima* of narrow networks the correlation is weak (about −0.5 to 0 on these three pairs), and the
best objective never comes with the lowest loss here: **a better objective is not always a lower
barrier.** Slide N for the first pair: the left picture shows the first N
descents, the right one what the best of them is, chosen in two ways.
"""

# %%
best_of_slider = rb.show.slider(
    lambda count: figures.draw_best_of(*results[0], count), [1, 2, 3, 5, 8, 12, 30],
    description="N", start=6)
best_of_slider

# %% [markdown]
"""
Where images are at hand, choose among restarts by the midpoint loss. The library does it when it is
told how to judge:
"""

# %%
spec, judge = judge_of(*narrow[0])
chosen = rb.weight_matching(spec, *narrow[0], start="random", restarts=8, loss=judge)
print(f"midpoint loss of the best of 8 restarts: {min(chosen.scores):.3f} on training images, "
      f"{judge(chosen.permutation, digits.test):.3f} on test images")

# %% [markdown]
"""
## What could go wrong: a noisy judge

In the authors' code the straight-through method returns the permutation with the lowest loss *on
its own minibatch*. Each permutation was judged on other images, so the winner is partly the one
with the easiest minibatch. Break it: batches of 20 images and a large step. Then repair it: judge
all permutations on the same images. **Predict.** Is what the minibatch claims too low, too high or
about right?
"""

# %%
prediction = "..."  # "too low", "too high" or "about right"
print(f"you said: {prediction}; weight matching has {losses[0]:.3f} on all images")
judged = []
for seed in range(5):
    g = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(digits.train.inputs), (80, 20), generator=g)  # 80 batches
    batches = [(digits.train.inputs[k], digits.train.targets[k]) for k in drawn]
    met, claims = train_permutation(model, a, b, steps=80, lr=1.0, batches=batches)
    with torch.no_grad():
        full = [midpoint_loss(model, a, permute(b, order)).item() for order in met]
    judged.append((min(claims), full[claims.index(min(claims))], min(full)))
    print("claimed {:.3f}, on all images {:.3f};  chosen on all images {:.3f}".format(*judged[-1]))

# %% [markdown]
"""
Too low: the claims lie far below the true loss of any permutation met here, and what they chose is
sometimes no better than weight matching, where the search began.

## When to use which

| you have | use |
|---|---|
| only the weights | `weight_matching`; some restarts cost little |
| wide, well-trained MLPs like these | `weight_matching`: little remains to gain (networks with BatchNorm need more, notebook 08) |
| unlabelled images | `activation_matching`, centred if the network has no normalisation layers |
| labelled images, narrow or deep networks | restarts or starts of `weight_matching` with `loss=`; then `straight_through_matching`; keep the lower loss on images not used to choose |

An honest word on the last line: the straight-through method optimises the midpoint of *this* pair
on *these* images, and nothing promises that a merge of three networks gains by it. A follow-up
study (Ito and others, ICLR 2025) finds, for fully connected networks on CIFAR-10, that two networks
which weight matching brought to a common third can be merged with each other too, and that those
which the straight-through method brought there have a barrier between them.

## Recap

A permutation can be trained: project on the way forward, pretend on the way back that the
projection was the identity, and keep the best permutation met. It lowers the very loss we care
about, and it costs labelled data and far more time than weight matching, which is close enough on
wide networks. Among several candidates choose by the midpoint loss, always on the same images: the
objective alone does not tell.

## Exercises

**05-1** · easy · 4 minutes. Write `through(value, theta)` that has the value of `value` and sends
its gradient to `theta`, none of it to `value`.

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
**05-2** · medium · 8 minutes. Write `best_of(objectives, losses, count)`: a pair of numbers, the
loss of the descent with the best *objective* among the first `count`, and the lowest *loss* among
them.

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
**05-3** · hard · 12 minutes. Write `step(theta, b, project, loss_at, lr)`: one step of the
straight-through method for a single matrix `theta` whose *rows* are permuted. `project(theta, b)`
gives the order, `loss_at(rows)` the loss of a permuted matrix. Return the new `theta` after plain
SGD; leave the old one as it is.

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
**Another cloud** · figure · 5 minutes. Draw the cloud of all 5,040 permutations for another pair of
networks of seven units, on *test* images. Is the nearest one among the best thousand again?

<details><summary>Hint</summary><code>midpoint_loss</code> takes images and targets: <code>*digits.test</code>.</details>
"""

# %% tags=["exercise"]
# your figure

# %% tags=["solution"]
one, two = trained_pair(7, seeds=(4, 5))
p, q = one.state_dict(), two.state_dict()
near = similarity(p, q)[torch.arange(7), every].sum(1)
with torch.no_grad():
    low = torch.stack([midpoint_loss(one, p, permute(q, k), *digits.test) for k in every])
marked = {"naive": 0, "weight matching": int(near.argmax()), "lowest": int(low.argmin())}
figures.draw_cloud(near.numpy(), low.numpy(), marked, title="seeds 4 and 5, test images")

# %% [markdown]
"""
**The third network** · open · 25 minutes. Train three networks of 24 hidden units, bring the second
and the third to the first by weight matching and by the straight-through method, and draw the line
between the second and the third for both. Which method gives the lower barrier there?

## Questions

**1.** Why is the gradient of the midpoint loss with respect to Θ̃ useless without a trick?
<details><summary>The projection is constant almost everywhere, so it is zero.</summary>Right.</details>
<details><summary>It is too noisy.</summary>No: it does not exist at jumps and is zero elsewhere.</details>

**2.** What does the straight-through method do on the way back?
<details><summary>It computes the exact gradient of the projection.</summary>No: that is zero.</details>
<details><summary>It pretends that the projection was the identity.</summary>Right.</details>

**3.** Why is the best permutation kept, and not the last?
<details><summary>The loss jumps up as well as down.</summary>Right.</details>
<details><summary>To save memory.</summary>No: a permutation is 24 numbers, all 150 could be kept.</details>
<details><summary>The last is overfitted.</summary>No: the loss shown is the training loss itself, and it rises at some steps.</details>

**4.** Three matchers have the same barrier. Are they equally good?
<details><summary>Yes, by definition.</summary>No: each is at its floor, half the difference of the ends. Look at the midpoint.</details>
<details><summary>Not necessarily.</summary>Right.</details>

**5.** Thirty descents: which one should be kept?
<details><summary>The one with the best objective.</summary>No: among local optima of narrow networks it says little.</details>
<details><summary>The one with the lowest midpoint loss, all judged on the same images.</summary>Right.</details>

**6.** Why is the loss of each permutation on its own minibatch a bad judge?
<details><summary>The winner may just have met the easiest images.</summary>Right.</details>
<details><summary>Minibatches are too small to compute a gradient.</summary>No: the steps are fine, the comparison is not.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: section 3.3 and Algorithm 2; figure 2 for the three methods.
* Bengio, Léonard, Courville: *Estimating or Propagating Gradients Through Stochastic Neurons for
  Conditional Computation*, 2013.
* Ito, Yamada, Kumagai: *Analysis of Linear Mode Connectivity via Permutation-Based Weight
  Matching*, ICLR 2025.
"""

# %% tags=["smoke"]
assert rb.show.move_all(trainer) >= 16  # every position of every control was visited
assert rb.show.move_all(best_of_slider) == 7
assert of_all[lowest] < of_all[nearest] < of_all[0] and r[0, 1] < -0.5 and better > 100
assert losses[best] < losses[0] and trained < losses[0]
assert lines["straight-through"].barrier.loss < 0.5 * lines["naive"].barrier.loss
for heights, mids in results:
    assert min(mids) < mids[heights.index(max(heights))] and min(mids) < sorted(mids)[15]
assert abs(judge(chosen.permutation) - min(chosen.scores)) < 1e-6
assert all(claim < truth for claim, truth, _ in judged)
assert sum(row[2] for row in judged) < sum(row[1] for row in judged)

# %% tags=["smoke"]
methods = run["pairs"][0]["methods"].keys() - {"naive"}
rows = {name: [pair["methods"][name] for pair in run["pairs"]] for name in methods}
for row in itertools.chain(*rows.values()):  # every barrier is at its floor
    first, last = row["loss"][0], row["loss"][-1]
    assert abs(row["loss_barrier"] - abs(first - last) / 2) < 2e-4
    assert row["middle_loss"] < min(first, last)
middle = {name: sum(row["middle_loss"] for row in rows[name]) for name in rows}
assert middle["straight-through"] < middle["weight matching"] < middle["activation matching"]
