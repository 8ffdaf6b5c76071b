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
# 14 · What about attention?

| | |
|---|---|
| **Question** | Transformers are the networks that people want to merge most. What are the symmetries of attention, and do they suffice? |
| **You will be able to** | count the orders of heads and of their insides; say why one permutation over the width breaks a transformer; turn the residual stream by an orthogonal map, and say when that is exact; tell exact symmetries from changed weights |
| **You need** | notebook 06 (specs, heads) and 04 (weight matching); what attention computes; the singular value decomposition |
| **Time** | 50 minutes to read; about a minute to run on two CPU cores, no GPU needed |
| **Data** | four tragedies of Shakespeare, which come with the package; CIFAR-10 reduced to 16×16, held-out images, 1,000 of which come with the package; three stored GPTs and three stored ViTs |
| **Words** | [glossary and notation](GLOSSARY.md) |
"""

# %% [markdown]
"""
## Half of two writers

Three small GPTs have read *Hamlet*, *Macbeth*, *King Lear* and *Romeo and Juliet*, character by
character. They have four blocks, a stream of 128 numbers and four heads, and differ in the seed
alone. A guess among the 73 characters has a loss of log 73 = 4.29; they reach less than half of
that on the last tenth of each play, which they have not read.

**Predict.** What does the network half-way between two of them write: worse Shakespeare, words
without sense, or noise?
"""

# %%
import math
import os

import torch

import rebasin_edu as rb
from rebasin_edu.course import check, figures, given, load_gpt, load_text, load_vit

FAST = bool(os.environ.get("REBASIN_EDU_FAST"))
text = load_text()
test = text.windows("test", 30 if FAST else 60)
gpts = [load_gpt(seed) for seed in range(3)]
a, b, _ = states = [net.state_dict() for net in gpts]  # every network as its weights
model = gpts[0]  # the architecture of all three


# %%
def write(weights, start="KING", length=120, context=64):
    drawn, characters = torch.Generator().manual_seed(0), text.encode(start)[None]
    with torch.no_grad():
        for _ in range(length):
            read = characters[:, -context:]
            logits = torch.func.functional_call(model, weights, read)[0, :, -1]
            following = torch.multinomial((logits / 0.6).softmax(0), 1, generator=drawn)
            characters = torch.cat([characters, following[None]], 1)
    return text.decode(characters[0])


mixes = {"A": a, "B": b, "half-way": rb.lerp(a, b, 0.5)}
for name, weights in mixes.items():
    print(f"--- {name}: test loss {rb.evaluate(weights, test, model=model).loss:.2f}")
    print(write(weights))
assert rb.evaluate(a, test, model=model).loss < 0.5 * math.log(len(text.alphabet))

# %% [markdown]
r"""
Half-way there is noise: letters, spaces, hardly a word. (If you said worse Shakespeare, you thought
of averaging what the two *say*; that is an ensemble.) Its loss lies far above both. So the first
question is that of every notebook: in what order do the parts of B stand?

## What may be permuted

Each block reads the **residual stream**, 128 numbers at each position, and adds to it. Notebook 06
found the rules: what is added to each other shares one order; heads move whole; inside a head, Q
and K share an order, V and O share another one. So a block of $h$ heads of width $d$ and an MLP of
$m$ units has

$$h! \cdot (d!)^h \cdot (d!)^h \cdot m!$$

orders: *nested* groups, an order inside each head. **Predict.** Which of the four factors is the
largest here, with $h = 4$, $d = 32$ and $m = 256$? And which groups have something in common across
the four blocks?
"""

# %%
spec = rb.PermutationSpec.from_model(model, test[0][:2])
spec.describe()


# %%
def power_of_ten(units):  # of the number of orders of so many units
    return math.lgamma(units + 1) / math.log(10)


heads, inside, mlp = power_of_ten(4), 4 * power_of_ten(32), power_of_ten(256)
print(f"in a block: heads 10^{heads:.1f}, Q with K and V with O 10^{inside:.1f} each, "
      f"MLP 10^{mlp:.1f}; the stream 10^{power_of_ten(128):.1f}")
by_hand = 4 * (heads + 2 * inside + mlp) + power_of_ten(128)
print(f"together 10^{by_hand:.1f} networks with A's function; the library says "
      f"10^{spec.log10_symmetries():.1f}")
assert abs(by_hand - spec.log10_symmetries()) < 1e-6

# %% [markdown]
"""
The MLPs have the most orders, the heads 24 each. Only the stream belongs to all blocks: its single
order appears in every matrix of the network.

