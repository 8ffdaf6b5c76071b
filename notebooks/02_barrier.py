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
| **Question** | Two good networks, and a bad one half-way. What breaks in between? |
| **You will be able to** | tell averaging outputs from averaging weights; name the barrier three ways; see the loss over a plane; predict how much variance an average loses |
| **You need** | notebook 01 (what a permutation of hidden units is); mean, deviation and correlation |
| **Time** | 30 minutes to read; about a minute to run on two CPU cores, less on a GPU |
| **Data** | MNIST: the full test set where it is at hand, else 1,000 images that a dependency ships; the cell says which |
"""

# %% [markdown]
"""
## Two ways to average

The same two networks as in the tour. There are two things that one may average: what they *say* (run both, take the mean of the
outputs: an **ensemble**) and what they *are* (take the mean of each weight, run one network).

**Predict.** Which of the two is better than A and B, and which is worse?
"""

# %%
import os

import torch

import rebasin_edu as rb
from rebasin_edu.course import check

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))
a, b = rb.load_or_train(rb.Recipe(seed=0)), rb.load_or_train(rb.Recipe(seed=1))
state_a, state_b = a.state_dict(), b.state_dict()
data = rb.load_data("mnist")
digits = data.test.first(500) if FAST else data.test.first(1000)

# %%
images, labels = digits
with torch.no_grad():
    outputs = 0.5 * a(images) + 0.5 * b(images)  # (samples, classes)
    half = {name: 0.5 * state_a[name] + 0.5 * state_b[name] for name in state_a}
    weights = torch.func.functional_call(a, half, images)

for name, logits in {"A": a(images), "B": b(images), "mean of outputs": outputs, "mean of weights": weights}.items():
    loss = torch.nn.functional.cross_entropy(logits, labels)
    accuracy = (logits.argmax(1) == labels).float().mean()
    print(f"{name:16} loss {loss:.3f}, accuracy {accuracy:.1%}")

# %% [markdown]
r"""
The ensemble is as good as the parents or better, and costs two networks at every use. The mean of the weights costs one network, and fails.

For *linear* networks the two are the same thing: $\frac12 W_A x + \frac12 W_B x = \frac12 (W_A + W_B)\,x$. Whatever goes wrong must come from
having layers on top of each other. Two layers without any nonlinearity show it already:

$$\tfrac12(V_A + V_B)\cdot\tfrac12(W_A + W_B) = \tfrac14\big(V_A W_A + V_B W_B\big) + \tfrac14\big(V_A W_B + V_B W_A\big).$$

The last bracket reads the units of one network with the weights of the other. It is half of the average, and it means something only if unit 17
is the same unit in both.
"""

# %% tags=["nbval-check-output"]
g = torch.Generator().manual_seed(0)
Wa, Va, Wb, Vb = (torch.randn(shape, generator=g, dtype=torch.float64) for shape in ((6, 4), (3, 6)) * 2)
one_layer = torch.allclose(0.5 * (Wa + Wb), 0.5 * Wa + 0.5 * Wb)
mean_of_weights = 0.5 * (Va + Vb) @ (0.5 * (Wa + Wb))
mean_of_outputs = 0.5 * (Va @ Wa + Vb @ Wb)
strangers = 0.25 * (Va @ Wb + Vb @ Wa)
print("one linear layer, both means agree: ", one_layer)
print("two linear layers, both means agree:", torch.allclose(mean_of_weights, mean_of_outputs))
print("half of it, plus the strangers' part:", torch.allclose(mean_of_weights, 0.5 * mean_of_outputs + strangers))

# %% [markdown]
"""
## A, and A in another order

Are A and B so different? Take B out of the experiment. Shuffle the hidden units of A: the same function (notebook 01), the same
loss, the same everything. Then average A with its own shuffled copy.

**Predict.** The barrier between a network and *itself in another order*: none, a small one, or as high as between A and B?
"""

# %%
spec = rb.PermutationSpec.from_model(a, torch.zeros(1, 784))
self_shuffled = spec.apply(a, spec.random(seed=3))
found = rb.weight_matching(spec, a, b)
b_matched = spec.apply(b, found.permutation)

alphas = 13 if FAST else 25
lines = {
    name: rb.linear_path(a, a, other, digits, alphas=alphas)
    for name, other in {"shuffled self": self_shuffled, "naive": b, "matched": b_matched}.items()
}
for name, line in lines.items():
    print(f"A to {name:13} barrier: loss {line.barrier.loss:.3f}, accuracy {100 * line.barrier.accuracy:.1f} points")

rb.draw_curves({name: lines[name] for name in ("shuffled self", "matched")}, title="from A to itself in another order")

# %% tags=["nbval-check-output"]
height = {name: line.barrier.loss for name, line in lines.items()}
print("A and itself shuffled: a barrier above 0.5:", height["shuffled self"] > 0.5)
print("within a third of the one between A and B:", abs(height["shuffled self"] / height["naive"] - 1) < 1 / 3)
print("after matching, below a twentieth of it:", height["matched"] < height["naive"] / 20)

# %% [markdown]
"""
Nearly as high. So a high barrier is *no evidence* that two networks found different solutions: the shuffle alone makes one. It does not
prove the reverse either. That B is much like A in another order is what the green line, from A to the matched B, says.

