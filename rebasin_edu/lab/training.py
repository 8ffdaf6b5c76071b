"""One plain training loop: seeded, with atomic checkpoints from which a killed run resumes to the
same weights.
"""

from __future__ import annotations

import copy
import math
import os
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import DataError, FileFormatError, RebasinError, choose
from ..storage import load_tensors, save_tensors
from .augmentation import AUGMENTATIONS
from .datasets import Dataset
from .progress_bar import TrainingBar
from .training_config import TrainingConfig, learning_rate

PathLike = str | os.PathLike
History = list[dict[str, float]]


class Training(NamedTuple):
    """A trained copy of the network, in eval mode, and one row for each epoch, the untrained epoch
    0 first.
    """

    model: nn.Module
    history: History


def train(
    model: nn.Module,
    dataset: Dataset,
    config: TrainingConfig | None = None,
    *,
    snapshots: PathLike | None = None,
    checkpoint: PathLike | None = None,
    progress: bool = False,
    **settings: Any,
) -> Training:
    """Return a trained copy of ``model`` and its history.

    The batch order and the augmentation of an epoch depend only on the seed and its number. On a
    CPU the same call on the same machine with the same number of threads gives the same bits,
    unbroken or resumed.

    Args:
        config: how to train; ``recipe.training`` is one.
        snapshots: a folder for the weights after every epoch, ``epoch-000.safetensors`` onwards.
        checkpoint: a file written after every epoch; where it exists, training goes on from it.
        progress: show a bar with loss, accuracy, images a second and the remaining time.
        settings: fields of ``TrainingConfig`` that replace those of ``config``.

    Raises:
        RebasinError: a setting cannot be used, the loss is no longer finite, or the device's
            memory is too small.
        FileFormatError: the checkpoint belongs to another run, is damaged, or cannot be written.
    """
    for name in settings:
        choose("the setting", name, [field.name for field in fields(TrainingConfig)])
    config = replace(config or TrainingConfig(), **settings)
    _check(model, dataset, config)
    model = copy.deepcopy(model).to(dataset.device)
    if any(p.dim() == 4 for p in model.parameters()):
        _set_layout(model, torch.channels_last)
    optimiser = _optimiser(model, config)
    shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
    run: dict[str, Any] = {**asdict(config), "dataset": dataset.key, "shapes": shapes}
    if config.schedule == "constant":
        del run["epochs"]  # a finished run of a constant rate may be continued
    history: History = []
    if checkpoint is not None and Path(checkpoint).exists():
        history = _resume(checkpoint, model, optimiser, run, config.epochs)
    if not history:
        history = [{"epoch": 0, **_measure(model, dataset)}]
        _snapshot(snapshots, 0, model)
    bar = TrainingBar(len(dataset.train_targets), len(history), config.epochs, progress)
    for epoch in range(len(history), config.epochs + 1):
        started = time.perf_counter()
        scores = _epoch(model, dataset, optimiser, config, epoch, bar) | _measure(model, dataset)
        seconds = time.perf_counter() - started
        history.append({"epoch": epoch, **scores, "seconds": seconds})
        _snapshot(snapshots, epoch, model)
        if checkpoint is not None:
            tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
            tensors |= {f"optimiser.{k}": v for k, v in _optimiser_tensors(optimiser).items()}
            save_tensors(checkpoint, tensors, {"belongs": run, "history": history})
        bar.epoch_done(history[-1])
    bar.close()
    _set_layout(model, torch.contiguous_format)
    return Training(model.eval(), history)


