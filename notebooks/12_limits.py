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
# 12 · Where does the single basin end?

| | |
|---|---|
| **Question** | Does a permutation always remove the barrier? If not: where does it end, and why? |
| **You will be able to** | show a pair of networks that no permutation connects; name the conditions under which matching fails; settle twelve claims that circulate about Git Re-Basin |
| **You need** | notebooks 02 and 04 (barrier, weight matching); 07 helps |
| **Time** | 45 minutes to read; about a minute to run on two CPU cores, no GPU needed |
| **Data** | a formula in two variables; scikit-learn's small digits; stored runs on MNIST |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Twelve claims

These sentences are told about the paper, in articles, talks and posts. Mark each **true** or
**false** now, on paper. The last section settles them.

1. The paper proves that all networks lie in one basin, up to a permutation.
2. Some networks have no permutation that connects them without a barrier.
3. Along the line between two networks, the loss falls monotonically.
4. The paper reaches zero barrier on ImageNet.
5. The paper reaches zero barrier on narrow ResNets.
6. After matching, the two networks are nearly the same.
7. The best permutation of weight matching can be found exactly, in polynomial time.
8. Activation matching is a regression.
9. The merged network has a higher test accuracy than both parents.
10. The paper proposes model soups.
11. The paper merges networks that were trained on different data sets.
12. Without permutation symmetry, two networks need no matching.
"""

# %%
import itertools
import os

import torch
import torch.nn.functional as F
from torch import nn

import rebasin_edu as rb
from rebasin_edu.course import check, figures

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))

# %% [markdown]
r"""
## Two networks that no permutation connects

The paper's appendix A.6. Points of the square $[-1, 1]^2$; a point is positive if $x_1 < 0$ and
$x_2 > 0$. Two networks with two hidden layers of *two* units answer "positive" where their output
is at least zero. Both are perfect, and they work differently: A tests $x_2$ in its first layer and
$x_1$ in its second, B the other way round.
"""


# %%
def weights(*tensors):
    names = ("linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias")
    head = {"head.weight": [[-1, -1]], "head.bias": [0]}
    rows = dict(zip(names, tensors)) | head
    return {name: torch.tensor(row, dtype=torch.float64) for name, row in rows.items()}


a = weights([[-1, 0], [0, -1]], [1, 0], [[-1, 0], [0, 1]], [1, 0])
b = weights([[1, 0], [0, 1]], [0, 1], [[1, 0], [0, -1]], [0, 1])
net = rb.lab.MLP(inputs=2, hidden=(2, 2), classes=1).double()
drawn = torch.Generator().manual_seed(0)
points = torch.rand(200_000, 2, generator=drawn, dtype=torch.float64) * 2 - 1
positive = (points[:, 0] < 0) & (points[:, 1] > 0)


# %%
def output(state, x):
    with torch.no_grad():
        return torch.func.functional_call(net, state, x).squeeze(1)


def error(state, tolerance=0.0):  # the share of points with a wrong answer
    return ((output(state, points) >= -tolerance) != positive).double().mean().item()


print(f"wrong answers: A {error(a):.0%}, B {error(b):.0%}")
assert error(a) == error(b) == 0

# %% [markdown]
"""
Each hidden layer has 2! = 2 permutations, so B has four copies that compute the same.

**Predict.** One of the four must be nearest to A. How many wrong answers does the network half-way
to that copy give: none, few, or as many as a network that always says "negative" (25 %)?
"""

# %%
spec = rb.PermutationSpec.from_model(net, points[:3])
alphas = [k / 20 for k in range(21)]
copies, errors, nearness = {}, {}, {}
for one, two in itertools.product((False, True), repeat=2):
    name = {0: "no swap", 1: "swap layer 2", 2: "swap layer 1", 3: "swap both"}[2 * one + two]
    orders = zip(spec.groups, ([1, 0] if one else [0, 1], [1, 0] if two else [0, 1]))
    permutation = rb.Permutation({group: torch.tensor(order) for group, order in orders})
    copies[name] = spec.apply(b, permutation)
    nearness[name] = sum((a[key] * copies[name][key]).sum().item() for key in a)
    errors[name] = [error(rb.lerp(a, copies[name], alpha)) for alpha in alphas]

# %%
for name, values in errors.items():
    shown = "  ".join(f"{values[k]:.2f}" for k in (0, 1, 5, 10, 15, 20))
    print(f"{name:13} objective {nearness[name]:+.0f}   error at 0, .05, .25, .5, .75, 1: {shown}")
    assert abs(values[10] - 0.25) < 0.005 and values[0] == values[20] == 0
best = max(nearness, key=nearness.get)
match = rb.weight_matching(spec, a, b)
assert best == "swap both" and all(order.tolist() == [1, 0] for order in match.permutation.values())

# %% [markdown]
"""
All four lines pass through 25 %. Where layer 1 is not swapped, the midpoint always says "negative"
and misses every positive point. Where it is swapped, the midpoint sees only the difference
$x_1 - x_2$: it says "positive" on half of the square, and half of those answers are wrong. Weight
matching picks "swap both", the nearest. Its line is *better* near the ends; its barrier is the
same.

