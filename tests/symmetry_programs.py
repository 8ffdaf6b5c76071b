"""Random small networks out of everything the tracer has a rule for: the law is checked on them."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FUNCTIONS = (
    F.relu,
    F.gelu,
    torch.tanh,
    F.silu,
    F.hardswish,
    torch.sigmoid,
    F.softplus,
    torch.square,
)
WIDTHS = (4, 6, 8, 12)


def _heads(rng: random.Random, width: int) -> int:
    return rng.choice([h for h in (1, 2, 3, 4, 6) if width % h == 0])


class Program(nn.Module):
    """A random sequence of operations on tensors ``(batch, positions, units)``; the same seed gives
    the same one.

    Args:
        rng: what draws.
        steps: how many operations.
    """

    def __init__(self, rng: random.Random, steps: int):
        super().__init__()
        self.parts = nn.ModuleList()
        self.tensors = nn.ParameterList()
        self.steps: list = []
        self.names: list[str] = []
        widths = [5]
        for step in range(steps):
            name = rng.choice(list(OPERATIONS)) if step else "linear"
            which = rng.randrange(max(0, len(widths) - 3), len(widths))
            made = OPERATIONS[name](self, rng, widths, which)
            if made is not None and 1 <= made[1] <= 48:
                self.steps.append(made[0])
                widths.append(made[1])
                self.names.append(f"{name}({which})")
        self.heads = nn.ModuleList(nn.Linear(width, 2) for width in widths[-3:])

    def part(self, module: nn.Module) -> nn.Module:
        self.parts.append(module)
        return module

    def tensor(self, *shape: int) -> nn.Parameter:
        self.tensors.append(nn.Parameter(torch.randn(shape)))
        return self.tensors[-1]

    def forward(self, x: Tensor) -> list[Tensor]:
        pool = [x]
        for step in self.steps:
            pool.append(step(self, pool))
        return [head(value) for head, value in zip(self.heads, pool[-len(self.heads) :])]


OPERATIONS: dict = {}


def operation(build):
    """Enter ``build(program, rng, widths, which) -> (function of the program and its pool, new
    width) | None``.
    """
    OPERATIONS[build.__name__] = build
    return build


def _index(tensors: nn.ParameterList) -> int:
    return len(tensors) - 1


@operation
def linear(p, rng, widths, i):
    new, at = rng.choice(WIDTHS), len(p.parts)
    p.part(nn.Linear(widths[i], new, bias=rng.random() < 0.7))
    return lambda m, pool: m.parts[at](pool[i]), new


@operation
def again(p, rng, widths, i):
    """A module used before."""
    places = [
        k
        for k, part in enumerate(p.parts)
        if isinstance(part, nn.Linear) and part.in_features == widths[i]
    ]
    if not places:
        return None
    at = rng.choice(places)
    return lambda m, pool: m.parts[at](pool[i]), p.parts[at].out_features


@operation
def transposed_weight(p, rng, widths, i):
    places = [
        k
        for k, part in enumerate(p.parts)
        if isinstance(part, nn.Linear) and part.out_features == widths[i]
    ]
    if not places:
        return None
    at = rng.choice(places)
    return lambda m, pool: pool[i] @ m.parts[at].weight, p.parts[at].in_features


@operation
def function(p, rng, widths, i):
    f = rng.choice(FUNCTIONS)
    return lambda m, pool: f(pool[i]), widths[i]


@operation
def combine(p, rng, widths, i):
    j, f = rng.randrange(len(widths)), rng.choice((torch.add, torch.mul, torch.maximum))
    return None if widths[j] != widths[i] else (lambda m, pool: f(pool[i], pool[j]), widths[i])


@operation
def scale(p, rng, widths, i):
    p.tensor(*rng.choice([(widths[i],), (3, widths[i]), (3, 1)]))
    at, f = _index(p.tensors), rng.choice((torch.add, torch.mul))
    return lambda m, pool: f(pool[i], m.tensors[at]), widths[i]


@operation
def concatenate(p, rng, widths, i):
    j = rng.randrange(len(widths))
    return lambda m, pool: torch.cat([pool[i], pool[j]], -1), widths[i] + widths[j]


@operation
def weave(p, rng, widths, i):
    j = rng.randrange(len(widths))
    return (
        None
        if widths[j] != widths[i]
        else (lambda m, pool: torch.stack([pool[i], pool[j]], -1).flatten(-2), 2 * widths[i])
    )


@operation
def write(p, rng, widths, i):
    j = rng.randrange(len(widths))
    a, b = widths[i], widths[j]

    def run(m, pool):
        both = pool[i].new_zeros(2, 3, a + b)
        both[..., :a] = pool[i]
        both[..., a:].add_(pool[j])
        return both.relu_()

    return run, a + b


@operation
def cut(p, rng, widths, i):
    start = rng.randrange(widths[i])
    stop, step = rng.randrange(start + 1, widths[i] + 1), rng.choice((1, 1, 2, 3))
    return lambda m, pool: pool[i][..., start:stop:step], len(range(start, stop, step))


@operation
def chunk(p, rng, widths, i):
    if widths[i] % 2:
        return None
    f = rng.choice(
        (
            torch.mul,
            torch.add,
            lambda a, b: torch.cat([b, a], -1),
            lambda a, b: torch.cat([a.relu(), b], -1),
        )
    )
    new = widths[i] if f not in (torch.mul, torch.add) else widths[i] // 2
    return lambda m, pool: f(*pool[i].chunk(2, -1)), new


@operation
def norm(p, rng, widths, i):
    at = len(p.parts)
    p.part(rng.choice((nn.LayerNorm, nn.RMSNorm))(widths[i]))
    return lambda m, pool: m.parts[at](pool[i]), widths[i]


@operation
def channel_norm(p, rng, widths, i):
    at = len(p.parts)
    n, which = widths[i], rng.randrange(3)
    p.part(
        (nn.GroupNorm(_heads(rng, n), n), nn.BatchNorm1d(n), nn.InstanceNorm1d(n, affine=True))[
            which
        ]
    )
    return lambda m, pool: m.parts[at](pool[i].mT).mT, widths[i]


@operation
def softmax(p, rng, widths, i):
    return lambda m, pool: pool[i].softmax(-1), widths[i]


@operation
def convolution(p, rng, widths, i):
    groups, at = _heads(rng, widths[i]), len(p.parts)
    new = groups * rng.choice((1, 2, 3))
    p.part(
        nn.Conv1d(widths[i], new, kernel := rng.choice((1, 3)), padding=kernel // 2, groups=groups)
    )
    return lambda m, pool: m.parts[at](pool[i].mT).mT, new


@operation
def transposed_convolution(p, rng, widths, i):
    groups, at = _heads(rng, widths[i]), len(p.parts)
    new = groups * rng.choice((1, 2))
    p.part(nn.ConvTranspose1d(widths[i], new, 3, padding=1, groups=groups))
    return lambda m, pool: m.parts[at](pool[i].mT).mT, new


@operation
def within_heads(p, rng, widths, i):
    """Something in the form ``(batch, positions, heads, width)``."""
    h = _heads(rng, widths[i])
    d = widths[i] // h
    kind = rng.randrange(12)
    shapes = {0: (h, d), 1: (d,), 2: (h, 1), 3: (h, d, 4), 4: (d, 3), 5: (h, 3)}
    if kind in shapes:
        p.tensor(*shapes[kind])
    at = _index(p.tensors)

    def run(m, pool):
        x = pool[i].reshape(2, 3, h, d)
        if kind <= 2:
            x = x * m.tensors[at]
        elif kind == 3:
            x = torch.einsum("bnhd,hde->bnhe", x, m.tensors[at])
        elif kind == 4:
            x = x @ m.tensors[at]
        elif kind == 5:
            x = (x.mT @ m.tensors[at]).mT
        elif kind == 6:
            x = x.softmax(-1)
        elif kind == 7:
            x = x.softmax(-2)
        elif kind == 8:
            x = x.mT
        elif kind == 9:
            x = F.layer_norm(x, (d,))
        elif kind == 10:
            x = torch.einsum("bnhd,bngd->bnhg", x, x)
        else:
            x = x - x.mean(-2, keepdim=True)
        return x.flatten(-2)

    return run, {3: 4 * h, 4: 3 * h, 5: 3 * d, 10: h * h}.get(kind, widths[i])


@operation
def over_heads(p, rng, widths, i):
    h, f = _heads(rng, widths[i]), rng.choice((torch.sum, torch.mean, torch.amax))
    dim = rng.choice((-1, -2))
    return lambda m, pool: f(pool[i].reshape(2, 3, h, -1), dim), h if dim == -1 else widths[i] // h


@operation
def heads_apart(p, rng, widths, i):
    """Heads are taken out one by one."""
    h = _heads(rng, widths[i])
    order = rng.sample(range(h), h)
    kind = rng.randrange(3)

    def run(m, pool):
        x = pool[i].reshape(2, 3, h, -1)
        if kind == 0:
            x = x.unbind(2)
        elif kind == 1:
            x = x.permute(2, 0, 1, 3)
        else:
            x = pool[i].reshape(2, 3, -1, h).unbind(-1)
        return torch.cat([x[k].tanh() if k % 2 else x[k] for k in order], -1)

    return run, widths[i]


@operation
def attention(p, rng, widths, i):
    h, d, at, fused = rng.choice((1, 2, 3)), rng.choice((2, 3)), len(p.parts), rng.random() < 0.5
    one = rng.random() < 0.5
    for _ in range(1 if one else 3):
        p.part(nn.Linear(widths[i], h * d * (3 if one else 1)))

    def run(m, pool):
        x = pool[i]
        if one:
            q, k, v = m.parts[at](x).reshape(2, 3, 3, h, d).permute(2, 0, 3, 1, 4)
        else:
            q, k, v = (m.parts[at + n](x).reshape(2, 3, h, d).transpose(1, 2) for n in range(3))
        x = F.scaled_dot_product_attention(q, k, v) if fused else (q @ k.mT).softmax(-1) @ v
        return x.transpose(1, 2).reshape(2, 3, h * d)

    return run, h * d


@operation
def in_order(p, rng, widths, i):
    """What mixes the order of units, or of positions."""
    kind, order = rng.randrange(7), torch.tensor(rng.sample(range(widths[i]), widths[i]))

    def run(m, pool):
        x = pool[i]
        if kind == 0:
            return x.roll(1, -1)
        if kind == 1:
            return x.flip(-1)
        if kind == 2:
            return x.cumsum(-1)
        if kind == 3:
            return x[..., order]
        if kind == 4:
            return x.cumsum(1)
        if kind == 5:
            return x.sort(-1).values
        return x.flip(1)

    return run, widths[i]


@operation
def outer(p, rng, widths, i):
    j = rng.randrange(len(widths))
    return lambda m, pool: (pool[i].unsqueeze(-1) * pool[j].unsqueeze(-2)).flatten(-2), widths[
        i
    ] * widths[j]


@operation
def repeat(p, rng, widths, i):
    kind = rng.randrange(3)

    def run(m, pool):
        x = pool[i]
        if kind == 0:
            return x.repeat(1, 1, 2)
        return (
            x.repeat_interleave(2, -1)
            if kind == 1
            else x.unsqueeze(-2).expand(-1, -1, 2, -1).flatten(-2)
        )

    return run, 2 * widths[i]


@operation
def pad(p, rng, widths, i):
    before, after = rng.randrange(3), rng.randrange(-1, 3)
    return lambda m, pool: F.pad(pool[i], (before, after)), widths[i] + before + after


@operation
def gate(p, rng, widths, i):
    at = len(p.parts)
    p.part(nn.Linear(widths[i], widths[i]))
    return lambda m, pool: pool[i] * m.parts[at](pool[i].mean(1, keepdim=True)).sigmoid(), widths[i]


@operation
def shuffle(p, rng, widths, i):
    h = _heads(rng, widths[i])
    return lambda m, pool: pool[i].reshape(2, 3, h, -1).transpose(2, 3).reshape(2, 3, -1), widths[i]


@operation
def recurrent(p, rng, widths, i):
    new, at, kind = rng.choice((3, 4)), len(p.parts), rng.choice((nn.RNN, nn.GRU, nn.LSTM))
    two = rng.random() < 0.3
    p.part(kind(widths[i], new, batch_first=True, bidirectional=two))
    return lambda m, pool: m.parts[at](pool[i])[0], new * (2 if two else 1)


@operation
def across_positions(p, rng, widths, i):
    p.tensor(3, 3)
    at = _index(p.tensors)
    return lambda m, pool: torch.einsum("bnc,nm->bmc", pool[i], m.tensors[at]), widths[i]


@operation
def each_position(p, rng, widths, i):
    """A matrix of its own for each position."""
    p.tensor(3, widths[i], 4)
    at = _index(p.tensors)
    return lambda m, pool: torch.einsum("bnc,nco->bno", pool[i], m.tensors[at]), 4


# -------------------------------------------------------------------------------------------------
# constants, tables that are cut, tensors tied by their memory, reading and writing by number


@operation
def constant(p, rng, widths, i):
    """Values of their own, equal along a part of the axis or along all of it."""
    n = widths[i]
    at = rng.randrange(1, n + 1)
    values = torch.cat([torch.full((at,), rng.uniform(0.5, 2)), torch.full((n - at,), -0.7)])
    if rng.random() < 0.3:
        values = torch.linspace(-1, 2, n)
    f = rng.choice((torch.add, torch.mul, torch.minimum, torch.maximum))
    return lambda m, pool: f(pool[i], values.to(pool[i])), n


@operation
def constants_side_by_side(p, rng, widths, i):
    n, before = widths[i], rng.randrange(1, 4)
    a, b = rng.uniform(-1, 1), rng.choice((0.0, 0.5))

    def run(m, pool):
        x = pool[i]
        return torch.cat([x.new_full((2, 3, before), a), x, x.new_full((2, 3, 1), b)], -1)

    return run, n + before + 1


@operation
def cut_table(p, rng, widths, i):
    """A table for more positions, or for more units, than there are."""
    n, extra, more = widths[i], rng.randrange(1, 4), rng.randrange(0, 4)
    p.tensor(3 + extra, n + more)
    at, start = _index(p.tensors), rng.randrange(more + 1)
    f = rng.choice((torch.add, torch.mul))
    return lambda m, pool: f(pool[i], m.tensors[at][:3, start : start + n]), n


@operation
def rows_of_a_table(p, rng, widths, i):
    """A row for each time it is used."""
    n, rows = widths[i], rng.randrange(2, 4)
    p.tensor(rows, n)
    at, first = _index(p.tensors), rng.randrange(rows)

    def run(m, pool):
        x = pool[i] * m.tensors[at][first]
        return x.tanh() + m.tensors[at][(first + 1) % rows]

    return run, n


@operation
def tied_memory(p, rng, widths, i):
    """Another parameter in the memory of one that is there already."""
    places = [
        k
        for k, part in enumerate(p.parts)
        if isinstance(part, nn.Linear) and part.in_features == widths[i]
    ]
    if not places:
        return None
    first = p.parts[rng.choice(places)]
    at, turned = len(p.parts), first.in_features == first.out_features and rng.random() < 0.5
    twin = p.part(nn.Linear(first.in_features, first.out_features))
    twin.weight.data = first.weight.data.T if turned else first.weight.data
    return lambda m, pool: m.parts[at](pool[i]), twin.out_features


@operation
def by_number(p, rng, widths, i):
    """Index and scatter operators, along positions or along units."""
    n, kind, units = widths[i], rng.randrange(8), rng.random() < 0.3
    size = n if units else 3
    picks = torch.tensor([rng.randrange(size) for _ in range(size)])
    dim = 2 if units else 1

    def run(m, pool):
        x = pool[i]
        wide = (picks[:, None] if dim == 1 else picks).expand(2, 3, n)
        zeros = torch.zeros_like(x)
        if kind == 0:
            return x.index_select(dim, picks)
        if kind == 1:
            return zeros.index_add(dim, picks, x)
        if kind == 2:
            return x.index_copy(dim, picks[:1], x.narrow(dim, 0, 1))
        if kind == 3:
            return x.gather(dim, wide)
        if kind == 4:
            return zeros.scatter_add(dim, wide, x)
        if kind == 5:
            return zeros.scatter_reduce(dim, wide, x, reduce="amax", include_self=False)
        if kind == 6:
            return x.index_fill(dim, picks[:1], 0.5)
        return x.masked_fill((picks > 0)[:, None] if dim == 1 else picks > 0, 0.5)

    return run, n


@operation
def one_by_one(p, rng, widths, i):
    """Each unit by itself, all alike or all but one."""
    kind, other = rng.randrange(3), rng.random() < 0.3

    def run(m, pool):
        x = pool[i]
        units = x.unbind(-1) if kind == 0 else x.split(1, -1)
        if kind == 2:
            units = [x[..., k] for k in range(x.shape[-1])]
        units = [unit.sin() if other and k == 1 else unit.tanh() for k, unit in enumerate(units)]
        return torch.cat(units, -1) if kind == 1 else torch.stack(units, -1)

    return run, widths[i]


@operation
def recurrent_from_a_start(p, rng, widths, i):
    new, at, kind = rng.choice((3, 4)), len(p.parts), rng.choice((nn.RNN, nn.GRU, nn.LSTM))
    layers, two = rng.choice((1, 2)), rng.random() < 0.5
    rows = layers * (2 if two else 1)
    p.part(kind(widths[i], new, layers, batch_first=True, bidirectional=two))
    for _ in range(2):
        p.tensor(rows, 1, new)
    last = _index(p.tensors)

    def run(m, pool):
        h, c = (m.tensors[last - k].expand(-1, 2, -1).contiguous() for k in (0, 1))
        return m.parts[at](pool[i], (h, c) if kind is nn.LSTM else h)[0]

    return run, new * (2 if two else 1)