## One permutation over the width breaks it

Q has 128 rows. A spec for MLPs would give them *one* order of 128 units: an order of all rows of Q
and K, and another one of all rows of V and columns of O. All shapes fit.

**Predict.** Which spec finds the larger objective ⟨A, π(B)⟩, the one that knows heads or the one
that does not? What is the loss of π(B) alone, with nothing averaged?
"""

# %%
stay = next(iter(spec.fixed.values()))  # for the stream too: it stays as it is, for now
with_heads = spec.without({"embedding": stay})
axes = {}
for block in (f"blocks.{k}." for k in range(4)):
    for name, order in {"q": "qk", "k": "qk", "v": "vo", "up": "mlp"}.items():
        axes[f"{block}{name}.weight"] = (block + order, None)
    for name, order in {"o": "vo", "down": "mlp"}.items():
        axes[f"{block}{name}.weight"] = (None, block + order)
no_heads = rb.PermutationSpec.from_axes(axes, a)


# %%
def moved(spec, a, b):  # B matched to A, within what the spec allows
    return spec.apply(b, rb.weight_matching(spec, a, b).permutation)


def inner(a, b):  # the inner product of all weights
    return sum((x * b[name]).sum().item() for name, x in a.items())


def loss(weights, model=model, data=test):
    return rb.evaluate(weights, data, model=model).loss


wrong, right = (moved(each, a, b) for each in (no_heads, with_heads))
for name, weights in {"B as it is": b, "one order over the width": wrong, "heads": right}.items():
    print(f"{name:25} <A, B> = {inner(a, weights):6.1f}   test loss of B alone "
          f"{loss(weights):.2f}, half-way {loss(rb.lerp(a, weights, 0.5)):.2f}")
assert inner(a, wrong) > inner(a, right) and abs(loss(right) - loss(b)) < 1e-3
assert loss(wrong) > loss(b) + 0.2

# %% [markdown]
"""
The spec that knows no heads gains *more*, because it may move more, and π(B) is not B any longer: a
unit of one head that moves into another head meets other scores. Its loss alone has risen, before
anything is averaged. With heads, π(B) is B. (If you expected an error message: notebook 06 began
with the same accident in a ResNet.)

But the barrier has hardly moved. Permutations of heads and MLPs remove a few hundredths of 1.3.

## The stream's single permutation

One order of 128 numbers is left: that of the stream. It occurs in all 36 tensors, so there is much
evidence for it. **Predict.** Allow it too. The objective can only gain. Does the barrier fall?
"""

# %%
pairs = [(0, 1), (0, 2), (1, 2)]


def barrier(a, b, model=model, data=test):
    return rb.linear_path(a, b, data, model=model, alphas=5).barrier.loss


heights = {"as trained": [], "heads and MLPs": [], "and the stream's order": []}
for i, j in pairs:
    p, q = states[i], states[j]
    heights["as trained"].append(barrier(p, q))
    heights["heads and MLPs"].append(barrier(p, moved(with_heads, p, q)))
    heights["and the stream's order"].append(barrier(p, moved(spec, p, q)))
for name, row in heights.items():
    print(f"{name:24} loss barrier", " ".join(f"{height:.2f}" for height in row))
for naive, two, all_orders in zip(*heights.values()):
    assert 0.7 * naive < all_orders < 0.9 * naive < two < naive

# %% [markdown]
r"""
On all three pairs the barrier falls, by a sixth to a quarter: 1.0 to 1.1 is left of 1.3. This is
what all permutations together reach, and it is far from zero.

