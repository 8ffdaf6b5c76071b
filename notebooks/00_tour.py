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
| **Question** | Two networks learned the same task apart. What is the network midway between them? |
| **You will be able to** | walk the straight line between two networks, read a barrier off it, and say what a permutation of neurons does to it |
| **You need** | Python, and a rough idea of what training a network means |
| **Time** | 15 minutes to read; under a minute to run on two CPU cores, less on a GPU |
| **Data** | MNIST test images, which the networks have not seen: 1,000 come with the package |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Two networks, trained apart

Both are the multi-layer perceptron (MLP) of the paper: 784 pixels, three hidden layers of 512 units
(a **unit** is a neuron), ten digits. They saw the same 60,000 training images, from different
random starts and in a different order. The trained weights come with the package, so nothing is
trained here. Every number below is measured on *test* images, which neither network has seen.
"""

# %%
import torch

import rebasin_edu as rb
from rebasin_edu.course import check, figures, given

a, b = rb.load_or_train(rb.Recipe(seed=0)), rb.load_or_train(rb.Recipe(seed=1))
digits = rb.load_data("mnist").test.first(1000)
for name, network in {"A": a, "B": b}.items():
    score = rb.evaluate(network, digits)
    print(f"network {name}: loss {score.loss:.3f}, accuracy {score.accuracy:.1%}")

# %% [markdown]
"""
## Half of each

**Predict.** Take the average of every weight: half of A, half of B. A third network, midway between
two good ones. Will it recognise the digits as well as they do, make many more mistakes, or be
useless? Write your choice into the cell before you run it.
"""

# %%
prediction = "..."  # "as well", "more mistakes" or "useless"

state_a, state_b = a.state_dict(), b.state_dict()
average = {name: 0.5 * state_a[name] + 0.5 * state_b[name] for name in state_a}
middle = rb.evaluate(average, digits, model=a)
print(f"you said: {prediction}")
print(f"the average of A and B: loss {middle.loss:.3f}, accuracy {middle.accuracy:.1%}")

# %% [markdown]
"""
If you said "useless", you thought of a random network, which is right for one image in ten; most of
what A and B know is still there. If you said "as well", you thought of averaging what they *say*.
What is averaged here is what they *are*, and that costs many mistakes and a tenfold loss.

The largest loss on the straight line between two networks, less the mean loss of its two ends, is
the **barrier** between them. Two networks without a barrier are **linearly mode connected** (linear
mode connectivity, LMC), and one says that they lie in one **basin** of the loss.

Do A and B lie in different basins because they are different solutions? Perhaps not. Hidden units
have no names. Unit 17 of A and unit 17 of B share a number and nothing else, and the average mixes
a detector of one stroke with a detector of another.

## Put the units in order

A **permutation** gives the units of a hidden layer another order. It changes nothing that the
network computes, if all that belongs to a unit moves along. To bring B into A's basin by a
permutation of its units is called **Git Re-Basin**, after the paper (and after `git rebase`).

The **spec** lists which weights a permutation must move together. **Weight matching** looks for the
permutation that brings B's weights closest to A's. It needs no data.
"""

# %%
spec = rb.PermutationSpec.from_model(a, torch.zeros(1, 784))
match = rb.weight_matching(spec, a, b)
b_matched = spec.apply(b, match.permutation)  # written π(B) from now on

with torch.no_grad():
    before, after = b(digits.inputs), torch.func.functional_call(b, b_matched, digits.inputs)
print(f"found in {match.seconds:.1f} s; outputs of B change by {(before - after).abs().max():.0e}")

# %% [markdown]
"""
What did it do? A unit of the first layer reads 784 pixels, so its incoming weights are an image of
what it looks for. Below: units of A, the units of B with the same numbers, and the units that
matching puts there. Left the eight pairs that fit best, right eight pairs at random.
"""

# %%
first = {"A": state_a, "B": state_b, "π(B)": b_matched}
first = {name: state["linear1.weight"] for name, state in first.items()}  # (512, 784) each
similarity = torch.cosine_similarity(first["A"], first["π(B)"])
at_random = torch.randperm(512, generator=torch.Generator().manual_seed(0))[:8]
units = torch.cat([similarity.topk(8).indices, at_random])
print(f"cosine of paired units: best {similarity.max():.2f}, median {similarity.median():.2f}")
figures.draw_units({name: weight[units] for name, weight in first.items()},
                   groups=("the eight best pairs", "eight pairs at random"))

# %% [markdown]
"""
The best pairs look for the same strokes. Most pairs agree only in part: the median cosine is about
a quarter. All in all π(B) is still 86 % as far from A as B is (notebook 02), so matching has not
made the two networks nearly equal.

**Predict.** π(B) is *the same function* as B, and only a little nearer to A. Is the barrier between
A and π(B) as high as before, about half as high, or nearly zero?
"""

# %%
prediction = "..."  # "as high", "half" or "nearly zero"

lines = {"naive": rb.linear_path(a, b, digits), "matched": rb.linear_path(a, b_matched, digits)}
print(f"you said: {prediction}")
rb.show.draw_curves(lines, title="What lies between A and B")

# %% [markdown]
"""
Grey is the line from A to B, green the line from A to the *same* B with its units reordered. The
loss has a hill and the accuracy a valley on the grey line; on the green line both are gone. If you
said "half", you thought of the distance, which has hardly changed. A flat line does not need near
ends: it needs paired units that agree *enough*, and how much is enough is a finding of experiments.

