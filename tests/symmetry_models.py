"""Small models of every kind of layer: what a spec must be derived for. Each entry is a model with
example inputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KINDS: dict[str, tuple] = {}


def kind(groups: int):
    """Enter a builder of ``(model, inputs)`` under its name, with the number of groups that it
    should have.
    """

    def enter(build):
        KINDS[build.__name__] = (build, groups)
        return build

    return enter


class Lambda(nn.Module):
    """A model from parts and a function of them."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            elif isinstance(part, nn.Parameter):
                self.register_parameter(name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self, *inputs)


def images(channels: int = 3, size: int = 8) -> tuple[Tensor]:
    return (torch.randn(2, channels, size, size),)


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


@kind(2)
def mlp():
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 3)), (
        torch.randn(4, 5),
    )


@kind(2)
def batch_norm_1d():
    return nn.Sequential(
        nn.Linear(5, 6),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Linear(6, 4),
        nn.BatchNorm1d(4),
        nn.Linear(4, 3),
    ), (torch.randn(4, 5),)


@kind(1)
def layer_norm():
    return nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3)), (
        torch.randn(4, 5),
    )


@kind(1)
def rms_norm():
    return nn.Sequential(nn.Linear(5, 6), nn.RMSNorm(6), nn.SiLU(), nn.Linear(6, 3)), (
        torch.randn(4, 5),
    )


@kind(2)
def conv_flatten():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 6),
        nn.ReLU6(),
        nn.Linear(6, 3),
    ), images()


@kind(2)
def conv_1d():
    return nn.Sequential(
        nn.Conv1d(3, 4, 3),
        nn.Mish(),
        nn.Conv1d(4, 5, 1),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(5, 2),
    ), (torch.randn(2, 3, 9),)


@kind(2)
def conv_3d():
    return nn.Sequential(
        nn.Conv3d(2, 4, 2),
        nn.BatchNorm3d(4),
        nn.ELU(),
        nn.Conv3d(4, 5, 2),
        nn.AvgPool3d(2),
        nn.Flatten(),
        nn.Linear(5, 2),
    ), (torch.randn(2, 2, 4, 4, 4),)


@kind(2)
def conv_transposed():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 3, padding=1, groups=2),
    ), images()


