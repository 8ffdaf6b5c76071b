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
# 01 · When are two networks the same function?

| | |
|---|---|
| **Question** | Which changes to the weights change nothing at all? |
| **You will be able to** | reorder hidden units by hand; say why the function stays; count how often it can be done; use `Permutation` and `PermutationSpec` |
| **You need** | what a linear layer and a ReLU compute; notebook 00 helps, and is not required |
| **Time** | 30 minutes to read; under a minute to run, on a CPU as on a GPU |
| **Data** | none: every network here is made in a cell |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Two units change places

Here is a network so small that all of it fits in a picture: two inputs, three hidden units
(neurons) with ReLU, one output. We choose its weights ourselves. Dark lines are positive weights,
orange ones negative, and a thick line is a large weight.

**Predict.** Hidden units 0 and 2 change places. Which numbers have to move so that the output stays
what it was for *every* input?
"""

# %%
import torch

import rebasin_edu as rb
from rebasin_edu.course import check, figures, given

w1 = torch.tensor([[1.5, -0.5], [-1.0, 1.2], [0.6, 0.9]])  # (hidden, inputs)
b1 = torch.tensor([0.1, -0.3, 0.2])  # (hidden,)
w2 = torch.tensor([[1.0, -2.0, 0.7]])  # (outputs, hidden)


def network(x, w1, b1, w2):  # x: (samples, inputs)
    return torch.relu(x @ w1.T + b1) @ w2.T  # (samples, outputs)


figures.draw_network([w1, w2], title="units 0, 1, 2")

# %% [markdown]
"""
A hidden unit is three things: the row of `w1` that it reads its inputs with, its bias, and the
column of `w2` through which the next layer reads it. Move all three together and each unit keeps
its inputs and its reader. The output is a *sum over units*, and a sum does not care about the order
of its terms.
"""

# %%
order = torch.tensor([2, 1, 0])  # the unit that now stands at each place
swapped = (w1[order], b1[order], w2[:, order])  # rows, biases, and the next layer's columns

x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
difference = (network(x, w1, b1, w2) - network(x, *swapped)).abs().max()
print(f"largest change of the output over 1,000 inputs: {difference:.1e}")
figures.draw_network([swapped[0], swapped[2]], permutation=order,
                     title="units 2, 1, 0: every unit took its lines along")

# %% [markdown]
"""
## All the orders

Three units can stand in 3! = 6 orders. **Predict.** Does the output stay *exactly* the same, to the
last bit, in all six?
"""

# %%
import itertools

prediction = "..."  # "yes" or "no"
orders = [list(p) for p in itertools.permutations(range(3))]
outputs = torch.stack([network(x, w1[p], b1[p], w2[:, p]) for p in orders])  # (6, 1000, 1)
print(f"you said: {prediction}")
print(f"largest difference over 1,000 inputs: {(outputs - outputs[0]).abs().max():.1e}")

# %% [markdown]
"""
If you said yes, you thought of real numbers. A computer adds floating-point numbers, and rounds
after each addition, so the order of a sum can change its last digit. "The same function" means:
equal in exact arithmetic, and up to rounding on a computer. That is why this course compares with a
tolerance.

Move the slider: the discs carry their colours and their lines along, so that you can follow each
unit. The line below the picture is the output for the input (1, 1).
"""

# %%
def picture(p):
    return figures.draw_network([w1[p], w2[:, p]], permutation=p)


one = torch.tensor([[1.0, 1.0]])
slider = rb.show.slider(
    picture, orders, description="order",
    text=lambda p: f"order {p}: output {network(one, w1[p], b1[p], w2[:, p]).item():.7f}"
                   " for the input (1, 1)")
slider

# %% [markdown]
r"""
## The law

A permutation matrix $P$ has one 1 in each row: row $i$ has it in column `order[i]`, so $P W_1$ is
`w1[order]`: unit `order[i]` comes to place $i$. The new layer is $W_1' = P W_1$, $b_1' = P b_1$,
$W_2' = W_2 P^\top$. A ReLU acts on each unit alone, so $\sigma(P z) = P\,\sigma(z)$, and