(The
dashed lines are the means of both ends. A barrier of exactly 0 would need two equal ends: the worse
of two unequal ends lies above their mean.)

What do the averaged networks look like inside? Move alpha, the share of B. Left: eight units of the
first layer, averaged as they are and averaged after matching. Right: the answers to ten images, one
column each; dark is sure.
"""

# %%
ends, ten = {"naive": b, "matched": b_matched}, digits.inputs[:10]
slider = rb.show.slider(
    lambda alpha: figures.draw_mix(a, ends, alpha, units[:8], ten),
    [k / 10 for k in range(11)], description="alpha", start=5)
slider

# %% [markdown]
"""
At the midpoint the units of the naive average are blurred, and its answers are unsure. Unsure is
not the same as wrong: the average is right for about eight digits in ten, and most of its *loss*
comes from logits that are too small. Notebook 02 takes the two apart.

One pair is an anecdote. Here are three pairs, measured once on all 10,000 test images: the barrier
in loss and in accuracy, and the range of the three. The pair above has the highest of both.
"""

# %%
figures.draw_pairs(rb.load_run("mnist-mlp-barrier"), title="three pairs")

# %% [markdown]
"""
The naive barrier differs much from pair to pair, most of all in accuracy (4 to 17 points); the
matched one is nearly nothing in all three. And on images that the networks have never seen, the
loss at the midpoint is even *lower* than at either end. The accuracy is not higher: it stays about
as good as the parents'. Merging two such networks is not a way to win accuracy.

## What could go wrong

A permutation must be carried through the whole network. Here only the first layer's rows are
reordered, and the second layer goes on reading them in the old order: every shape fits, nothing
crashes, and the function is gone. `spec.apply` moves all that must move together.
"""

# %%
rows = ["linear1.weight", "linear1.bias"]
half_done = {name: b_matched[name] if name in rows else state_b[name] for name in state_b}
for name, state in {"only the first layer": half_done, "as the spec says": b_matched}.items():
    print(f"{name:20} {rb.evaluate(state, digits, model=b).accuracy:.1%}")

# %% [markdown]
"""
## It does not always work

The same on scikit-learn's small digits, with two hidden layers, eight units wide and then 128. The
lines below are those *after* matching, and the narrow pair keeps a barrier. A likely reason: with
eight units there are few partners to choose from. Width matters, and so do training time, the
learning rate and normalisation. Linear mode connectivity after matching is a fact about *what
training finds*, not about all networks: the paper itself constructs two perfect networks that no
permutation connects (section 4).
"""

# %%
small, matched = rb.load_data("digits"), {}
for width in (8, 128):
    nets = [rb.lab.MLP(inputs=64, hidden=(width, width), classes=10, seed=k) for k in (0, 1)]
    p, q = (rb.train(net, small, epochs=25, lr=3e-3, batch_size=128, seed=k, progress=False).model
            for k, net in enumerate(nets))
    small_spec = rb.PermutationSpec.from_model(p, torch.zeros(1, 64))
    q_matched = small_spec.apply(q, rb.weight_matching(small_spec, p, q).permutation)
    matched[f"width {width}"] = rb.linear_path(p, q_matched, small.test)
rb.show.draw_curves(matched, title="after matching")

# %% [markdown]
"""
## The course

| notebook | question |
|---|---|
| **00** tour | What happens when you average two networks? |
| **01** symmetry | When are two networks the same function? |
| **02** barrier | Why does naive averaging fail? |
| **03** assignment | How do we find the permutation of one layer? |
| **04** weight matching | What if each layer's permutation depends on the next? |
| **05** straight-through | Can we train the permutation? |
| **06** any architecture | What must move together? |
| **07** width and time | When do networks become mergeable? |
| **08** norm and repair | Why did my ResNet collapse at alpha 0.5? |
| **09** ResNets | Is a ResNet linearly mode connected? |
| **10** merging many | Can five networks become one? |
| **11** split data | Can we merge what was learnt apart? |
| **12** limits | Where does the single basin end? |
| **13** ImageNet | Does it scale to ResNet50? |
| **14** transformers | What about attention? |

The first six take 6 to 7 hours with their exercises, the other nine a little more.

## Recap

The average of two networks that were trained apart usually has a far higher loss than both. Much of
that barrier is an accident of bookkeeping: hidden units in different orders. Reorder the units of
one network, which changes nothing about what it computes, and for a wide, well-trained MLP the
straight line between the two stays low all the way.

## Exercises

Your numbers are drawn from a word of your choice, so that two readers have different answers.

**00-1** · easy · 2 minutes. `losses` are the losses at five alphas of a path. How high is the
barrier, as the paper defines it (the largest loss on the path, less the mean of the losses at its
two ends)?