It need not even fall. Verma and Elbayad (2024) merged BERTs of several seeds, and every order of
the stream that they tried was worse than leaving it alone: loss barriers of 7.3 to 9.4 against 4.95
(their numbers, of other networks and other data). A poor order of the stream spoils every layer at
once.

## The stream is not made of units

Why do the 128 numbers of the stream fit so badly? A hidden unit of an MLP has a ReLU or a GELU of
its own, which fixes its axis: turn two units into mixtures of each other, and the function changes.
The stream has no such thing. Between two blocks there are only sums, matrices, and RMSNorm:

$$\operatorname{RMSNorm}(x) = \frac{x}{\sqrt{\tfrac1n \sum_i x_i^2}} \odot g .$$

Take any orthogonal matrix $R$ (a turn or a reflection) and let the stream be $x' = R x$. The length
of $x'$ is that of $x$. So *without the scale $g$*, $\operatorname{RMSNorm}(Rx) = R
\operatorname{RMSNorm}(x)$. A layer that reads the stream becomes $W R^\top$, a layer that writes to
it becomes $R W$, and every output is as before.

And the scale? Fold it into the layers that read the norm: $W (g \odot y) = (W \operatorname{diag}
g) \, y$. **Predict.** A permutation is an orthogonal matrix too. Why did it not need the folding?

First on one block, by hand, in double precision:
"""

# %%
READERS = {"norm1": ("q", "k", "v"), "norm2": ("up",), "norm": ("head",)}
WRITERS = ("o.weight", "down.weight", "patches.weight")  # their rows are the numbers of the stream


def fold(state):  # each norm's scale into the columns of the layers that read it
    new = dict(state)
    for norm, readers in READERS.items():
        for name in [name for name in state if f".{name}".endswith(f".{norm}.weight")]:
            for reader in readers:
                at = name.replace(f"{norm}.weight", f"{reader}.weight")
                new[at] = new[at] * state[name]
            new[name] = torch.ones_like(state[name])
    return new

# %%
def turn(state, rotation):  # the stream x becomes rotation @ x
    new = dict(state)
    for name, weights in state.items():
        if name.endswith(WRITERS):
            new[name] = torch.einsum("ij,j...->i...", rotation, weights)
        elif weights.ndim > 1:
            new[name] = weights @ rotation.T
    return new


# %%
block = load_gpt(0).blocks[0].double()
given_weights = {name: w.double() for name, w in block.state_dict().items()}
folded = fold(given_weights)
generator = torch.Generator().manual_seed(0)
x = torch.randn(2, 10, 128, generator=generator, dtype=torch.float64)  # (texts, positions, stream)
noise = torch.randn(128, 128, generator=generator, dtype=torch.float64)
rotation = torch.linalg.qr(noise)[0]  # a random orthogonal matrix


def run(weights, x):
    with torch.no_grad():
        return torch.func.functional_call(block, weights, x)


wanted = run(given_weights, x) @ rotation.T
for name, weights in {"folded": folded, "not folded": given_weights}.items():
    error = (run(turn(weights, rotation), x @ rotation.T) - wanted).abs().max().item()
    print(f"{name:11} largest error of the turned block {error:.0e}")
assert (run(turn(folded, rotation), x @ rotation.T) - wanted).abs().max() < 1e-10

# %% [markdown]
r"""
Folded, it is exact to the last digits of the computer; not folded, it is wrong: $g$ belongs to
single coordinates, and a turn mixes them. A permutation takes the entries of $g$ along, so it needs
no folding.

So the group of the stream is not the $128!$ permutations. It is $O(128)$, all orthogonal matrices:
continuous, with $128 \cdot 127 / 2 = 8{,}128$ parameters.

## Inside a head: any invertible map

Neither are Q and K made of units. A score is $(W_Q x)^\top (W_K y)$, and for any *invertible* $M$

