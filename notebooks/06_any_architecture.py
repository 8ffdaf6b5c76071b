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
# 06 · What must move together?

| | |
|---|---|
| **Question** | In an MLP every hidden layer has a permutation of its own. Which permutations has a ResNet, a flatten, an attention head, *your* model? |
| **You will be able to** | write the spec of a CNN and of a residual block by hand; catch a wrong one; derive the spec of any model in three lines, and say why some axes must stay |
| **You need** | notebook 01 (permutations and specs) and 04 (weight matching); what a convolution and a residual connection are |
| **Time** | 50 minutes to read; one to two minutes to run on two CPU cores |
| **Data** | CIFAR-10 reduced to 16×16: held-out images, 1,000 of which come with the package; two stored ResNet20, trained apart |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## A merge that goes wrong without a word

Two ResNet20, trained on CIFAR-10 from different seeds. The plan is that of notebook 04: write down
which axes share an order, match the weights, walk the line from A to π(B).

In an MLP every layer gives its outputs an order of its own, and the next layer reads that order. We
write the ResNet's spec in the same way. We walk through its forward pass, but on the *names of
orders* instead of numbers: a convolution reads channels in order `x` and makes new ones; BatchNorm
keeps the order of what it gets, with four vectors to move.
"""

# %%
import copy
import itertools
import math
import os

import torch
import torch.nn.functional as F
from torch import nn

import rebasin_edu as rb
from rebasin_edu.course import check, figures

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))

# %%
recipe = rb.Recipe(
    dataset="cifar10-45k", size=16, model="resnet20", norm="batch", epochs=12, optimiser="sgd",
    lr=0.4, weight_decay=1e-3, schedule="one-cycle", augment="crop-flip", batch_size=250,
    precision="bfloat16",
)
a, b = (rb.load_or_train(recipe.with_seed(seed)) for seed in (0, 1))
cifar = recipe.load_data()
test = tuple(part[: 500 if FAST else 1000] for part in cifar.test)


# %%
def conv(axes, name, x):  # outputs in an order of their own, inputs in the order x
    axes[f"{name}.weight"] = (name, x, None, None)
    return name


def norm(axes, name, x):
    for part in ("weight", "bias", "running_mean", "running_var"):
        axes[f"{name}.{part}"] = (x,)
    return x


BLOCKS = [f"stage{stage}.{number}" for stage in (1, 2, 3) for number in (0, 1, 2)]


# %%
def walk(axes, plus):  # the forward pass of ResNet20, on names of orders
    x = norm(axes, "stem_norm", conv(axes, "stem", None))
    for block in BLOCKS:
        y = norm(axes, f"{block}.norm1", conv(axes, f"{block}.conv1", x))
        y = norm(axes, f"{block}.norm2", conv(axes, f"{block}.conv2", y))
        if block in ("stage2.0", "stage3.0"):  # more channels: the shortcut is a convolution too
            x = norm(axes, f"{block}.shortcut.norm", conv(axes, f"{block}.shortcut.conv", x))
        yield f"{block}: convolutions"
        x = plus(x, y)  # the order of x + y
        yield f"{block}: x + y"
    axes["head.weight"] = (None, x)
    yield "head"


# %% [markdown]
"""
What order has the sum `x + y` at the end of a block? We do as in a chain of layers and say: that of
the block's last convolution. So every block has an order of its own. Both specs below are matched
by the same `rb.weight_matching`; the first is our chain, the second comes from the library.

