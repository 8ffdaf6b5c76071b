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
# 02 · Why does naive averaging fail?

| | |
|---|---|
| **Question** | Two good networks, and a bad one midway between them. What breaks? |
| **You will be able to** | tell averaging outputs from averaging weights; name the barrier three ways; see the loss over a plane; predict how much variance an average loses |
| **You need** | notebook 01 (what a permutation of hidden units is); mean, standard deviation and correlation |
| **Time** | 50 minutes to read; about a minute to run on two CPU cores, less on a GPU |
| **Data** | MNIST test images, which the networks have not seen: 1,000 come with the package |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Two ways to average

The same two networks as in the tour. There are two things that one may average: what they *say*
(run both, take the mean of the outputs: an **ensemble**) and what they *are* (take the mean of each
weight, run one network).

**Predict.** Which of the two is as good as A and B or better: "outputs", "weights" or "both"?
"""

# %%
import torch
import torch.nn.functional as F

import rebasin_edu as rb
from rebasin_edu.course import check, figures, given

a, b = rb.load_or_train(rb.Recipe(seed=0)), rb.load_or_train(rb.Recipe(seed=1))
state_a, state_b = a.state_dict(), b.state_dict()
data = rb.load_data("mnist")
digits = data.test.first(1000)

# %%
prediction = "..."  # "outputs", "weights" or "both"
images, labels = digits
half = {name: 0.5 * state_a[name] + 0.5 * state_b[name] for name in state_a}
with torch.no_grad():
    answers = {"A": a(images), "B": b(images), "mean of outputs": 0.5 * (a(images) + b(images)),
               "mean of weights": torch.func.functional_call(a, half, images)}

print(f"you said: {prediction}")
for name, logits in answers.items():  # (samples, classes)
    accuracy = (logits.argmax(1) == labels).float().mean()
    print(f"{name:16} loss {F.cross_entropy(logits, labels):.3f}, accuracy {accuracy:.1%}")

# %% [markdown]
r"""
The ensemble is as good as the parents or better, and costs two networks at every use. That is no
accident: cross-entropy is a *convex* function of the outputs, so the loss of averaged outputs is
never above the mean of both losses. The mean of the weights costs one network, and fails.

For a *single linear layer* the two averages are equal: $\frac12 W_A x + \frac12 W_B x = \frac12
(W_A + W_B)\,x$. Two linear layers already differ:

$$\tfrac12(V_A + V_B)\cdot\tfrac12(W_A + W_B) = \tfrac14\big(V_A W_A + V_B W_B\big) + \tfrac14\big(V_A W_B + V_B W_A\big).$$

The last bracket reads the units of one network with the weights of the other. It is half of the
average, and it means something only if unit 17 is the same unit in both.
"""

# %%
g = torch.Generator().manual_seed(0)
Wa, Wb = torch.randn(2, 6, 4, generator=g)
Va, Vb = torch.randn(2, 3, 6, generator=g)
of_weights = 0.5 * (Va + Vb) @ (0.5 * (Wa + Wb))
of_outputs = 0.5 * (Va @ Wa + Vb @ Wb)
assert torch.allclose(of_weights, 0.5 * of_outputs + 0.25 * (Va @ Wb + Vb @ Wa), atol=1e-5)
difference = (of_weights - of_outputs).norm() / of_outputs.norm()
print(f"two linear layers: the two averages differ by {difference:.0%}")

# %% [markdown]
"""
## A, and A in another order

Are A and B so different? Take B out of the experiment. Shuffle the hidden units of A: the same
function (notebook 01), the same loss, the same everything. Then average A with its own shuffled
copy.

**Predict.** The barrier between a network and *itself in another order*: none, a small one, or as
high as between A and B?
"""

# %%
prediction = "..."  # "none", "small" or "as high"

spec = rb.PermutationSpec.from_model(a, torch.zeros(1, 784))
a_permuted = spec.apply(a, spec.random(seed=3))
b_matched = spec.apply(b, rb.weight_matching(spec, a, b).permutation)
ends = {"A permuted": a_permuted, "naive": b, "matched": b_matched}
lines = {name: rb.linear_path(a, end, digits) for name, end in ends.items()}
print(f"you said: {prediction}")
rb.show.draw_curves(lines, end="end", title="from A to A permuted, to B (naive), to π(B) (matched)")

# %% [markdown]
"""
Nearly as high as between A and B. If you said "none", you thought of the function, which is the
same at both ends; but the line runs through *weights*. So a high barrier is *no evidence* that two
networks found different solutions: a permutation alone makes one.

