"""Recipes, the cache, what is stored with the package, and two processes on one recipe."""

import contextlib
import hashlib
import io
import json
import logging
import os
import shlex
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from rebasin_edu.errors import FileFormatError, RebasinError
from rebasin_edu.lab.datasets import load_data
from rebasin_edu.lab.recipe import Recipe
from rebasin_edu.lab.sweep import train_recipe
from rebasin_edu.lab.training_config import TrainingConfig
from rebasin_edu.lab.zoo import load_or_train, provenance, save_network, stored_dir
from rebasin_edu.storage import load_json, load_tensors, save_json, save_tensors

TINY = Recipe(dataset="digits", width=16, depth=1, batch_size=200, epochs=2)
STORED = sorted((stored_dir() / "networks").glob("*.safetensors"))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Networks this small only wait for a second thread; processes that are started inherit it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


def make(recipe, **options):
    """The network of a recipe, and the lines that its making put on the screen."""
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        model = load_or_train(recipe, **options)
    return model, screen.getvalue().splitlines()


def test_trained_once_then_loaded_and_it_says_which(cache):
    model, said = make(TINY)
    assert [line.split(":")[0] for line in said] == ["data", "training", "from the cache"]
    assert not model.training
    again, said = make(TINY)
    assert len(said) == 1
    assert said[0].startswith(f"from the cache: {TINY.id}, test accuracy ")
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    held = provenance(TINY)
    assert Recipe.from_dict(held["recipe"]) == TINY
    assert held["command"] == TINY.command
    assert held["data"] == "digits (8×8, shipped with scikit-learn)"
    assert len(held["history"]) == 3
    assert load_json(cache / f"{TINY.id}.json", format="rebasin_edu network") == held


@pytest.mark.process
def test_the_command_of_a_network_makes_it_anew(cache, tmp_path):
    model, _ = make(TINY)
    env = os.environ | {"REBASIN_EDU_CACHE": str(tmp_path / "other")}
    done = subprocess.run(
        [sys.executable, *shlex.split(TINY.command)[1:]], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    tensors, _ = load_tensors(tmp_path / "other" / "networks" / f"{TINY.id}.safetensors")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensors[name], tensor)


def test_epochs_are_kept_and_found():
    final, _ = make(TINY, every_epoch=True)
    untrained, said = make(TINY, epoch=0)
    assert said == [f"from the cache: {TINY.id} after epoch 0"]
    assert torch.equal(untrained.head.weight, TINY.build().head.weight)
    assert torch.equal(make(TINY, epoch=2)[0].head.weight, final.head.weight)
    assert not torch.equal(make(TINY, epoch=1)[0].head.weight, final.head.weight)
    with pytest.raises(ValueError, match="epoch 3 of a recipe with 2 epochs"):
        make(TINY, epoch=3)


def test_a_small_set_in_the_place_of_a_full_one_is_another_recipe(monkeypatch):
    monkeypatch.delenv("REBASIN_EDU_DATA", raising=False)
    asked = Recipe(width=8, depth=1, epochs=1)
    _, said = make(asked)
    assert said[1] == "note: this is mlp on MNIST (5,000 images of this package), not on mnist"
    used = replace(asked, dataset="mnist-5k")
    assert used.id != asked.id
    assert provenance(used)["data"] == "MNIST (5,000 images of this package)"
    assert train_recipe(asked) == provenance(used)
    with pytest.raises(FileFormatError, match="neither stored nor cached"):
        provenance(asked)


def test_damaged_and_foreign_files_in_the_cache(cache):
    model, _ = make(TINY)
    path = cache / f"{TINY.id}.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(FileFormatError, match="truncated or foreign"):
        make(TINY)
    other = TINY.with_seed(1)
    foreign = {"linear9.weight": torch.zeros(2, 2)}
    save_tensors(path, foreign, {"recipe": TINY.to_dict(), "shape": [1, 8, 8, 10]})
    with pytest.raises(FileFormatError, match=r"holds another network: .* in the model and not"):
        make(TINY)
    about = {"recipe": other.to_dict(), "history": []}
    sizes = [len(whole)]
    for precision, off in (
        ("half", 1e-3),
        ("byte", 0.5 / 127),
    ):  # off: of the largest weight of a unit
        sizes.append(save_network(cache, model, about, precision).stat().st_size)
        loaded, _ = make(other)
        assert {v.dtype for v in loaded.state_dict().values()} == {torch.float32}
        largest = model.head.weight.abs().amax(1, keepdim=True)
        assert ((loaded.head.weight - model.head.weight).abs() / largest).max() <= off * 1.001
    assert sizes == sorted(sizes, reverse=True)


