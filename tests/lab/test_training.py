"""Training: what a seed fixes, that a killed run resumes to the same bits, and that no file is ever
half written.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from rebasin_edu.errors import FileFormatError, RebasinError
from rebasin_edu.lab.datasets import load_data
from rebasin_edu.lab.models import MLP, ResNet20
from rebasin_edu.lab.recipe import Recipe
from rebasin_edu.lab.training import train
from rebasin_edu.lab.training_config import TrainingConfig, learning_rate
from rebasin_edu.storage import load_tensors


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Networks this small only wait for a second thread; processes that are started inherit it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def small(seed=0):
    return MLP(64, (32,), seed=seed)


def run(model, data, **changed):
    settings = (
        dict.fromkeys(["progress"], False)
        | {"epochs": 2, "batch_size": 100, "precision": "float32"}
        | changed
    )
    return train(model, data, **settings)


def same(a, b):
    a, b = (x.state_dict() if isinstance(x, nn.Module) else x for x in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns_digits_and_says_how(digits):
    trained = run(small(), digits, epochs=12, batch_size=50, lr=3e-3)
    assert [row["epoch"] for row in trained.history] == list(range(13))
    assert trained.history[0]["test_accuracy"] < 0.3
    last = trained.history[-1]
    assert last["test_accuracy"] > 0.93
    logits = trained.model(digits.test.inputs)
    assert last["test_accuracy"] == pytest.approx(
        (logits.argmax(1) == digits.test.targets).float().mean().item()
    )
    assert last["test_loss"] == pytest.approx(
        nn.functional.cross_entropy(logits, digits.test.targets).item(), rel=1e-4
    )
    assert not trained.model.training


def test_arguments_and_the_global_generator_are_left_alone(digits):
    model, before = small(), torch.random.get_rng_state()
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    images = digits.train_images.clone()
    run(model, digits, augment="crop-flip")
    assert same(model, weights)
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(digits.train_images, images)


def test_the_seed_fixes_every_bit_and_another_seed_changes_the_order(digits):
    a, b, c = (run(small(), digits, seed=s, augment="crop-flip").model for s in (1, 1, 2))
    assert same(a, b)
    assert not same(a, c)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resumed_is_unbroken(digits, tmp_path, precision):
    model = ResNet20(0.25, norm="batch", channels=1, seed=0)
    data = digits.subset(300)
    settings = {
        "optimiser": "sgd", "lr": 0.05, "schedule": "one-cycle", "augment": "crop-flip",
        "weight_decay": 5e-4, "precision": precision, "epochs": 3,
    }  # fmt: skip
    whole = run(model, data, **settings)

    class Stop(Exception):
        pass

    class Stops:
        """Data whose third epoch never begins."""

        def __init__(self):
            self.calls = 0

        def __getattr__(self, name):
            return getattr(data, name)

        def normalise(self, images):
            self.calls += 1
            if (
                self.calls > 1 + 2 * (3 + 1) + 1
            ):  # epoch 0 is measured; two epochs of 3 batches and a measurement
                raise Stop
            return data.normalise(images)

    with pytest.raises(Stop):
        run(model, Stops(), **settings, checkpoint=tmp_path / "run")
    assert len(load_tensors(tmp_path / "run")[1]["history"]) == 3
    resumed = run(model, data, **settings, checkpoint=tmp_path / "run")
    assert same(whole.model, resumed.model)
    assert [r["test_loss"] for r in whole.history] == [r["test_loss"] for r in resumed.history]


QUICK = {"dataset": "digits", "width": 64, "batch_size": 20, "epochs": 20}
KILLED = {
    "dataset": "digits", "model": "resnet20", "width": 0.25, "norm": "batch",
    "optimiser": "sgd", "lr": 0.05, "schedule": "one-cycle", "augment": "crop-flip",
    "batch_size": 100, "epochs": 6, "precision": "bfloat16",
}  # fmt: skip


def lab(cache, recipe, **options):
    env = os.environ | {"REBASIN_EDU_CACHE": str(cache)}
    command = [sys.executable, "-m", "rebasin_edu.lab", json.dumps(recipe)]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def kill_at_random_then_finish(tmp_path, fields, times, generator):
    """Train a recipe whole, and again with that many kills; give back both networks and how far
    each kill let it get.
    """
    recipe = Recipe.from_dict(fields)
    whole, data = tmp_path / "whole", recipe.load_data()
    train(recipe.build(data), data, recipe.training, checkpoint=whole, progress=False)
    folder, reached = tmp_path / "killed" / "networks", []
    for kill in range(times):
        process = lab(tmp_path / "killed", fields)
        training, before = folder / f"{recipe.id}.training", reached[-1] if reached else 0
        while process.poll() is None:
            if training.exists() and len(load_tensors(training)[1]["history"]) - 1 > before + (
                kill > 0
            ):
                break
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 0.3))
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (folder / f"{recipe.id}.safetensors").exists()
        reached.append(len(load_tensors(training)[1]["history"]) - 1)
    last = lab(tmp_path / "killed", fields)
    out, err = last.communicate(timeout=300)
    assert last.returncode == 0, err
    assert "training, from its checkpoint" in out
    assert sorted(p.suffix for p in folder.iterdir()) == [".json", ".lock", ".safetensors"]
    tensors, about = load_tensors(whole)
    model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    return (model, about), load_tensors(folder / f"{recipe.id}.safetensors"), reached


@pytest.mark.process
def test_a_killed_process_resumes_to_the_same_weights(tmp_path):
    (whole, _), (killed, _), reached = kill_at_random_then_finish(
        tmp_path, QUICK, 1, random.Random()
    )
    assert 1 <= reached[0] < QUICK["epochs"]
    assert same(whole, killed)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("seed", range(5))
def test_five_random_moments(tmp_path, seed):
    (whole, about), (killed, other), reached = kill_at_random_then_finish(
        tmp_path, KILLED, 2, random.Random(seed)
    )
    print(f"killed after epochs {reached}")
    assert same(whole, killed)
    drop = {"seconds"}
    rows = [
        [{k: v for k, v in row.items() if k not in drop} for row in x["history"]]
        for x in (about, other)
    ]
    assert rows[0] == rows[1]


def test_snapshots_are_the_weights_after_each_epoch(digits, tmp_path):
    trained = run(small(), digits, snapshots=tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == [f"epoch-00{i}.safetensors" for i in range(3)]
    assert same(load_tensors(files[0])[0], small())
    assert same(load_tensors(files[2])[0], trained.model)
    one = run(
        small(), digits, epochs=1
    ).model  # the rate is constant: one epoch is the start of two
    assert same(load_tensors(files[1])[0], one)


def test_a_checkpoint_of_another_run_is_refused(digits, tmp_path):
    run(small(), digits, checkpoint=tmp_path / "run")
    with pytest.raises(
        FileFormatError, match=r"belongs to another run: lr is 0.001 there, 0.1 here; seed is 0"
    ):
        run(small(), digits, lr=0.1, seed=1, checkpoint=tmp_path / "run")
    with pytest.raises(FileFormatError, match="shapes is"):
        run(MLP(64, (33,)), digits, checkpoint=tmp_path / "run")
    with pytest.raises(FileFormatError, match="already has 2 epochs, more than the 1"):
        run(small(), digits, epochs=1, checkpoint=tmp_path / "run")


def test_damaged_checkpoints_are_refused(digits, tmp_path):
    path = tmp_path / "run"
    run(small(), digits, checkpoint=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(FileFormatError, match="truncated or foreign"):
        run(small(), digits, checkpoint=path)
    path.write_bytes(b"\x80\x04 a pickle perhaps")
    with pytest.raises(FileFormatError, match="truncated or foreign"):
        run(small(), digits, checkpoint=path)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(FileFormatError, match="not one of ours"):
        run(small(), digits, checkpoint=path)


FULL_DISK = """
import resource, sys
import torch
from rebasin_edu import storage
from rebasin_edu.errors import FileFormatError
path = sys.argv[1]
storage.save_tensors(path, {"x": torch.ones(10)}, {"which": "old"})
# every further byte is refused, as by a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    storage.save_tensors(path, {"x": torch.zeros(1_000_000)}, {"which": "new"})
except FileFormatError as error:
    print(error)