Each curve is nothing but a loop. By hand, and by the library:
"""

# %%
by_hand = []
for alpha in lines["naive"].alphas:
    mixed = {name: (1 - alpha) * state_a[name] + alpha * state_b[name] for name in state_a}
    with torch.no_grad():
        logits = torch.func.functional_call(a, mixed, images)
    by_hand.append(torch.nn.functional.cross_entropy(logits, labels).item())

barrier = max(by_hand) - 0.5 * (by_hand[0] + by_hand[-1])
assert torch.allclose(torch.tensor(by_hand), torch.tensor(lines["naive"].loss), atol=1e-3)
assert abs(barrier - lines["naive"].barrier.loss) < 1e-3
print(f"barrier by hand {barrier:.3f}, by the library {lines['naive'].barrier.loss:.3f}")

# %% [markdown]
"""
## Three things called "the barrier"

When both ends are equally good there is little to argue about. Take ends that are not: A, and a network that has just begun its
training. Three definitions are in use:

* **paper**: the highest loss on the way, less the mean of both ends (Git Re-Basin, definition 2.2);
* **line**: the largest height over the straight line between the ends (Entezari et al., and most later papers);
* **midpoint**: the loss at alpha = ½ less the mean of both ends (REPAIR, ZipIt).

**Predict.** Which one is largest here, and can any be negative?
"""

# %%
little = data.subset(500, seed=0)
beginner = rb.train(rb.MLP(seed=2), little, epochs=1, batch_size=100, seed=2, progress=False).model
uneven = rb.linear_path(a, a, spec.apply(beginner, rb.weight_matching(spec, a, beginner).permutation), digits)
for name, value in uneven.barriers.items():
    print(f"{name:9} {value.loss:+.2f}")

rb.draw_barriers(uneven, title="from A to a beginner (matched)")

# %% tags=["nbval-check-output"]
paper, line, middle = (uneven.barriers[name].loss for name in ("paper", "line", "midpoint"))
print("the paper's is the largest:", paper > line > middle)
print("the midpoint's is negative:", middle < 0)
print("the paper's is never below half the difference of the ends:", paper >= 0.5 * abs(uneven[1].loss - uneven[0].loss))

# %% [markdown]
r"""
One curve, three answers: a large barrier, a smaller one, and "better than average". The paper's number is at least
$\frac12|L(A) - L(B)|$, even for a path that goes straight down from the worse end; the midpoint's can be negative while a hill stands beside it.
So a number without its definition says little. This course quotes the paper's and draws the curve.

## The plane through A, B and π(B)

Three points make a plane: A, B, and the matched B, written π(B). One axis points from A to B; the other is what is left of π(B) − A once
its part along the first is taken away (Gram–Schmidt). In units of |B − A|, by hand:
"""


# %%
def flat(state):
    return torch.cat([value.flatten().double() for value in state.values()])


first, second = flat(state_b) - flat(state_a), flat(b_matched) - flat(state_a)
along = (second @ first / (first @ first)).item()
rest = second - along * first
height = (rest.norm() / first.norm()).item()
print(f"A (0, 0)   B (1, 0)   π(B) ({along:.3f}, {height:.3f});   one unit is {first.norm():.2f} long")

# %% [markdown]
"""
The loss at each point of a grid over this plane takes some minutes on all 10,000 test images, so it was measured once and is stored with
the package. **Predict** how it looks: one valley or two? Where is the ridge?
"""

# %%
run = rb.load_run("mnist-mlp-plane")
plane = rb.Plane(**run["plane"])
x, y = plane.points["π(B)"]
assert abs(x - along) < 0.02 and abs(y - height) < 0.02 and abs(plane.distance / first.norm() - 1) < 0.01

print(f"{run['data']}, {run['samples']:,} test images, {len(plane.x)} × {len(plane.y)} points, made by: {run['command']}")
rb.draw_plane(plane, title="test loss over the plane through A, B and π(B)")

# %% [markdown]
"""
B and π(B) are *one function in two places*. From A to B the way leads over a ridge; from A to π(B) it stays in one valley. Matching did not
make B better: it chose, among all the copies of B, one on A's side of the ridge. A check of the stored picture against a fresh
measurement, at the points we know:
"""

# %%
for name, line in {"naive": lines["naive"], "matched": lines["matched"]}.items():
    stored = run["curves"][name]
    middle = stored["loss"][len(stored["loss"]) // 2]
    print(
        f"{name:8} loss half-way: {middle:.3f} on {run['samples']:,} test images, {line[0.5].loss:.3f} on {len(labels):,} images here"
    )
    assert abs(middle - line[0.5].loss) < 0.25

ends = run["curves"]["matched"]["loss"]
assert middle < min(ends[0], ends[-1]) and run["curves"]["matched"]["loss_barrier"] < 0.02

# %% [markdown]
"""
## What breaks inside: variance collapse