It does not prove the reverse either. The green line shows that *some* copy of B lies in A's basin.
It does not show that the two are alike:
"""

# %%
def flat(state):
    return torch.cat([value.flatten().double() for value in state.values()])


straight = {"B": flat(state_b) - flat(state_a), "π(B)": flat(b_matched) - flat(state_a)}
for name, state in {"B": state_b, "π(B)": b_matched}.items():
    distance = straight[name].norm() / straight["B"].norm()
    cosine = torch.cosine_similarity(flat(state), flat(state_a), 0)
    print(f"{name:5} distance to A: {distance:.3f} of |B − A|, cosine of all weights {cosine:.3f}")

# %% [markdown]
"""
π(B) keeps 0.865 of the distance, and the cosine of all weights is 0.26: matching does not make two
networks nearly equal. It makes them alike *enough* that the line between them is flat. Why so
little is enough is not settled; the theory of notebook 12 gives a part of the answer.

Each curve is nothing but a loop over alpha:
"""

# %%
by_hand = []
for alpha in lines["naive"].alphas:
    mixed = {name: (1 - alpha) * state_a[name] + alpha * state_b[name] for name in state_a}
    with torch.no_grad():
        by_hand.append(F.cross_entropy(torch.func.functional_call(a, mixed, images), labels).item())
barrier = max(by_hand) - 0.5 * (by_hand[0] + by_hand[-1])
print(f"barrier by hand {barrier:.3f}, by the library {lines['naive'].barrier.loss:.3f}")

# %% [markdown]
"""
## Three things called "the barrier"

When both ends are equally good there is little to argue about. Take ends that are not: A, and a
network that has just begun its training. Three definitions are in use:

* **paper**: the highest loss on the way, less the mean of both ends (Git Re-Basin, definition 2.2);
* **line**: the largest height over the straight line between the ends (Entezari et al. 2022, Theus
  et al. 2025);
* **midpoint**: the loss at alpha = ½ less the mean of both ends (REPAIR, ZipIt).

