"""The text that comes with the package, for language models."""

from __future__ import annotations

import lzma
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import DataError, choose
from ..lab.zoo import stored_dir

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