def test_a_folder_that_cannot_be_written_to_is_named(cache, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(FileFormatError, match="cannot be written"):
        save_json(tmp_path / "file" / "x.json", {}, format="anything")


def test_a_cache_that_cannot_be_written_to_is_named_before_training(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(
        FileFormatError, match=r"cache.* cannot be written to .*set REBASIN_EDU_CACHE"
    ):
        make(TINY)


TWO = {"dataset": "digits", "width": 32, "depth": 1, "batch_size": 8, "epochs": 4}


@pytest.mark.process
def test_two_processes_on_one_recipe_train_it_once(cache):
    command = [sys.executable, "-m", "rebasin_edu.lab", json.dumps(TWO)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    said = [out.splitlines() for out, _ in outputs]
    trained = [lines for lines in said if any(line.startswith("training") for line in lines)]
    assert len(trained) == 1
    other = next(lines for lines in said if lines is not trained[0])
    assert other[-1].startswith("from the cache")
    assert other[-1] == trained[0][-1]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_networks_load_without_data_and_know_how_they_were_made(path, monkeypatch):
    monkeypatch.setenv("REBASIN_EDU_DATA", "/nowhere")
    held = json.loads(path.with_suffix(".json").read_text())
    recipe = Recipe.from_dict(held["recipe"])
    assert recipe.id == path.stem
    model, said = make(recipe)
    accuracy = held["history"][-1]["test_accuracy"]
    assert said == [f"stored with the package: {recipe.id}, test accuracy {accuracy:.2%}"]
    assert all(v.isfinite().all() for v in model.state_dict().values())
    assert {
        "recipe",
        "data",
        "machine",
        "versions",
        "seconds",
        "made",
        "command",
        "precision",
    } <= held.keys()
    assert path.stat().st_size < 10e6


def test_the_stored_pair_knows_digits_it_never_trained_on():
    # 97.7 and 98.0 % of the package's 1,000 test images
    test = load_data("mnist-5k").test
    for seed in (0, 1):
        model, _ = make(Recipe(seed=seed))
        assert (model(test.inputs).argmax(1) == test.targets).float().mean() > 0.97


def test_the_smallest_stored_network_can_be_made_anew():
    path = min(STORED, key=lambda path: path.stat().st_size)
    held = json.loads(path.with_suffix(".json").read_text())
    recipe = Recipe.from_dict(held["recipe"])
    assert recipe.dataset == "digits", "the smallest needs no data that may be absent"
    from rebasin_edu.lab.training import train

    data = recipe.load_data()
    made = train(recipe.build(data), data, recipe.training, progress=False)
    wanted, got = held["history"][-1], made.history[-1]
    assert got["test_loss"] == pytest.approx(wanted["test_loss"], abs=0.02)
    assert got["test_accuracy"] == pytest.approx(wanted["test_accuracy"], abs=0.01)
    stored = load_or_train(recipe).state_dict()
    for name, tensor in made.model.state_dict().items():
        assert (
            torch.nn.functional.cosine_similarity(tensor.flatten(), stored[name].flatten(), 0)
            > 0.99
        )


def test_all_that_is_stored_stays_small():
    sizes = [path.stat().st_size for path in stored_dir().rglob("*") if path.is_file()]
    assert sum(sizes) <= 40e6
    assert max(sizes) <= 10e6


def test_recipes_are_data(tmp_path):
    recipe = Recipe(model="resnet20", width=2.0, norm="batch", seed=3)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.id == Recipe(model="resnet20", width=2, norm="batch", seed=3).id
    assert Recipe().width == Recipe(width=512).width == 512
    for model in ("vgg11", "vgg16", "resnet20"):
        plain = Recipe(model=model)
        assert plain == Recipe(
            model=model, width=1
        )  # a multiplier: 512 would be a network of terabytes
        assert Recipe.from_dict(plain.changed()) == plain
        assert Recipe.from_dict(Recipe(model=model, width=512).changed()).width == 512
    assert (
        len(
            {
                recipe.id,
                recipe.with_seed(4).id,
                Recipe(model="resnet20", width=2, norm="layer", seed=3).id,
            }
        )
        == 3
    )
    (tmp_path / "r.json").write_text(json.dumps(recipe.changed()))
    assert Recipe.from_file(tmp_path / "r.json") == recipe
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(RebasinError, match="cannot be read as a recipe"):
        Recipe.from_file(tmp_path / "r.json")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_recipes_in_toml(tmp_path):
    (tmp_path / "r.toml").write_text(
        'model = "vgg16"\nwidth = 0.25\nnorm = "layer"\ndataset = "cifar10"\n'
    )
    assert Recipe.from_file(tmp_path / "r.toml") == Recipe(
        model="vgg16", width=0.25, norm="layer", dataset="cifar10"
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"widht": 4}, "a recipe has no field 'widht'; its fields are dataset, size"),
        (
            {"model": "resnet18"},
            "model='resnet18' is not known; choose one of 'mlp', 'vgg11'",
        ),
        ({"norm": "group"}, "norm='group'"),
        ({"lr": 0}, "lr=0 must be a number above 0"),
        ({"epochs": 2.5}, "epochs=2.5 must be a whole number, at least 1"),
        ({"epochs": True}, "epochs=True must be a whole number"),
        ({"seed": 1.5}, "seed=1.5 must be a whole number"),
        ({"seed": "0"}, "seed='0' must be a whole number"),
        ({"size": 0}, "size=0 must be a whole number, at least 1"),
        ({"examples": 1.5}, "examples=1.5 must be a whole number"),
        ({"width": float("inf")}, "width=inf must be a number above 0"),
        ({"width": 2.5}, "width=2.5 must be a whole number"),
        ({"momentum": 5}, "momentum=5 must be a number at least 0 and at most 1"),
        ({"warmup": -1.0}, "warmup=-1.0 must be a number"),
        ({"dataset": None}, "dataset=None must be a name"),
        ({"dataset": "../../x"}, "dataset='../../x' must be a name"),
        ({"precision": "auto"}, "different networks on different machines"),
        (None, "a recipe is a mapping of its fields, not None"),
    ],
)
def test_bad_recipes_say_what_is_wrong(fields, said):
    with pytest.raises(ValueError, match=said):
        Recipe.from_dict(fields)