The slider shows the four. On the right, green is where the midpoint says "positive"; the orange
frame is where it should.
"""

# %%
line = torch.linspace(-0.99, 0.99, 60, dtype=torch.float64)
grid = torch.cartesian_prod(line, line)  # x1 changes slowest


def middle(name):
    answers = output(rb.lerp(a, copies[name], 0.5), grid) >= 0
    return answers.reshape(60, 60).T.double().numpy()


four = rb.show.slider(
    lambda name: figures.draw_counterexample(alphas, errors, name, middle(name)),
    list(copies),
    description="copy of B",
    start=3,
    text=lambda name: f"{name}: {errors[name][5]:.1%} wrong at 0.25, {errors[name][10]:.1%} at 0.5",
)
four

# %% [markdown]
r"""
How strong is this example? Four remarks, so that you can defend it:

- **It has no margin.** All positive points have the output exactly 0, so the smallest rounding
  error could turn an answer. Allow a tolerance: answer "positive" where the output is at least
  −0.05. Both networks then make 2.5 % errors, and every copy still has a barrier of 22 to 25 points
  (next cell).
- Only permutations are excluded. The two networks may be connected by *other* symmetries, such as
  scaling, or by moving a feature from one layer to another.
- The weights were written by hand. It says nothing about networks that SGD finds; the conjecture is
  about those.
- So it shows: linear mode connectivity modulo permutations is not a property of the *architecture*.
"""

# %%
tolerant = {
    name: [error(rb.lerp(a, copies[name], alpha), 0.05) for alpha in alphas] for name in copies
}
for name, values in tolerant.items():
    barrier = max(values) - (values[0] + values[20]) / 2
    print(f"tolerance 0.05, {name:13} ends {values[0]:.1%}, barrier {barrier:.1%}")
    assert barrier > 0.2

# %% [markdown]
"""
## Trained networks that do not connect

**Predict.** Which of these raises the barrier after matching most: few units, few epochs, or a low
learning rate? All are MNIST networks of three hidden layers, two or three pairs each, from stored
runs. Each row changes *one* thing of the first.
"""

# %%
widths, epochs, rates = (
    rb.load_run(f"mnist-mlp-{name}") for name in ("widths", "onset", "optimisers")
)


def barriers(pairs):
    return tuple([pair[kind]["loss_barrier"] for pair in pairs] for kind in ("naive", "matched"))


def after(epoch):
    return barriers([pair["epochs"][epoch] for pair in epochs["pairs"]])


by_width = {row["width"]: barriers(row["pairs"]) for row in widths["widths"]}
by_rate = {row["name"]: barriers(row["pairs"]) for row in rates["optimisers"]}
rows = {"512 units, Adam 1e-3, 25 epochs": by_width[512]}
rows |= {f"{width} units": by_width[width] for width in (128, 32, 16)}
rows |= {f"{epoch} epochs" if epoch > 1 else "1 epoch": after(epoch) for epoch in (5, 1)}
rows |= {name.replace(", ", " "): found for name, found in by_rate.items() if "Adam" not in name}

# %%
means = {name: sum(matched) / len(matched) for name, (_, matched) in rows.items()}
print({name: round(mean, 3) for name, mean in means.items()})
reference = means["512 units, Adam 1e-3, 25 epochs"]
assert means["16 units"] > 1 > means["1 epoch"] > 10 * reference
assert all(mean > reference / 2 for mean in means.values())
figures.draw_conditions(rows, title=f"{widths['data']}, {widths['samples']:,} test images")

# %% [markdown]
r"""
All three do. Few units leave few partners to choose from. After one epoch the networks have hardly
begun to share what they know. SGD at a hundredth of the usual rate trains to 93 % accuracy and
keeps the barrier at 0.6: it is not only a matter of time. The paper lists the same limits in its
appendix A.1, with VGG on MNIST and ConvNeXt, whose depth-wise convolutions have few permutations.