<details><summary>Hint</summary>The ends are the first and the last number.</details>
"""

# %% tags=["exercise"]
reader = "..."  # your name, or any word
losses = given("00-1", reader)
print(losses)
answer = ...
# check("00-1", answer)

# %% tags=["solution"]
answer = max(losses) - 0.5 * (losses[0] + losses[-1])
check("00-1", answer)

# %% [markdown]
"""
**00-2** · easy · 3 minutes. A network has three hidden layers of the `sizes` below. In how many
ways can its hidden units be reordered without changing what it computes?

<details><summary>Hint</summary>n units can stand in n! orders, whatever order the other layers stand in.</details>
"""

# %% tags=["exercise"]
sizes = given("00-2", reader)
print(sizes)
answer = ...
# check("00-2", answer)

# %% tags=["solution"]
import math

answer = math.prod(math.factorial(size) for size in sizes)
check("00-2", answer)

# %% [markdown]
"""
**00-3** · easy · 4 minutes. Write `mix(a, b, alpha)`: the state dict that has the share `alpha` of
B and the rest of A.

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
**Beyond the ends** · figure · 5 minutes. The line from A to π(B) goes on behind both. Draw loss and
accuracy from alpha = −0.5 to 1.5 for both lines. Are A and B the lowest points of their own lines?

<details><summary>Hint</summary><code>rb.linear_path</code> takes <code>alphas=</code>, a list of numbers that contains 0 and 1.</details>
"""

# %% tags=["exercise"]
# your figure

# %% tags=["solution"]
wide = [-0.5 + k / 10 for k in range(21)]
ends = {"naive": b, "matched": b_matched}
longer = {name: rb.linear_path(a, end, digits, alphas=wide) for name, end in ends.items()}
rb.show.draw_curves(longer, title="beyond A and B")

# %% [markdown]
"""
**Your own pair** · open · 20 minutes. Train two networks of a width of your choice on the small
digits, match them, and draw both lines with `rb.show.draw_curves`. At which width does the matched
barrier fall below a tenth of the naive one? Is the answer the same for seeds 2 and 3? The cell
above "The course" has all that you need.

## Questions

**1.** Why does a permutation of hidden units leave the outputs unchanged?
<details><summary>The units are alike anyway.</summary>No: the eight random pairs above are not alike at all.</details>
<details><summary>Each unit takes its incoming weights, its bias and its outgoing weights along.</summary>Right: the next layer sums the same terms in another order.</details>
<details><summary>Softmax does not depend on order.</summary>No: the ten outputs are never permuted.</details>

**2.** The barrier between A and B is 0. What does that say?
<details><summary>A and B are the same network.</summary>No: only that no loss on the line between them exceeds the mean of the ends.</details>
<details><summary>A and B are linearly mode connected.</summary>Right.</details>
<details><summary>The loss falls monotonically from A to B.</summary>No: it may fall and rise again, as on the green line above, and it may rise up to the mean of the ends.</details>

**3.** Does the average of A and π(B) need both networks when it is used?
<details><summary>Yes, it is an ensemble.</summary>No: an ensemble averages outputs. Here the weights are averaged, and one network remains.</details>
<details><summary>No.</summary>Right: it costs as much as one network.</details>
<details><summary>Yes, B is needed to undo the permutation.</summary>No: π(B) computes the same function as B, so nothing has to be undone.</details>

**4.** Is π(B) nearly equal to A?
<details><summary>Yes, else the line could not be flat.</summary>No: it is still 86 % as far from A as B. A flat line does not need near ends.</details>
<details><summary>No.</summary>Right: the line is flat although most pairs of units agree only in part.</details>

**5.** Which images should a barrier be measured on?
<details><summary>Training images: the networks know them best.</summary>No: their loss there is lower than on new images, for A and B more than for the average.</details>
<details><summary>Images that neither network has seen.</summary>Right.</details>

**6.** Does matching always remove the barrier?
<details><summary>Yes, it is a theorem.</summary>No: the narrow networks above keep one, and the paper constructs a pair that no permutation connects.</details>
<details><summary>No, it depends on what training has found.</summary>Right: width, training time, learning rate and normalisation matter.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: section 2 for barriers, section 3.2 for weight matching, section 4 for the counterexample.
* Frankle, Dziugaite, Roy, Carbin: *Linear Mode Connectivity and the Lottery Ticket Hypothesis*,
  ICML 2020.
"""

# %% tags=["smoke"]
assert rb.show.move_all(slider) == 11  # every position of every control was visited
naive, green = lines["naive"].barrier, lines["matched"].barrier
assert middle.loss > 0.3 and green.loss < 0.1 * naive.loss
assert torch.allclose(before, after, atol=1e-3)
for pair in rb.load_run("mnist-mlp-barrier")["pairs"]:
    assert pair["matched"]["loss_barrier"] < 0.01 < 0.04 < pair["naive"]["accuracy_barrier"] + 1e-3
    assert pair["matched"]["middle_loss"] < min(pair["matched"]["end_losses"])
assert rb.evaluate(half_done, digits, model=b).accuracy < 0.6
assert matched["width 8"].barrier.loss > 5 * matched["width 128"].barrier.loss
