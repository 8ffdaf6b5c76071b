"""Laws of the path: its ends are A and B, and between a network and itself there is no barrier."""

import copy
import dataclasses
import json
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from rebasin_edu.errors import DataError, FileFormatError, RebasinError, WeightsError
from rebasin_edu.lab.models import MLP, VGG11, ResNet20
from rebasin_edu.landscape import Curve, evaluate, lerp, linear_path


class Wide(nn.Module):
    """Two layers act on the data; one of them is called twice and one sees data that no gradient
    passes.
    """

    def __init__(self):
        super().__init__()
        self.left, self.right, self.twice = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 8)
        self.hidden, self.head = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        y = torch.relu(self.left(x)) + self.right(-x)
        y = self.twice(torch.relu(self.twice(y)))
        return self.head(torch.relu(self.hidden(y.detach())))


def pair(make):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = make()
        for name, x in model.state_dict().items():
            if name.endswith("running_var"):
                x.uniform_(0.5, 2)
        found.append(model)
    return found


MAKERS = {
    "mlp": (lambda: MLP(12, (16, 16), 4), (12,)),
    "mlp with batchnorm": (lambda: MLP(12, (16,), 4, "batch"), (12,)),
    "mlp with layernorm": (lambda: MLP(12, (16,), 4, "layer"), (12,)),
    "vgg": (lambda: VGG11(1 / 16, 4, size=8), (3, 8, 8)),
    "resnet with batchnorm": (lambda: ResNet20(0.25, 4, "batch"), (3, 8, 8)),
    "wide": (Wide, (6,)),
    "linear": (lambda: nn.Linear(5, 4), (5,)),
}


def setting(name):
    make, shape = MAKERS[name]
    generator = torch.Generator().manual_seed(0)
    data = (
        torch.randn(53, *shape, generator=generator),
        torch.randint(0, 4, (53,), generator=generator),
    )
    return *pair(make), data


@pytest.mark.parametrize("name", MAKERS)
def test_the_ends_are_the_networks(name):
    a, b, data = setting(name)
    curve = linear_path(a, b, data, alphas=7, batch_size=20)
    for alpha, network in ((0, a), (1, b)):
        score = evaluate(network, data, batch_size=20)
        assert curve.at(alpha).loss == pytest.approx(score.loss, abs=1e-6)
        assert curve.at(alpha).accuracy == score.accuracy
        assert curve.at(alpha).ece == pytest.approx(score.ece, abs=1e-6)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("batched", [False, True])
def test_between_a_network_and_itself_there_is_exactly_no_barrier(name, batched, request):
    if batched:  # two threads may cut one product of all alphas within an alpha, and round it
        request.getfixturevalue("one_thread")
    a, _, data = setting(name)
    curve = linear_path(a, a, data, alphas=9, batched=batched)
    assert curve.barrier == (0.0, 0.0)
    assert all(barrier == (0.0, 0.0) for barrier in curve.barriers.values())


@pytest.mark.parametrize("name", MAKERS)
def test_every_way_of_computing_gives_the_numbers_of_the_plain_loop(name):
    a, b, data = setting(name)
    alphas = [-0.5, 0, 0.1, 0.5, 0.77, 1, 1.25]
    plain = [evaluate(lerp(a, b, alpha), data, model=a) for alpha in alphas]
    for batched in (False, True):
        for source in (data, DataLoader(TensorDataset(*data), batch_size=13)):
            curve = linear_path(a, b, source, alphas=alphas, batched=batched, batch_size=13)
            losses, accuracies = [s.loss for s in plain], [s.accuracy for s in plain]
            assert curve.loss == pytest.approx(losses, abs=1e-5, nan_ok=True), batched
            assert curve.accuracy == pytest.approx(accuracies, abs=1e-9), batched