BatchNorm's statistics are measured anew at every point of the lines, on training images (why is the
subject of notebook 08). **Predict.** All shapes fit. Which of the two raises the objective ⟨A,
π(B)⟩ by more, and what is the accuracy at the far end of each line, where nothing is mixed and the
network *is* π(B)?
"""

# %%
axes = {}
list(walk(axes, plus=lambda x, y: y))  # walk to the end
chain = rb.PermutationSpec.from_axes(axes, a)
spec = rb.PermutationSpec.from_model(a, cifar.test.inputs[:2])

options = {"alphas": 5, "repair": "batchnorm", "train_data": cifar.train, "num_samples": 500}
curves, gains = {"naive": rb.linear_path(a, b, test, **options)}, {}
for name, each in {"chain of layers": chain, "matched": spec}.items():
    match = rb.weight_matching(each, a, b)
    gains[name] = match.gain
    curves[name] = rb.linear_path(a, each.apply(b, match.permutation), test, **options)

# %%
ends = {name: curve.accuracy[-1] for name, curve in curves.items()}
for name, gain in gains.items():
    print(f"{name:16} objective rises by {gain:5.1f}   accuracy of π(B) alone {ends[name]:.1%}")
print(f"{'B as it is':16} {'':24}  accuracy {ends['naive']:.1%}")
assert gains["chain of layers"] > 0.95 * gains["matched"]  # the objective does not notice
assert ends["chain of layers"] < 0.3 < 0.7 < ends["matched"]
assert abs(ends["matched"] - ends["naive"]) < 0.005
rb.show.draw_curves(curves, title=f"two ResNet20 · {cifar.name}, {len(test[1])} scored")

# %% [markdown]
"""
If you expected an error message, you thought that wrong specs have wrong shapes. They have not. If
you trusted the objective: the chain gains at least as much, *because* it is wrong. It may move more,
so it comes as near to A, but what arrives there is no longer B. At its far end nothing is averaged at
all, and yet the accuracy is almost that of guessing.

The derived spec keeps B's function, and its midpoint is far above the naive one. So the question of
this notebook comes before all matching: **which axes must move together?**

## The plus sign

A residual block computes $x + f(x)$. Channel 5 of $x$ is added to channel 5 of $f(x)$. **Predict.**
A stage of ResNet20 has three blocks, and inside each block two convolutions. How many permutations
may one choose freely in stage 1, where all shortcuts are the identity: 7, one for each convolution
and the stem; 6; 4; or 1? First by hand, a block of two matrices:
"""

# %%
generator = torch.Generator().manual_seed(0)
x = torch.randn(5, 4, generator=generator)  # (samples, channels of the stream)
w1, w2 = torch.randn(6, 4, generator=generator), torch.randn(4, 6, generator=generator)


def block(x, w1, w2):
    return x + F.relu(x @ w1.T) @ w2.T


y, stream, inner, other = block(x, w1, w2), [2, 0, 3, 1], [5, 3, 0, 4, 1, 2], [1, 0, 2, 3]
tied = block(x[:, stream], w1[inner][:, stream], w2[stream][:, inner])
torn = block(x[:, stream], w1[inner][:, stream], w2[other][:, inner])
# %%
orders = [list(order) for order in itertools.permutations(range(4))]
off = min((torn - y[:, order]).abs().max().item() for order in orders)
print(f"one order for the stream: the same output in that order, to "
      f"{(tied - y[:, stream]).abs().max():.0e}")
print(f"another order for what is added: off by {off:.2f}, whatever the order of the output")
assert torch.allclose(tied, y[:, stream], atol=1e-5) and off > 0.1

# %% [markdown]
"""
The inner order (of the six) is free. But what is added must be in the order of what it is added to:
with another order the sum pairs each channel with a wrong one, and no reordering of the result
undoes that.

So a stage has **one permutation for its residual stream**, shared by all blocks that identity
shortcuts join, and **one more inside each block**: 1 + 3 = 4 for stage 1. (If you said 7, you
thought of a chain; if 1, you forgot that inside a block nothing is added.) The stem writes into the
first stream, so it has no order of its own either.

## A spec by hand, in three rules