def gains_from_bfloat16(device: torch.device) -> bool:
    """Return whether the device has instructions for bfloat16, and so trains faster with it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _check(model: nn.Module, dataset: Dataset, config: TrainingConfig) -> None:
    if not isinstance(dataset, Dataset) and not hasattr(dataset, "train_images"):
        raise DataError(f"train needs a Dataset of load_data, not a {type(dataset).__name__}")
    normalises = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    if normalises and len(dataset.train_targets) % config.batch_size == 1:
        raise RebasinError(
            f"batch_size={config.batch_size} leaves a last batch of one image, of which BatchNorm "
            "has no variance; choose another"
        )


def _epoch(
    model: nn.Module,
    dataset: Dataset,
    optimiser: torch.optim.Optimizer,
    config: TrainingConfig,
    epoch: int,
    bar: TrainingBar,
) -> dict[str, float]:
    n, size, device = len(dataset.train_targets), config.batch_size, dataset.device
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    order = torch.randperm(n, generator=generator).to(device)
    augment = AUGMENTATIONS[config.augment]
    automatic = config.precision == "auto" and gains_from_bfloat16(device)
    half = config.precision == "bfloat16" or automatic
    batches, warmup = math.ceil(n / size), config.warmup / config.epochs
    loss_sum, correct = torch.zeros((), device=device), torch.zeros((), device=device).long()
    model.train()
    try:
        for i in range(batches):
            chosen = order[i * size : (i + 1) * size]
            images, targets = dataset.train_images[chosen], dataset.train_targets[chosen]
            images = dataset.normalise(images if augment is None else augment(images, generator))
            if images.dim() == 4:
                images = images.contiguous(memory_format=torch.channels_last)
            done = (epoch - 1 + i / batches) / config.epochs
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config.schedule, config.lr, done, warmup)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                logits = model(images)
            loss = F.cross_entropy(logits.float(), targets)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            loss_sum += loss.detach() * len(targets)
            correct += (logits.detach().argmax(1) == targets).sum()
            bar.step(len(targets), loss_sum, correct)
    except torch.OutOfMemoryError as error:
        raise RebasinError(
            f"{device} has no room for batches of {size}: try batch_size={max(1, size // 2)}, or a "
            "smaller width"
        ) from error
    mean = loss_sum.item() / n
    if not math.isfinite(mean):
        raise RebasinError(
            f"the loss is {mean} in epoch {epoch}: lr={config.lr:g} is too high (the last "
            "checkpoint is kept)"
        )
    return {"train_loss": mean, "train_accuracy": correct.item() / n}


def _measure(model: nn.Module, dataset: Dataset) -> dict[str, float]:
    model.eval()
    loss, correct, n = 0.0, 0.0, len(dataset.test_targets)
    with torch.inference_mode():
        for images, targets in zip(dataset.test_images.split(500), dataset.test_targets.split(500)):
            logits = model(dataset.normalise(images))
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            correct += (logits.argmax(1) == targets).sum().item()
    return {"test_loss": loss / n, "test_accuracy": correct / n}


def _set_layout(model: nn.Module, layout: torch.memory_format) -> None:
    model.to(memory_format=layout)


def _optimiser(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    rate, momentum, decay = config.lr, config.momentum, config.weight_decay
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            model.parameters(), rate, momentum, weight_decay=decay, nesterov=momentum > 0
        )
    kind = torch.optim.AdamW if decay else torch.optim.Adam
    return kind(model.parameters(), rate, weight_decay=decay)


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as ``parameter number.name`` → tensor; its settings are in the run."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
        if value is not None
    }


def _resume(
    path: PathLike, model: nn.Module, optimiser: torch.optim.Optimizer, run: dict, epochs: int
) -> History:
    tensors, about = load_tensors(path)
    before = about.get("belongs", {})
    if differing := sorted(k for k in {*before, *run} if before.get(k) != run.get(k)):
        listed = "; ".join(
            f"{k} is {_short(before.get(k))} there, {_short(run.get(k))} here" for k in differing
        )
        raise FileFormatError(
            f"{path} belongs to another run: {listed}. Remove it, or give another file"
        )
    history = about["history"]
    if len(history) - 1 > epochs:
        raise FileFormatError(
            f"{path} already has {len(history) - 1} epochs, more than the {epochs} asked for"
        )
    parts: dict[str, dict] = {"model": {}, "optimiser": {}}
    for name, tensor in tensors.items():
        kind, key = name.split(".", 1)
        parts[kind][key] = tensor
    model.load_state_dict(parts["model"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimiser"].items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return history


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _snapshot(folder: PathLike | None, epoch: int, model: nn.Module) -> None:
    if folder is not None:
        path = Path(folder) / f"epoch-{epoch:03d}.safetensors"
        save_tensors(path, model.state_dict(), {"epoch": epoch})
