"""``rebasin-edu merge``: what the library gives, from plain files, and no code of theirs run."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import rebasin_edu as rb
from rebasin_edu.cli import main
from rebasin_edu.cli.checkpoints import read_checkpoint
from rebasin_edu.cli.merging import read_data
from rebasin_edu.lab.log import quiet

ARCHITECTURES = """\
import rebasin_edu as rb

def resnet():
    return rb.lab.ResNet20(width=1, norm="batch")

def mlp():
    return rb.lab.MLP()

def digits():
    return rb.lab.MLP(inputs=64, hidden=(48,), classes=10)

def small():
    return rb.lab.MLP(inputs=48, hidden=(6, 6), classes=3)

def data():
    data = rb.load_data("cifar10-2k")
    return data.train, data.test

not_a_model = 3
"""

RESNET = {  # stored with the package
    "dataset": "cifar10-45k", "size": 16, "model": "resnet20", "width": 1, "norm": "batch",
    "optimiser": "sgd", "lr": 0.4, "weight_decay": 0.001, "schedule": "one-cycle",
    "augment": "crop-flip", "batch_size": 250, "epochs": 12, "precision": "bfloat16",
}  # fmt: skip

NAIVE = ("--method", "none")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of one's own, with a module that says what the networks are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "architectures", raising=False)
    (tmp_path / "architectures.py").write_text(ARCHITECTURES)
    yield tmp_path
    sys.modules.pop("architectures", None)


def stored(recipes):
    with quiet():
        return [rb.load_or_train(recipe) for recipe in recipes]


def run(*arguments):
    return CliRunner().invoke(main, ["merge", *map(str, arguments)])


@pytest.mark.slow
def test_two_resnets_from_plain_checkpoints(here):
    networks = stored([rb.Recipe(seed=seed, **RESNET) for seed in (0, 1)])
    torch.save({"epoch": 12, "state_dict": networks[0].state_dict()}, "a.pt")
    wrapped = {f"module.{name}": x for name, x in networks[1].state_dict().items()}
    save_file(wrapped, "b.safetensors")
    given = ["a.pt", "b.safetensors", "--model", "architectures:resnet"]
    given += ["--data", "architectures:data"]
    shown = run(*given, "--save", "merged.safetensors", "--json", "report.json")
    assert shown.exit_code == 0, shown.output
    data = rb.load_data("cifar10-2k")
    state, report = rb.merge(*networks, data.train)
    library = rb.evaluate(state, data.test, model=networks[0])
    command = rb.evaluate(load_file("merged.safetensors"), data.test, model=networks[0])
    assert abs(command.accuracy - library.accuracy) <= 0.005
    about = json.loads((here / "report.json").read_text())
    assert about["repair"] == report.repair != "none"
    assert about["test_scores"]["merged"]["accuracy"] == pytest.approx(command.accuracy)
    assert set(about["test_scores"]) == {"a", "b", "merged"}
    assert about["held_out_scores"]["matched"]["loss"] == pytest.approx(
        report.scores["matched"].loss, rel=1e-3
    )
    assert "on the test examples" in shown.output and "saved: merged.safetensors" in shown.output


def test_three_networks(here):
    data, settings = rb.load_data("digits"), {"epochs": 8, "lr": 3e-3, "batch_size": 64}
    networks = [
        rb.train(rb.lab.MLP(64, (48,), 10, seed=seed), data, seed=seed, **settings).model
        for seed in (0, 1, 2)
    ]
    names = [f"{letter}.safetensors" for letter in "abc"]
    for name, network in zip(names, networks):
        save_file(network.state_dict(), name)
    model = ("--model", "architectures:digits")
    shown = run(*names, *model, "--data", "digits", "--save", "m.st")
    assert shown.exit_code == 0, shown.output
    state, _ = rb.merge(networks, train_data=data.train)
    library = rb.evaluate(state, data.test, model=networks[0]).accuracy
    command = rb.evaluate(load_file("m.st"), data.test, model=networks[0]).accuracy
    assert abs(command - library) <= 0.005
    assert command > 0.9


class Trap:
    """What a malicious checkpoint holds: a call that is made while it is read."""

    def __reduce__(self):
        return (open, ("trap-was-run", "w"))


@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_a_checkpoint_that_would_run_code_is_refused(here, write):
    content = {"linear1.weight": torch.zeros(2, 2), "extra": Trap()}
    if write == "torch":
        torch.save(content, "a.pt")
    else:
        (here / "a.pt").write_bytes(pickle.dumps(content))
    save_file(rb.lab.MLP().state_dict(), "b.safetensors")
    shown = run("a.pt", "b.safetensors", "--model", "architectures:mlp", "--save", "m.st")
    assert shown.exit_code == 1
    assert "is refused" in shown.output and "save_file" in shown.output
    assert "weights_only" not in shown.output  # nothing that tells how to load it all the same
    assert "Traceback" not in shown.output
    assert not (here / "trap-was-run").exists() and not (here / "m.st").exists()


def test_without_data_nothing_can_be_traced_or_repaired(here):
    a, b = (rb.lab.MLP(inputs=48, hidden=(6, 6), classes=3, seed=seed) for seed in (0, 1))
    torch.save(a.state_dict(), "a.pt")
    torch.save(b.state_dict(), "b.pt")
    shown = run("a.pt", "b.pt", "--model", "architectures:small", "--save", "m.st")
    assert shown.exit_code == 1 and "--data" in shown.output
    naive = run("a.pt", "b.pt", "--model", "architectures:small", "--save", "m.st", *NAIVE)
    assert naive.exit_code == 0, naive.output
    expected = rb.mean([a, b])
    assert all(torch.equal(x, expected[name]) for name, x in load_file("m.st").items())


def test_a_folder_of_images_and_an_npz_file_are_data(here):
    generator = np.random.default_rng(0)
    arrays = {
        f"{axis}_{part}": generator.integers(0, 256, (6, 4, 4, 3), np.uint8) if axis == "x"
        else np.arange(6) % 3
        for axis in "xy" for part in ("train", "test")
    }  # fmt: skip
    np.savez(here / "mine.npz", **arrays)
    train, test = read_data("mine.npz")
    assert train.inputs.shape == test.inputs.shape == (6, 3, 4, 4)
    from PIL import Image

    for part in ("train", "val"):
        for label in ("cat", "dog"):
            folder = here / "pets" / part / label
            folder.mkdir(parents=True)
            for k in range(2):
                Image.fromarray(arrays["x_train"][k]).save(folder / f"{k}.png")
    train, test = read_data(str(here / "pets"))
    assert len(train.targets) == len(test.targets) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.pt", "b.pt", "--model", "architectures:nothing"], "has no 'nothing'"),
        (["a.pt", "b.pt", "--model", "nowhere:resnet"], "nowhere"),
        (["a.pt", "b.pt", "--model", "resnet"], "package.module:function"),
        (["a.pt", "b.pt", "--model", "architectures:not_a_model"], "not a torch.nn.Module"),
        (["a.pt", "gone.pt", "--model", "architectures:small"], "does not exist"),
        (["a.pt", "notes.txt", "--model", "architectures:small"], "notes.txt"),
        (["a.pt", "c.pt", "--model", "architectures:small", *NAIVE], "another architecture"),
        (["a.pt", "list.pt", "--model", "architectures:small"], "no state dict"),
        (["a.pt", "--model", "architectures:small", *NAIVE], "one network alone"),
        (["a.pt", "a.pt", "--model", "architectures:small", "--data", "nothing"], "not here"),
    ],
)
def test_errors_are_one_sentence(here, arguments, words):
    torch.save(rb.lab.MLP(inputs=48, hidden=(6, 6), classes=3).state_dict(), "a.pt")
    torch.save(rb.lab.MLP(inputs=48, hidden=(6, 6), classes=3).state_dict(), "b.pt")
    torch.save(rb.lab.MLP(inputs=48, hidden=(6,), classes=3).state_dict(), "c.pt")
    torch.save([torch.zeros(2)], "list.pt")
    (here / "notes.txt").write_text("not a checkpoint")
    shown = run(*arguments, "--save", "m.st")
    assert shown.exit_code == 1 and words in shown.output, shown.output
    assert "Traceback" not in shown.output and not (here / "m.st").exists()


def test_names_of_wrapped_and_compiled_models(tmp_path):
    state = {"up.weight": torch.zeros(2, 2)}
    torch.save({"model": {f"_orig_mod.{k}": v for k, v in state.items()}}, tmp_path / "a.pt")
    assert read_checkpoint(tmp_path / "a.pt").keys() == state.keys()


def test_the_command_is_installed_and_light():
    code = (
        "import sys; from rebasin_edu.cli import main\n"
        "print([name for name in ('matplotlib', 'torchvision', 'IPython') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