Our walk needs one more rule. Convolution: a new order. BatchNorm: the same order. **Plus: two
orders become one**; wherever either was written, it is now the same name.
"""

# %%
same_as = {}


def current(order):  # the name that all orders tied to it go by
    while order in same_as:
        order = same_as[order]
    return order


def tie(x, y):
    x, y = current(x), current(y)
    same_as.update({y: x} if x != y else {})
    return x


axes, seen = {}, {}
for step in walk(axes, plus=tie):
    seen[step] = {name: tuple(map(current, orders)) for name, orders in axes.items()}
steps, names = list(seen), [name for name in axes if axes[name][1:]]


# %%
def orders_of(step):
    return len({order for each in seen[step].values() for order in each if order})


walker = rb.show.slider(
    lambda step: figures.draw_axes(seen[step], names, title=step),
    steps,
    description="step",
    start=1,
    text=lambda step: f"{step}: {orders_of(step)} different orders so far",
)
walker

# %% [markdown]
"""
Slide on: at each *convolutions* a block brings new colours, at each *x + y* one of them vanishes.
At stages 2 and 3 the shortcut is a convolution, so a new stream begins there. Twelve colours
remain: three streams, and nine inside the blocks. The library finds the same twelve from the model
alone, without our walk:
"""

# %%
by_hand = rb.PermutationSpec.from_axes(seen["head"], a)


def places(spec):  # a set of (parameter, axis) for each group; the names of groups do not matter
    return {frozenset(group.occurrences) for group in spec.groups.values()}


assert places(by_hand) == places(spec) and len(places(spec)) == 12
print("12 groups by hand, the same 12 by the library; largest change of the outputs:",
      f"{by_hand.check(a, cifar.test.inputs[:2]):.0e}")
rb.show.draw_spec(spec)

# %% [markdown]
"""
This is the spec as a graph: one colour is one permutation. A square marks a weight that writes into
the group, a circle one that reads it. The long lines are the residual streams.

## Flatten

Before its last layer a small CNN often flattens its channels. 8 channels of 4×4 pixels become 128
numbers, and `head.weight` has 128 columns. **Predict.** The 8 channels change places. What happens
to the 128 columns: (a) any order of all 128 will do; (b) blocks of 16 columns change places, and
inside a block nothing moves; (c) in each block of 8 columns the order changes?
"""

# %%
maps = torch.randn(3, 8, 4, 4, generator=generator)  # (images, channels, height, width)
head = torch.randn(10, 128, generator=generator)
order = torch.randperm(8, generator=generator)
columns = torch.arange(128).reshape(8, 16)[order].flatten()
moved = maps[:, order].flatten(1) @ head[:, columns].T
assert torch.allclose(moved, maps.flatten(1) @ head.T, atol=1e-4)
mixed = torch.arange(128).reshape(16, 8)[:, order].flatten()  # (c): would fit channels-last images
strips = {
    "columns of head.weight: a hue a channel, 16 pixels each": range(128),
    "(b) channels reordered: blocks of 16 move whole": columns,
    "(c) another order in each 8 columns: pixels move, and no channel does": mixed,
}
figures.draw_blocks(strips, blocks=8, xlabel="column", title="flatten of 8×4×4")

# %% [markdown]
"""
(b) it is. Flatten writes channel 0's sixteen pixels first, then channel 1's: the axis is a
*product*, channels × 16, and only the outer factor may be reordered. The pixels stay, because the
convolutions before see a picture and not a bag of pixels.

Now a whole small CNN, with a residual block and a flatten, and its spec by hand. An entry is the
order of an axis, `None` for what stays, and `("stream", 16)` for the product.
"""


# %%
class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.inner = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.outer, self.norm = nn.Conv2d(12, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 4 * 4, 10)
        nn.init.zeros_(self.norm.weight)  # a common start: the block begins as the identity

    def forward(self, x):  # (images, 1, 8, 8)
        x = F.relu(self.stem(x))
        x = x + self.norm(self.outer(F.relu(self.inner(x))))
        return self.head(F.max_pool2d(x, 2).flatten(1))


# %%
small, x = Small().eval(), torch.rand(4, 1, 8, 8, generator=generator)
hand = {
    "stem.weight": ("stream", None, None, None), "stem.bias": ("stream",),
    "inner.weight": ("inner", "stream", None, None), "inner.bias": ("inner",),
    "outer.weight": ("stream", "inner", None, None), "outer.bias": ("stream",),
    "norm.weight": ("stream",), "norm.bias": ("stream",),
    "norm.running_mean": ("stream",), "norm.running_var": ("stream",),
    "head.weight": (None, ("stream", 16)),
}
right = rb.PermutationSpec.from_axes(hand, small)
assert places(right) == places(rb.PermutationSpec.from_model(small, x))
print(f"the library derives the same {len(right.groups)} groups:", ", ".join(right.groups))

# %% [markdown]
r"""
## Heads

Attention with four heads of width 8 has 32 rows in each of its matrices Q, K, V and 32 columns in
O. A head's scores are inner products of its rows of Q and K, and O reads what V writes.

