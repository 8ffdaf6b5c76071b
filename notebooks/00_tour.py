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
# 00 · What happens when you average two networks?

| | |
|---|---|
| **Question** | Two networks learned the same task apart. What is the network half-way between them? |
| **You will be able to** | walk the straight line between two networks, read a barrier off it, and make it vanish |
| **You need** | Python, and a rough idea of what training a network means |
| **Time** | 5 minutes to read; under a minute to run on two CPU cores, less on a GPU |
| **Data** | MNIST: the full test set where it is at hand, else 1,000 images that a dependency ships; the cell says which |
"""

# %% [markdown]
"""
## Two networks, trained apart

Both are the multi-layer perceptron of the paper: 784 pixels, three hidden layers of 512 units, ten digits. They saw the same
60,000 images, from different random starts and in a different order. The trained weights come with the package, so nothing is trained
here. We look at them on the MNIST test set where it is at hand. The stand-in that a dependency ships is cut from the *training*
images: both networks know those, so their numbers there are better than they deserve.
"""

# %%
import torch

import rebasin_edu as rb
from rebasin_edu.course import check

a, b = rb.load_or_train(rb.Recipe(seed=0)), rb.load_or_train(rb.Recipe(seed=1))
digits = rb.load_data("mnist").test
for name, network in {"A": a, "B": b}.items():
    score = rb.evaluate(network, None, digits)
    print(f"network {name}: loss {score.loss:.3f}, accuracy {score.accuracy:.1%} on {len(digits.targets):,} images")

# %% [markdown]
"""
## Half of each

**Predict.** Take the average of every weight: half of A, half of B. A third network, right between two good ones. Will it recognise
the digits as well as they do, make many more mistakes, or know next to nothing?
"""

# %%
state_a, state_b = a.state_dict(), b.state_dict()
average = {name: 0.5 * state_a[name] + 0.5 * state_b[name] for name in state_a}

naive = rb.evaluate(a, average, digits)
print(f"the average of A and B: loss {naive.loss:.3f}, accuracy {naive.accuracy:.1%}")
assert naive.loss > 0.3  # far above either parent

# %% [markdown]
"""
The average is far worse than either parent. Between two good networks lies a hill, and its height is called the **barrier**.

One might conclude that the two found different solutions. But hidden units have no names. Unit 17 of A and unit 17 of B share a
number and nothing else, and the average mixes a stroke detector with a loop detector. Perhaps B is much the same network as A, *with its hidden
units shuffled*.

## Find the shuffle

The **spec** says which units may be reordered without changing the function. **Weight matching** then looks for the order that brings B's
weights closest to A's. It needs no data, only the two sets of weights.
"""

# %%
spec = rb.PermutationSpec.from_model(a, torch.zeros(1, 784))
found = rb.weight_matching(spec, a, b)
b_matched = spec.apply(b, found.permutation)
print(f"{spec}: one order found in {found.seconds:.1f} s")

images = digits.inputs[:1000]
with torch.no_grad():
    before = b(images)
    after = torch.func.functional_call(b, b_matched, images)
print(f"reordering B changes its outputs by {(before - after).abs().max():.1e} at most")
assert torch.allclose(before, after, atol=1e-3)

# %% [markdown]
"""
**Predict.** The reordered B is *the same function* as B, and every unit of it now stands where its closest relative stands in A. What is
half-way between them now?
"""

# %%
lines = {
    "naive": rb.linear_path(a, a, b, digits),
    "matched": rb.linear_path(a, a, b_matched, digits),
}
for name, line in lines.items():
    print(f"{name:8} barrier: loss {line.barrier.loss:.4f}, accuracy {100 * line.barrier.accuracy:.2f} points")

rb.draw_curves(lines, title="What lies between A and B")

# %% [markdown]
"""
The grey hill is the straight line from A to B. The green line goes from A to the *same* B with its units reordered, and the hill is gone:
the dashed lines show the mean of both ends, and the matched curve never rises noticeably above it. Slide from A to B yourself:
"""

# %%
slider = rb.explore(lines)
slider

# %% tags=["nbval-check-output"]
print("alphas on the line:", len(lines["matched"].alphas))
print("the naive line has a barrier above 0.3:", lines["naive"].barrier.loss > 0.3)
print("the matched line has one below 0.02:", lines["matched"].barrier.loss < 0.02)
print("matching takes away nine tenths of it or more:", lines["matched"].barrier.loss < 0.1 * lines["naive"].barrier.loss)

# %% [markdown]
"""
One pair is an anecdote. Here are three pairs of networks, measured once on all 10,000 test images and stored with the package:
"""

# %%
run = rb.load_run("mnist-mlp-barrier")
print(f"{run['data']}, {run['samples']:,} test images, {run['recipe']['epochs']} epochs")
for pair in run["pairs"]:
    naive, matched = pair["naive"], pair["matched"]
    print(f"seeds {pair['seeds']}: loss barrier {naive['loss_barrier']:.2f} naive, {matched['loss_barrier']:.4f} matched; ", end="")
    print(f"loss in the middle {matched['middle_loss']:.3f}, at the ends {matched['end_losses'][0]:.3f} and {matched['end_losses'][1]:.3f}")
    assert matched["loss_barrier"] < 0.01 and matched["middle_loss"] < min(matched["end_losses"])

# %% [markdown]
"""
On images that the networks have never seen, the loss in the middle is even *lower* than at either end: the curve is convex. The accuracy
is not higher: it stays about as good as the parents'. Merging is not a way to win accuracy.