$$(M W_Q\, x)^\top (M^{-\top} W_K\, y) = x^\top W_Q^\top M^\top M^{-\top} W_K\, y
= (W_Q x)^\top (W_K y) .$$

What V writes is read by O alone, without a nonlinearity in between, so $M W_V$ and $W_O M^{-1}$ do
the same as before. Each head may choose its own two maps. On the same block:
"""

# %%
changes = torch.randn(2, 4, 32, 32, generator=generator, dtype=torch.float64)
qk, vo = (torch.block_diag(*maps) for maps in changes)  # for each of four heads a map of its own
changed = given_weights | {
    "q.weight": qk @ given_weights["q.weight"],
    "k.weight": qk.inverse().T @ given_weights["k.weight"],
    "v.weight": vo @ given_weights["v.weight"],
    "o.weight": given_weights["o.weight"] @ vo.inverse(),
}
error = (run(changed, x) - run(given_weights, x)).abs().max().item()
print(f"largest error after eight random maps {error:.0e}")
assert error < 1e-6

# %% [markdown]
r"""
## Choose the turn: Procrustes

Which $R$? Notebook 03 paired the units whose activations go together. Here the "pairing" is a whole
orthogonal matrix: minimise $\sum_t \lVert x^A_t - R\, x^B_t \rVert^2$, where $x^A_t$ and $x^B_t$
are what the norms of both networks give at the same place $t$ of the same text. Written out, that
is to maximise $\operatorname{tr}(R^\top G)$ with $G = \sum_t x^A_t (x^B_t)^\top$: an assignment
problem that allows mixtures. It has a closed form, the **orthogonal Procrustes problem**: with the
singular value decomposition $G = U S V^\top$ the best is $R = U V^\top$, and it reaches the sum of
the singular values.
"""


# %%
def streams(weights, model, inputs):  # what the norms give: (norms · examples · positions, stream)
    seen = []
    norms = [each for each in model.modules() if isinstance(each, torch.nn.RMSNorm)]
    hooks = [each.register_forward_hook(lambda m, i, out: seen.append(out)) for each in norms]
    with torch.no_grad():
        torch.func.functional_call(model, weights, inputs)
    for hook in hooks:
        hook.remove()
    return torch.cat([out.flatten(0, 1) for out in seen])


def procrustes(gain):  # the orthogonal matrix R with the largest trace of R.T @ gain
    u, _, v = torch.linalg.svd(gain)
    return u @ v


# %%
train = text.windows("train", 50 if FAST else 150)[0]
x, y = (streams(fold(state), model, train) for state in states[:2])
identity = torch.eye(128)
best_order = identity[rb.matching.assign(x.T @ y)]  # the best permutation for the same table
maps = {"as trained": identity, "permuted": best_order, "turned": procrustes(x.T @ y)}
cosine = {name: ((x * (y @ r.T)).sum() / (x.norm() * y.norm())).item() for name, r in maps.items()}
print("cosine of the two streams:", {name: round(value, 2) for name, value in cosine.items()})
assert abs(cosine["as trained"]) < 0.1 < cosine["permuted"] < 0.5 < 0.7 < cosine["turned"]

# %% [markdown]
"""
The streams of the two networks have nothing in common as they stand (a cosine near 0), a
permutation recovers 0.4 of it, and a turn nearly 0.8. So both networks hold similar things in their
streams, along *mixtures* of the 128 numbers and not along single numbers.