**Predict.** How many reorderings leave the function as it is: $32!$; $4!$; or
$4! \cdot (8!)^4 \cdot (8!)^4$?
"""


# %%
class Heads(nn.Module):  # four heads of width 8
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(32, 32) for _ in range(4))

    def forward(self, x):  # (texts, tokens, 32)
        q, k, v = (f(x).unflatten(-1, (4, 8)).transpose(1, 2) for f in (self.q, self.k, self.v))
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


torch.manual_seed(0)
attention, tokens = Heads(), torch.randn(2, 5, 32, generator=generator)
heads = rb.PermutationSpec.from_model(attention, tokens)
counted = math.log10(math.factorial(4)) + 8 * math.log10(math.factorial(8))
assert abs(heads.log10_symmetries() - counted) < 1e-9
print(heads.describe())

# %%
numbered = {name: tensor.clone() for name, tensor in attention.state_dict().items()}
for name in "qkv":
    numbered[f"{name}.bias"] = torch.arange(32.0)  # each row carries its number
moved = heads.apply(numbered, heads.random(seed=3))
rows = {name: moved[f"{name}.bias"].int().tolist() for name in "qkv"}
assert rows["q"] == rows["k"] != rows["v"]
strips = {
    "as trained: a hue a head": range(32),
    "allowed, Q and K: heads change places, each with an order of its own inside": rows["q"],
    "allowed, V and O: the same heads, other orders inside": rows["v"],
    "not allowed: units leave their head": torch.randperm(32, generator=generator),
}
figures.draw_blocks(strips, blocks=4, xlabel="row of the matrix", title="four heads of width 8")

# %% [markdown]
r"""
Whole heads change places: $4!$, the same for Q, K, V and O, since the sum over heads does not mind.
Inside a head, Q and K share an order, because they meet in an inner product; V and O share another.
Each head has its own two: $(8!)^4 \cdot (8!)^4$. A unit never leaves its head. The library calls an
order *inside* each unit of another group a **nested group**; it prints "4 (one for each of …)".

## Three wrong specs, and the test that cannot fail

How does one notice a wrong spec? Permute at random, and compare the outputs. Three likely
mistakes: what a block adds gets an order of its own, as in our opening; BatchNorm's running
statistics are left behind, since they are buffers and not parameters; units move across heads.

**Predict.** We try the test on freshly made networks. Which of the three does it notice?
"""

# %%
parts = ("weight", "bias", "running_mean", "running_var")
apart = {**hand, "outer.weight": ("added", "inner", None, None), "outer.bias": ("added",),
         **{f"norm.{part}": ("added",) for part in parts}}
behind = {name: orders for name, orders in hand.items() if "running" not in name}
across = {"q.weight": ("qk", None), "q.bias": ("qk",), "k.weight": ("qk", None), "k.bias": ("qk",),
          "v.weight": ("v", None), "v.bias": ("v",), "o.weight": (None, "v")}
suspects = {
    "right": (right, small, x),
    "what is added, apart": (rb.PermutationSpec.from_axes(apart, small), small, x),
    "statistics left behind": (rb.PermutationSpec.from_axes(behind, small), small, x),
    "across heads": (rb.PermutationSpec.from_axes(across, attention), attention, tokens),
}


# %%
def change(spec, model, x):  # of the outputs, under a random permutation, in double precision
    model, x = copy.deepcopy(model).double(), x.double()
    before = model(x)
    model.load_state_dict(spec.apply(model, spec.random(seed=1)))
    return ((model(x) - before).abs().max() / before.abs().max()).item()


def generic(model):  # the same architecture with every number drawn at random
    model = copy.deepcopy(model)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(generator=generator)
        if name.endswith("running_var"):
            tensor.abs_()  # a variance is positive
    return model


# %%
with torch.no_grad():
    changes = {
        name: {"freshly made": change(each, model, inputs),
               "generic weights": change(each, generic(model), inputs)}
        for name, (each, model, inputs) in suspects.items()
    }
figures.draw_changes(changes, title="a random permutation, and what it does to the outputs")

# %% [markdown]
"""
On the freshly made network two of the three mistakes pass, with nothing but rounding. It starts
with zero gains in its block, so whatever the block does is multiplied by zero; and its running
means are all 0 and its variances all 1, so their order does not show. **This test cannot fail.**
With generic numbers in every tensor, buffers too, all three are caught.

