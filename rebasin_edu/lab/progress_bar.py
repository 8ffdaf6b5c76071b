"""The bar of a training: images a second, loss, accuracy and the time that remains."""

from __future__ import annotations

import time

from torch import Tensor


class TrainingBar:
    """A tqdm bar in images, so that its rate and its remaining time are those of the whole run."""

    def __init__(self, images: int, first_epoch: int, epochs: int, show: bool) -> None:
        from tqdm.auto import tqdm

        self.bar = tqdm(
            total=images * epochs,
            initial=images * (first_epoch - 1),
            unit=" images",
            unit_scale=True,
            disable=not show,
            desc=f"epoch {first_epoch}/{epochs}",
            mininterval=0.5,
        )
        self.epochs, self.seen, self.shown = epochs, 0, time.perf_counter()

    def step(self, images: int, loss_sum: Tensor, correct: Tensor) -> None:
        """Count a batch; the sums are those of the epoch so far."""
        self.bar.update(images)
        self.seen += images
        if self.bar.disable or time.perf_counter() - self.shown < 1:
            return  # reading a tensor waits for the device: once a second is enough
        self.shown = time.perf_counter()
        loss, accuracy = loss_sum.item() / self.seen, correct.item() / self.seen
        self.bar.set_postfix_str(f"loss {loss:.3f}, accuracy {accuracy:.1%}", refresh=False)

    def epoch_done(self, row: dict[str, float]) -> None:
        """Show the test loss and accuracy in the row of an epoch."""
        self.seen = 0
        now = min(int(row["epoch"]) + 1, self.epochs)
        self.bar.set_description_str(f"epoch {now}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(
            f"test loss {row['test_loss']:.3f}, accuracy {row['test_accuracy']:.2%}"
        )

    def close(self) -> None:
        self.bar.close()