The same idea inside each head: turn Q and K of B by one orthogonal map, V and O by another.
(Not every invertible map is orthogonal. The others stretch, and are left alone here.)
"""


# %%
def turn_heads(a, b, heads=4):  # in each head one map for Q with K, and one for V with O
    new = dict(b)
    for block in sorted({name[:9] for name in a if name.startswith("blocks.")}):
        for one, two in (("q", "k"), ("v", "o")):
            one, two = f"{block}{one}.weight", f"{block}{two}.weight"
            x, y = (torch.cat([w[one], w[two].T if "o." in two else w[two]], 1) for w in (a, b))
            x, y = (each.unflatten(0, (heads, -1)) for each in (x, y))  # (heads, width, 2 · stream)
            new[one], second = (procrustes(x @ y.mT) @ y).flatten(0, 1).chunk(2, 1)
            new[two] = second.T if "o." in two else second
    return new


def turned(spec, a, b, model, inputs):  # A folded; B turned and matched; and its heads turned too
    a, b = fold(a), fold(b)
    gain = streams(a, model, inputs).T @ streams(b, model, inputs)
    b = moved(spec, a, turn(b, procrustes(gain)))
    return a, b, turn_heads(a, b)


# %%
heights |= {"stream turned": [], "heads turned too": []}
lines = []
for i, j in pairs:
    p, once, twice = turned(with_heads, states[i], states[j], model, train)
    heights["stream turned"].append(barrier(p, once))
    heights["heads turned too"].append(barrier(p, twice))
    lines.append((p, twice))
    assert abs(loss(twice) - loss(states[j])) < 1e-3  # another point, the same function
for name, row in list(heights.items())[-2:]:
    print(f"{name:24} loss barrier", " ".join(f"{height:.2f}" for height in row))
for naive, _, _, once, twice in zip(*heights.values()):
    assert 0.3 * naive < twice < 0.5 * naive < once < 0.65 * naive

# %% [markdown]
"""
Turned, 0.8 is left of 1.3; with the heads' insides turned too, 0.5 to 0.6. Each step is an **exact
symmetry**: what is compared with A computes the same as B, with its weights in other coordinates;
the assertion in the cell holds its loss. So these are honest statements of linear mode
connectivity: *modulo a larger group* than the paper's. The paper asks whether a permutation brings
B into A's basin. None that we found does; for the larger group it is "much nearer, and not yet".

One choice was made on the way: a turn can also be read off the weights. On the first pair it was the
worse of the two, measured on the same held-out text; the other two pairs took no part in that choice.

The order matters. Heads are compared by the rows of Q, K and V, and these rows are written in
coordinates of the stream. While the streams are unaligned, the comparison is mostly noise; that is
a likely reason why matching the heads gained so little above.

## Refit: another kind of claim

Everything so far left B's function alone. `rb.refit` does not: it sets the weights of the network
half-way anew, layer by layer, so that each layer computes what the mean of its parents computes
(notebook 08). **Predict.** Which weights of a transformer can it not fit?
"""

# %%
for name, (p, q) in {"as trained": (a, b), "turned": lines[0]}.items():
    report = rb.refit(p, q, train, model=model, num_samples=len(train))
    print(f"{name}: half-way {loss(rb.lerp(p, q, 0.5)):.2f}, refitted {loss(report.weights):.2f}")
print("\n".join(str(report).splitlines()[:5]), "\n...")
print("left alone:", {name or "(the model itself)": why for name, why in report.left_alone.items()})


# %%
def refitted(a, b, model, data, inputs):  # how far the refitted midpoint lies above the parents
    fitted = rb.refit(a, b, inputs, model=model, num_samples=len(inputs)).weights
    return loss(fitted, model, data) - (loss(a, model, data) + loss(b, model, data)) / 2


trained = [(states[i], states[j]) for i, j in pairs]
refits = {
    "as trained, refitted": [refitted(*pair, model, test, train) for pair in trained],
    "turned, refitted": [refitted(*pair, model, test, train) for pair in lines],
}
for fitted, fitted_turned, green in zip(*refits.values(), heights["heads turned too"]):
    assert 0.05 < fitted_turned < 0.5 * fitted and fitted < green
title = f"three GPTs 4×128, three pairs; {text.name}, held-out parts"
figures.draw_symmetries(heights | refits, changed=tuple(refits), title=title)

# %% [markdown]
"""
The embedding and the positions keep their averaged values: they are tables, not layers that
multiply an input. (The report says "the model itself" of the positions, which belong to no layer.)

