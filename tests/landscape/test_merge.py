"""From checkpoints to one network and a report, in one call."""

import pytest
import torch
from torch import nn

from rebasin_edu.errors import DataError, RebasinError
from rebasin_edu.lab.models import MLP, ResNet20
from rebasin_edu.landscape import evaluate, lerp, merge
from rebasin_edu.storage import load_tensors
from rebasin_edu.symmetry import PermutationSpec

GENERATOR = torch.Generator().manual_seed(0)
DATA = torch.randn(200, 12, generator=GENERATOR), torch.randint(0, 4, (200,), generator=GENERATOR)
HELD_OUT = DATA[0][:100], DATA[1][:100]  # what merge scores on, of one batch
EXAMPLE = DATA[0][:2]


def mlp(seed):
    torch.manual_seed(seed)
    return MLP(12, (16, 16), 4)


def resnet(seed):
    torch.manual_seed(seed)
    return ResNet20(0.25, 4, "batch")


IMAGES = torch.randn(40, 3, 8, 8, generator=GENERATOR), torch.arange(40) % 4


def test_a_network_and_its_shuffle_merge_into_that_network():
    a = mlp(0)
    spec = PermutationSpec.from_model(a, EXAMPLE)
    b = spec.apply(a, spec.random(3))
    merged, report = merge(a, b, inputs=EXAMPLE)
    for name, x in a.state_dict().items():
        torch.testing.assert_close(merged[name], x)
    assert report.scores == {}
    assert (report.method, report.repair) == ("weights", "none")
    naive, told = merge(a, b, DATA, method="none", repair="none")
    assert torch.equal(naive["linear1.weight"], lerp(a, b, 0.5)["linear1.weight"])
    wanted = evaluate(naive, HELD_OUT, model=a)
    assert told.scores["naive"].loss == pytest.approx(wanted.loss, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 0.3])
def test_the_report_says_what_was_done_and_what_it_cost(alpha):
    a, b = mlp(0), mlp(1)
    merged, report = merge(a, b, DATA, alpha=alpha)
    assert {"A", "B", "naive", "matched", "rescale", "refit"} == report.scores.keys()
    used = report.scores["matched" if report.repair == "none" else report.repair]
    assert evaluate(merged, HELD_OUT, model=a).loss == pytest.approx(used.loss, abs=1e-6)
    assert used.loss == min(report.scores[name].loss for name in ("matched", "rescale", "refit"))
    assert {"symmetries", "matching", "rescale", "refit"} == report.seconds.keys()
    for word in ("matched", f"alpha = {alpha:g}", "symmetries"):
        assert word in str(report)


@pytest.mark.parametrize("make", [mlp, resnet])
@pytest.mark.parametrize("repair", ["auto", "refit", "none"])
def test_alpha_0_and_1_are_the_parents_bit_for_bit(make, repair):
    a, b = make(0), make(1)
    if make is resnet:
        b.stem_norm.num_batches_tracked += 3
    data = DATA if make is mlp else IMAGES
    for alpha in (0, 1):
        merged, report = merge(a, b, data, alpha=alpha, repair=repair)
        wanted = a.state_dict()
        if alpha:
            wanted = report.spec.apply(b, report.matching.permutation)
        assert all(torch.equal(merged[name], x) for name, x in wanted.items())


@pytest.mark.parametrize("repair", ["rescale", "refit"])
def test_a_repair_that_is_asked_for_is_kept(repair):
    a = mlp(0)
    merged, report = merge(a, mlp(1), DATA, repair=repair)
    assert report.repair == repair
    score = evaluate(merged, HELD_OUT, model=a)
    assert score.loss == pytest.approx(report.scores[repair].loss, abs=1e-6)


def test_the_unrefitted_barrier_stands_beside_a_refitted_score():
    _, report = merge(mlp(0), mlp(1), DATA, repair="refit")
    assert "matched" in report.scores
    assert any("without it the loss half-way is" in note for note in report.notes)


def test_batchnorm_is_reestimated_with_data_and_warned_of_without():
    a, b = resnet(0), resnet(1)
    merged, report = merge(a, b, IMAGES, repair="batchnorm")
    assert report.repair == "batchnorm"
    held_out = IMAGES[0][:20], IMAGES[1][:20]
    score = evaluate(merged, held_out, model=a)
    assert score.loss == pytest.approx(report.scores["batchnorm"].loss, abs=1e-5)
    _, blind = merge(a, b, inputs=IMAGES[0][:2])
    assert "stale" in blind.notes[0]
    _, tried = merge(a, b, IMAGES)
    assert {"batchnorm", "rescale", "refit"} < tried.scores.keys()


def test_a_repair_that_does_not_fit_is_reported():
    a, b = mlp(0), mlp(1)
    merged, report = merge(a, b, DATA, repair="batchnorm")
    assert report.repair == "none"
    assert any("no BatchNorm" in note for note in report.notes)
    score = evaluate(merged, HELD_OUT, model=a)
    assert score.loss == pytest.approx(report.scores["matched"].loss)


def test_a_merge_far_below_its_parents_says_what_to_try_next():
    a, b = mlp(0), mlp(1)
    labels = a(DATA[0]).argmax(1)
    c = PermutationSpec.from_model(a, EXAMPLE)
    b = c.apply(a, c.random(1))
    _, bad = merge(a, b, (DATA[0], labels), method="none", repair="none")
    assert any("points below its parents; next try method='weights'" in n for n in bad.notes)
    _, good = merge(a, b, (DATA[0], labels))
    assert not any("below its parents" in note for note in good.notes)