The runs show *when* it fails; they do not show *why*. That is still an open question.

## Near in weights is not low in loss

An idea that failed, from the paper's appendix A.11. The barrier is measured from A outwards. So
choose the permutation of B whose direction leaves A most *steeply downhill*: the smallest inner
product of A's gradient with $\pi(B)$. That is the same kind of assignment problem as weight
matching, with the negative gradient in A's place: one line with the library.

**Predict.** Lower than weight matching? Between it and no matching? Higher than no matching?
"""

# %%
digits = rb.load_data("digits")
settings = {"epochs": 25, "lr": 3e-3, "batch_size": 128, "progress": False}


def trained(seed):
    net = rb.lab.MLP(inputs=64, hidden=(64, 64), classes=10, seed=seed)
    return rb.train(net, digits, seed=seed, **settings).model


def downhill(net):  # the negative gradient of the training loss at a network
    loss = F.cross_entropy(net(digits.train.inputs), digits.train.targets)
    names, tensors = zip(*net.named_parameters())
    return {name: -grad for name, grad in zip(names, torch.autograd.grad(loss, tensors))}


pairs = [(trained(seed), trained(seed + 1)) for seed in (0, 2, 4)]
digit_spec = rb.PermutationSpec.from_model(pairs[0][0], digits.test.inputs[:1])

# %%
for one, other in pairs:
    steep = rb.weight_matching(digit_spec, downhill(one), other).permutation
    near = rb.weight_matching(digit_spec, one, other).permutation
    lines = {
        "as trained": rb.linear_path(one, other, digits.test),
        "steepest": rb.linear_path(one, digit_spec.apply(other, steep), digits.test),
        "matched": rb.linear_path(one, digit_spec.apply(other, near), digits.test),
    }
    print({name: round(line.barrier.loss, 3) for name, line in lines.items()})
    heights = [lines[name].barrier.loss for name in ("matched", "as trained", "steepest")]
    assert heights == sorted(heights)
rb.show.draw_curves(lines, title="small digits, test images")

# %% [markdown]
"""
Much higher than no matching. A gradient knows the next small step; the barrier lies far beyond it.
At a trained network the gradient is nearly zero, and what is left of it is noise.

## Matched is not equal

"The two networks are the same up to a permutation" is a figure of speech. How near does the best
permutation that we find bring B to A?
"""

# %%
mnist = [rb.load_or_train(rb.Recipe(seed=seed)) for seed in range(4)]
mnist_spec = rb.PermutationSpec.from_model(mnist[0], torch.zeros(1, 784))
flat = nn.utils.parameters_to_vector
for one, other in ((mnist[0], mnist[1]), (mnist[2], mnist[3])):
    match = rb.weight_matching(mnist_spec, one, other)
    x, y = flat(one.parameters()).detach(), flat(other.parameters()).detach()
    z = flat(mnist_spec.apply(other, match.permutation).values())
    kept, cosine = torch.dist(x, z) / torch.dist(x, y), F.cosine_similarity(x, z, dim=0)
    print(f"distance kept {kept:.3f}; cosine {F.cosine_similarity(x, y, dim=0):.3f} → {cosine:.3f}")
    assert 0.8 < kept < 0.92 and 0.15 < cosine < 0.4

# %% [markdown]
"""
The distance falls by an eighth. The cosine of the two weight vectors rises from almost 0 to about a
quarter. In a space of a million dimensions that is far from chance, and far from equal. The line is
flat *although* the ends are far apart: one wide basin, not one point.

## The inverse experiment: no symmetry, no matching

If permutations are what keeps seeds apart, then networks *without* permutation symmetry should need
no matching. Take the symmetry away: freeze half of the weights of each hidden layer, at random
values that are the **same for all seeds**, and train the rest. Now unit 7 has a place: its frozen
weights say which unit it is.

