"""The cells of notebook 13 that run on a reader's own checkpoints and image folder, run on one."""

import re

import pytest
import torch
from PIL import Image

from rebasin_edu.course.repository import NOTEBOOKS
from rebasin_edu.lab import ResNet20, load_data, train

CLASSES, TRAINED, HELD_OUT = 4, 100, 40


def cells(first: str, last: str) -> list[str]:
    """The code between two headings of the notebook."""
    source = (NOTEBOOKS / "13_imagenet.py").read_text()
    part = source[source.index(f"## {first}") : source.index(f"## {last}")]
    blocks = re.split(r"^# %%.*$", part, flags=re.M)[1:]
    return [block for block in blocks if not block.strip().startswith(('"""', 'r"""'))]


@pytest.mark.slow
def test_own_checkpoints_and_an_image_folder(tmp_path):
    data = load_data("cifar10-2k")
    for split, count in (("train", TRAINED), ("val", HELD_OUT)):
        images = data.train_images if split == "train" else data.test_images
        targets = data.train_targets if split == "train" else data.test_targets
        for label in range(CLASSES):
            folder = tmp_path / "images" / split / f"class{label}"
            folder.mkdir(parents=True)
            for k, index in enumerate((targets == label).nonzero().flatten()[:count].tolist()):
                picture = Image.fromarray(images[index].permute(1, 2, 0).numpy())
                picture.resize((64, 64)).save(folder / f"{k}.png")
    dataset = load_data("images", tmp_path, size=16)
    assert len(dataset.classes) == CLASSES
    for name, seed in (("a.pth", 0), ("b.pth", 1)):
        model = ResNet20(1 / 4, classes=CLASSES, norm="batch", seed=seed)
        trained = train(model, dataset, epochs=3, lr=0.1, optimiser="sgd", batch_size=50, seed=seed)
        torch.save(trained.model.state_dict(), tmp_path / name)
    source = "\n".join(cells("Your own two checkpoints", "What could go wrong")[:4])
    folder, checkpoints = tmp_path / "images", (tmp_path / "a.pth", tmp_path / "b.pth")
    given = {"FOLDER": repr(str(folder)), "CHECKPOINTS": repr([str(x) for x in checkpoints])}
    given |= {"MODEL": f"rb.lab.ResNet20(1 / 4, classes={CLASSES}, norm='batch')", "SIZE": "16"}
    for name, value in given.items():
        source, found = re.subn(rf"^{name} = None.*$", f"{name} = {value}", source, flags=re.M)
        assert found == 1, name
    space: dict = {}
    exec("from pathlib import Path\nimport torch\nimport rebasin_edu as rb\n", space)
    exec(source, space)
    assert len(space["data"].classes) == CLASSES and space["final"].samples == CLASSES * HELD_OUT
    assert {"naive", "matched"} == space["lines"].keys()