Look into the half-way network. Push the images through A, through B and through the average, and write down for each hidden unit how much it
*varies* from image to image before its ReLU.

**Predict.** If units 17 of A and B have nothing to do with each other, how much does their average vary, compared with each of them?
"""


# %%
def before_relu(state):
    found, h = [], images.flatten(1)
    for layer in ("linear1", "linear2", "linear3"):
        z = h @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]  # (samples, units)
        found.append(z)
        h = torch.relu(z)
    return found


of_a, of_b, of_half = before_relu(state_a), before_relu(state_b), before_relu(half)
for layer, (za, zb, z) in enumerate(zip(of_a, of_b, of_half), start=1):
    left = z.std(0).norm() / (0.5 * (za.std(0) + zb.std(0))).norm()
    print(f"layer {layer}: half-way, the units keep {left:.0%} of their parents' deviation")
    assert left < (0.8, 0.4, 0.2)[layer - 1]

# %% [markdown]
r"""
The deeper, the quieter: in the last hidden layer next to nothing is left, and the output hardly depends on the image. For one layer
there is a law. Let X and Y have deviations $\sigma_0, \sigma_1$ and correlation $\rho$; then

$$\mathrm{sd}\big((1-\alpha)X + \alpha Y\big) = \sqrt{(1-\alpha)^2\sigma_0^2 + \alpha^2\sigma_1^2 + 2\alpha(1-\alpha)\,\sigma_0\sigma_1\,\rho}.$$

It is the law of cosines: draw X and Y as arrows as long as their deviations, at an angle whose cosine is $\rho$. The mix lies on the chord
between their tips, and a chord passes closer to the centre than its ends. For units that have nothing to do with each other:
"""

# %%
rb.draw_dial(0.0, 0.5)

# %% [markdown]
"""
Turn the dial. **Predict** first: at which correlation is nothing lost, and where on the chord is the loss largest?
"""

# %%
rhos, shares = ([0, 0.5, 1], [0, 0.5, 1]) if FAST else ([-0.5, 0, 0.4, 0.7, 1], [0, 0.25, 0.5, 0.75, 1])
pictures = [[rb.png(rb.draw_dial(rho, alpha)) for alpha in shares] for rho in rhos]
texts = [
    [
        f"correlation {rho}, alpha {al}: deviation {((1 - al) ** 2 + al**2 + 2 * al * (1 - al) * rho) ** 0.5:.2f} of 1"
        for al in shares
    ]
    for rho in rhos
]
dial = rb.frames_grid(
    pictures, [str(rho) for rho in rhos], [str(al) for al in shares],
    descriptions=("rho", "alpha"), texts=texts, start=(1, len(shares) // 2),
)  # fmt: skip
dial

# %% [markdown]
r"""
Nothing is lost at $\rho = 1$ only, and most in the middle of the chord. Does the law hold in the networks? In the first layer it must,
to the last digit: its inputs are the images, so its output *is* the mix of A's and B's. Here it is for every unit and several alphas, by
hand, by the library's `closed_form`, and measured:
"""


# %%
def law(s0, s1, rho, alpha):
    return ((1 - alpha) ** 2 * s0**2 + alpha**2 * s1**2 + 2 * alpha * (1 - alpha) * s0 * s1 * rho).clamp_min(0).sqrt()


measured = {}
for name, other in {"naive": state_b, "matched": b_matched}.items():
    x, y = of_a[0], before_relu(other)[0]
    s0, s1 = x.std(0, correction=0), y.std(0, correction=0)
    rho = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / (s0 * s1)
    measured[name] = ([0, 0.25, 0.5, 0.75, 1], [])
    for alpha in measured[name][0]:
        sd = before_relu(rb.lerp(state_a, other, alpha))[0].std(0, correction=0)
        assert torch.allclose(sd, law(s0, s1, rho, alpha), atol=1e-4)
        assert torch.allclose(law(s0, s1, rho, alpha), rb.closed_form(s0, s1, rho, alpha))
        measured[name][1].append((sd.norm() / ((1 - alpha) * s0 + alpha * s1).norm()).item())

# %%
rb.draw_deviations([0, 0.25, 0.5, 0.75, 1], measured, title="first layer: 512 units, and the law")

# %% [markdown]
r"""
Strangers ($\rho \approx 0$) keep $1/\sqrt2$, about 71 %; matched units correlate, and keep more. In a deeper layer the inputs have shrunk
already, and each layer's loss comes on top. `diagnose` measures it layer by layer:
"""

# %%
solid, dotted = {}, {}
for name, other in {"naive": state_b, "matched": b_matched}.items():
    layers = rb.diagnose(a, a, other, digits).layers[:3]
    solid[name], dotted[name] = [x.measured for x in layers], [x.predicted for x in layers]
    print(f"{name:8} mean correlation of paired units: " + ", ".join(f"{x.mean_correlation:+.2f}" for x in layers))

again = [z.std(0).norm() / (0.5 * (za.std(0) + zb.std(0))).norm() for za, zb, z in zip(of_a, of_b, of_half)]
assert torch.allclose(torch.tensor(solid["naive"]), torch.tensor(again), atol=1e-3)  # the library's and ours
rb.draw_collapse(solid, dotted, title="half-way between A and B")

# %% [markdown]
"""
The dotted lines are the law: what averaging *this* layer alone would take. The solid lines are the network: losses pile up from layer to layer.