tensors, about = storage.load_tensors(path)
print(about["which"], tensors["x"].sum().item())
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, kept = done.stdout.strip().splitlines()
    assert "cannot be written" in said
    assert "the old file there is untouched" in said
    assert kept == "old 10.0"
    assert list(tmp_path.iterdir()) == [path]


def test_a_loss_that_explodes_ends_the_run_and_keeps_the_last_checkpoint(digits, tmp_path):
    with pytest.raises(
        RebasinError, match=r"the loss is (nan|inf) in epoch 1: lr=1e\+20 is too high"
    ):
        run(small(), digits, optimiser="sgd", lr=1e20, checkpoint=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_little_memory_names_a_batch_size_to_try(digits):
    class Greedy(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            if len(x) == 100 and self.training:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.head(x.flatten(1))

    with pytest.raises(RebasinError, match=r"no room for batches of 100: try batch_size=50"):
        run(Greedy(), digits)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"optimiser": "lion"}, "optimiser='lion' is not known; choose one of 'adam', 'sgd'"),
        ({"schedule": "step"}, "schedule='step'"),
        ({"augment": "mixup"}, "augment='mixup'"),
        ({"precision": "float16"}, "precision='float16'"),
        ({"epochs": 0}, "at least 1"),
        ({"batchsize": 20}, "the setting='batchsize' is not known; choose one of 'optimiser'"),
        ({"momentum": 5, "optimiser": "sgd"}, "momentum=5 must be a number at least 0 and at most"),
        ({"warmup": float("nan")}, "warmup=nan must be a number"),
        ({"epochs": True}, "epochs=True must be a whole number"),
    ],
)
def test_settings_that_are_not_known_say_what_is(digits, changed, said):
    with pytest.raises(ValueError, match=said):
        run(small(), digits, **changed)


