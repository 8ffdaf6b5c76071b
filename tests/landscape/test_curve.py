"""Laws of the path: its ends are A and B, and between a network and itself there is no barrier."""

import json

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
    curve = linear_path(a, a, b, data, alphas=7, batch_size=20)
    for alpha, network in ((0, a), (1, b)):
        score = evaluate(a, network, data, batch_size=20)
        assert curve[alpha].loss == pytest.approx(score.loss, abs=1e-6)
        assert curve[alpha].accuracy == score.accuracy
        assert curve[alpha].ece == pytest.approx(score.ece, abs=1e-6)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("batched", [False, True])
def test_between_a_network_and_itself_there_is_exactly_no_barrier(name, batched):
    a, _, data = setting(name)
    curve = linear_path(a, a, a, data, alphas=9, batched=batched)
    assert curve.barrier == (0.0, 0.0)
    assert all(barrier == (0.0, 0.0) for barrier in curve.barriers.values())


@pytest.mark.parametrize("name", MAKERS)
def test_every_way_of_computing_gives_the_numbers_of_the_plain_loop(name):
    a, b, data = setting(name)
    alphas = [-0.5, 0, 0.1, 0.5, 0.77, 1, 1.25]
    plain = [evaluate(a, lerp(a, b, alpha), data) for alpha in alphas]
    for batched in (False, True):
        for share in (False, True):
            for source in (data, DataLoader(TensorDataset(*data), batch_size=13)):
                curve = linear_path(
                    a, a, b, source, alphas=alphas, batched=batched, share=share, batch_size=13
                )
                assert curve.loss == pytest.approx(
                    [s.loss for s in plain], abs=1e-5, nan_ok=True
                ), (batched, share)
                assert curve.accuracy == pytest.approx([s.accuracy for s in plain], abs=1e-9), (
                    batched,
                    share,
                )


def test_the_first_layer_is_computed_once_for_all_alphas_and_only_where_that_is_right(monkeypatch):
    from rebasin_edu.landscape.openings import Ends, Openings

    a, b, data = setting("wide")
    found = Openings.find(a, a.state_dict(), data[0])
    assert set(found.layers.values()) == {
        "left",
        "right",
        "hidden",
    }  # a trace cannot see through detach …
    ends = Ends(found.layers, [a.state_dict(), b.state_dict()])
    forwards = ends.forwards(0, (0.5, 0.5))
    x, y = torch.randn(3, 8), torch.randn(3, 8)
    forwards[a.hidden](x)
    torch.testing.assert_close(forwards[a.hidden](y), a.hidden(y))  # … but another input is noticed
    assert a.hidden not in ends.clones
    calls = []
    monkeypatch.setattr(
        nn.Linear,
        "forward",
        lambda self, x: calls.append(self) or nn.functional.linear(x, self.weight, self.bias),
    )
    mlp, other, data = setting("mlp")
    linear_path(mlp, mlp, other, data, alphas=11)
    assert sum(layer is mlp.linear1 for layer in calls) == 1  # in the trace
    assert sum(layer is mlp.linear2 for layer in calls) == 12


def test_a_generator_that_can_be_read_once_is_enough():
    a, b, data = setting("mlp")
    once = ((x, y) for x, y in zip(data[0].split(10), data[1].split(10)))
    assert linear_path(a, a, b, once, alphas=5).loss == pytest.approx(
        linear_path(a, a, b, data, alphas=5).loss, abs=1e-6
    )
    with pytest.raises(DataError, match="used up"):
        linear_path(a, a, b, once, alphas=5)


def test_chunks_change_nothing(monkeypatch):
    from rebasin_edu.landscape import combinations

    a, b, data = setting("mlp")
    whole = linear_path(a, a, b, data, alphas=5, batch_size=7)
    monkeypatch.setattr(combinations, "BUDGET", 1)
    assert linear_path(a, a, b, data, alphas=5, batch_size=7).loss == pytest.approx(
        whole.loss, abs=1e-12
    )
    assert linear_path(a, a, b, data, alphas=5, batch_size=7, batched=True).loss == pytest.approx(
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
        linear_path(a, a, b, data, alphas=5, batched=True).loss
        == linear_path(a, a, b, data, alphas=5, batched=False).loss
    )


def test_an_arc_is_another_path_with_the_same_ends():
    a, b, data = setting("mlp with batchnorm")
    line, arc = (linear_path(a, a, b, data, alphas=5, path=path) for path in ("lerp", "slerp"))
    assert (arc[0], arc[1]) == (line[0], line[1])
    assert arc[0.5].loss != line[0.5].loss
    for batched in (True, False):
        again = linear_path(
            a, a, b, data, alphas=5, path="slerp", batched=batched, share=not batched
        )
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
    assert curve[1.5].loss == 9.0


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


@pytest.mark.parametrize("alphas", [1, [], [0, float("nan")], [float("inf")]])
def test_alphas_must_be_some_finite_numbers(alphas):
    a, b, data = setting("linear")
    with pytest.raises(RebasinError):
        linear_path(a, a, b, data, alphas=alphas)


def test_bad_weights_and_paths_are_named():
    a, b, data = setting("mlp")
    broken = b.state_dict() | {"linear2.weight": torch.full((16, 16), float("nan"))}
    with pytest.raises(
        WeightsError, match=r"linear2.weight of the second network holds 256 of 256"
    ):
        linear_path(a, a, broken, data)
    with pytest.raises(WeightsError, match=r"\(16, 12\)|\(17, 12\)"):
        linear_path(a, a, MLP(12, (17, 17), 4), data)
    with pytest.raises(RebasinError, match="'slerp'"):
        linear_path(a, a, b, data, path="bezier")


def test_saved_curves_come_back_whole(tmp_path):
    a, b, data = setting("mlp")
    curve = linear_path(
        a, a, b, data, alphas=3, label="naive", data_name="noise", meta={"seeds": [1, 2]}
    )
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
        ("[1, 2]", "something else"),
        ('{"format": "rebasin_edu.Plane", "version": 1}', "rebasin_edu.Plane"),
        (whole.replace('"version": 1', '"version": 99'), "version 99.*update"),
        (whole.replace('"version": 1', '"version": 0'), "version 0.*compute it again"),
        (whole.replace('"loss"', '"los"'), "not a whole curve"),
    ):
        path.write_text(text)
        with pytest.raises(FileFormatError, match=words):
            Curve.load(path)


def test_files_of_an_older_version_are_brought_up_step_by_step(tmp_path):
    from rebasin_edu.landscape import results

    path = tmp_path / "old.json"
    results.write(path, "thing", 1, {"x": 1})
    steps = {
        1: lambda content: {**content, "y": 2},
        2: lambda content: {**content, "z": content["y"] + 1},
    }
    assert results.read(path, "thing", 3, steps) == {"x": 1, "y": 2, "z": 3}