def test_equal_recipes_have_one_id_and_every_field_counts():
    assert Recipe(seed=1).id == Recipe(seed=1.0).id
    assert Recipe(lr=1).id == Recipe(lr=1.0).id
    changes = {
        "dataset": "digits", "size": 14, "part": "a", "examples": 10, "model": "vgg16", "width": 64,
        "depth": 2, "norm": "batch", "optimiser": "sgd", "lr": 0.1, "momentum": 0.5, "seed": 1,
        "weight_decay": 1e-4, "schedule": "cosine", "warmup": 1, "augment": "paper", "epochs": 2,
        "batch_size": 10, "precision": "bfloat16",
    }  # fmt: skip
    assert changes.keys() == Recipe().to_dict().keys()
    ids = {Recipe(**{name: value}).id for name, value in changes.items()}
    assert len(ids | {Recipe().id}) == len(changes) + 1


def test_the_training_of_a_recipe_is_one_config():
    config = TrainingConfig(lr=0.1, epochs=3)
    recipe = Recipe(dataset="digits", training=config)
    assert recipe == Recipe(dataset="digits", lr=0.1, epochs=3)
    assert (recipe.training, recipe.lr, recipe.epochs) == (config, 0.1, 3)
    assert replace(recipe, lr=0.2).training == replace(config, lr=0.2)
    assert repr(recipe) == "Recipe(dataset='digits', lr=0.1, epochs=3)"
    with pytest.raises(AttributeError, match="no field 'rate'"):
        _ = recipe.rate


def test_a_network_that_version_1_cached_is_loaded_under_its_old_name(cache):
    model, _ = make(TINY)
    digest = hashlib.sha256(json.dumps(TINY.changed(), sort_keys=True).encode()).hexdigest()[:8]
    old = cache / f"mlp-16-digits-2ep-seed0-{digest}.safetensors"
    (cache / f"{TINY.id}.safetensors").rename(old)
    again, said = make(TINY)
    assert said[0].startswith(f"from the cache: {TINY.id}")
    assert torch.equal(again.head.weight, model.head.weight)


def test_a_file_under_another_recipes_name_is_refused(cache):
    make(TINY)
    other = replace(TINY, lr=0.1)
    (cache / f"{TINY.id}.safetensors").rename(cache / f"{other.id}.safetensors")
    with pytest.raises(FileFormatError, match=r"another network: lr is 0\.001 there, 0\.1 here"):
        make(other)


def test_what_it_says_goes_through_logging_and_can_be_silenced():
    logger = logging.getLogger("rebasin_edu")
    logger.setLevel("WARNING")
    try:
        assert make(TINY)[1] == []
    finally:
        logger.setLevel("INFO")
    assert len(make(TINY)[1]) == 1


@pytest.mark.process
@pytest.mark.parametrize("text", ['{"dataset": "nope"}', "{", "nowhere.json", '{"lr": "high"}'])
def test_the_command_line_answers_in_a_sentence(text):
    command = [sys.executable, "-m", "rebasin_edu.lab", text]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr
    assert "Traceback" not in done.stderr