## What could go wrong

A shuffle must be carried through the whole network. Here only the first layer's rows are reordered and the second layer goes on reading
them in the old order: every shape fits, nothing crashes, and the function is gone. `spec.apply` moves all that must move together.
"""

# %%
first_layer = [name for name, _ in a.named_parameters()][:2]
half_done = {name: b_matched[name] if name in first_layer else value for name, value in state_b.items()}

broken, mended = rb.evaluate(b, half_done, digits), rb.evaluate(b, b_matched, digits)
print(f"only the first layer moved: {broken.accuracy:.1%};  moved as the spec says: {mended.accuracy:.1%}")
assert broken.accuracy < 0.6 < mended.accuracy

# %% [markdown]
"""
## It does not always work

The same on scikit-learn's small digits, with networks of two hidden layers, eight units wide and then 128. The narrow pair keeps its
barrier after matching: with eight units there is no good partner for each. Width matters, and so do training time, the learning rate and
normalisation. This is a fact about *what training finds*, not a law about all networks: the paper itself constructs two perfect networks
that no shuffle connects (section 4).
"""

# %%
small = rb.load_data("digits")
barriers = {}
for width in (8, 128):
    pair = [rb.MLP(inputs=64, hidden=(width, width), classes=10, seed=seed) for seed in (0, 1)]
    pair = [rb.train(net, small, epochs=25, lr=3e-3, batch_size=128, seed=seed, progress=False).model for seed, net in enumerate(pair)]
    small_spec = rb.PermutationSpec.from_model(pair[0], torch.zeros(1, 64))
    moved = small_spec.apply(pair[1], rb.weight_matching(small_spec, *pair).permutation)
    lines_small = [rb.linear_path(pair[0], pair[0], other, small.test) for other in (pair[1], moved)]
    barriers[width] = [line.barrier.loss for line in lines_small]
    print(f"width {width:3}: barrier {barriers[width][0]:.2f} naive, {barriers[width][1]:.3f} matched")
assert barriers[8][1] > 5 * barriers[128][1]

# %% [markdown]
"""
## The course

| notebook | question |
|---|---|
| **00** tour | What happens when you average two networks? |
| **01** symmetry | When are two networks the same function? |
| **02** barrier | Why does naive averaging fail? |
| **03** assignment | How do we find the shuffle? |
| **04** weight matching | What if each layer's shuffle depends on the next? |
| **05** straight-through | Can we train the permutation? |

More are on their way: any architecture, width and time, repair, residual networks, merging many, split data, the limits.

## Recap

Averaging two networks that were trained apart usually lands on a hill. Much of that hill is an accident of bookkeeping: hidden units in
different orders. Reorder the units of one network, which changes nothing about what it computes, and for a wide, well-trained network
the straight line between the two stays low all the way.

## Exercises

**00-1** · easy · 3 minutes. On a path the losses at five alphas are 0.1, 0.5, 0.7, 0.4, 0.3. How high is the barrier, as the paper defines it
(the largest loss on the path, less the mean of the losses at its two ends)?

<details><summary>Hint</summary>The ends are the first and the last number.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("00-1", answer)

# %% tags=["solution"]
path = [0.1, 0.5, 0.7, 0.4, 0.3]
answer = max(path) - 0.5 * (path[0] + path[-1])
check("00-1", answer)

# %% [markdown]
"""
**00-2** · easy · 3 minutes. A network has three hidden layers of 4, 3 and 2 units. In how many ways can its hidden units be reordered
without changing what it computes?

<details><summary>Hint</summary>Four units can stand in 4! orders, whatever order the other layers stand in.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("00-2", answer)

# %% tags=["solution"]
import math

answer = math.factorial(4) * math.factorial(3) * math.factorial(2)
check("00-2", answer)

# %% [markdown]
"""
**00-3** · medium · 6 minutes. Write `mix(a, b, alpha)`: the state dict that has the share `alpha` of B and the rest of A.

<details><summary>Hint</summary>One dictionary comprehension over the names of <code>a</code>; leave <code>a</code> itself alone.</details>
"""

# %% tags=["exercise"]
def mix(a, b, alpha):
    return ...


# check("00-3", mix)


# %% tags=["solution"]
def mix(a, b, alpha):
    return {name: (1 - alpha) * a[name] + alpha * b[name] for name in a}


check("00-3", mix)

# %% [markdown]
"""
## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR 2023: section 2 for barriers, section 3.2 for
  weight matching, section 4 for the counterexample.
* Frankle, Dziugaite, Roy, Carbin: *Linear Mode Connectivity and the Lottery Ticket Hypothesis*, ICML 2020.
"""

# %% tags=["smoke"]
assert rb.move_all(slider) == 21  # every position of every control was visited