@kind(5)
def conv_grouped():
    """The blocks of the grouped convolution, what lies within them before and after, and the "
    "rest."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, groups=2),
        nn.ReLU(),
        nn.Conv2d(8, 5, 1),
        nn.Flatten(),
        nn.Linear(80, 4),
        nn.ReLU(),
        nn.Linear(4, 2),
    ), images()


@kind(1)
def conv_depthwise():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.Conv2d(6, 2, 1)
    ), images()


@kind(3)
def conv_depthwise_multiplied():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 12, 3, groups=4),
        nn.ReLU(),
        nn.Conv2d(12, 5, 1),
        nn.ReLU(),
        nn.Conv2d(5, 2, 1),
    ), images()


@kind(2)
def group_norm():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.ReLU(), nn.Conv2d(8, 2, 1)
    ), images()


@kind(4)
def group_norm_of_a_concatenation():
    parts = {
        "a": nn.Conv2d(3, 8, 1),
        "b": nn.Conv2d(3, 4, 1),
        "norm": nn.GroupNorm(6, 12),
        "out": nn.Conv2d(12, 2, 1),
    }
    return Lambda(
        lambda m, x: m.out(m.norm(torch.cat([m.a(x), m.b(x)], 1)).relu()), **parts
    ), images()


@kind(1)
def instance_norm():
    norm = nn.InstanceNorm2d(5, affine=True, track_running_stats=True)
    return nn.Sequential(nn.Conv2d(3, 5, 3), norm, nn.ReLU(), nn.Conv2d(5, 2, 1)), images()


@kind(1)
def prelu():
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.PReLU(5), nn.Conv2d(5, 2, 1)), images()


@kind(3)
def residual():
    parts = {
        "stem": nn.Conv2d(3, 6, 3, padding=1),
        "a": nn.Conv2d(6, 4, 3, padding=1),
        "b": nn.Conv2d(4, 6, 3, padding=1),
        "c": nn.Conv2d(6, 5, 1),
        "head": nn.Linear(5, 2),
    }

    def forward(m, x):
        x = m.stem(x)
        x = F.relu(x + m.b(F.relu(m.a(x))), inplace=True)
        return m.head(m.c(x).mean((2, 3)))

    return Lambda(forward, **parts), images()


@kind(2)
def squeeze_and_excitation():
    parts = {
        "stem": nn.Conv2d(3, 8, 3),
        "down": nn.Conv2d(8, 4, 1),
        "up": nn.Conv2d(4, 8, 1),
        "out": nn.Conv2d(8, 2, 1),
    }

    def forward(m, x):
        x = F.hardswish(m.stem(x))
        gate = F.hardsigmoid(m.up(F.relu(m.down(F.adaptive_avg_pool2d(x, 1)))))
        return m.out(x * gate)

    return Lambda(forward, **parts), images()


@kind(3)
def concatenation():
    parts = {
        "a": nn.Conv2d(3, 4, 1),
        "b": nn.Conv2d(3, 5, 1),
        "c": nn.Conv2d(9, 6, 1),
        "head": nn.Linear(15, 2),
    }

    def forward(m, x):
        x = torch.cat([m.a(x), m.b(x)], 1).relu()
        return m.head(torch.cat([x, m.c(x)], 1).amax((2, 3)))

    return Lambda(forward, **parts), images()


@kind(4)
def chunks():
    parts = {"wide": nn.Linear(5, 12), "a": nn.Linear(6, 6), "out": nn.Linear(9, 2)}

    def forward(m, x):
        left, right = m.wide(x).chunk(2, -1)
        left = m.a(left.tanh())
        return m.out(torch.cat([left, right[:, :3]], -1)) + right[:, 3:].sum(-1, keepdim=True)

    return Lambda(forward, **parts), (torch.randn(4, 5),)


@kind(2)
def gated():
    return nn.Sequential(
        nn.Linear(5, 8), nn.GLU(), nn.Linear(4, 6), nn.Softmax(-1), nn.Linear(6, 2)
    ), (torch.randn(4, 5),)


@kind(5)
def channel_shuffle():
    """Two branches are woven and cut again: their units are told apart all the way."""
    parts = {
        "a": nn.Conv2d(3, 6, 1),
        "b": nn.Conv2d(3, 6, 1),
        "c": nn.Conv2d(6, 4, 1),
        "out": nn.Conv2d(10, 2, 1),
    }

    def forward(m, x):
        x = torch.cat([m.a(x), m.b(x)], 1)
        b, c, h, w = x.shape
        x = x.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, c, h, w)
        left, right = x.chunk(2, 1)
        return m.out(torch.cat([left, m.c(right.relu())], 1))

    return Lambda(forward, **parts), images()


@kind(1)
def embedding():
    return nn.Sequential(nn.Embedding(10, 6), nn.ReLU(), nn.Linear(6, 3)), (
        torch.randint(10, (2, 4)),
    )


@kind(1)
def tied_embedding():
    embed, head = nn.Embedding(10, 6), nn.Linear(6, 10, bias=False)
    head.weight = embed.weight
    return nn.Sequential(embed, nn.LayerNorm(6), head), (torch.randint(10, (2, 4)),)


def _heads(m: nn.Module, x: Tensor, scores) -> Tensor:
    b, n, _ = x.shape
    q, k, v = (f(x).view(b, n, 4, 5).transpose(1, 2) for f in (m.q, m.k, m.v))
    return m.out(scores(q, k, v).transpose(1, 2).reshape(b, n, 20))


def _attention_parts() -> dict[str, nn.Module]:
    return {
        "into": nn.Linear(6, 8),
        "q": nn.Linear(8, 20),
        "k": nn.Linear(8, 20),
        "v": nn.Linear(8, 20),
        "out": nn.Linear(20, 8),
        "head": nn.Linear(8, 3),
    }


@kind(4)
def attention_by_hand():
    def forward(m, x):
        x = m.into(x)
        return m.head(
            x + _heads(m, x, lambda q, k, v: (q @ k.transpose(-2, -1) / 5**0.5).softmax(-1) @ v)
        )

    return Lambda(forward, **_attention_parts()), (torch.randn(2, 7, 6),)


@kind(4)
def attention_fused():
    def forward(m, x):
        x = m.into(x)
        return m.head(x + _heads(m, x, F.scaled_dot_product_attention))

    return Lambda(forward, **_attention_parts()), (torch.randn(2, 7, 6),)


@kind(4)
def attention_from_one_matrix():
    parts = {
        "into": nn.Linear(6, 8),
        "qkv": nn.Linear(8, 60),
        "out": nn.Linear(20, 8),
        "head": nn.Linear(8, 3),
    }

    def forward(m, x):
        x = m.into(x)
        b, n, _ = x.shape
        q, k, v = m.qkv(x).reshape(b, n, 3, 4, 5).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + m.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, 20))
        return m.head(x[:, 0])

    return Lambda(forward, **parts), (torch.randn(2, 7, 6),)


@kind(4)
def multihead_attention():
    parts = {
        "into": nn.Linear(6, 8),
        "attend": nn.MultiheadAttention(8, 2, batch_first=True),
        "head": nn.Linear(8, 3),
    }

    def forward(m, x):
        x = m.into(x)
        return m.head(x + m.attend(x, x, x, need_weights=False)[0])

    return Lambda(forward, **parts), (torch.randn(2, 7, 6),)


@kind(5)
def encoder_layer():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.Linear(6, 8), layer, nn.Linear(8, 3)), (torch.randn(2, 7, 6),)


@kind(8)
def decoder_layer():
    parts = {
        "a": nn.Linear(6, 8),
        "b": nn.Linear(6, 8),
        "layer": nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
        "head": nn.Linear(8, 3),
    }
    return Lambda(lambda m, x, y: m.head(m.layer(m.a(x), m.b(y))), **parts), (
        torch.randn(2, 5, 6),
        torch.randn(2, 7, 6),
    )


@kind(1)
def rnn():
    parts = {"rnn": nn.RNN(3, 6, batch_first=True), "head": nn.Linear(6, 2)}
    return Lambda(lambda m, x: m.head(m.rnn(x)[0]), **parts), (torch.randn(2, 5, 3),)


@kind(2)
def gru():
    return Lambda(
        lambda m, x: m.head(m.rnn(x)[1][-1]), rnn=nn.GRU(3, 6, 2), head=nn.Linear(6, 2)
    ), (torch.randn(5, 2, 3),)


@kind(4)
def lstm():
    return Lambda(
        lambda m, x: m.head(m.rnn(x)[0][:, -1]),
        rnn=nn.LSTM(3, 6, 2, bidirectional=True, batch_first=True),
        head=nn.Linear(12, 2),
    ), (torch.randn(2, 5, 3),)


@kind(2)
def lstm_projected():
    return Lambda(
        lambda m, x: m.head(m.rnn(x)[0]), rnn=nn.LSTM(3, 6, proj_size=4), head=nn.Linear(4, 2)
    ), (torch.randn(5, 2, 3),)


@kind(2)
def recurrent_cells():
    parts = {"a": nn.LSTMCell(3, 6), "b": nn.GRUCell(6, 5), "head": nn.Linear(5, 2)}

    def forward(m, x):
        h, c = m.a(x[0])
        h, c = m.a(x[1], (h, c))
        return m.head(m.b(h))

    return Lambda(forward, **parts), (torch.randn(2, 4, 3),)


@kind(3)
def einsum():
    parts = {
        "a": _parameter(5, 6),
        "b": _parameter(6, 7),
        "c": _parameter(4, 7),
        "out": _parameter(4, 3),
    }

    def forward(m, x):
        x = torch.einsum("...i,ij->...j", x, m.a).relu()
        x = torch.einsum("bnj,jk,lk->bnl", x, m.b, m.c).relu()
        return torch.einsum("bnl,lo->bno", x, m.out)

    return Lambda(forward, **parts), (torch.randn(2, 3, 5),)


@kind(2)
def bare_parameters():
    """A class token, position embeddings and a layer scale."""
    parts = {
        "into": nn.Linear(5, 6),
        "token": _parameter(1, 1, 6),
        "position": _parameter(1, 8, 6),
        "scale": _parameter(6),
        "mix": nn.Linear(6, 4),
        "back": nn.Linear(4, 6),
        "head": nn.Linear(6, 2),
    }

    def forward(m, x):
        x = torch.cat([m.token.expand(x.shape[0], -1, -1), m.into(x)], 1) + m.position
        x = x + m.scale * m.back(F.gelu(m.mix(x)))
        return m.head(x[:, 0])

    return Lambda(forward, **parts), (torch.randn(2, 7, 5),)


@kind(2)
def shared_module():
    parts = {
        "into": nn.Linear(5, 6),
        "twice": nn.Linear(6, 6),
        "more": nn.Linear(6, 4),
        "head": nn.Linear(4, 2),
    }
    return Lambda(
        lambda m, x: m.head(m.more(m.twice(m.twice(m.into(x)).relu()).relu())), **parts
    ), (torch.randn(3, 5),)


@kind(2)
def written_in_place():
    parts = {"a": nn.Linear(5, 6), "b": nn.Linear(5, 4), "head": nn.Linear(10, 2)}

    def forward(m, x):
        both = x.new_zeros(x.shape[0], 10)
        both[:, :6] = m.a(x)
        both[:, 6:] += m.b(x)
        both.relu_()
        return m.head(both)

    return Lambda(forward, **parts), (torch.randn(3, 5),)


@kind(4)
def grouped_queries():
    """Four query heads share two heads of keys and values, by repeating them."""
    parts = {
        "q": nn.Linear(6, 20),
        "k": nn.Linear(6, 10),
        "v": nn.Linear(6, 10),
        "out": nn.Linear(20, 3),
    }

    def forward(m, x):
        b, n, _ = x.shape
        q = m.q(x).view(b, n, 4, 5).transpose(1, 2)
        k, v = (f(x).view(b, n, 2, 5).transpose(1, 2) for f in (m.k, m.v))
        k, v = (t[:, :, None].expand(b, 2, 2, n, 5).reshape(b, 4, n, 5) for t in (k, v))
        return m.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, 20))

    return Lambda(forward, **parts), (torch.randn(2, 7, 6),)


@kind(2)
def rotary():
    """Rotary embeddings pair the units within a head: those of query and key stay, heads and values
    are free.
    """

    class Turn(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("angle", torch.randn(7, 4), persistent=False)

        def forward(self, t):
            return (
                t * self.angle.cos() + torch.cat([-t[..., 2:], t[..., :2]], -1) * self.angle.sin()
            )

    parts = {
        "q": nn.Linear(6, 16),
        "k": nn.Linear(6, 16),
        "v": nn.Linear(6, 16),
        "out": nn.Linear(16, 3),
        "turn": Turn(),
    }

    def forward(m, x):
        b, n, _ = x.shape
        q, k, v = (f(x).view(b, n, 4, 4).transpose(1, 2) for f in (m.q, m.k, m.v))
        return m.out(
            F.scaled_dot_product_attention(m.turn(q), m.turn(k), v)
            .transpose(1, 2)
            .reshape(b, n, 16)
        )

    return Lambda(forward, **parts), (torch.randn(2, 7, 6),)


@kind(2)
def pixel_shuffle():
    return nn.Sequential(
        nn.Conv2d(3, 16, 1),
        nn.PixelShuffle(2),
        nn.Conv2d(4, 5, 1),
        nn.PixelUnshuffle(2),
        nn.Conv2d(20, 2, 1),
    ), images()


@kind(1)
def local_response_norm():
    """It runs along the channels of the first convolution: they stay."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 1),
        nn.LocalResponseNorm(3),
        nn.Conv2d(6, 4, 1),
        nn.ReLU(),
        nn.Conv2d(4, 2, 1),
    ), images()