The refitted networks are better than every green point. They are also not on the line any longer.
Below the dashed line the question is "how good is the merge?", above it is "is there a barrier?".
Keep the two apart: as they are trained, the pairs are refitted to about 0.4, and nobody would call
them one basin.

## Read along the line

The slider goes along the turned line of the first pair. At both ends stands a parent.
"""

# %%
lines_01 = {"as trained": trained[0], "heads turned too": lines[0]}
curves = {
    name: rb.linear_path(*pair, test, model=model, alphas=5) for name, pair in lines_01.items()
}
written = {alpha: write(rb.lerp(*lines[0], alpha)) for alpha in curves["as trained"].alphas}
reading = rb.show.slider(
    lambda alpha: figures.draw_writing(
        curves, "heads turned too", alpha, written[alpha], title="two GPTs, held-out text"
    ),
    list(written),
    description="alpha",
    start=2,
)
reading

# %% [markdown]
"""
## The same for images

A vision transformer cuts an image into patches, and each patch is a position. Three small ones (a
stream of 64 numbers, four blocks, four heads) were trained for four epochs on CIFAR-10 at 16×16.
Nothing in our functions knows about text, so they serve as they are.

**Predict.** Here, too: which step lowers the barrier most?
"""

# %%
vits = [load_vit(seed) for seed in range(3)]
cifar = rb.load_data("cifar10-45k", size=16)
images, scored = cifar.train.first(150 if FAST else 400).inputs, cifar.test.first(500)
vit_spec = rb.PermutationSpec.from_model(vits[0], images[:2])
stream = max(vit_spec.groups.values(), key=lambda group: len(group.occurrences))
vit_heads = vit_spec.without({stream.name: stay})
print(f"accuracies {[round(rb.evaluate(vit, scored).accuracy, 3) for vit in vits]}; "
      f"{len(vit_spec.groups)} groups, the stream occurs in {len(stream.occurrences)} tensors")

# %%
found = {name: [] for name in (*heights, *refits)}
for i, j in pairs:
    p, q = vits[i].state_dict(), vits[j].state_dict()
    folded, once, twice = turned(vit_heads, p, q, vits[0], images)
    ways = [(p, q), (p, moved(vit_heads, p, q)), (p, moved(vit_spec, p, q))]
    ways += [(folded, once), (folded, twice)]
    for name, pair in zip(heights, ways):
        found[name].append(barrier(*pair, vits[0], scored))
    for name, pair in zip(refits, (ways[0], ways[-1])):
        found[name].append(refitted(*pair, vits[0], scored, images))
assert found["heads and MLPs"][0] > found["as trained"][0]
for naive, _, orders, _, twice, _, fitted in zip(*found.values()):
    assert 0.05 < fitted < twice < 0.4 * naive < orders < 0.85 * naive
title = f"three ViTs 4×64, three pairs; {cifar.name}, {len(scored.targets)} test images"
figures.draw_symmetries(found, changed=tuple(refits), title=title)

# %% [markdown]
"""
The turn of the stream lowers the barrier most, here too, and further down: from above 1 as trained
to between 0.2 and 0.4, by exact symmetries alone. And one step leads *up*: heads and MLPs without
the stream can be worse than nothing, as in the first pair. A match that raises ⟨A, π(B)⟩ promises
nothing about the barrier.

## What others found

Theus and others (2025) measured the test loss barrier of other transformers, each step with more
freedom. **These numbers are theirs**, from their Table 2, and not made with our code:

| way | ViT, CIFAR-10 | ViT, CIFAR-100 | GPT-2, Tiny Shakespeare | GPT-2, BookCorpus |
|---|---|---|---|---|
| as trained | 1.69 | 2.46 | 2.02 | 4.34 |
| activation matching | 1.27 | 2.11 | 1.43 | 4.05 |
| weight matching, orthogonal stream | 0.36 | 0.69 | 0.34 | 1.56 |
| learned, permutations alone | 0.45 | 0.53 | 0.63 | 1.60 |
| learned, all symmetries of this notebook | **0.00** | **0.00** | **0.02** | **0.42** |