Is the collapse only a sign of the trouble, or the trouble itself? Test it: **mend the statistics and nothing else**. `repair` takes the naive
average and gives each hidden unit back the mean and deviation of its parents. The units are still the wrong pairs. **Predict** the accuracy.
"""

# %%
some = data.subset(1000, seed=0)
for name, other in {"naive": b, "matched": b_matched}.items():
    mended = rb.repair(a, a, other, rb.lerp(a, other, 0.5), some.train).weights
    plain, after = rb.evaluate(a, rb.lerp(a, other, 0.5), digits), rb.evaluate(a, mended, digits)
    print(f"{name:8} half-way: {plain.accuracy:.1%}, loss {plain.loss:.2f};  mended: {after.accuracy:.1%}, loss {after.loss:.2f}")
    if name == "naive":
        assert after.loss < 0.5 * plain.loss and plain.accuracy + 0.03 < after.accuracy < lines["naive"].accuracy[0]

stored = run["middles"]["naive"]
print(
    f"on {run['samples']:,} test images, naive: {stored['plain']['accuracy']:.1%}, mended: {stored['repaired']['accuracy']:.1%}"
)
assert stored["repaired"]["loss"] < 0.3 * stored["plain"]["loss"]
stored = run["middles"]["matched"]
print(f"and matched: loss {stored['plain']['loss']:.3f}, mended {stored['repaired']['loss']:.3f}")

# %% [markdown]
r"""
Most of the damage is gone, though no unit was moved: for this wide MLP the quieting of units is much of what a naive average suffers from.
It is not all of it: the mended average of strangers stays below either parent. And the matched average had little to mend: its accuracy hardly moves, and its
loss on the full test set even rises a little. Matching raises $\rho$, repair makes up for what is missing to 1; a later notebook uses both where one
is not enough.

## What could go wrong

A barrier measured at too few places. The same uneven pair, but only at alpha = 0, ½ and 1, as it is often done to save time:
"""

# %%
three = rb.linear_path(a, a, beginner, digits, alphas=3)
many = rb.linear_path(a, a, beginner, digits, alphas=25)
print(f"barrier at 3 alphas: {three.barrier.loss:.2f};  at 25: {many.barrier.loss:.2f}, highest at alpha = "
      f"{many.alphas[many.loss.index(max(many.loss))]:.2f}")  # fmt: skip
assert many.barrier.loss > 1.2 * three.barrier.loss

# %% [markdown]
"""
With unequal ends the hill leans towards the worse one, and the middle misses its top. Twenty-five alphas, as in the paper, cost little:
`linear_path` reads the data once for all of them.

## An honest negative: not every barrier is a shuffle