$$W_2' \,\sigma(W_1' x + b_1') = W_2 P^\top P\, \sigma(W_1 x + b_1) = W_2\, \sigma(W_1 x + b_1).$$

This line is what all the notebooks stand on (section 2 of the paper). It asks only that the
nonlinearity works unit by unit. In a deeper network each hidden layer has a permutation of its own,
and a matrix between two hidden layers has its rows moved by one and its columns by the other:
$W_\ell' = P_\ell W_\ell P_{\ell-1}^\top$.

## The same with the library

A **spec** says which axes of which parameters one permutation moves together. The axes that move
together form a **group** of the spec. For a network of two hidden layers it is this table, which
the paper's authors wrote by hand for every architecture:
"""

# %%
model = rb.lab.MLP(inputs=20, hidden=(64, 48), classes=5)
names = [name for name, _ in model.named_parameters()]
weights, biases = names[0::2], names[1::2]
spec = rb.PermutationSpec.from_axes(
    {
        weights[0]: ("hidden 1", None),
        biases[0]: ("hidden 1",),
        weights[1]: ("hidden 2", "hidden 1"),  # rows by its own order, columns by the layer before
        biases[1]: ("hidden 2",),
        weights[2]: (None, "hidden 2"),  # the classes keep their order
        biases[2]: (None,),
    },
    model,
)
print(spec)

# %% [markdown]
"""
`None` says that an axis must stay: pixels and classes have meanings, hidden units do not. A
**permutation** holds one order per group. `spec.apply` does to all the parameters what we did to
three tensors.
"""

# %%
state = model.state_dict()
permutation = spec.random(seed=1)
shuffled = spec.apply(state, permutation)
by_hand = state[weights[1]][permutation["hidden 2"]][:, permutation["hidden 1"]]
assert torch.equal(shuffled[weights[1]], by_hand)  # by hand and by the library: the same

inputs = torch.randn(100, 20, generator=torch.Generator().manual_seed(1))
before, after = (torch.func.functional_call(model, s, inputs) for s in (state, shuffled))
print(f"{(by_hand != state[weights[1]]).float().mean():.0%} of the weights moved;",
      f"the outputs change by {(before - after).abs().max():.1e} at most")

# %% [markdown]
"""
Permutations can be undone and combined: each has an inverse, and two in a row are one.
(Mathematicians call such a set a *group*, too; in this course the word means the axes that move
together.)
"""

# %%
p, q = spec.random(seed=1), spec.random(seed=2)
two_steps, one_step = spec.apply(spec.apply(state, q), p), spec.apply(state, p @ q)  # q, then p
undone = spec.apply(shuffled, permutation.inverse())
print("p @ q is q, then p:", all(torch.equal(two_steps[name], one_step[name]) for name in state))
print("the inverse undoes it:", all(torch.equal(undone[name], state[name]) for name in state))

# %% [markdown]
"""
## A permutation as a picture

Give the units of one hidden layer the colours of the rainbow. In the permuted copy the same units
stand in other places, and the rainbow breaks into noise. The inverse restores it. In the notebooks
to come nobody tells us the inverse: we have to *find* it, and this picture shows whether we did.
"""

# %%
order = permutation["hidden 1"]
strips = {"A": range(64), "permuted copy of A": order,
          "permuted copy, put back": order[permutation.inverse()["hidden 1"]]}
figures.draw_rainbow(strips, title="one colour, one hidden unit")

# %% [markdown]
"""
## How many are there?

A layer of $n$ units has $n!$ orders, and the layers multiply. For the MNIST network of the paper,
three layers of 512 units, a calculator gives up; its logarithm does not.
"""

# %%
import math

big = rb.PermutationSpec.from_model(
    rb.lab.MLP(inputs=784, hidden=(512, 512, 512), classes=10), torch.zeros(1, 784))
print(f"by hand:    10^{3 * math.lgamma(512 + 1) / math.log(10):.1f}")
print(f"by library: 10^{big.log10_symmetries():.1f}, in {len(big.groups)} groups")
print("atoms in the universe: 10^82, says the paper")

# %% [markdown]
"""
`from_model` derived that spec by watching the network compute: nobody has to write the table. (The
paper's Table 1 prints 10^3498 for this network, because it rounds each layer's exponent down before
adding; and its entry for ResNet50, 10^55109, treats all layers as free, though residual connections
tie many of them together. The tied count is about 10^25638.)

