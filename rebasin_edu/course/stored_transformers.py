"""The small transformers of notebook 14 that come with the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import FileFormatError
from ..lab.log import log
from ..lab.quantization import unpack
from ..lab.zoo import stored_dir
from ..storage import load_tensors
from .transformers import GPT, ViT


def load_gpt(seed: int = 0) -> GPT:
    """Return a GPT of width 128 and 4 blocks that was trained on ``load_text()``, in eval mode.

    Raises:
        FileFormatError: none of this seed comes with the package.
    """
    tensors, about = _stored("gpt", seed)
    model = GPT(about["characters"])
    model.load_state_dict(tensors)
    return model.eval()


def load_vit(seed: int = 0) -> ViT:
    """Return a ViT of width 64 and 4 blocks that was trained on CIFAR-10 at 16×16, in eval mode.

    Raises:
        FileFormatError: none of this seed comes with the package.
    """
    tensors, _ = _stored("vit", seed)
    model = ViT()
    model.load_state_dict(tensors)
    return model.eval()


def _stored(kind: str, seed: int) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """The weights of a stored network, and what its file says of it."""
    path = stored_dir() / "transformers" / f"{kind}-seed{seed}.safetensors"
    if not path.is_file():
        raise FileFormatError(
            f"no {kind} of seed {seed} is stored; benchmarks/transformers.py trains and stores one"
        )
    tensors, about = load_tensors(path)
    loss = about["history"][-1]["test_loss"]
    log.info("stored with the package: %s, seed %d, test loss %.3f", kind, seed, loss)
    return unpack(tensors), about