def test_a_last_batch_of_one_is_refused_only_where_batchnorm_would_fail_on_it(digits):
    run(small(), digits, batch_size=131, epochs=1)
    with pytest.raises(RebasinError, match="leaves a last batch of one image"):
        run(MLP(64, (8,), norm="batch"), digits, batch_size=131)


def test_settings_come_as_one_config_or_by_their_names(digits):
    config = TrainingConfig(epochs=1, batch_size=100, lr=0.01)
    by_config = train(small(), digits, config).model
    assert same(by_config, train(small(), digits, epochs=1, batch_size=100, lr=0.01).model)
    assert not same(by_config, train(small(), digits, config, seed=1).model)


def test_learning_rates():
    steps = [i / 1000 for i in range(1001)]
    cycle = [learning_rate("one-cycle", 0.4, p) for p in steps]
    assert max(cycle) == pytest.approx(0.4)
    assert cycle.index(max(cycle)) == 300
    assert cycle[0] == pytest.approx(0.4 / 25)
    assert cycle[-1] == pytest.approx(0)
    cosine = [learning_rate("cosine", 0.1, p, warmup=0.1) for p in steps]
    assert cosine[0] == pytest.approx(1e-6)
    assert cosine[100] == pytest.approx(0.1)
    assert cosine[550] == pytest.approx(0.05)
    assert max(abs(a - b) for a, b in pairwise(cosine)) < 2e-3
    assert {learning_rate("constant", 0.3, p) for p in steps} == {0.3}