Each of these weight vectors computes *exactly* the same function. So "the" solution that training
finds is one of at least 10^3499 copies of itself, scattered over weight space. When two trainings
end far apart, are they different solutions, or two copies of one? That is the question the course
goes after.

## What could go wrong

The commonest mistake in home-made merging code: the rows move and the next layer's columns are
forgotten. **Predict.** Does torch notice?
"""

# %%
broken = dict(state)
for name in (weights[0], biases[0]):
    broken[name] = state[name][permutation["hidden 1"]]  # and weights[1] still reads the old order

wrong = torch.func.functional_call(model, broken, inputs)
relative = (wrong - before).norm() / before.norm()
print(f"the outputs change by {relative:.0%} of their size")

# %% [markdown]
"""
Nothing crashed: all shapes still fit. If you said yes, you thought of shapes; but the order of
units has no shape. A wrong spec fails the same silent way, so a spec comes with
a test that a wrong one practically cannot pass. `check` fills the network with random numbers,
permutes every group at random, and compares the outputs in double precision.
"""

# %%
print(f"the right spec changes the outputs by {spec.check(model, inputs):.0e}")

forgotten = {weights[0]: ("hidden 1", None), biases[0]: ("hidden 1",)}
try:
    rb.PermutationSpec.from_axes(forgotten, model).check(model, inputs)
except rb.errors.SpecError as error:
    print(f"the wrong one is refused: {error}")

# %% [markdown]
r"""
## Other symmetries

Permutations are not the only changes that change nothing. A ReLU unit may be *scaled*: multiply its
inputs by $c > 0$ and divide its output by $c$, since $\mathrm{relu}(cz) = c\,\mathrm{relu}(z)$: a
continuous symmetry. With tanh, a unit's *sign* may be flipped on both sides: a discrete one. Like
the paper, this course uses permutations only. **Predict.** May the sign of a ReLU unit be flipped?
"""

# %%
prediction = "..."  # "yes" or "no"
c = torch.tensor([0.5, 3.0, 10.0])
changes = []
for factor in (c, -c):
    scaled = network(x, factor[:, None] * w1, factor * b1, w2 / factor)
    changes.append((scaled - network(x, w1, b1, w2)).abs().max().item())
print(f"you said: {prediction}; by c > 0 the output changes by {changes[0]:.1e}, "
      f"by c < 0 by {changes[1]:.1f}")

# %% [markdown]
"""
A ReLU unit cannot be flipped. If you said yes, you thought of tanh, which is odd: tanh(−z) =
−tanh(z). A ReLU cuts off one side, and after a flip it cuts off the other.

## Recap

Hidden units have no names: reorder them, move rows, biases and the next columns together, and the
function stays exactly what it was. A network of three layers of 512 units therefore has 10^3499
copies of itself in weight space. A spec says what must move together, a permutation says where to,
and a randomised check finds a wrong spec.

## Exercises

Your numbers are drawn from a word of your choice.

**01-1** · easy · 3 minutes. The rows of a matrix were put in the `order` below. Which order puts
them back?

<details><summary>Hint</summary>Where does the unit that used to be at place 0 stand now?</details>
"""

# %% tags=["exercise"]
reader = "..."  # your name, or any word
order = given("01-1", reader)
print(order)
answer = ...
# check("01-1", answer)

# %% tags=["solution"]
answer = torch.tensor(order).argsort()
check("01-1", answer)

# %% [markdown]
"""
**01-2** · medium · 8 minutes. Write `reorder(w1, b1, w2, order)`: the three tensors of a network
like the first one of this notebook, with its hidden units in the given order.

<details><summary>Hint</summary>Rows of <code>w1</code>, entries of <code>b1</code>, and which axis of <code>w2</code>?</details>
"""

# %% tags=["exercise"]
def reorder(w1, b1, w2, order):
    return ...


# check("01-2", reorder)

# %% tags=["solution"]
def reorder(w1, b1, w2, order):
    return w1[order], b1[order], w2[:, order]


check("01-2", reorder)

# %% [markdown]
"""
**01-3** · medium · 5 minutes. What is log10 of the number of symmetries of an MLP with two hidden
layers of `width` units?

