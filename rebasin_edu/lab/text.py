"""The text that comes with the package, and the small GPTs that were trained on it."""

from __future__ import annotations

import lzma
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import DataError, FileFormatError, choose
from ..storage import load_tensors
from .log import log
from .quantization import unpack
from .transformers import GPT
from .zoo import stored_dir

PLAY_END = "\f"


@dataclass(frozen=True)
class Text:
    """A text as numbers of its characters, cut into a training and a test part.

    Attributes:
        name: what it is.
        alphabet: the characters; a number is a place in it.
        train, test: ``(length,)`` whole numbers.
    """

    name: str
    alphabet: str
    train: Tensor = field(repr=False)
    test: Tensor = field(repr=False)

    def encode(self, words: str) -> Tensor:
        """Return the numbers of some characters.

        Raises:
            DataError: a character is not in the alphabet.
        """
        if strange := sorted(set(words) - set(self.alphabet)):
            raise DataError(f"{strange[0]!r} is not in the alphabet {self.alphabet!r}")
        return torch.tensor([self.alphabet.index(each) for each in words], dtype=torch.long)

    def decode(self, characters: Tensor) -> str:
        """Return the characters of some numbers."""
        return "".join(self.alphabet[place] for place in characters.tolist())

    def windows(self, part: str, n: int, context: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return ``n`` pieces that start at random places of the ``"train"`` or ``"test"`` part,
        and what follows each of their characters; both ``(n, context)``.
        """
        choose("part", part, ("train", "test"))
        characters = self.train if part == "train" else self.test
        generator = torch.Generator().manual_seed(seed)
        starts = torch.randint(len(characters) - context, (n, 1), generator=generator)
        pieces = characters[starts + torch.arange(context + 1)]  # (n, context + 1)
        return pieces[:, :-1], pieces[:, 1:]


def load_text() -> Text:
    """Return four tragedies of Shakespeare; the last tenth of each play is its test part."""
    whole = lzma.decompress((stored_dir() / "shakespeare.txt.xz").read_bytes()).decode("ascii")
    alphabet = "".join(sorted(set(whole) - {PLAY_END}))
    place_of = torch.zeros(128, dtype=torch.long)
    place_of[list(alphabet.encode())] = torch.arange(len(alphabet))
    train, test = [], []
    for play in whole.split(PLAY_END):
        characters = place_of[list(play.encode())]
        cut = round(0.9 * len(play))
        train.append(characters[:cut])
        test.append(characters[cut:])
    return Text("four tragedies of Shakespeare", alphabet, torch.cat(train), torch.cat(test))


def load_gpt(seed: int = 0) -> GPT:
    """Return a GPT of width 128 and 4 blocks that was trained on ``load_text()``, in eval mode.

    Raises:
        FileFormatError: none of this seed comes with the package.
    """
    path = stored_dir() / "gpt" / f"gpt-128-shakespeare-seed{seed}.safetensors"
    if not path.is_file():
        raise FileFormatError(
            f"no GPT of seed {seed} is stored; benchmarks/char_gpt.py trains and stores one"
        )
    tensors, about = load_tensors(path)
    model = GPT(about["characters"])
    model.load_state_dict(unpack(tensors))
    loss = about["history"][-1]["test_loss"]
    log.info("stored with the package: GPT, seed %d, test loss %.3f", seed, loss)
    return model.eval()
