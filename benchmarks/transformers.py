"""Train the small transformers of notebook 14, and store them.

    python benchmarks/transformers.py gpt 0 1 2 [--store]
    python benchmarks/transformers.py vit 0 1 2 [--store]

The numbers are seeds: of the first weights, and of the order of the data. The GPTs read four
tragedies of Shakespeare, character by character, in 600 steps of AdamW, whose rate rises for 60
steps and then falls along a cosine; a killed run goes on from its last checkpoint in the cache. The
ViTs see CIFAR-10 at 16×16 for four epochs. ``--store`` packs a network in a byte a weight, and
refuses where that moves its test loss by 1e-3 or more.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import rebasin_edu as rb
from rebasin_edu.course import load_text
from rebasin_edu.course.transformers import GPT, ViT
from rebasin_edu.lab.dataset_files import cache_dir
from rebasin_edu.lab.metadata import machine, versions
from rebasin_edu.lab.quantization import pack, unpack
from rebasin_edu.lab.zoo import FORMAT, stored_dir
from rebasin_edu.storage import save_json, save_tensors

PEAK, WARMUP, BATCH, DECAY, STEPS, EVERY, LIMIT = 3e-3, 60, 32, 0.1, 600, 100, 1e-3
EPOCHS = {"lr": 2e-3, "weight_decay": 0.1, "schedule": "one-cycle", "batch_size": 125, "epochs": 4}


def gpt(seed: int) -> tuple[GPT, list[dict], tuple[Tensor, Tensor], dict]:
    """Return a trained GPT, its history, what it is tested on, and what to say of it."""
    text = load_text()
    model, test = GPT(len(text.alphabet), seed=seed), text.windows("test", 400)
    history = steps(model, text, test, seed)
    return model.eval(), history, test, {"data": text.name, "characters": len(text.alphabet)}


def vit(seed: int) -> tuple[ViT, list[dict], tuple[Tensor, Tensor], dict]:
    """Return a trained ViT, its history, what it is tested on, and what to say of it."""
    data = rb.load_data("cifar10-45k", size=16)
    config = rb.lab.TrainingConfig(**EPOCHS, seed=seed)
    done = rb.train(ViT(seed=seed), data, config)
    test = (data.test.inputs, data.test.targets)
    return done.model.eval(), done.history, test, {"data": data.name, "training": EPOCHS}


def steps(model: GPT, text, test: tuple[Tensor, Tensor], seed: int) -> list[dict]:
    """Train a GPT in place, and return its history, a row for every 100 steps."""
    optimiser = torch.optim.AdamW(model.parameters(), PEAK, (0.9, 0.95), weight_decay=DECAY)
    path = cache_dir() / "networks" / f"char-gpt-{STEPS}-seed{seed}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    history: list[dict] = []
    if path.exists():
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        history = saved["history"]
    for step in range(EVERY * len(history), STEPS):
        if step % EVERY == 0:
            started, total = time.perf_counter(), 0.0
        done = max(0.0, (step - WARMUP) / (STEPS - WARMUP))
        rising = min(1.0, (step + 1) / WARMUP)
        for group in optimiser.param_groups:
            group["lr"] = PEAK * rising * (1 + math.cos(math.pi * done)) / 2
        characters, following = text.windows("train", BATCH, seed=1_000_003 * seed + step)
        loss = F.cross_entropy(model(characters), following)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() / EVERY
        if (step + 1) % EVERY == 0:
            with torch.no_grad():
                test_loss = F.cross_entropy(model(test[0]), test[1]).item()
            row = {"step": step + 1, "train_loss": total, "test_loss": test_loss,
                   "seconds": time.perf_counter() - started}  # fmt: skip
            history.append(row)
            print(seed, row, flush=True)
            part = Path(f"{path}.part")
            saved = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**saved, "history": history}, part)
            part.replace(path)
    return history


def store(kind: str, seed: int) -> None:
    """Train a network, pack it, and write it with what tells how it was made."""
    model, history, test, about = KINDS[kind](seed)

    def loss_of(state: dict[str, Tensor]) -> float:
        with torch.no_grad():
            outputs = torch.func.functional_call(model, state, test[0])
        return F.cross_entropy(outputs, test[1]).item()

    packed, full = pack(model.state_dict(), "byte"), loss_of(model.state_dict())
    loss = loss_of({name: tensor.float() for name, tensor in unpack(packed).items()})
    if abs(loss - full) >= LIMIT:
        sys.exit(f"a byte a weight moves the test loss from {full:.6f} to {loss:.6f}")
    about |= {
        "seed": seed,
        "precision": f"byte (test loss {full:.6f} single, {loss:.6f} byte)",
        "machine": machine(),
        "versions": versions(),
        "seconds": round(sum(row.get("seconds", 0.0) for row in history), 1),
        "made": time.strftime("%Y-%m-%d"),
        "command": f"python benchmarks/transformers.py {kind} {seed} --store",
        "history": history,
    }
    path = stored_dir() / "transformers" / f"{kind}-seed{seed}.safetensors"
    save_json(path.with_suffix(".json"), about, format=FORMAT)
    save_tensors(path, packed, about)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {about['precision']}")


KINDS = {"gpt": gpt, "vit": vit}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("seeds", nargs="+", type=int)
    parser.add_argument("--store", action="store_true", help="with the package")
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        if chosen.store:
            store(chosen.kind, seed)
        else:
            KINDS[chosen.kind](seed)


if __name__ == "__main__":
    main()