The library's `check` does the same, several times and in double precision, and names the group.
`from_model` runs it on every spec that it derives. (The first public spec of the paper's ResNet50
was wrong for weeks, until it was mended in October 2022.)
"""

# %%
for name, (each, model, inputs) in suspects.items():
    try:
        print(f"{name}: passes, {each.check(model, inputs):.0e}")
    except rb.errors.SpecError as error:
        print(f"{name}: refused. {str(error).split(';')[1].split(': it occurs')[0].strip()}")
        continue
    assert name == "right"
assert all(row["generic weights"] > 1e-3 for name, row in changes.items() if name != "right")
hidden = [name for name, row in changes.items() if row["freshly made"] < 1e-9]
assert hidden == ["right", "what is added, apart", "statistics left behind"]

# %% [markdown]
r"""
## How many are there?

The paper's Table 1 counts the symmetries of three networks: it adds up $\lfloor\log_{10} n!\rfloor$
over all layers of $n$ units, as if each were free. For ResNet50 that is 49 convolutions.
**Predict.** By how much is its $10^{55109}$ too large?
"""

# %%
import torchvision


def exponent(widths):  # log10 of the product of n! over layers
    return sum(math.lgamma(n + 1) / math.log(10) for n in widths)


resnet50 = torchvision.models.resnet50()
widths = [m.out_channels for name, m in resnet50.named_modules()
          if isinstance(m, nn.Conv2d) and "downsample" not in name]
as_printed = sum(math.floor(exponent([n])) for n in widths)
tied = rb.PermutationSpec.from_model(resnet50, torch.zeros(1, 3, 64, 64), verify=False)
# %%
vgg = [64, 64, 128, 128, 256, 256, 256] + [512] * 6  # then two classifier layers
counts = {
    "MLP, 3 × 512": (3498, exponent([512] * 3)),
    "VGG16": (35160, exponent([*vgg, 512, 512])),
    "ResNet50": (55109, tied.log10_symmetries()),
}
assert as_printed == 55109 and len(tied.groups) == 37
assert sum(math.floor(exponent([n])) for n in [*vgg, 4096, 4096]) == 35160
assert abs(counts["ResNet50"][1] - 25638) < 1
figures.draw_counts(counts, title="symmetries: the paper's Table 1, and with all ties")

# %% [markdown]
"""
ResNet50 has 37 groups, not 49: five streams and 32 inside the blocks. The streams are the widest
layers, and each was counted once for every block that writes into it. More than half of the digits
are lost. VGG16 has no ties; there the printed number belongs to two classifier layers of 4,096
units, while the network that the paper trains has 512. Only the MLP's differs by rounding alone.

## Your own model, in three lines

`from_model` needs the model and one example input. It knows nothing of layers: it follows the axes
through the operators that the model runs. Change the model below to what you like.
"""


# %%
class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.near, self.far = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 10, 5, padding=2)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.gate, self.head = nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, x):  # (images, 3, height, width)
        x = self.depthwise(torch.cat([self.near(x), self.far(x)], 1).relu()).relu()
        gate = self.gate(x.mean((2, 3))).sigmoid()
        return self.head((x * gate[:, :, None, None]).mean((2, 3)))


model = Mine()
spec = rb.PermutationSpec.from_model(model, torch.rand(1, 3, 16, 16))
print(spec.describe())

# %% [markdown]
"""
The two branches stand side by side after `cat`, and each keeps an order of its own: on the joint
axis the first six may be reordered, and the last ten, but none may cross. The depthwise convolution
and the gate meet the same channels, so they follow.

## What stays, and why