def test_three_networks_and_more_merge_into_one():
    networks = [mlp(seed) for seed in range(3)]
    _, report = merge(networks, train_data=DATA)
    names = {"network 1", "network 2", "network 3"}
    assert report.scores.keys() == names | {"naive", "matched", "refit"}
    plain, _ = merge(networks, train_data=DATA, repair="none")
    assert torch.equal(plain["head.bias"], report.matching.weights["head.bias"])
    assert merge(networks[:2], train_data=DATA)[1].scores == merge(*networks[:2], DATA)[1].scores
    refitted, told = merge(networks, train_data=DATA, repair="refit")
    assert told.repair == "refit" and not torch.equal(refitted["head.bias"], plain["head.bias"])
    score = evaluate(refitted, HELD_OUT, model=networks[0])
    assert score.loss == pytest.approx(told.scores["refit"].loss, abs=1e-6)
    with pytest.raises(ValueError, match="equal parts"):
        merge(networks, train_data=DATA, alpha=0.3)
    with pytest.raises(ValueError, match="between two"):
        merge(networks, train_data=DATA, repair="rescale")
    with pytest.raises(RebasinError, match="one network alone"):
        merge(networks[:1])


def test_images_without_labels_are_enough_for_every_repair():
    for make, images in ((mlp, DATA[0]), (resnet, IMAGES[0])):
        for repair in ("auto", "rescale", "refit"):
            merged, report = merge(make(0), make(1), images, repair=repair)
            assert any("no targets" in note for note in report.notes)
            assert all(torch.isfinite(x).all() for x in merged.values())


def test_examples_may_be_keyword_arguments():
    class ByName(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.head = nn.Linear(12, 8), nn.Linear(8, 4)

        def forward(self, *, values):
            return {"logits": self.head(self.up(values).relu())}

    torch.manual_seed(0)
    a, b = ByName(), ByName()
    batches = [({"values": x}, t) for x, t in zip(DATA[0].split(50), DATA[1].split(50))]
    for inputs in ({"values": EXAMPLE}, None):
        merged, report = merge(a, b, batches, inputs=inputs)
        assert report.scores.keys() > {"A", "B", "matched"}
    ByName().load_state_dict(merged)


def test_a_regression_is_merged_too():
    torch.manual_seed(0)
    a, b = (nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3)) for _ in range(2))
    data = DATA[0], torch.randn(200, 3)
    _, report = merge(a, b, data)
    assert report.scores["A"].loss > 0
    assert str(report)


def test_a_temperature_is_fitted_and_reported():
    a = mlp(0)
    with torch.no_grad():
        labels = (a(DATA[0]) * 3).softmax(-1).multinomial(1, generator=GENERATOR)[:, 0]
        a.head.weight.mul_(30)
        a.head.bias.mul_(30)
    merged, report = merge(a, a, (DATA[0], labels), repair="none", temperature=True)
    assert 5 < report.temperature < 20  # 30 times too sharp for labels drawn at 3 times
    assert any(note.startswith("temperature") for note in report.notes)
    assert torch.equal(merged["head.weight"], a.state_dict()["head.weight"])


def test_the_merged_weights_can_be_saved(tmp_path):
    merged, _ = merge(mlp(0), mlp(1), DATA, save=tmp_path / "merged.safetensors")
    tensors, about = load_tensors(tmp_path / "merged.safetensors")
    assert all(torch.equal(tensors[name], x) for name, x in merged.items())
    assert "merged at alpha" in about["report"]


def test_arguments_and_the_random_state_are_left_alone():
    a, b = mlp(0), mlp(1)
    before = {name: x.clone() for name, x in b.state_dict().items()}
    state = torch.get_rng_state()
    merge(a, b, DATA)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(x, b.state_dict()[name]) for name, x in before.items())
    assert a.training


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"method": "magic"}, ValueError, "'magic' is not known.*'weights'"),
        ({"repair": "glue"}, ValueError, "'glue' is not known"),
        ({"method": "activations"}, DataError, "needs data"),
        ({"repair": "rescale"}, DataError, "needs data"),
        ({"temperature": True}, DataError, "needs data"),
        ({"inputs": None}, DataError, "inputs= is needed"),
        ({"train_data": (DATA[0][:1], DATA[1][:1])}, DataError, "one example"),
    ],
)
def test_what_cannot_be_done_is_said(options, error, words):
    with pytest.raises(error, match=words):
        merge(mlp(0), mlp(1), **{"inputs": EXAMPLE, **options})


def test_any_architecture_will_do():
    torch.manual_seed(0)
    make = lambda: nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 4))  # noqa: E731
    merged, _ = merge(make(), make(), [(DATA[0][:90], DATA[1][:90]), (DATA[0][90:], DATA[1][90:])])
    make().load_state_dict(merged)


def test_activations_match_too():
    a = mlp(0)
    spec = PermutationSpec.from_model(a, EXAMPLE)
    shuffled = spec.apply(a, spec.random(3))
    merged, report = merge(a, shuffled, DATA, method="activations", repair="none")
    for name, x in a.state_dict().items():
        torch.testing.assert_close(merged[name], x)
    assert report.method == "activations"