The last rows *train* the maps on the loss at the middle, as notebook 05 trains a permutation. On
three of the data sets 0.02 or less is left; on BookCorpus 0.42 is. So "the barrier does not vanish" is a fine
result, theirs and ours: it says where the method, or the conjecture, ends.

## What could go wrong: turning without folding

Forget to fold. All shapes fit. Test it on B alone, before you average anything; and on a copy of B
that computes the same with uneven scales in its last norm (the head divides by what the norm
multiplies with).

**Predict.** Which of the two does it spoil?
"""

# %%
scales = torch.cat([weights for name, weights in b.items() if "norm" in name])
print(f"B's own scales: {scales.mean():.2f}, give or take {scales.std():.2f}")
assert scales.std() < 0.1 * scales.mean()
rotation = procrustes(x.T @ y)
scale = torch.randn(128, generator=torch.Generator().manual_seed(0)).exp()
uneven = {"norm.weight": b["norm.weight"] * scale, "head.weight": b["head.weight"] / scale}
for name, weights in {"B": b, "B, uneven": b | uneven}.items():
    forgotten, right = loss(turn(weights, rotation)), loss(turn(fold(weights), rotation))
    print(f"{name:10} alone {loss(weights):.4f}; turned without folding {forgotten:.4f}; "
          f"folded, then turned {right:.4f}")
    assert abs(right - loss(b)) < 1e-3
    assert forgotten > loss(b) + 0.3 if name != "B" else abs(forgotten - loss(b)) < 0.03

# %% [markdown]
"""
On our B you would hardly notice: its scales are nearly alike. On the other one, which is the same
function, the mistake is plain. A test that passes by luck on one network is the worst kind of test;
the notebook's own check is the block in double precision above.

The cure is one line. And if your model has LayerNorm? It takes the mean over the stream away before
it divides. Exercise 14-2 moves that into the layers that write to the stream; then LayerNorm *is*
RMSNorm, and may be turned too. With BatchNorm or with a nonlinearity on the stream, no turn is
left, only orders (notebook 06).

## Recap

Attention has nested permutations: heads, and an order inside each for Q with K and for V with O.
But the units of a stream are not units: with RMSNorm, its scale folded, the stream may be turned by
any orthogonal map, and inside a head any invertible map is exact. Permutations alone left most of
the barrier of our GPTs; the larger group brought it below half, and not to zero.

## Exercises

**14-1** · easy · 5 minutes. An attention layer has `heads` heads of `width` numbers each, drawn for
you. How many permutations leave its function as it is? Give the logarithm to base 10.

<details><summary>Hint</summary><code>math.lgamma(n + 1)</code> is the natural logarithm of n!. The logarithm of a product is a sum.</details>
"""

# %% tags=["exercise"]
reader = "..."  # your name, or any word
heads, width = given("14-1", reader)
print(f"{heads} heads of width {width}")
answer = ...
# check("14-1", answer)

# %% tags=["solution"]
answer = (math.lgamma(heads + 1) + 2 * heads * math.lgamma(width + 1)) / math.log(10)
check("14-1", answer)

# %% [markdown]
r"""
**14-2** · medium · 10 minutes. LayerNorm without scale and shift is $(x - \bar x) / \text{std}(x)$,
over the numbers of the stream. If $\bar x = 0$ it divides by the root of the mean square: it is
RMSNorm. Write `centred(weights)` for a layer that writes to the stream, `(stream, inputs)`: the
same weights but for a change that LayerNorm never sees, so that whatever is written has mean zero
over the stream.

<details><summary>Hint</summary>What must hold for each column, so that every mixture of the columns has mean zero?</details>
"""


# %% tags=["exercise"]
def centred(weights):
    return ...


# check("14-2", centred)


# %% tags=["solution"]
def centred(weights):
    return weights - weights.mean(0)


check("14-2", centred)

# %% [markdown]
"""
**14-3** · hard · 15 minutes. Which head of B goes with which head of A, if the inside of a head may
be turned by any orthogonal map? Write `pair_heads(a, b)` for tensors `(heads, width, stream)`: an
order in which place `i` gets head `order[i]` of B. `rb.matching.assign(table)` solves the
assignment.