**Predict** for each of these six units, between two linear layers: are all 6! = 720 orders allowed,
some, or one?
"""


# %%
class Between(nn.Module):
    def __init__(self, operator):
        super().__init__()
        self.first, self.operator, self.last = nn.Linear(4, 6), operator, nn.Linear(6, 2)

    def forward(self, x):
        return self.last(self.operator(self.first(x)))


operators = {
    "ReLU": torch.relu, "softmax over the units": lambda x: x.softmax(-1),
    "LayerNorm": nn.LayerNorm(6), "GroupNorm, 3 groups of 2": nn.GroupNorm(3, 6),
    "rolled by one place": lambda x: x.roll(1, -1), "running sum": lambda x: x.cumsum(-1),
}
# %%
allowed = {}
for name, operator in operators.items():
    spec = rb.PermutationSpec.from_model(Between(operator), torch.rand(2, 4))
    allowed[name] = round(10 ** spec.log10_symmetries())
    why = [reason.text for reason in spec.fixed.values() if not reason.expected]
    print(f"{name:26}{allowed[name]:4} of 720   {'; '.join(dict.fromkeys(why))}")
assert list(allowed.values()) == [720, 720, 720, 48, 1, 1]

# %% [markdown]
r"""
Softmax and LayerNorm look at all units at once, but in no order: both stay free. GroupNorm, of
which the paper says that it should not work, leaves $3! \cdot (2!)^3 = 48$: whole groups change
places, and units inside their group. In words:

| what stays | why |
|---|---|
| the model's inputs and outputs | pixels and classes have names; the next user reads them in their order |
| the pixels of a kernel or of a feature map | a convolution knows left from right |
| the units under a roll, a running sum, a sort | the operator says which unit comes next |
| a unit's head or normalisation group | what is computed inside it would be another number |
| one tensor used in two places | both places must agree to one order |

An operator that the library does not know fixes everything it touches, and says so: a spec is never
wrong, at worst incomplete.

## Recap

What is added must be in one order, so a residual stream has one permutation; what is flattened
moves in blocks; heads move whole, with orders of their own inside. A wrong spec fits all shapes,
raises the objective as much, and destroys the network. So derive the spec, and verify it on generic
weights.

## Exercises

**06-1** · easy · 5 minutes. Write `columns(order, pixels)`: the order of the columns of a linear
layer that reads a flatten, when the channels before it are put in `order` and each channel has
`pixels` numbers.

<details><summary>Hint</summary>Write the columns 0, 1, 2, … as a table with a row for each channel.</details>
"""


# %% tags=["exercise"]
def columns(order, pixels):
    return ...


# check("06-1", columns)


# %% tags=["solution"]
def columns(order, pixels):
    return torch.arange(len(order) * pixels).reshape(len(order), pixels)[order].flatten()


check("06-1", columns)

# %% [markdown]
"""
**06-2** · medium · 6 minutes. How many groups has torchvision's ResNet18? It has a stem and four
stages of two blocks, each block with two convolutions; stages 2, 3 and 4 begin with a shortcut that
is a convolution. Count first, then let the library count.

<details><summary>Hint</summary>One for each stream, one inside each block. Has the stem an order of its own?</details>
"""

# %% tags=["exercise"]
answer = ...
# check("06-2", answer)

# %% tags=["solution"]
answer = 4 + 4 * 2
check("06-2", answer)

# %% [markdown]
"""
**06-3** · hard · 12 minutes. Write the axes of this network by hand, as a dictionary for
`from_axes`: `left = nn.Linear(4, 3)`, `right = nn.Linear(4, 5)`, `head = nn.Linear(8 + 4, 2)`, and
`forward` is `head(torch.cat([left(x).relu(), right(x).relu(), x], 1))`. A list stands for a
concatenation: `["u", "v"]`. Give every axis as much freedom as it has.

<details><summary>Hint</summary>The input x is part of the concatenation, and its four places must stay: an integer says how many stay.</details>
"""

# %% tags=["exercise"]
answer = ...
# check("06-3", answer)

# %% tags=["solution"]
answer = {
    "left.weight": ("u", None), "left.bias": ("u",),
    "right.weight": ("v", None), "right.bias": ("v",),
    "head.weight": (None, ["u", "v", 4]),
}
check("06-3", answer)

# %% [markdown]
"""
**06-4** · medium · 15 minutes · your answer is a figure. How much does a *little* torn stream cost?
Take network A. In what `stage1.1` adds, reorder only `k` of the 16 channels among themselves (rows
of `stage1.1.conv2.weight` and all of `stage1.1.norm2`), for k = 0, 2, 4, 8, 16. Draw the accuracy
against k for three random draws. Is it like a little noise, or like the opening?