**Predict.** Which one is largest here, and can any be negative?
"""

# %%
little, new = data.subset(500, seed=0), rb.lab.MLP(seed=2)
beginner = rb.train(new, little, epochs=1, batch_size=100, seed=2, progress=False).model
beginner_matched = spec.apply(beginner, rb.weight_matching(spec, a, beginner).permutation)
uneven = rb.linear_path(a, beginner_matched, digits)
figures.draw_barriers(uneven, title="from A to a beginner (matched)")

# %% [markdown]
r"""
One curve, three answers: a large barrier, a smaller one, and "better than average". (Which one is
largest depends on the curve: in exercise 02-1 it is not the paper's.) The paper's number is at
least $\frac12|L(A) - L(B)|$, even for a path that goes straight down from the worse end; the
midpoint's can be negative while the curve has a hill beside it. So a number without its definition
says little. This course quotes the paper's and draws the curve.

## The plane through A, B and π(B)

Three points make a plane: A, B, and the matched B, written π(B). One axis points from A to B; the
other is what remains of π(B) − A once its part along the first is taken away (Gram–Schmidt). In
units of |B − A|, by hand:
"""

# %%
first, second = straight.values()
along = (second @ first / (first @ first)).item()
height = ((second - along * first).norm() / first.norm()).item()
print(f"A (0, 0)   B (1, 0)   π(B) ({along:.3f}, {height:.3f}), in units of {first.norm():.2f}")

# %% [markdown]
"""
The loss at each point of a grid over this plane takes some minutes on all 10,000 test images, so it
was measured once and is stored with the package. **Predict** how it looks: one valley that holds
all three points, or two?
"""

# %%
run = rb.load_run("mnist-mlp-plane")
plane = rb.Plane(**run["plane"])
rb.show.draw_plane(plane, cap=1.2, title=f"loss, {run['data']}, {run['samples']:,} test images")

# %% [markdown]
"""
If you said one, you thought of equal losses: A, B and π(B) are equally good. But B and π(B) are
*one function in two places*. From A to B the way leads over a ridge; from A to π(B) it stays in one
valley. Matching did not make B better: it chose, among all the copies of B, one on A's side of the
ridge.
"""

# %% [markdown]
"""
## What breaks inside: variance collapse

Look into the network at the midpoint. Push the images through A, through B and through the average,
and write down for each hidden unit how much it *varies* from image to image before its ReLU.

**Predict.** If units 17 of A and B have nothing to do with each other, does their average vary as
much as each of them, about 70 % as much, or not at all?
"""

# %%
def before_relu(state):
    layers, h = [], images.flatten(1)
    for layer in ("linear1", "linear2", "linear3"):
        layers.append(h @ state[f"{layer}.weight"].T + state[f"{layer}.bias"])  # (samples, units)
        h = torch.relu(layers[-1])
    return layers


of_a, of_b, of_half = before_relu(state_a), before_relu(state_b), before_relu(half)
kept = [(z.std(0).norm() / (0.5 * (za.std(0) + zb.std(0))).norm()).item()
        for za, zb, z in zip(of_a, of_b, of_half)]
print("standard deviation at the midpoint over the parents':", [f"{share:.0%}" for share in kept])

# %% [markdown]
"""
If you said "as much", you thought of averaging two numbers; but where one unit is high the other is
as often low, and they cancel in part. The standard deviation shrinks from layer to layer, to about
a tenth in the third: **variance collapse**.

What becomes of the outputs? **Predict.** Are the ten logits of the average in the wrong order, or
only too small? Multiply them all by one factor and look. The second pair is there because one pair
is an anecdote:
"""

# %%
prediction = "..."  # "wrong order" or "too small"
c, d = rb.load_or_train(rb.Recipe(seed=2)), rb.load_or_train(rb.Recipe(seed=3))
with torch.no_grad():
    second_pair = torch.func.functional_call(c, rb.lerp(c, d, 0.5), images)
shrunk = (answers["A"].std() / answers["mean of weights"].std()).item()
print(f"you said: {prediction}; the average's logits are {shrunk:.0f} times smaller than A's")
figures.draw_logit_scale(
    {"A": answers["A"], "naive, seeds 0 and 1": answers["mean of weights"],
     "naive, seeds 2 and 3": second_pair}, labels, title="MNIST test, 1,000 images")

# %% [markdown]
r"""
Mostly too small. The network still ranks the digits fairly well (8 in 10 are right, 9 in 10 for the
second pair), but is unsure of all of them. One factor takes the loss from 1.21 to 0.54 at the same
81 %, and from 0.99 to 0.20 at the same 93 % for the second pair. So **most of the naive loss
barrier is the scale of the logits**; the smaller part, and the whole accuracy barrier, is wrong
answers, which no factor mends. Loss and accuracy barriers tell different things, and one should
always look at both.

Where does the collapse come from? For one layer there is a law. Let X and Y have standard
deviations $\sigma_0, \sigma_1$ and correlation $\rho$; then

$$\mathrm{sd}\big((1-\alpha)X + \alpha Y\big) = \sqrt{(1-\alpha)^2\sigma_0^2 + \alpha^2\sigma_1^2 + 2\alpha(1-\alpha)\,\sigma_0\sigma_1\,\rho}.$$

It is the law of cosines: draw X and Y as vectors as long as their standard deviations, at an angle
whose cosine is $\rho$. The mix lies on the chord between their tips, and a chord passes closer to
the centre than its ends. For unrelated units:
"""

# %%
figures.draw_vector_diagram(0.0, 0.5)

# %% [markdown]
"""
Move both sliders. **Predict** first: which correlation must two units have if nine tenths of the
standard deviation are to remain at the midpoint?
"""

# %%
vectors = rb.show.slider_grid(
    figures.draw_vector_diagram, [-0.5, 0, 0.4, 0.7, 1], [0, 0.25, 0.5, 0.75, 1],
    descriptions=("rho", "alpha"), start=(1, 2),
    text=lambda rho, alpha: f"rho {rho:g}, alpha {alpha:g}: {figures.mixed_std(rho, alpha):.2f}"
                            " standard deviations remain")
vectors

# %% [markdown]
r"""
Nothing is lost at $\rho = 1$ only, and most in the middle of the chord; for nine tenths the
correlation must be 0.62. Does the law hold in the networks? In the first layer it must, to the last
digit: its inputs are the images, so its output *is* the mix of A's and B's. Here are the 512 units
together, at five alphas:
"""

# %%
def law(s0, s1, rho, alpha):
    ends = ((1 - alpha) * s0) ** 2 + (alpha * s1) ** 2
    return (ends + 2 * alpha * (1 - alpha) * s0 * s1 * rho).clamp_min(0).sqrt()

# %%
shares, measured, gap = [0, 0.25, 0.5, 0.75, 1], {}, 0.0
for name, other in {"naive": state_b, "matched": b_matched}.items():
    x, y = of_a[0], before_relu(other)[0]
    s0, s1 = x.std(0, correction=0), y.std(0, correction=0)
    rho = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / (s0 * s1)
    mixed = [before_relu(rb.lerp(state_a, other, k))[0].std(0, correction=0) for k in shares]
    gap = max(gap, *((sd - law(s0, s1, rho, k)).abs().max().item() for sd, k in zip(mixed, shares)))
    ratios = [(sd.norm() / ((1 - k) * s0 + k * s1).norm()).item() for sd, k in zip(mixed, shares)]
    measured[name] = (shares, ratios)
print(f"largest difference between law and network, 512 units at five alphas: {gap:.0e}")

# %%
figures.draw_standard_deviations(shares, measured, title="first layer: all 512 units, and the law")

# %% [markdown]
r"""
Unrelated units ($\rho = 0$) keep $1/\sqrt2$, about 71 %; A and B as they are keep a little more,
because their units correlate at 0.05 on average; matched units keep most. In a deeper layer the
inputs have shrunk already, and what the layers keep multiplies. `diagnose` measures it layer by
layer:
"""

# %%
layers = {name: rb.diagnose(a, end, digits).layers[:3] for name, end in list(ends.items())[1:]}
for name, rows in layers.items():
    print(f"{name:8} correlation of paired units: {[f'{x.mean_correlation:+.2f}' for x in rows]}")
figures.draw_variance_collapse(
    {name: [x.measured for x in rows] for name, rows in layers.items()},
    {name: [x.predicted for x in rows] for name, rows in layers.items()},
    title="at the midpoint between A and B")

# %% [markdown]
"""
The dotted lines are the law: what averaging *this* layer alone would take. The solid lines are the
network: what each layer keeps is multiplied from layer to layer.

Is the collapse only a sign of the trouble, or the trouble itself? Test it: **repair the statistics
and nothing else**. `repair_statistics` takes the naive average and gives each hidden unit back the
mean and standard deviation that its parents have on training images. The units are still the wrong
pairs. **Predict** the accuracy: as before (81 %), in between, or that of the parents (98 %)?
"""

# %%
prediction = "..."  # "as before", "in between" or "parents"
some, scores = data.subset(1000, seed=0).train, {}
for name, end in list(ends.items())[1:]:
    repaired = rb.repair_statistics(a, end, some).weights
    scores[name] = [rb.evaluate(x, digits, model=a) for x in (rb.lerp(a, end, 0.5), repaired)]
    words = [f"{score.accuracy:.1%} (loss {score.loss:.2f})" for score in scores[name]]
    print(f"{name:8} midpoint: {words[0]}, repaired: {words[1]}")
print(f"you said: {prediction}")

# %% [markdown]
r"""
Most of the damage is gone, though no unit was moved: for this wide MLP the shrinking of the units
is much of what a naive average suffers from. It is not all of it: the repaired average of wrong
pairs stays below either parent. And the matched average had little to repair. Matching raises the
correlation $\rho$; REPAIR restores the standard deviation that is lost because $\rho < 1$. Notebook
08 uses both.

## What could go wrong

A barrier measured at too few places. The pair of A and the matched beginner again, but only at
alpha = 0, ½ and 1, as it is often done to save time:
"""

# %%
three = rb.linear_path(a, beginner_matched, digits, alphas=3)
worst = uneven.alphas[uneven.loss.index(max(uneven.loss))]
print(f"barrier at 3 alphas: {three.barrier.loss:.2f}; at 25: {uneven.barrier.loss:.2f}",
      f"(highest at alpha = {worst:.2f})")

# %% [markdown]
"""
With unequal ends the hill leans towards the worse one, and the middle misses its top. Twenty-five
alphas, as in the paper, cost little: `linear_path` reads the data once for all of them.

## An honest negative: not every barrier is a permutation

A ReLU unit can be *scaled*: inputs times $c$, outputs divided by $c$, same function (end of
notebook 01). Let us scale each unit of A by its own random factor. No unit moved, so matching has
nothing to find. **Predict.** Is there a barrier between A and this copy?
"""

# %%
g, scaled = torch.Generator().manual_seed(1), {name: x.clone() for name, x in state_a.items()}
for layer, reader in (("linear1", "linear2"), ("linear2", "linear3"), ("linear3", "head")):
    factor = 16 ** (2 * torch.rand(512, generator=g) - 1)  # between 1/16 and 16
    scaled[f"{layer}.weight"] *= factor[:, None]
    scaled[f"{layer}.bias"] *= factor
    scaled[f"{reader}.weight"] /= factor
same = torch.func.functional_call(a, scaled, images)
print(f"the function changes by {(same - answers['A']).abs().max():.0e}")

# %%
matching = rb.weight_matching(spec, a, scaled)
line = rb.linear_path(a, spec.apply(scaled, matching.permutation), digits)
print("units that matching moves:", sum(matching.permutation.moved(group) for group in spec.groups))
print(f"barrier {line.barrier.loss:.3f}; A to π(B) {lines['matched'].barrier.loss:.3f}")

# %% [markdown]
"""
The same function once more, nothing permuted at all, and a barrier. If you said no, you thought
that permutations are the only symmetry; the line runs through weights, and these moved. The factors
here are far apart on purpose, and the paper does not claim that permutations explain everything.

## Recap

An average of weights feeds the units of one network into the readers of the other, so it only makes
sense when unit $i$ is the same unit in both; even a network and its own permuted copy have a
barrier between them. Unrelated units cancel: each averaged layer keeps about 71 % of its standard
deviation, layer upon layer, and the logits shrink with it. Matching raises the correlation of the
pairs, without making the networks nearly equal. How high the barrier is depends on the definition,
so draw the curve, of loss and of accuracy.

## Exercises

Your numbers are drawn from a word of your choice.

**02-1** · easy · 4 minutes. `losses` are those at alpha = 0, ¼, ½, ¾, 1. Give the three barriers as
a tuple: (paper, line, midpoint).

<details><summary>Hint</summary>The straight line between the ends rises by a quarter of their difference at each step.</details>
"""

# %% tags=["exercise"]
reader = "..."  # your name, or any word
losses = given("02-1", reader)
print(losses)
answer = ...
# check("02-1", answer)

# %% tags=["solution"]
line = [losses[0] + k / 4 * (losses[-1] - losses[0]) for k in range(5)]
highest = max(value - low for value, low in zip(losses, line))
answer = (max(losses) - line[2], highest, losses[2] - line[2])
check("02-1", answer)

# %% [markdown]
"""
**02-2** · easy · 4 minutes. Two matched units have the same standard deviation and the correlation
`rho`. What share of the *variance* is lost at the midpoint between them?

<details><summary>Hint</summary>Variance is the square of the standard deviation; put alpha = ½ into the law.</details>
"""

# %% tags=["exercise"]
rho = given("02-2", reader)
print(rho)
answer = ...
# check("02-2", answer)

# %% tags=["solution"]
answer = 1 - (0.5**2 + 0.5**2 + 2 * 0.5 * 0.5 * rho)
check("02-2", answer)

# %% [markdown]
"""
**02-3** · medium · 8 minutes. Write `coordinates(a, b, c)` for three vectors: where `c` lies in the
plane through them, as a pair, with `a` at (0, 0), `b` at (1, 0), and lengths in units of |b − a|.

<details><summary>Hint</summary>The first coordinate is a projection: (c − a)·(b − a) over (b − a)·(b − a). What is left over, and how long is it?</details>
"""

# %% tags=["exercise"]
def coordinates(a, b, c):
    return ...


# check("02-3", coordinates)

# %% tags=["solution"]
def coordinates(a, b, c):
    first, second = b - a, c - a
    along = (second @ first / (first @ first)).item()
    return along, ((second - along * first).norm() / first.norm()).item()


check("02-3", coordinates)

# %% [markdown]
"""
**02-4** · medium · 8 minutes. Write `needed(share)`: the correlation that two units of equal
standard deviation must have, if at the midpoint this share of their standard deviation is to
remain.

<details><summary>Hint</summary>Put equal standard deviations and alpha = ½ into the law, and solve it for the correlation.</details>
"""

# %% tags=["exercise"]
def needed(share):
    return ...


# check("02-4", needed)

# %% tags=["solution"]
def needed(share):
    return 2 * share**2 - 1


check("02-4", needed)

# %% [markdown]
"""
**Unequal units** · figure · 4 minutes. A unit of A has the standard deviation 1, its partner in B
3, and they are uncorrelated. Draw the vector diagram of their mix where it varies least. Why is
that not at the midpoint?

<details><summary>Hint</summary><code>figures.draw_vector_diagram(rho, alpha, sigma=(1, 3))</code>; the mix is shortest where it is at a right angle to the chord.</details>
"""

# %% tags=["exercise"]
# your figure

# %% tags=["solution"]
figures.draw_vector_diagram(0, 0.1, sigma=(1, 3))  # alpha = 1² / (1² + 3²)

# %% [markdown]
"""
**The factor at every alpha** · open · 20 minutes. Find, for each alpha on the naive line, the one
factor on the logits that gives the lowest loss on the first half of the test images, and draw the
loss on the other half, with and without it. How high is the barrier of the second curve?

## Questions

**1.** Why is it harmless to average the *outputs* of two networks?
<details><summary>Cross-entropy is convex in the outputs.</summary>Right: the loss of the mean is at most the mean of the losses.</details>
<details><summary>The outputs are nearly equal.</summary>No: it holds for any two networks.</details>
<details><summary>It is not: the ensemble has a barrier.</summary>No: see the first table.</details>

**2.** The loss barrier between two networks is high. What do you know?
<details><summary>They found different solutions.</summary>No: A and its own permuted copy have a barrier, too.</details>
<details><summary>Nothing about their functions.</summary>Right.</details>

**3.** Does the loss fall or rise monotonically along a line without a barrier?
<details><summary>Yes.</summary>No: a barrier of 0 only says that no point lies above the mean of the ends.</details>
<details><summary>Not necessarily.</summary>Right: on MNIST it is lowest near the midpoint.</details>

**4.** The naive average has a loss of 1.2 and is right for 8 digits in 10. How does that fit together?
<details><summary>Its logits are too small, so it is unsure of right and wrong answers alike.</summary>Right: one factor on the logits more than halves the loss.</details>
<details><summary>The accuracy must be wrong.</summary>No: accuracy only looks at the order of the logits.</details>

**5.** Units with correlation 0 are averaged, layer after layer. What remains of the standard deviation after three layers, roughly?
<details><summary>71 %</summary>No: that is one layer.</details>
<details><summary>Less than 0.71³, about a third.</summary>Right: what the layers keep multiplies, and smaller inputs lose more at the ReLU.</details>
<details><summary>All of it, matching is not needed.</summary>No: only a correlation of 1 loses nothing.</details>

**6.** Repair brings the naive average's loss down a lot. Were the units paired rightly after all?
<details><summary>Yes.</summary>No: no unit was moved.</details>
<details><summary>No, but the shrinking was much of the damage.</summary>Right: the rest needs matching.</details>
"""

# %% [markdown]
"""
## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: definition 2.2 (barrier), figure 1 (the plane).
* Entezari, Sedghi, Saukh, Neyshabur: *The Role of Permutation Invariance in Linear Mode
  Connectivity of Neural Networks*, ICLR 2022: section 2, the barrier against the line.
* Jordan, Sedghi, Saukh, Entezari, Neyshabur: *REPAIR: REnormalizing Permuted Activations for
  Interpolation Repair*, ICLR 2023: section 2, variance collapse.
"""

# %% tags=["smoke"]
assert rb.show.move_all(vectors) == 10  # every position of every control was visited
assert lines["A permuted"].barrier.loss > 0.5 and lines["matched"].barrier.loss < 0.05
assert abs(barrier - lines["naive"].barrier.loss) < 1e-3 and difference > 0.1
heights = {name: each.loss for name, each in uneven.barriers.items()}
assert heights["midpoint"] < 0
assert 0 < 0.5 * abs(uneven.at(1).loss - uneven.at(0).loss) <= heights["paper"]
assert uneven.barrier.loss > 1.1 * three.barrier.loss
x, y = plane.points["π(B)"]
assert max(abs(x - along), abs(y - height), abs(plane.distance / first.norm() - 1)) < 0.02
assert abs(second.norm() / first.norm() - 0.865) < 0.002

# %% tags=["smoke"]
assert kept[0] < 0.8 and kept[1] < 0.4 and kept[2] < 0.2 and gap < 1e-4
for logits, before in ((answers["mean of weights"], 1.21), (second_pair, 0.99)):
    losses = [F.cross_entropy(k * logits, labels).item() for k in torch.linspace(1, 20, 100)]
    assert abs(losses[0] - before) < 0.2 and min(losses) < 0.6 * losses[0]  # on any test images
plain, after = scores["naive"]
assert after.loss < 0.5 * plain.loss
assert plain.accuracy + 0.03 < after.accuracy < lines["naive"].accuracy[0]
assert torch.allclose(same, answers["A"], atol=1e-2)
assert rb.linear_path(a, scaled, digits, alphas=3).barrier.loss > 0.05