**Predict.** What happens to the naive barrier, without any matching?
"""


# %%
class PartlyFrozen(nn.Linear):  # some of 64 × 64 weights frozen, the same in every network
    def __init__(self, share, scale, same):
        super().__init__(64, 64)
        frozen = torch.rand(64, 64, generator=same) < share
        values = scale * torch.randn(64, 64, generator=same) / 8
        self.register_buffer("frozen", frozen * values)
        self.register_buffer("free", (~frozen).float())

    def forward(self, x):
        return F.relu(F.linear(x, self.weight * self.free + self.frozen, self.bias))


# %%
def anchored(seed, share, scale=3.0):
    torch.manual_seed(seed)
    same = torch.Generator().manual_seed(99)
    hidden = [PartlyFrozen(share, scale, same) for _ in range(2)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10))


# %%
shares, frozen_rows = (0.0, 0.25, 0.5, 0.9), {}
for share in shares[:: 3 if FAST else 1]:
    found = []
    for seed in (0, 2, 4):
        one, other = (
            rb.train(anchored(s, share), digits, seed=s, **settings).model for s in (seed, seed + 1)
        )
        found.append(rb.linear_path(one, other, digits.test, alphas=9))
    frozen_rows[share] = [line.barrier.loss for line in found]
    ends = sum(line.accuracy[0] for line in found) / 3
    heights = ", ".join(f"{height:.3f}" for height in frozen_rows[share])
    print(f"{share:.0%} frozen: accuracy {ends:.1%}, naive loss barriers {heights}")
assert max(frozen_rows[0.9]) < 0.2 * min(frozen_rows[0.0])

# %% [markdown]
"""
Without a frozen weight, the naive barrier is what it always was. With nine of ten frozen it is
almost gone, *without any matching*, at a small cost of accuracy. This is the strongest evidence in
this notebook for the paper's story: take the symmetry away, and the barrier goes with it. (Others
find the same for networks whose neurons are identifiable, and for very wide networks with strong
weight decay.)

It is evidence, not proof: freezing weights also makes the networks start nearer to each other.

## What could go wrong: the counterexample in single precision

The counterexample stands on outputs that are *exactly* zero. In single precision, and with a
leaky activation as in the authors' code, is it still one?
"""

# %%
single = {key: value.float() for key, value in rb.lerp(a, copies["swap both"], 0.0).items()}
net32, points32 = rb.lab.MLP(inputs=2, hidden=(2, 2), classes=1), points.float()
with torch.no_grad():
    out = torch.func.functional_call(net32, single, points32).squeeze(1)
    hidden = F.leaky_relu(F.linear(points, a["linear1.weight"], a["linear1.bias"]), 0.01)
    hidden = F.leaky_relu(F.linear(hidden, a["linear2.weight"], a["linear2.bias"]), 0.01)
    leaky = F.linear(hidden, a["head.weight"], a["head.bias"]).squeeze(1)
print(f"A in single precision: {((out >= 0) != positive).double().mean():.4f} wrong; "
      f"A with slope 0.01 below zero: {((leaky >= 0) != positive).double().mean():.4f} wrong")
assert ((leaky >= 0) != positive).double().mean() < 0.01

# %% [markdown]
"""
With the leaky slope both networks are no longer perfect: about one answer in a thousand is wrong.
The authors' code uses that slope, and its check for perfect accuracy is commented out. The
conclusion holds with a tolerance, as you saw; the word "perfect" needs exact zeros.

## Twelve claims, settled

| # | claim | |
|---|---|---|
| 1 | proves one basin | **False.** It proves two lemmas (the matching problem is NP-hard; its algorithm ends). The single basin is a conjecture (Entezari and others, 2021), which it supports with experiments |
| 2 | some networks have no such permutation | **True**: this notebook, and the paper's appendix A.6 |
| 3 | the loss falls monotonically along the line | **False.** Naive: a hill. Matched: nearly flat, at best lowest in the middle (notebook 05). Monotone is the way from the *start* of a training to its end |
| 4 | zero barrier on ImageNet | **False.** ResNet50: 51.0 % half-way, parents about 76 % |
| 5 | zero barrier on narrow ResNets | **False.** ResNet20 needs 32 times the width; at width 1 it shows none |
| 6 | nearly the same after matching | **False**: 86 to 87 % of the distance is left (above) |
| 7 | exact in polynomial time | **False** for two or more hidden layers, unless P = NP. One hidden layer: true (notebook 04) |
| 8 | activation matching is a regression | **True**, with its coefficients restricted to a permutation (notebook 03) |
| 9 | higher accuracy than both parents | **False.** Lower test *loss*, in some cases; accuracy falls (notebook 10) |
| 10 | proposes model soups | **False**: Wortsman and others, 2022, for networks with one pretrained start |
| 11 | different data sets | **False**: two label-biased halves of *one* data set (notebook 11) |
| 12 | no symmetry, no matching | **True** here: the inverse experiment |

## Recap

There are networks that no permutation connects; they were written by hand. Among trained networks,
narrow ones, young ones and those of low learning rates keep a barrier after matching. Going
downhill most steeply is worse than no matching; near in weights is not the same as equal; and
networks whose units have a fixed place need no matching at all.

