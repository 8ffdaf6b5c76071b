"""Two small transformers in plain PyTorch: a vision transformer and a character-level GPT.

Both are pre-norm with ``RMSNorm`` and without biases, as most large language models are today, so
that every symmetry of the architecture can be read off its weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import RebasinError
from ..lab.layers import seeded


class TransformerBlock(nn.Module):
    """Self-attention and a two-layer MLP; each reads a normalised copy of the residual stream and
    adds its output to the stream.

    Args:
        width: numbers at each position of the stream.
        heads: of attention; each has ``width / heads`` numbers of query, key and value.
        causal: whether a position sees only itself and those before it.

    Shape: ``(N, positions, width) -> (N, positions, width)``.
    """

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        if width % heads:
            raise RebasinError(f"width {width} cannot be cut into {heads} heads of one size")
        self.heads, self.causal = heads, causal
        self.norm1 = nn.RMSNorm(width, eps=1e-6)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.norm2 = nn.RMSNorm(width, eps=1e-6)
        self.up = nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (N, heads, positions, width)
            for layer in (self.q, self.k, self.v)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """A character-level language model: at each position it gives the logits of the next character.

    Args:
        characters: size of the alphabet.
        width, depth, heads: of its blocks.
        context: the longest text that it reads at a time.
        seed: as in ``MLP``.

    Shape: ``(N, positions) whole numbers -> (N, characters, positions)``, classes second, as
    ``cross_entropy`` wants them.
    """

    def __init__(
        self,
        characters: int,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        context: int = 64,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        with seeded(seed):
            self.embedding = nn.Embedding(characters, width)
            self.positions = nn.Parameter(torch.empty(context, width))
            self.blocks = nn.ModuleList(TransformerBlock(width, heads, True) for _ in range(depth))
            self.norm = nn.RMSNorm(width, eps=1e-6)
            self.head = nn.Linear(width, characters, bias=False)
            _initialise(self)

    def forward(self, characters: Tensor) -> Tensor:
        x = self.embedding(characters) + self.positions[: characters.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).transpose(1, 2)


class ViT(nn.Module):
    """A vision transformer: patches become positions, and the mean over them is classified.

    Args:
        width, depth, heads: of its blocks.
        classes: outputs.
        channels, size: of the square images.
        patch: side of a patch, in pixels.
        seed: as in ``MLP``.
    """

    def __init__(
        self,
        width: int = 64,
        classes: int = 10,
        depth: int = 4,
        heads: int = 4,
        *,
        channels: int = 3,
        size: int = 16,
        patch: int = 4,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if size % patch:
            raise RebasinError(f"images of {size} pixels cannot be cut into patches of {patch}")
        with seeded(seed):
            self.patches = nn.Conv2d(channels, width, patch, patch, bias=False)
            self.positions = nn.Parameter(torch.empty((size // patch) ** 2, width))
            self.blocks = nn.ModuleList(TransformerBlock(width, heads, False) for _ in range(depth))
            self.norm = nn.RMSNorm(width, eps=1e-6)
            self.head = nn.Linear(width, classes, bias=False)
            _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions  # (N, patches, width)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def _initialise(model: GPT | ViT) -> None:
    """Draw normal weights of variance 1 / fan-in; what adds to the stream starts small."""
    small = (2 * len(model.blocks)) ** -0.5
    for name, weights in model.named_parameters():
        if weights.ndim > 1:
            std = 0.1 if name in ("embedding.weight", "positions") else weights[0].numel() ** -0.5
            adds = name.endswith((".o.weight", ".down.weight"))
            nn.init.normal_(weights, std=std * small if adds else std)