<details><summary>Hint</summary>For one pair of heads the best trace is the sum of the singular values of <code>a[i] @ b[j].T</code>: <code>torch.linalg.svdvals</code>.</details>
"""


# %% tags=["exercise"]
def pair_heads(a, b):
    return ...


# check("14-3", pair_heads)


# %% tags=["solution"]
def pair_heads(a, b):
    table = torch.linalg.svdvals(torch.einsum("iwd,jvd->ijwv", a, b)).sum(-1)
    return rb.matching.assign(table)


check("14-3", pair_heads)

# %% [markdown]
r"""
**How much text does a turn need?** · answer: a figure · 20 minutes. Take the turn from 1, 3, 10, 30
and 100 pieces of text, three draws each, and draw the barrier of the pair A, B over the number of
pieces. Where does it stop falling? Put the turn from *weights* beside it, which needs no text: the
gain adds $W_A^\top W_B$ of every layer that reads the stream and $W_A W_B^\top$ of every layer that
writes to it.

**Your own transformer** · open · 60 minutes. Take a small transformer of your own, or of a library,
of two seeds. Which norm has it, has it biases, do Q and K pass through a rotary embedding or a norm
of their own? Say for each which of the symmetries of this notebook it leaves. Then match as far as
you may, with B's loss alone printed after every step.

## Questions

**1.** How many orders have 4 heads of width 32 for Q with K?
<details><summary>128!</summary>No: a unit that changes its head changes the scores.</details>
<details><summary>4! · (32!)⁴</summary>Right: whole heads, and an order inside each.</details>

**2.** Why did the spec without heads find the larger objective?
<details><summary>It is the better match.</summary>No: π(B) alone was no longer B.</details>
<details><summary>It may move more, and the objective does not know the function.</summary>Right.</details>

**3.** When is a turn of the residual stream exact?
<details><summary>Always: a turn keeps all lengths.</summary>No: the scale of the norm belongs to single numbers of the stream.</details>
<details><summary>With RMSNorm whose scale is folded into the layers that read it.</summary>Right.</details>

**4.** Which maps inside a head leave attention as it is?
<details><summary>Any invertible map of Q, with the inverse transposed for K; another one for V and O.</summary>Right.</details>
<details><summary>Orthogonal maps only.</summary>They do, but they are not all: the inverse need not be the transpose.</details>

**5.** After the turn the barrier is half as high. What follows for the paper's conjecture?
<details><summary>It holds for transformers.</summary>No: it speaks of permutations, and of no barrier.</details>
<details><summary>Little: permutations did not suffice here, and a larger group did better.</summary>Right.</details>

**6.** The refitted network has the lowest loss. Which claim does that support?
<details><summary>A and B lie in one basin modulo symmetries.</summary>No: its weights are not on the line between A and a copy of B.</details>
<details><summary>It is a good merge.</summary>Right.</details>

## References

* Ainsworth, Hayase, Srinivasa: *Git Re-Basin: Merging Models modulo Permutation Symmetries*, ICLR
  2023: section 2 (symmetries) and section 3.
* Verma, Elbayad: *Merging Text Transformer Models from Different Initializations*, TMLR 2024
  (arXiv 2403.00986).
* Theus and others: *Generalized Linear Mode Connectivity for Transformers*, NeurIPS 2025 (arXiv
  2506.22712): Table 2.
* Imfeld and others: *Transformer Fusion with Optimal Transport*, ICLR 2024 (arXiv 2310.05719).
* Schönemann: *A generalized solution of the orthogonal Procrustes problem*, Psychometrika 1966.
"""

# %% tags=["smoke"]
assert rb.show.move_all(reading) == len(written)  # every position of every control was visited