## Exercises

**12-1** · easy · 4 minutes. Write `kept(a, b, moved)`: the share of the distance from A to B that
is left once B has been permuted to `moved`. All three are flat tensors.

<details><summary>Hint</summary><code>torch.dist</code> is the distance of two tensors.</details>
"""


# %% tags=["exercise"]
def kept(a, b, moved):
    return ...


# check("12-1", kept)


# %% tags=["solution"]
def kept(a, b, moved):
    return (torch.dist(a, moved) / torch.dist(a, b)).item()


check("12-1", kept)

# %% [markdown]
"""
**12-2** · medium · 6 minutes. Write `swap_first(w1, b1, w2)`: the tensors of the counterexample
after the two units of the *first* hidden layer have changed places. The function of the network
must stay.

<details><summary>Hint</summary>Which axis of which tensor belongs to the first layer's units? There are three.</details>
"""


# %% tags=["exercise"]
def swap_first(w1, b1, w2):
    return ...


# check("12-2", swap_first)


# %% tags=["solution"]
def swap_first(w1, b1, w2):
    return w1.flip(0), b1.flip(0), w2.flip(1)


check("12-2", swap_first)

# %% [markdown]
"""
**12-3** · medium · 8 minutes. Write `steepest(gradient, b)` for one matrix whose *rows* are
permuted: the order of B's rows with the smallest inner product with the gradient.
`rb.matching.assign(table)` finds the assignment with the largest sum.

<details><summary>Hint</summary>Row i of the table: what place i gains from each row of B.</details>
"""


# %% tags=["exercise"]
def steepest(gradient, b):
    return ...


# check("12-3", steepest)


# %% tags=["solution"]
def steepest(gradient, b):
    return rb.matching.assign(-gradient @ b.T)


check("12-3", steepest)

# %% [markdown]
"""
**How much must be frozen?** · answer: a figure · 20 minutes. Draw the naive barrier of `anchored`
networks against the share of frozen weights, for three scales of the frozen values. Where does the
barrier fall below 0.1, and what does it cost in accuracy?

**A pair of your own that will not merge** · open · 30 minutes. Train two networks that both work
and that no matcher of this package brings below half of the naive barrier. Say which limit of this
notebook you used, and what `rb.diagnose` says.

## Questions

**1.** What does the counterexample show?
<details><summary>That the conjecture about SGD is false.</summary>No: its weights were written by hand.</details>
<details><summary>That connectivity modulo permutations is not a property of the architecture alone.</summary>Right.</details>

**2.** Why does it matter that its outputs are exactly zero?
<details><summary>A rounding error can turn answers; with a tolerance the barrier stays.</summary>Right.</details>
<details><summary>It does not matter at all.</summary>It must be checked: "perfect" holds only with exact zeros.</details>

**3.** A pair keeps a barrier of 0.6 after matching. Both networks are at 93 %. A likely cause?
<details><summary>The learning rate was very low.</summary>Right: SGD at 0.001 does this.</details>
<details><summary>The matcher is broken.</summary>Possible; but the stored runs show such pairs with a working one.</details>

**4.** Why does the steepest direction fail?
<details><summary>A gradient describes the next small step, and the other network is far away.</summary>Right.</details>
<details><summary>Its assignment problem cannot be solved.</summary>No: it is the same problem as weight matching.</details>

**5.** After matching, the cosine of the weights is about 0.25. What follows?
<details><summary>The networks are nearly equal.</summary>No: 86 to 87 % of the distance is left.</details>
<details><summary>They are far apart, and the line between them is flat all the same.</summary>Right.</details>

**6.** Weights were frozen at values that all seeds share. Why does the naive barrier fall?
<details><summary>The frozen weights give each unit its place.</summary>Right: the permutation symmetry is gone.</details>
<details><summary>The networks can no longer learn.</summary>No: their accuracy hardly falls.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: section 4, appendices A.1, A.6, A.11.
* Entezari, Sedghi, Saukh, Neyshabur: *The Role of Permutation Invariance in Linear Mode
  Connectivity of Neural Networks*, ICLR 2022.
* Ito, Yamada, Kumagai: *Analysis of Linear Mode Connectivity via Permutation-Based Weight
  Matching*, ICLR 2025; and *Do We Really Need Permutations?*, ICLR 2026.
"""

# %% tags=["smoke"]
assert rb.show.move_all(four) == 4  # every position of every control was visited
