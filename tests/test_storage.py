"""Files: whole or not at all, under one format tag; what version 1 wrote still loads."""

import json
import math
import os
import threading
from pathlib import Path

import pytest
import torch

from rebasin_edu import storage
from rebasin_edu.errors import FileFormatError

FORMAT = "rebasin_edu.Test"


def test_what_was_saved_is_loaded(tmp_path):
    content = {"a": [1, 2.5], "b": {"c": None}, "far": math.inf, "none": [-math.inf]}
    storage.save_json(tmp_path / "new" / "x.json", content, format=FORMAT)
    assert storage.load_json(tmp_path / "new" / "x.json", format=FORMAT) == content


def test_nan_comes_back(tmp_path):
    storage.save_json(tmp_path / "x.json", {"loss": math.nan}, format=FORMAT)
    assert math.isnan(storage.load_json(tmp_path / "x.json", format=FORMAT)["loss"])
    text = (tmp_path / "x.json").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    storage.save_json(path, {"n": 1}, format=FORMAT)

    def fails(part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(FileFormatError, match=r"No space left.*old file there is untouched"):
        storage.write_atomically(path, fails)
    assert storage.load_json(path, format=FORMAT) == {"n": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


def test_any_other_failure_leaves_nothing_behind_either(tmp_path):
    with pytest.raises(ZeroDivisionError):
        storage.write_atomically(tmp_path / "x", lambda part: 1 / 0)
    assert not list(tmp_path.iterdir())


def test_two_writers_of_one_file_never_meet(tmp_path):
    names, both = set(), threading.Barrier(2)

    def write(part: Path) -> None:
        names.add(part.name)
        both.wait(timeout=10)
        part.write_text(part.name)

    threads = [
        threading.Thread(target=storage.write_atomically, args=(tmp_path / "x", write))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 2
    assert (tmp_path / "x").read_text() in names
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_is_a_file_is_said_in_words(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(FileFormatError, match=r"cannot be written.*nothing was written"):
        storage.save_json(tmp_path / "folder" / "x.json", {}, format=FORMAT)


def test_files_can_be_read_by_others(tmp_path):
    storage.save_json(tmp_path / "x.json", {}, format=FORMAT)
    assert os.stat(tmp_path / "x.json").st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": "rebasin_edu.Te', "cut off"),
        ("[1, 2]", "holds a list"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"format": "rebasin_edu.Other", "version": 1}', "should hold a rebasin_edu.Test"),
        ('{"format": "rebasin_edu.Test", "version": 7}', "update rebasin_edu"),
        ('{"format": "rebasin_edu.Test", "version": "x"}', "version x"),
        ('{"a": 1}', "version 0"),
    ],
)
def test_foreign_files_are_named_as_such(tmp_path, text, said):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FileFormatError, match=said):
        storage.load_json(tmp_path / "x.json", format=FORMAT)


def test_old_versions_are_brought_forward(tmp_path):
    (tmp_path / "x.json").write_text('{"format": "rebasin_edu.Test/1", "old": 3}')
    upgrades = {1: lambda content: {"new": content["old"]}}
    found = storage.load_json(tmp_path / "x.json", format=FORMAT, version=2, upgrades=upgrades)
    assert found == {"new": 3}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileFormatError, match="does not exist"):
        storage.load_json(tmp_path / "x.json", format=FORMAT)
    with pytest.raises(FileFormatError, match="does not exist"):
        storage.load_tensors(tmp_path / "x.safetensors")


def test_tensors_come_back_with_their_description(tmp_path):
    tensors = {"w": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(3)}
    storage.save_tensors(tmp_path / "x.safetensors", tensors, {"seed": 1})
    loaded, about = storage.load_tensors(tmp_path / "x.safetensors")
    assert about == {"seed": 1}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_truncated_and_foreign_tensors_are_named_as_such(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    storage.save_tensors(path, {"w": torch.zeros(1000)}, {})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FileFormatError, match="truncated or foreign"):
        storage.load_tensors(path)
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(FileFormatError, match="not one of ours"):
        storage.load_tensors(path)