A ReLU unit can be *scaled*: inputs times $c$, outputs divided by $c$, same function (end of notebook 01). Let us scale each unit of A by its
own random factor. No unit moved, so matching has nothing to find. **Predict** the barrier between A and this copy.
"""

# %%
g, scaled = torch.Generator().manual_seed(1), {name: value.clone() for name, value in state_a.items()}
for layer, reader in (("linear1", "linear2"), ("linear2", "linear3"), ("linear3", "head")):
    c = 16 ** (2 * torch.rand(512, generator=g) - 1)  # between 1/16 and 16
    scaled[f"{layer}.weight"] *= c[:, None]
    scaled[f"{layer}.bias"] *= c
    scaled[f"{reader}.weight"] /= c
same = torch.func.functional_call(a, scaled, images)
assert torch.allclose(same, a(images), atol=1e-2)

matching = rb.weight_matching(spec, a, scaled)
line = rb.linear_path(a, a, spec.apply(scaled, matching.permutation), digits)
print("units that matching moves:", sum(matching.permutation.moved(group) for group in spec.groups))
print(f"barrier {line.barrier.loss:.3f}, against {lines['matched'].barrier.loss:.3f} between A and the matched B")
assert line.barrier.loss > 0.05

# %% [markdown]
"""
The same function once more, no shuffle at all, and a barrier. Training does not scatter the scales this wildly, which is why
permutations get so far; but permutations are not the only symmetry, and the paper does not claim that they explain everything.

## Recap

An average of weights feeds the units of one network into the readers of the other, so it only makes sense when unit $i$ is the same unit in
both; even a network and its own shuffled copy have a barrier between them. Unrelated units cancel: each averaged layer keeps about 71 % of
its deviation, and the losses pile up. Matching raises the correlation of the pairs; how high the barrier is depends on the definition, so
draw the curve.

## Exercises

**02-1** · easy · 4 minutes. At alpha = 0, ¼, ½, ¾, 1 the losses are 0.2, 0.9, 0.7, 0.5, 0.4. Give the three barriers as a tuple: (paper, line, midpoint).

<details><summary>Hint</summary>The straight line between the ends is at 0.2, 0.25, 0.3, 0.35, 0.4.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("02-1", answer)

# %% tags=["solution"]
losses = [0.2, 0.9, 0.7, 0.5, 0.4]
straight = [0.2 + k / 4 * (0.4 - 0.2) for k in range(5)]
ends = 0.5 * (losses[0] + losses[-1])
answer = (max(losses) - ends, max(value - low for value, low in zip(losses, straight)), losses[2] - ends)
check("02-1", answer)

# %% [markdown]
"""
**02-2** · easy · 4 minutes. Two matched units have the same deviation and a correlation of 0.4. What share of the *variance* is lost half-way
between them?

<details><summary>Hint</summary>Variance is the square of the deviation; put alpha = ½ into the law.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("02-2", answer)

# %% tags=["solution"]
answer = 1 - (0.5**2 + 0.5**2 + 2 * 0.5 * 0.5 * 0.4)
check("02-2", answer)

# %% [markdown]
"""
**02-3** · medium · 8 minutes. Write `coordinates(a, b, c)` for three vectors: where `c` lies in the plane through them, as a pair, with
`a` at (0, 0), `b` at (1, 0), and lengths in units of |b − a|.

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
**02-4** · medium · 8 minutes. Write `deviation(x, y, alpha)`: the deviation of `(1 - alpha) * x + alpha * y`, computed *from the law*: from the
deviations of `x` and `y` and their correlation only.

<details><summary>Hint</summary><code>x.std(correction=0)</code> and the mean of the product of the centred vectors.</details>
"""


# %% tags=["exercise"]
def deviation(x, y, alpha):
    return ...


# check("02-4", deviation)


# %% tags=["solution"]
def deviation(x, y, alpha):
    s0, s1 = x.std(correction=0), y.std(correction=0)
    rho = ((x - x.mean()) * (y - y.mean())).mean() / (s0 * s1)
    return ((1 - alpha) ** 2 * s0**2 + alpha**2 * s1**2 + 2 * alpha * (1 - alpha) * s0 * s1 * rho).sqrt()


check("02-4", deviation)

# %% [markdown]
"""
## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR 2023: definition 2.2 (barrier), figure 1 (the plane).
* Entezari, Sedghi, Saukh, Neyshabur: *The Role of Permutation Invariance in Linear Mode Connectivity of Neural Networks*, ICLR 2022: section 2, the barrier
  against the line.
* Jordan, Sedghi, Saukh, Entezari, Neyshabur: *REPAIR: REnormalizing Permuted Activations for Interpolation Repair*, ICLR 2023: section 2, variance collapse.
"""

# %% tags=["smoke"]
assert rb.move_all(dial) == len(rhos) + len(shares)  # every position of every control was visited
