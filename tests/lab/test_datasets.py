"""Data sets: the order of the search, honest names, splits, and what is said when a file is missing
or damaged.
"""

import gzip
import io
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from rebasin_edu.errors import DataError
from rebasin_edu.lab.augmentation import crop_flip, paper
from rebasin_edu.lab.dataset_files import PACKAGE_IMAGES
from rebasin_edu.lab.datasets import Split, load_data


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No data folder, an empty cache, no download."""
    monkeypatch.delenv("REBASIN_EDU_DATA", raising=False)
    monkeypatch.delenv("REBASIN_EDU_DOWNLOAD", raising=False)
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path / "cache"))


def write_idx(path, array, packed=True):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()) if packed else head + array.tobytes())


def mnist_folder(root, n=40, folder="MNIST", packed=True):
    raw, rng = root / folder / "raw", np.random.default_rng(0)
    raw.mkdir(parents=True)
    end = ".gz" if packed else ""
    arrays = {}
    for part, count in (("train", n), ("t10k", n // 4)):
        arrays[part] = (
            rng.integers(0, 256, (count, 28, 28), np.uint8),
            (np.arange(count) % 10).astype(np.uint8),
        )
        write_idx(raw / f"{part}-images-idx3-ubyte{end}", arrays[part][0], packed)
        write_idx(raw / f"{part}-labels-idx1-ubyte{end}", arrays[part][1], packed)
    return raw, arrays


def npz(path, n=60, test=20, size=8, **other):
    rng = np.random.default_rng(1)
    arrays = {
        "x_train": rng.integers(0, 256, (n, size, size, 3), np.uint8),
        "y_train": np.arange(n) % 4,
        "x_test": rng.integers(0, 256, (test, size, size, 3), np.uint8),
        "y_test": np.sort(np.arange(test) % 4),
    }
    arrays |= other
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return arrays


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_in_torchvisions_layout_is_read_without_writing(tmp_path, packed, capsys):
    raw, arrays = mnist_folder(tmp_path, packed=packed)
    before = sorted(raw.iterdir())
    raw.chmod(0o555)
    data = load_data("mnist", tmp_path)
    assert sorted(raw.iterdir()) == before
    assert (data.key, data.name, data.source) == ("mnist", "MNIST", str(raw))
    assert capsys.readouterr().out == f"data: MNIST, 40 + 10, from {raw}\n"
    assert torch.equal(data.train_images[:, 0], torch.from_numpy(arrays["train"][0]))
    assert data.train_images.dtype == torch.uint8
    torch.testing.assert_close(data.train.inputs, data.train_images / 255)
    assert data.test.targets.tolist() == list(range(10))
    assert data.test.targets.dtype == torch.int64
    assert data.test is data.test  # made once


def test_the_given_folder_comes_before_the_environment_and_the_cache(tmp_path, monkeypatch):
    for i, place in enumerate(("given", "environment", "cache/data")):
        mnist_folder(tmp_path / place, n=40 + 4 * i)
    monkeypatch.setenv("REBASIN_EDU_DATA", str(tmp_path / "environment"))
    assert len(load_data("mnist", tmp_path / "given").train_targets) == 40
    assert len(load_data("mnist").train_targets) == 44
    monkeypatch.delenv("REBASIN_EDU_DATA")
    assert len(load_data("mnist").train_targets) == 48


def test_the_embedded_images_stand_in_and_are_named(capsys):
    data = load_data("mnist")
    assert "MNIST (5,000 images of this package), 4,000 + 1,000" in capsys.readouterr().out
    assert "MNIST (5,000 images of this package)" in repr(data)
    assert data.test.name == data.name
    assert data.key == "mnist-5k"
    assert data.train_targets.bincount().tolist() == [400] * 10
    assert (
        data.test.first(30).targets.bincount().tolist() == [3] * 10
    )  # the first n are a fair sample
    again = load_data("mnist-5k")
    assert torch.equal(again.train_images, data.train_images)
    train, test = (
        {im.numpy().tobytes() for im in x} for x in (data.train_images, data.test_images)
    )
    assert not train & test


def test_digits_come_with_a_dependency():
    data = load_data("digits")
    assert data.shape == (1, 8, 8)
    assert len(data.train_targets) + len(data.test_targets) == 1797
    assert data.train.inputs.min() == 0
    assert data.train.inputs.max() == 1


def test_absent_data_names_three_ways_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(DataError) as caught:
        load_data("cifar10")
    text = str(caught.value)
    for part in (
        "CIFAR-10",
        "  1. ",
        "REBASIN_EDU_DATA",
        "  2. ",
        "download=True",
        "  3. ",
        "cifar10.npz",
        str(tmp_path),
    ):
        assert part in text
    with pytest.raises(DataError, match="does not exist"):
        load_data("mnist", tmp_path / "nowhere")
    with pytest.raises(DataError, match="Names known: mnist, "):
        load_data("minst")
    for name in ("../mnist", "", None, 3):
        with pytest.raises(DataError, match="is not the name of a data set"):
            load_data(name)


def test_the_packages_cifar_stands_in_at_16_pixels_and_only_there():
    data = load_data("cifar10", size=16)
    assert data.name == "CIFAR-10 at 16×16 (3,000 images of this package)"
    assert (data.key, data.shape) == ("cifar10-2k", (3, 16, 16))
    assert data.train_targets.bincount().tolist() == [200] * 10
    assert data.test.first(30).targets.bincount().tolist() == [3] * 10
    for same in (
        load_data("cifar10@16"),
        load_data("cifar10-45k", size=16),
        load_data("cifar10-2k"),
    ):
        assert torch.equal(same.test_images, data.test_images)
    for size in (None, 8, 32):
        with pytest.raises(DataError, match="is not here"):
            load_data("cifar10", size=size)


def test_the_packages_images_name_their_source_and_licence():
    with np.load(PACKAGE_IMAGES) as file:
        texts = {name: str(file[f"info_{name}"]) for name in ("mnist", "cifar10")}
    assert "ShareAlike 3.0" in texts["mnist"]
    assert "No licence is stated" in texts["cifar10"]
    assert PACKAGE_IMAGES.stat().st_size <= 4e6
    readme = PACKAGE_IMAGES.with_name("README.md").read_text()
    assert "ShareAlike 3.0" in readme


@pytest.mark.slow
def test_the_packages_images_are_those_of_the_official_files(monkeypatch):
    folder = os.environ.get("REBASIN_EDU_TEST_DATA")
    if not folder:
        pytest.skip("REBASIN_EDU_TEST_DATA names no folder with MNIST and CIFAR-10")
    for name, size in (("mnist", None), ("cifar10", 16)):
        few, whole = load_data(name, size=size), load_data(name, folder, size=size)
        for part in ("train", "test"):
            known = {(im.numpy().tobytes(), int(y)) for im, y in zip(
                getattr(whole, f"{part}_images"), getattr(whole, f"{part}_targets"))}  # fmt: skip
            images, targets = getattr(few, f"{part}_images"), getattr(few, f"{part}_targets")
            assert all((im.numpy().tobytes(), int(y)) in known for im, y in zip(images, targets))


def test_truncated_and_foreign_files_are_told_apart(tmp_path):
    raw, _ = mnist_folder(tmp_path)
    images = raw / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    images.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be unpacked"):
        load_data("mnist", tmp_path)
    images.write_bytes(gzip.compress(gzip.decompress(whole)[:-5]))
    with pytest.raises(DataError, match="is it truncated"):
        load_data("mnist", tmp_path)
    images.write_bytes(gzip.compress(b"<html>not found</html>"))
    with pytest.raises(DataError, match="not an idx file"):
        load_data("mnist", tmp_path)
    images.unlink()
    with pytest.raises(DataError, match="holds neither train-images-idx3-ubyte nor"):
        load_data("mnist", tmp_path)
    (tmp_path / "mine.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(DataError, match=r"mine\.npz"):
        load_data("mine", tmp_path)
    npz(tmp_path / "mine.npz", y_test=None)
    with pytest.raises(DataError, match="no array 'y_test'"):
        load_data("mine", tmp_path)
    npz(tmp_path / "mine.npz", y_test=np.zeros(3, int))
    with pytest.raises(DataError, match="20 images but 3 classes in test"):
        load_data("mine", tmp_path)
    npz(tmp_path / "mine.npz", x_test=np.zeros((20, 8, 8, 3)))
    with pytest.raises(DataError, match="float64, and must be uint8"):
        load_data("mine", tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y_train": np.arange(60) % 4 - 100}, "the train labels hold -100"),
        ({"y_train": np.arange(60) % 4 - 1}, "the train labels hold -1"),
        ({"y_train": np.linspace(0, 3.9, 60)}, "the train labels are float64"),
        ({"y_test": np.full(20, np.nan)}, "the test labels are float64"),
        ({"y_train": np.array(["a", "b"] * 30)}, "the train labels are <U1"),
        ({"y_train": np.full(60, 3_000_000)}, "a label is 3000000, and there are 60"),
        ({"x_train": np.zeros((0, 8, 8), np.uint8), "y_train": np.zeros(0, int)}, "0 images"),
        (
            {"x_test": np.zeros((20, 5, 5, 3), np.uint8)},
            "test images of \\(3, 5, 5\\)",
        ),
    ],
)
def test_labels_and_images_that_no_network_can_use_are_refused_at_the_door(tmp_path, change, said):
    npz(tmp_path / "mine.npz", **change)
    with pytest.raises(DataError, match=said):
        load_data("mine", tmp_path)


def test_labels_of_a_data_set_made_by_hand_are_checked_too():
    data = load_data("digits")
    with pytest.raises(DataError, match=r"the test labels of digits.* hold 10; they must"):
        replace(data, test_targets=data.test_targets + 1)


@pytest.mark.parametrize("shape", [(20, 3, 8, 3), (20, 1, 8, 1), (20, 3, 8, 1)])
def test_images_of_one_or_three_pixels_in_width_are_not_transposed(tmp_path, shape):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    labels = np.arange(20) % 4
    npz(tmp_path / "mine.npz", x_train=images, x_test=images, y_train=labels, y_test=labels)
    assert load_data("mine", tmp_path).shape == shape[1:]


def test_an_npz_that_claims_more_than_the_memory_is_refused_unread(tmp_path):
    import zipfile

    path = tmp_path / "mine.npz"
    header = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 8, 8)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(path, "w") as file:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            file.writestr(f"{name}.npy", header.getvalue())
    with pytest.raises(DataError, match=r"mine\.npz cannot be read"):
        load_data("mine", tmp_path)


def test_npz_files_keep_the_name_they_were_given(tmp_path):
    arrays = npz(tmp_path / "mine.npz")
    data = load_data("mine", tmp_path)
    assert (data.key, data.name, data.classes) == ("mine", "mine (mine.npz)", ("0", "1", "2", "3"))
    assert torch.equal(data.train_images, torch.from_numpy(arrays["x_train"]).permute(0, 3, 1, 2))
    assert data.test.targets[:4].tolist() == [0, 1, 2, 3]  # dealt out, though sorted in the file


def test_classes_have_their_names_in_every_form_of_the_files(tmp_path):
    labels = {"y_train": np.arange(60) % 10, "y_test": np.arange(20) % 10}
    npz(tmp_path / "fashion-mnist.npz", **labels)
    from_npz = load_data("fashion-mnist", tmp_path).classes
    mnist_folder(tmp_path / "idx", folder="FashionMNIST")
    assert load_data("fashion-mnist", tmp_path / "idx").classes == from_npz
    assert from_npz[9] == "ankle boot"


def test_held_out_cifar_is_never_called_the_test_set(tmp_path):
    arrays = npz(tmp_path / "cifar10.npz", n=45000, test=12, size=2)
    data = load_data("cifar10", tmp_path)
    assert (data.key, data.name) == ("cifar10-45k", "CIFAR-10, held-out 5k")
    assert data.classes[0] == "airplane"
    assert load_data("cifar10-45k", tmp_path).key == "cifar10-45k"
    assert len(arrays["y_train"]) == len(data.train_targets)
    npz(tmp_path / "cifar10.npz", n=50, size=2)
    assert load_data("cifar10", tmp_path).name == "CIFAR-10 (cifar10.npz)"
    with pytest.raises(DataError, match="not the 45,000"):
        load_data("cifar10-45k", tmp_path)


def test_damaged_cifar_batches_are_not_read(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps({}))
    with pytest.raises(DataError, match="damaged or incomplete"):
        load_data("cifar10", tmp_path)


def test_an_image_folder(tmp_path):
    from PIL import Image

    for part, count in (("train", 3), ("val", 2)):
        for label, colour in (("cat", (250, 10, 10)), ("dog", (10, 250, 10))):
            (tmp_path / "pets" / part / label).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (90, 70), colour).save(
                    tmp_path / "pets" / part / label / f"{i}.png"
                )
    data = load_data("pets", tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.shape == (3, 64, 64)
    assert data.train_targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test_targets.tolist() == [0, 1, 0, 1]
    assert data.train_images[0, :, 5, 5].tolist() == [250, 10, 10]
    (tmp_path / "pets" / "val").rename(tmp_path / "pets" / "other")
    with pytest.raises(DataError, match="neither 'val' nor 'test'"):
        load_data("pets", tmp_path)


def test_subsets_and_sizes_say_what_they_are(tmp_path):
    npz(tmp_path / "mine.npz")
    data = load_data("mine", tmp_path)
    small = data.resized(4)
    assert (small.key, small.name, small.shape) == (
        "mine@4",
        "mine (mine.npz), reduced to 4×4",
        (3, 4, 4),
    )
    blocks = data.train_images.float().view(60, 3, 4, 2, 4, 2).mean((3, 5))
    assert (small.train_images - blocks).abs().max() <= 0.5
    assert data.resized(8) is data
    with pytest.raises(DataError, match="not blown up"):
        data.resized(16)
    some = data.subset(10)
    assert (len(some.train_targets), len(some.test_targets)) == (10, 20)
    assert "10 training images (seed 0)" in some.name
    with pytest.raises(DataError, match="61 training images were asked for"):
        data.subset(61)
    with pytest.raises(DataError, match="21 examples"):
        data.test.first(21)


def test_label_biased_halves_are_disjoint_and_biased():
    data = load_data("digits")
    a, b = data.biased("a"), data.biased("b")
    whole, counts_a, counts_b = (x.train_targets.bincount() for x in (data, a, b))
    assert torch.equal(counts_a + counts_b, whole)
    torch.testing.assert_close(counts_a[:5] / whole[:5], torch.full((5,), 0.2), atol=0.01, rtol=0)
    torch.testing.assert_close(counts_a[5:] / whole[5:], torch.full((5,), 0.8), atol=0.01, rtol=0)
    together = sorted(im.numpy().tobytes() for x in (a, b) for im in x.train_images)
    assert together == sorted(im.numpy().tobytes() for im in data.train_images)
    assert "label-biased half A (20% / 80%)" in a.name
    with pytest.raises(DataError, match="part='c'"):
        data.biased("c")


def test_crops_are_windows_of_the_padded_image_and_flips_mirror():
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    out = crop_flip(images, torch.Generator().manual_seed(0))
    assert out.dtype == torch.uint8
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    found = []
    for image, got in zip(padded, out):
        windows = {
            (y, x, f): image[:, y : y + 16, x : x + 16]
            for y in range(5)
            for x in range(5)
            for f in (0, 1)
        }
        found.append(
            next(k for k, w in windows.items() if torch.equal(w.flip(2) if k[2] else w, got))
        )
    assert {k[2] for k in found} == {0, 1}
    assert len({k[:2] for k in found}) > 10
    assert torch.equal(out, crop_flip(images, torch.Generator().manual_seed(0)))


def test_the_papers_augmentation_moves_images_and_keeps_their_bytes_in_range():
    images = torch.full((32, 3, 32, 32), 200, dtype=torch.uint8)
    out = paper(images, torch.Generator().manual_seed(0))
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 200.001
    assert (out[:, :, 16, 16] > 199.9).all()  # the middle of every image is inside
    assert (out == 0).any()


def test_a_split_is_a_pair_that_knows_its_name():
    split = load_data("digits").test
    inputs, targets = split
    assert (split.name, len(split)) == ("digits (8×8, shipped with scikit-learn)", 2)
    assert inputs is split.inputs and targets is split.targets
    assert pickle.loads(pickle.dumps(split)).name == split.name
    assert split.first(10).name == f"{split.name}, the first 10"


def test_split_prints_shortly():
    assert (
        repr(Split(torch.zeros(5, 1, 2, 2), torch.zeros(5)))
        == "Split(5 examples of shape (1, 2, 2), cpu)"
    )
