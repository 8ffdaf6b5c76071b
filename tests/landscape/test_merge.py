"""From two checkpoints to one network and a report, in one call."""

import pytest
import torch
from torch import nn

from rebasin_edu.lab.models import MLP, ResNet20
from rebasin_edu.landscape import evaluate, lerp, merge
from rebasin_edu.symmetry import PermutationSpec

GENERATOR = torch.Generator().manual_seed(0)
DATA = torch.randn(200, 12, generator=GENERATOR), torch.randint(0, 4, (200,), generator=GENERATOR)
EXAMPLE = DATA[0][:2]


def mlp(seed):
    torch.manual_seed(seed)
    return MLP(12, (16, 16), 4)


def test_a_network_and_its_shuffle_merge_into_that_network():
    a = mlp(0)
    spec = PermutationSpec.from_model(a, EXAMPLE)
    b = spec.apply(a, spec.random(3))
    merged, report = merge(a, a, b, EXAMPLE)
    for name, x in a.state_dict().items():
        torch.testing.assert_close(merged[name], x)
    assert report.scores == {}
    assert (report.method, report.repair) == ("weights", "none")
    naive, told = merge(a, a, b, EXAMPLE, DATA, method="none", repair="none")
    assert torch.equal(naive["linear1.weight"], lerp(a, b, 0.5)["linear1.weight"])
    assert told.scores["naive"].loss == pytest.approx(evaluate(a, naive, DATA).loss, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_the_report_says_what_was_done_and_what_it_cost(alpha):
    a, b = mlp(0), mlp(1)
    merged, report = merge(a, a, b, EXAMPLE, DATA, alpha=alpha)
    assert {"A", "B", "naive", "matched", "repair"} == report.scores.keys()
    used = report.scores["repair" if report.repair == "repair" else "matched"]
    assert evaluate(a, merged, DATA).loss == pytest.approx(used.loss, abs=1e-6)
    assert used.loss <= report.scores["matched"].loss
    assert {"symmetries", "matching", "repair"} == report.seconds.keys()
    for word in ("matched", f"alpha = {alpha:g}", "symmetries"):
        assert word in str(report)


def test_auto_keeps_a_repair_only_where_it_helps():
    a = mlp(0)  # merged with itself: nothing to gain
    _, report = merge(a, a, a, EXAMPLE, DATA)
    assert report.scores["matched"].loss == pytest.approx(report.scores["A"].loss, abs=1e-6)
    if report.repair == "none":
        assert "was left out" in report.notes[0]
    forced, told = merge(a, a, mlp(1), EXAMPLE, DATA, repair="repair")
    assert told.repair == "repair"
    assert evaluate(a, forced, DATA).loss == pytest.approx(told.scores["repair"].loss, abs=1e-6)


def test_batchnorm_is_reestimated_with_data_and_warned_of_without():
    torch.manual_seed(0)
    images = torch.randn(40, 3, 8, 8), torch.arange(40) % 4
    a, b = ResNet20(0.25, 4, "batch"), ResNet20(0.25, 4, "batch")
    merged, report = merge(a, a, b, images[0][:2], images)
    assert report.repair == "batchnorm"
    _, blind = merge(a, a, b, images[0][:2])
    assert "stale" in blind.notes[0]
    assert evaluate(a, merged, images).loss == pytest.approx(
        report.scores["batchnorm"].loss, abs=1e-5
    )


def test_a_repair_that_does_not_fit_is_reported():
    a, b = mlp(0), mlp(1)
    merged, report = merge(a, a, b, EXAMPLE, DATA, repair="batchnorm")
    assert report.repair == "none"
    assert "no BatchNorm" in report.notes[0]
    torch.testing.assert_close(evaluate(a, merged, DATA).loss, report.scores["matched"].loss)


def test_arguments_and_the_random_state_are_left_alone():
    a, b = mlp(0), mlp(1)
    before = {name: x.clone() for name, x in b.state_dict().items()}
    state = torch.get_rng_state()
    merge(a, a, b, EXAMPLE, DATA)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(x, b.state_dict()[name]) for name, x in before.items())
    assert a.training


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "magic"}, "'magic' is not known.*'weights'"),
        ({"repair": "glue"}, "'glue' is not known"),
        ({"method": "activations"}, "needs data"),
        ({"repair": "repair"}, "needs data"),
    ],
)
def test_what_cannot_be_done_is_said(options, words):
    with pytest.raises(ValueError, match=words):
        merge(mlp(0), mlp(0), mlp(1), EXAMPLE, **options)


def test_any_architecture_will_do():
    torch.manual_seed(0)
    make = lambda: nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 4))  # noqa: E731
    a, b = make(), make()
    merged, _ = merge(
        a, a, b, EXAMPLE, [(DATA[0][:90], DATA[1][:90]), (DATA[0][90:], DATA[1][90:])]
    )
    make().load_state_dict(merged)


def test_activations_match_too():
    a = mlp(0)
    spec = PermutationSpec.from_model(a, EXAMPLE)
    merged, report = merge(
        a, a, spec.apply(a, spec.random(3)), EXAMPLE, DATA, method="activations", repair="none"
    )
    for name, x in a.state_dict().items():
        torch.testing.assert_close(merged[name], x)
    assert report.method == "activations"