<details><summary>Hint</summary>A state dict can be copied, changed at six places and given to <code>rb.evaluate(state, test, model=a)</code>.</details>
"""

# %% tags=["solution"]
def accuracy(k, seed):
    drawn = torch.randperm(16, generator=torch.Generator().manual_seed(seed))[:k]
    order = torch.arange(16)
    order[drawn] = drawn.roll(1)  # a cycle: each of the k channels gets another's place
    state = {name: tensor.clone() for name, tensor in a.state_dict().items()}
    for name, tensor in a.state_dict().items():
        if name.startswith(("stage1.1.conv2", "stage1.1.norm2")) and tensor.ndim:
            state[name] = tensor[order]
    return rb.evaluate(state, test, model=a).accuracy


torn_channels = (0, 2, 4, 8, 16)
drawn = [[round(100 * accuracy(k, seed), 1) for k in torn_channels] for seed in (0, 1, 2)]

# %% tags=["solution"]
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(5, 3))
axis.plot(torn_channels, list(zip(*drawn)), "o-", color=rb.show.colour_of("a")[0])
axis.set(xlabel="channels of one block in a wrong order", ylabel="accuracy of A (%)")
axis.set_ylim(0, 100)
plt.close(figure)
rb.show.describe(figure, f"accuracy of A with torn channels, {torn_channels}: {drawn}")

# %% [markdown]
"""
**Your own model** · open · 25 minutes. Take a model of yours, or one from torchvision or another
library, and put it in place of `Mine`. Before you run it, write down how many groups you expect and
what you expect to stay. Where the library found less than you expected, read its reason: is it
right, or is a rule missing?

## Questions

**1.** Why has a residual stage one permutation for its stream?
<details><summary>Channel i of the block's output is added to channel i of its input.</summary>Right: what is added must be in one order.</details>
<details><summary>To save memory.</summary>No: with other orders the sum is another function.</details>
<details><summary>It has one for each convolution.</summary>No: that is the chain of the opening. Only the orders inside the blocks are free.</details>

**2.** The wrong spec raised the objective as much as the right one. Why?
<details><summary>It may move more, so it comes as near to A; but what arrives is no longer B.</summary>Right.</details>
<details><summary>The objective has a bug.</summary>No: it measures nearness in weights, whatever the function.</details>

**3.** A flatten of 32 channels of 7×7. How do the columns of the next layer move?
<details><summary>32 blocks of 49 change places.</summary>Right.</details>
<details><summary>In each block of 32 columns the order changes.</summary>No: that fits images with their channels last.</details>
<details><summary>All 1,568 freely.</summary>No: the pixels of a channel stay in their order.</details>

**4.** Two heads of width 3. How many reorderings?
<details><summary>2! · (3!)² · (3!)² = 2,592</summary>Right: heads whole, and in each head one order for Q with K and one for V with O.</details>
<details><summary>6! = 720</summary>No: that lets units leave their head.</details>
<details><summary>2! · 3! · 3! = 72</summary>No: each head has orders of its own.</details>

**5.** BatchNorm's running mean is no parameter. Must it move?
<details><summary>No, training does not touch it.</summary>No: the network subtracts it, channel by channel.</details>
<details><summary>Yes, with its channels.</summary>Right.</details>

**6.** On a freshly made model, the outputs change by nothing but rounding. Is the spec right?
<details><summary>Yes.</summary>No: zero gains and equal statistics hide mistakes.</details>
<details><summary>Nobody knows. Test it on generic weights.</summary>Right.</details>

**7.** Why is the paper's count for ResNet50 too large?
<details><summary>It rounds.</summary>No: it rounds down.</details>
<details><summary>It counts each convolution as free, and residual connections tie many of them together.</summary>Right.</details>

**8.** Must the units under a softmax stay?
<details><summary>Yes, it mixes all of them.</summary>No: it mixes them in a way that has no order.</details>
<details><summary>No. A running sum would fix them.</summary>Right.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: Table 1; appendix A.4 for normalisation layers. Its code, `samuela/git-re-basin`, writes each
  spec by hand.
* He, Zhang, Ren, Sun: *Deep Residual Learning for Image Recognition*, CVPR 2016.
* Verma, Elbayad: *Merging Text Transformer Models from Different Initializations*, TMLR 2024, for
  permutations of heads.
"""

# %% tags=["smoke"]
assert rb.show.move_all(walker) == len(steps)  # every position of every control was visited
