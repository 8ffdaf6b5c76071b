"""Train the character-level GPT of notebook 14 on four tragedies of Shakespeare, and store it.

    python benchmarks/char_gpt.py 0 1 2 [--steps 600] [--store]

Each argument is a seed: of the first weights and of the pieces of text. A killed run goes on from
its last checkpoint in the cache. AdamW; the rate rises for 60 steps, then falls along a cosine.
``--store`` packs the networks in the fewest bits that move their test loss by less than 1e-3.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.func import functional_call

from rebasin_edu.lab.dataset_files import cache_dir
from rebasin_edu.lab.metadata import machine, versions
from rebasin_edu.lab.quantization import PRECISIONS, pack, unpack
from rebasin_edu.lab.text import Text, load_text
from rebasin_edu.lab.transformers import GPT
from rebasin_edu.lab.zoo import FORMAT, stored_dir
from rebasin_edu.storage import save_json, save_tensors

PEAK, WARMUP, BATCH, DECAY, EVERY, LIMIT = 3e-3, 60, 32, 0.1, 100, 1e-3


def trained(text: Text, seed: int, steps: int) -> tuple[GPT, list[dict[str, float]]]:
    """Return the network of a seed and its history, a row for every 100 steps."""
    model = GPT(len(text.alphabet), seed=seed)
    optimiser = torch.optim.AdamW(model.parameters(), PEAK, (0.9, 0.95), weight_decay=DECAY)
    path = cache_dir() / "networks" / f"char-gpt-{steps}-seed{seed}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    history: list[dict[str, float]] = []
    if path.exists():
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        history = saved["history"]
    held_out = text.windows("test", 400)
    for step in range(EVERY * len(history), steps):
        if step % EVERY == 0:
            started, total = time.perf_counter(), 0.0
        done = max(0.0, (step - WARMUP) / (steps - WARMUP))
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
                test_loss = F.cross_entropy(model(held_out[0]), held_out[1]).item()
            row = {"step": step + 1, "train_loss": total, "test_loss": test_loss,
                   "seconds": time.perf_counter() - started}  # fmt: skip
            history.append(row)
            print(seed, row, flush=True)
            part = Path(f"{path}.part")
            saved = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**saved, "history": history}, part)
            part.replace(path)
    return model.eval(), history


def store(text: Text, seed: int, steps: int) -> None:
    """Pack a trained network, and write it with what tells how it was made."""
    model, history = trained(text, seed, steps)
    test = text.windows("test", 400)

    def loss_of(tensors: dict[str, torch.Tensor]) -> float:
        with torch.no_grad():
            return F.cross_entropy(functional_call(model, tensors, test[0]), test[1]).item()

    full = loss_of(model.state_dict())
    for precision in PRECISIONS:
        packed = pack(model.state_dict(), precision)
        loss = loss_of({name: tensor.float() for name, tensor in unpack(packed).items()})
        if abs(loss - full) < LIMIT:
            break
    about = {
        "data": text.name,
        "characters": len(text.alphabet),
        "seed": seed,
        "precision": f"{precision} (test loss {full:.6f} single, {loss:.6f} {precision})",
        "machine": machine(),
        "versions": versions(),
        "seconds": round(sum(row["seconds"] for row in history), 1),
        "made": time.strftime("%Y-%m-%d"),
        "command": f"python benchmarks/char_gpt.py {seed} --steps {steps} --store",
        "history": history,
    }
    path = stored_dir() / "gpt" / f"gpt-128-shakespeare-seed{seed}.safetensors"
    save_json(path.with_suffix(".json"), about, format=FORMAT)
    save_tensors(path, packed, about)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {about['precision']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="+", type=int)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--store", action="store_true", help="with the package")
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        make = store if chosen.store else trained
        make(load_text(), seed, chosen.steps)