<details><summary>Hint</summary><code>math.lgamma(n + 1)</code> is the natural logarithm of n!.</details>
"""

# %% tags=["exercise"]
width = given("01-3", reader)
print(width)
answer = ...
# check("01-3", answer)

# %% tags=["solution"]
answer = 2 * math.lgamma(width + 1) / math.log(10)
check("01-3", answer)

# %% [markdown]
"""
**How often until it is back?** · figure · 6 minutes. Draw as strips what `torch.tensor([1, 2, 0, 4,
3])` does to five units when it is applied once, twice, … until the rainbow is back. Why does it
take that many times?

<details><summary>Hint</summary>If <code>now</code> says which unit stands where, <code>now[p]</code> is one application more.</details>
"""

# %% tags=["exercise"]
# your figure

# %% tags=["solution"]
p, now, strips = torch.tensor([1, 2, 0, 4, 3]), torch.arange(5), {"A": torch.arange(5)}
for times in range(1, 7):  # a cycle of three and a cycle of two: back after 6 = 3 · 2
    now = now[p]
    strips[f"{times} times"] = now
figures.draw_rainbow(strips)

# %% [markdown]
"""
**Your own network** · open · 15 minutes. Write a small model of your own (two convolutions and a
linear layer, or an MLP with a skip connection), derive its spec with
`rb.PermutationSpec.from_model`, and draw it with `rb.show.draw_spec`. Which groups did you expect,
and which of your units are not free? Your answer is a figure.

## Questions

**1.** What has to move when two hidden units change places?
<details><summary>Two rows of the incoming weights.</summary>No: then the next layer reads the wrong units.</details>
<details><summary>Two rows of the incoming weights, two biases, two columns of the next layer.</summary>Right.</details>
<details><summary>Nothing: the function is symmetric.</summary>No: the weights do move; the function stays.</details>

**2.** Why may the ten output units of a classifier not be permuted?
<details><summary>There is no next layer whose columns could move along.</summary>Right: the answer "3" would become "7".</details>
<details><summary>There are too few of them.</summary>No: two hidden units can be permuted.</details>

**3.** What does the argument ask of the nonlinearity?
<details><summary>It must be a ReLU.</summary>No: tanh or GELU do as well.</details>
<details><summary>It must act on each unit alone.</summary>Right: then it commutes with P.</details>
<details><summary>It must be linear.</summary>No: it may be any function of one number.</details>

**4.** Three hidden layers have n units each. How many permutations are there?
<details><summary>(3n)!</summary>No: a unit stays in its layer.</details>
<details><summary>n! cubed</summary>Right: the choices for the layers multiply.</details>
<details><summary>3 n!</summary>No: every choice for one layer goes with every choice for the others.</details>

**5.** A spec passes `check`. Is it proved?
<details><summary>Yes.</summary>No: it is a randomised test. A wrong spec would have to agree on random weights and inputs, in double precision.</details>
<details><summary>No, but it would be an extraordinary accident if it were wrong.</summary>Right.</details>

**6.** Is every wrong merge noticed by a crash?
<details><summary>Yes, by a shape error.</summary>No: all hidden shapes fit in any order.</details>
<details><summary>No.</summary>Right: one has to compare outputs.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023, section 2 and Table 1.
* Entezari, Sedghi, Saukh, Neyshabur: *The Role of Permutation Invariance in Linear Mode
  Connectivity of Neural Networks*, ICLR 2022.
"""

# %% tags=["smoke"]
assert rb.show.move_all(slider) == len(orders)  # every position of every control was visited
assert difference < 1e-5 and 0 < (outputs - outputs[0]).abs().max() < 1e-5
assert torch.allclose(before, after, atol=1e-5) and relative > 0.1
assert all(torch.equal(two_steps[name], one_step[name]) for name in state)
assert all(torch.equal(undone[name], state[name]) for name in state)
assert changes[0] < 1e-4 and changes[1] > 0.1 and torch.equal(now, torch.arange(5))