def test_an_integer_buffer_that_comes_first_changes_no_number():
    """Coefficients in its dtype would be cut to 0 and 1."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("positions", torch.arange(6))
            self.up, self.head = nn.Linear(6, 8), nn.Linear(8, 4)

        def forward(self, x):
            return self.head(self.up(x[:, self.positions]).relu())

    a, b = pair(Counting)
    data = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 4
    plain = [evaluate(lerp(a, b, k / 4), data, model=a).loss for k in range(5)]
    for batched in (False, True):
        curve = linear_path(a, b, data, alphas=5, batched=batched)
        assert curve.loss == pytest.approx(plain, abs=1e-6)


def test_a_generator_that_can_be_read_once_is_enough():
    a, b, data = setting("mlp")
    once = ((x, y) for x, y in zip(data[0].split(10), data[1].split(10)))
    assert linear_path(a, b, once, alphas=5).loss == pytest.approx(
        linear_path(a, b, data, alphas=5).loss, abs=1e-6
    )
    with pytest.raises(DataError, match="used up"):
        linear_path(a, b, once, alphas=5)


def test_chunks_change_nothing(monkeypatch):
    engine = sys.modules[evaluate.__module__]
    a, b, data = setting("mlp")
    whole = linear_path(a, b, data, alphas=5, batch_size=7)
    monkeypatch.setattr(engine, "BUDGET", 1)
    assert linear_path(a, b, data, alphas=5, batch_size=7).loss == pytest.approx(
        whole.loss, abs=1e-12
    )
    assert linear_path(a, b, data, alphas=5, batch_size=7, batched=True).loss == pytest.approx(
        whole.loss, abs=1e-6
    )


def test_what_vmap_cannot_follow_ends_in_the_loop():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.head = nn.Linear(6, 8), nn.Linear(8, 4)

        def forward(self, x):
            y = self.linear(x).relu()
            return self.head(y if y.sum().item() > 0 else -y)

    torch.manual_seed(0)
    a, b, data = Branching(), Branching(), (torch.randn(20, 6), torch.arange(20) % 4)
    assert (
        linear_path(a, b, data, alphas=5, batched=True).loss
        == linear_path(a, b, data, alphas=5, batched=False).loss
    )


def test_an_arc_is_another_path_with_the_same_ends():
    a, b, data = setting("mlp with batchnorm")
    line, arc = (linear_path(a, b, data, alphas=5, kind=kind) for kind in ("lerp", "slerp"))
    assert (arc.at(0), arc.at(1)) == (line.at(0), line.at(1))
    assert arc.at(0.5).loss != line.at(0.5).loss
    for batched in (True, False):
        again = linear_path(a, b, data, alphas=5, kind="slerp", batched=batched)
        assert again.loss == pytest.approx(arc.loss, abs=1e-5)


losses = st.lists(st.floats(0, 10), min_size=5, max_size=5)


@given(losses, losses)
@settings(deadline=None)
def test_the_three_barriers_are_what_they_say(loss, accuracy):
    curve = Curve((0.0, 0.25, 0.5, 0.75, 1.0), tuple(loss), tuple(accuracy), (0.0,) * 5)
    ends = (loss[0] + loss[-1]) / 2
    assert curve.barrier.loss == pytest.approx(max(loss) - ends)
    assert curve.barrier.loss >= abs(loss[0] - loss[-1]) / 2 - 1e-9
    assert curve.barrier.accuracy == pytest.approx((accuracy[0] + accuracy[-1]) / 2 - min(accuracy))
    line = [(1 - alpha) * loss[0] + alpha * loss[-1] for alpha in curve.alphas]
    assert curve.barrier_to_line.loss == pytest.approx(max(x - y for x, y in zip(loss, line)))
    assert curve.barrier_to_line.loss >= -1e-9
    assert curve.barrier_at_midpoint.loss == pytest.approx(loss[2] - ends)
    assert curve.barrier_at_midpoint.loss <= curve.barrier.loss + 1e-9
    assert set(curve.barriers) == {"paper", "line", "midpoint"}


def test_the_papers_resnet50_barriers_come_out_of_its_printed_curve():
    loss = (
        (0.956, 1.015, 1.916, 5.873, 7.144, 5.223, 1.778, 1.034, 0.963),
        (0.957, 0.976, 1.193, 1.853, 2.315, 1.721, 1.161, 0.983, 0.964),
    )
    top1 = (
        (76.23, 74.56, 62.25, 5.95, 0.15, 14.32, 63.73, 73.98, 75.91),
        (76.19, 75.42, 70.57, 58.48, 51.01, 61.53, 71.39, 74.99, 75.86),
    )
    alphas = tuple(k / 8 for k in range(9))
    naive, matched = (
        Curve(alphas, x, tuple(y / 100 for y in z), (0.0,) * 9) for x, z in zip(loss, top1)
    )
    assert naive.barrier.loss == pytest.approx(6.184, abs=1e-3)
    assert matched.barrier.loss == pytest.approx(1.354, abs=1e-3)
    assert 1 - matched.barrier.accuracy / naive.barrier.accuracy == pytest.approx(0.671, abs=1e-3)


def test_extrapolation_is_kept_and_counts_for_no_barrier():
    curve = Curve(
        (-0.5, 0.0, 0.5, 1.0, 1.5), (9.0, 1.0, 1.5, 1.0, 9.0), (0.0, 0.9, 0.8, 0.9, 0.0), (0.0,) * 5
    )
    assert curve.barrier == pytest.approx((0.5, 0.1))
    assert curve.at(1.5).loss == 9.0


def test_a_loss_that_is_no_number_leaves_no_barrier_to_read():
    nan = float("nan")
    curve = Curve((0.0, 0.5, 1.0), (1.0, nan, 1.0), (0.9, 0.1, 0.9), (0.0,) * 3)
    assert curve.barrier.loss != curve.barrier.loss
    assert curve.barrier_to_line.loss != curve.barrier_to_line.loss
    assert curve.barrier.accuracy == pytest.approx(0.8)


def test_a_curve_says_what_it_does_not_have():
    curve = Curve((0.0, 0.25, 1.0), (1.0, 2.0, 1.0), (1.0, 0.5, 1.0), (0.0,) * 3)
    assert "midpoint" not in curve.barriers
    with pytest.raises(RebasinError, match=r"not measured at alpha = 0\.5"):
        _ = curve.barrier_at_midpoint
    with pytest.raises(RebasinError, match="alpha = 1"):
        _ = Curve((0.0, 0.5), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0)).barrier
    with pytest.raises(RebasinError, match="3 alphas and 2 values of loss"):
        Curve((0.0, 0.5, 1.0), (1.0, 1.0), (1.0,) * 3, (0.0,) * 3)


@pytest.mark.parametrize("alphas", [1, [], [0, float("nan")], [float("inf")], "25", 2.5, None])
def test_alphas_must_be_some_finite_numbers(alphas):
    a, b, data = setting("linear")
    with pytest.raises(RebasinError):
        linear_path(a, b, data, alphas=alphas)


def test_bad_weights_and_paths_are_named():
    a, b, data = setting("mlp")
    broken = b.state_dict() | {"linear2.weight": torch.full((16, 16), float("nan"))}
    with pytest.raises(
        WeightsError,
        match=r"linear2.weight of the second network holds 256 NaN",
    ):
        linear_path(a, broken, data)
    with pytest.raises(WeightsError, match=r"\(16, 12\)|\(17, 12\)"):
        linear_path(a, MLP(12, (17, 17), 4), data)
    with pytest.raises(ValueError, match="'slerp'"):
        linear_path(a, b, data, kind="bezier")


def test_saved_curves_come_back_whole(tmp_path):
    a, b, data = setting("mlp")
    curve = linear_path(a, b, data, alphas=3, label="naive", meta={"seeds": [1, 2]})
    path = tmp_path / "new folder" / "curve.json"
    curve.save(path)
    assert Curve.load(path) == curve
    assert [file.name for file in path.parent.iterdir()] == ["curve.json"]
    wild = Curve((0.0, 1.0), (float("inf"), float("nan")), (0.1, 0.1), (0.0, 0.0))
    wild.save(path)
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    found = Curve.load(path)
    assert found.loss[0] == float("inf")
    assert found.loss[1] != found.loss[1]


def test_files_that_are_no_curve_are_refused_in_words(tmp_path):
    path = tmp_path / "curve.json"
    Curve((0.0, 1.0), (1.0, 1.0), (0.1, 0.1), (0.0, 0.0)).save(path)
    whole = path.read_text()
    for text, words in (
        (whole[: len(whole) // 2], "cut off"),
        ("[1, 2]", "holds a list"),
        ('{"format": "rebasin_edu.Plane", "version": 1}', "rebasin_edu.Plane"),
        (whole.replace('"version": 2', '"version": 99'), "version 99.*update"),
        (whole.replace('"version": 2', '"version": 0'), "version 0.*Make it again"),
        (whole.replace('"loss"', '"los"'), "not a whole curve"),
    ):
        path.write_text(text)
        with pytest.raises(FileFormatError, match=words):
            Curve.load(path)


def test_iterating_gives_the_scores_in_order():
    a, b, data = setting("mlp")
    curve = linear_path(a, b, data, alphas=5)
    assert [score.loss for score in curve] == list(curve.loss)
    assert list(curve)[-1] == curve.at(1)
    assert not hasattr(curve, "__len__") and not hasattr(curve, "__getitem__")


def test_from_dict_leaves_its_argument_whole():
    content = dataclasses.asdict(linear_path(*setting("mlp"), alphas=3))
    before = copy.deepcopy(content)
    assert Curve.from_dict(content) == Curve.from_dict(content)
    assert content == before


def test_curves_of_version_1_still_load(tmp_path):
    old = dataclasses.asdict(Curve((0.0, 1.0), (1.0, 1.0), (0.1, 0.1), (0.0, 0.0)))
    old |= {
        "format": "rebasin_edu.Curve",
        "version": 1,
        "path": "slerp",
        "meta": {"mend": "repair"},
    }
    del old["kind"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    curve = Curve.load(tmp_path / "old.json")
    assert (curve.kind, curve.meta) == ("slerp", {"repair": "rescale"})


def test_the_curve_knows_the_name_of_its_data():
    class Named(TensorDataset):
        name = "noise, 53 examples"

    a, b, data = setting("mlp")
    assert linear_path(a, b, Named(*data), alphas=2).data == "noise, 53 examples"
    assert linear_path(a, b, DataLoader(Named(*data), 10), alphas=2).data == "noise, 53 examples"
    assert linear_path(a, b, data, alphas=2).data == ""
