"""One plain training loop: seeded, with atomic checkpoints from which a killed run resumes to the
same weights.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import FileFormatError, RebasinError
from . import checkpoints
from .augmentation import AUGMENTATIONS
from .datasets import Dataset

SCHEDULES = ("constant", "cosine", "one-cycle")
SETTINGS = (
    "epochs", "batch_size", "optimiser", "lr", "momentum", "weight_decay", "schedule", "warmup", "augment",
    "precision", "seed",
)  # fmt: skip


class Training(NamedTuple):
    """A trained copy of the network, in eval mode, and one row for each epoch, the untrained epoch
    0 first.
    """

    model: nn.Module
    history: list[dict[str, float]]


def train(
    model: nn.Module,
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int = 250,
    optimiser: str = "adam",
    lr: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    warmup: float = 0.0,
    augment: str | None = None,
    precision: str = "auto",
    seed: int = 0,
    snapshots: str | os.PathLike | None = None,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
) -> Training:
    """Train a copy of ``model``; the batch order and the augmentation of an epoch depend only on
    ``seed`` and its number.

    On a CPU the same call on the same machine with the same number of threads gives the same bits,
    unbroken or resumed.

    Args:
        optimiser: ``"adam"`` (AdamW when there is weight decay) or ``"sgd"`` with Nesterov
            momentum.
        schedule: ``"constant"``, ``"cosine"`` (to zero) or ``"one-cycle"`` (up for 30 %, then
            down), all after or including ``warmup`` epochs that rise from 1e-6 (``one-cycle`` has
            its own rise).
        augment: ``None``, ``"crop-flip"`` or ``"paper"``; see ``augment``.
        precision: ``"float32"``, ``"bfloat16"`` (autocast) or ``"auto"``: bfloat16 where the device
            computes in it.
        snapshots: a folder for the weights after every epoch, ``epoch-000.safetensors`` onwards.
        checkpoint: a file written after every epoch; where it exists, training goes on from it.
        progress: show a bar with loss, accuracy, images a second and the time left.

    Returns:
        The trained copy in eval mode and its history.

    Raises:
        RebasinError: a setting is unknown, the loss is no longer finite, or the device's memory is
            too small.
        FileFormatError: the checkpoint belongs to another run, is damaged, or cannot be written.
    """
    given = (
        epochs,
        batch_size,
        optimiser,
        lr,
        momentum,
        weight_decay,
        schedule,
        warmup,
        augment,
        precision,
        seed,
    )
    settings = dict(zip(SETTINGS, given))
    _check(settings, dataset)
    model = copy.deepcopy(model).to(dataset.device)
    if any(p.dim() == 4 for p in model.parameters()):
        model = model.to(memory_format=torch.channels_last)
    steps = _optimiser(model, settings)
    belongs = {
        **settings,
        "dataset": dataset.key,
        "shapes": {k: list(v.shape) for k, v in model.state_dict().items()},
    }
    del belongs["epochs"]  # a finished constant-rate run may be continued
    if schedule != "constant":
        belongs["epochs"] = epochs
    history: list[dict[str, float]] = []
    if checkpoint is not None and Path(checkpoint).exists():
        history = _resume(checkpoint, model, steps, belongs)
    if not history:
        history = [{"epoch": 0, **_measure(model, dataset)}]
        _snapshot(snapshots, 0, model)
    _reach(history, epochs, checkpoint)
    bar = _Bar(dataset, history, epochs, progress)
    for epoch in range(len(history), epochs + 1):
        started = time.perf_counter()
        row = _epoch(model, dataset, steps, settings, epoch, bar)
        history.append(
            {
                "epoch": epoch,
                **row,
                **_measure(model, dataset),
                "seconds": time.perf_counter() - started,
            }
        )
        _snapshot(snapshots, epoch, model)
        if checkpoint is not None:
            tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
            tensors |= {f"optimiser.{k}": v for k, v in checkpoints.pack_optimiser(steps).items()}
            checkpoints.save_tensors(checkpoint, tensors, {"belongs": belongs, "history": history})
        bar.epoch_done(history[-1])
    bar.close()
    return Training(model.to(memory_format=torch.contiguous_format).eval(), history)


def learning_rate(schedule: str, peak: float, progress: float, warmup: float = 0.0) -> float:
    """The rate when a fraction ``progress`` of all steps is done; ``warmup`` is a fraction too."""
    if schedule == "one-cycle":
        low, warmup = peak / 25, 0.3
        if progress < warmup:
            return low + (peak - low) * (1 - math.cos(math.pi * progress / warmup)) / 2
        return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2
    if progress < warmup:
        return 1e-6 + (peak - 1e-6) * progress / warmup
    if schedule == "constant":
        return peak
    return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


def gains_from_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, and so trains faster with autocast."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _epoch(
    model: nn.Module,
    dataset: Dataset,
    steps: torch.optim.Optimizer,
    settings: dict[str, Any],
    epoch: int,
    bar: _Bar,
) -> dict[str, float]:
    n, size, device = len(dataset.train_targets), settings["batch_size"], dataset.device
    generator = torch.Generator().manual_seed(settings["seed"] * 1_000_003 + epoch)
    order = torch.randperm(n, generator=generator).to(device)
    augment = AUGMENTATIONS[settings["augment"]]
    half = settings["precision"] == "bfloat16" or (
        settings["precision"] == "auto" and gains_from_bfloat16(device)
    )
    batches = math.ceil(n / size)
    loss_sum, right = (
        torch.zeros((), device=device),
        torch.zeros((), device=device, dtype=torch.long),
    )
    model.train()
    try:
        for i in range(batches):
            chosen = order[i * size : (i + 1) * size]
            images, targets = dataset.train_images[chosen], dataset.train_targets[chosen]
            images = dataset.normalise(images if augment is None else augment(images, generator))
            if images.dim() == 4:
                images = images.contiguous(memory_format=torch.channels_last)
            done = (epoch - 1 + i / batches) / settings["epochs"]
            for group in steps.param_groups:
                warmup = settings["warmup"] / settings["epochs"]
                group["lr"] = learning_rate(settings["schedule"], settings["lr"], done, warmup)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                logits = model(images)
            loss = F.cross_entropy(logits.float(), targets)
            steps.zero_grad(set_to_none=True)
            loss.backward()
            steps.step()
            loss_sum += loss.detach() * len(targets)
            right += (logits.detach().argmax(1) == targets).sum()
            bar.step(len(targets), loss_sum, right)
    except torch.OutOfMemoryError as error:
        raise RebasinError(
            f"{device} has no room for batches of {size}: try batch_size={max(1, size // 2)}, or a smaller width"
        ) from error
    mean = loss_sum.item() / n
    if not math.isfinite(mean):
        rate = settings["lr"]
        raise RebasinError(
            f"the loss is {mean} in epoch {epoch}: lr={rate:g} is too high (the last checkpoint is kept)"
        )
    return {"train_loss": mean, "train_accuracy": right.item() / n}


def _measure(model: nn.Module, dataset: Dataset) -> dict[str, float]:
    model.eval()
    loss = right = 0.0
    with torch.inference_mode():
        for images, targets in zip(dataset.test_images.split(500), dataset.test_targets.split(500)):
            logits = model(dataset.normalise(images))
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            right += (logits.argmax(1) == targets).sum().item()
    return {
        "test_loss": loss / len(dataset.test_targets),
        "test_accuracy": right / len(dataset.test_targets),
    }


def _check(settings: dict[str, Any], dataset: Dataset) -> None:
    for name, known in (
        ("optimiser", ("adam", "sgd")),
        ("schedule", SCHEDULES),
        ("augment", tuple(AUGMENTATIONS)),
        ("precision", ("auto", "float32", "bfloat16")),
    ):
        if settings[name] not in known:
            raise RebasinError(
                f"{name}={settings[name]!r} is not known; choose one of {', '.join(map(repr, known))}"
            )
    if settings["epochs"] < 1 or settings["batch_size"] < 1 or not settings["lr"] > 0:
        raise RebasinError("epochs and batch_size must be at least 1, and lr above 0")
    if len(dataset.train_targets) % settings["batch_size"] == 1:
        raise RebasinError(
            f"batch_size={settings['batch_size']} leaves a last batch of one image; choose another"
        )


def _optimiser(model: nn.Module, settings: dict[str, Any]) -> torch.optim.Optimizer:
    rate, decay = settings["lr"], settings["weight_decay"]
    if settings["optimiser"] == "sgd":
        momentum = settings["momentum"]
        return torch.optim.SGD(
            model.parameters(), rate, momentum, weight_decay=decay, nesterov=momentum > 0
        )
    return (torch.optim.AdamW if decay else torch.optim.Adam)(
        model.parameters(), rate, weight_decay=decay
    )


def _resume(
    path: str | os.PathLike, model: nn.Module, steps: torch.optim.Optimizer, belongs: dict
) -> list[dict]:
    tensors, about = checkpoints.load_tensors(path)
    held = about.get("belongs", {})
    wrong = sorted(k for k in {*held, *belongs} if held.get(k) != belongs.get(k))
    if wrong:
        said = "; ".join(
            f"{k} is {_short(held.get(k))} there, {_short(belongs.get(k))} here" for k in wrong
        )
        raise FileFormatError(
            f"{path} belongs to another run: {said}. Remove it, or give another file"
        )
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimiser": {}}
    for name, tensor in tensors.items():
        kind, key = name.split(".", 1)
        parts[kind][key] = tensor
    model.load_state_dict(parts["model"])
    checkpoints.unpack_optimiser(steps, parts["optimiser"])
    return about["history"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _reach(history: list[dict], epochs: int, checkpoint: str | os.PathLike | None) -> None:
    if len(history) - 1 > epochs:
        raise FileFormatError(
            f"{checkpoint} already has {len(history) - 1} epochs, more than the {epochs} asked for"
        )


def _snapshot(folder: str | os.PathLike | None, epoch: int, model: nn.Module) -> None:
    if folder is not None:
        checkpoints.save_tensors(
            Path(folder) / f"epoch-{epoch:03d}.safetensors", model.state_dict(), {"epoch": epoch}
        )


class _Bar:
    """A tqdm bar in images, so that its rate and its time left are those of the whole run."""

    def __init__(self, dataset: Dataset, history: list[dict], epochs: int, show: bool) -> None:
        from tqdm.auto import tqdm

        n = len(dataset.train_targets)
        self.bar = tqdm(
            total=n * epochs, initial=n * (len(history) - 1), unit=" images", unit_scale=True, disable=not show,
            desc=f"epoch {len(history)}/{epochs}", mininterval=0.5,
        )  # fmt: skip
        self.epochs, self.seen, self.shown = epochs, 0, time.perf_counter()

    def step(self, images: int, loss_sum: Tensor, right: Tensor) -> None:
        self.bar.update(images)
        self.seen += images
        if (
            not self.bar.disable and time.perf_counter() - self.shown > 1
        ):  # reading a tensor waits for the device
            self.shown = time.perf_counter()
            text = (
                f"loss {loss_sum.item() / self.seen:.3f}, accuracy {right.item() / self.seen:.1%}"
            )
            self.bar.set_postfix_str(text, refresh=False)

    def epoch_done(self, row: dict[str, float]) -> None:
        self.seen = 0
        self.bar.set_description_str(
            f"epoch {min(row['epoch'] + 1, self.epochs)}/{self.epochs}", refresh=False
        )
        self.bar.set_postfix_str(
            f"test loss {row['test_loss']:.3f}, accuracy {row['test_accuracy']:.2%}"
        )

    def close(self) -> None:
        self.bar.close()


def snapshot_files(folder: str | os.PathLike) -> Iterator[Path]:
    """The snapshots in a folder, in the order of their epochs."""
    yield from sorted(Path(folder).glob("epoch-*.safetensors"))