@kind(1)
def rolled():
    parts = {"a": nn.Linear(5, 6), "b": nn.Linear(6, 4), "head": nn.Linear(4, 2)}
    return Lambda(lambda m, x: m.head(m.b(m.a(x).roll(1, -1)).relu()), **parts), (
        torch.randn(3, 5),
    )


@kind(2)
def strided_slices():
    parts = {"a": nn.Linear(5, 8), "b": nn.Linear(4, 3), "head": nn.Linear(3, 2)}
    return Lambda(lambda m, x: m.head(m.b((y := m.a(x))[:, ::2] * y[:, 1::2]).relu()), **parts), (
        torch.randn(3, 5),
    )


@kind(1)
def bilinear():
    return Lambda(
        lambda m, x: m.head(m.mix(x, x).relu()), mix=nn.Bilinear(5, 5, 6), head=nn.Linear(6, 2)
    ), (torch.randn(3, 5),)


@kind(2)
def weight_norm():
    return nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(5, 6)),
        nn.ReLU(),
        nn.Linear(6, 4),
        nn.ReLU(),
        nn.Linear(4, 2),
    ), (torch.randn(3, 5),)


@kind(2)
def unfold():
    """Patches by ``F.unfold``: each channel owns the nine positions of a window."""
    parts = {"a": nn.Conv2d(3, 4, 1), "b": nn.Linear(36, 5), "head": nn.Linear(5, 2)}
    return Lambda(
        lambda m, x: m.head(m.b(F.unfold(m.a(x), 3).transpose(1, 2)).relu()), **parts
    ), images()


@kind(2)
def mixer():
    """Tokens are mixed by a layer along the other axis."""
    parts = {
        "into": nn.Linear(5, 6),
        "along": nn.Linear(7, 4),
        "back": nn.Linear(4, 7),
        "head": nn.Linear(6, 2),
    }
    return Lambda(
        lambda m, x: m.head((y := m.into(x)) + m.back(F.gelu(m.along(y.mT))).mT), **parts
    ), (torch.randn(2, 7, 5),)


@kind(3)
def padded_channels():
    """A shortcut that pads new channels with zeros, as the first ResNets for small images did."""
    parts = {"stem": nn.Conv2d(3, 4, 1), "wide": nn.Conv2d(4, 8, 1), "head": nn.Conv2d(8, 2, 1)}
    return Lambda(
        lambda m, x: m.head(m.wide((y := m.stem(x)).relu()) + F.pad(y, (0, 0, 0, 0, 2, 2))), **parts
    ), images()
