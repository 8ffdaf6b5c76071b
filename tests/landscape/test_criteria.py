"""Any loss, any task: the numbers are torch's own, and no task needs more than three lines."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import rebasin_edu as rb
from rebasin_edu.errors import DataError

G = torch.Generator().manual_seed(0)


def pair(make):
    torch.manual_seed(0)
    a = make()
    torch.manual_seed(1)
    return a.eval(), make().eval()


class UNet(nn.Module):
    """Down, up, and a bridge between; as many channels come out as are asked for."""

    def __init__(self, channels):
        super().__init__()
        self.down, self.deep = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)
        self.head = nn.Conv2d(16, channels, 1)

    def forward(self, x):
        wide = F.relu(self.down(x))
        return self.head(torch.cat([wide, F.relu(self.up(F.relu(self.deep(wide))))], 1))


class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lstm = nn.Embedding(30, 8), nn.LSTM(8, 12, batch_first=True)
        self.head = nn.Linear(12, 30)

    def forward(self, t):
        return self.head(self.lstm(self.embed(t))[0])


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 8), nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x, y):
        return self.head(F.relu(self.left(x) + self.right(y)))


class Classifier(nn.Module):
    """As language models of a well-known library: keywords in, an output with logits and a loss."""

    def __init__(self):
        super().__init__()
        self.words, self.up, self.head = nn.Embedding(30, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        weight = attention_mask.unsqueeze(-1).to(self.words.weight)
        mean = (self.words(input_ids) * weight).sum(1) / weight.sum(1)
        return {"logits": self.head(F.relu(self.up(mean))), "loss": None}


def tabular(outputs):
    return lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, outputs))


IMAGES = torch.randn(24, 3, 8, 8, generator=G)
TABLE, LABELS = torch.randn(60, 6, generator=G), torch.randint(0, 2, (60, 4), generator=G).float()
TEXT = torch.randint(1, 30, (24, 7), generator=G)


def unet_with_mean_squared_error():
    a, b = pair(lambda: UNet(3))
    merged, report = rb.merge(a, b, (IMAGES, IMAGES))
    return a, merged, (IMAGES, IMAGES), F.mse_loss, report


def several_labels_with_binary_cross_entropy():
    a, b = pair(tabular(4))
    bce = F.binary_cross_entropy_with_logits
    merged, report = rb.merge(a, b, (TABLE, LABELS), loss=bce)
    return a, merged, (TABLE, LABELS), bce, report


def characters():
    a, b = pair(Characters)
    merged, report = rb.merge(a, b, (TEXT, TEXT.roll(-1, 1)))
    return a, merged, (TEXT, TEXT.roll(-1, 1)), lambda y, t: F.cross_entropy(y.mT, t), report


def segmentation():
    classes = torch.randint(0, 5, (24, 8, 8), generator=G)
    a, b = pair(lambda: UNet(5))
    merged, report = rb.merge(a, b, (IMAGES, classes))
    return a, merged, (IMAGES, classes), F.cross_entropy, report


def segmentation_with_as_many_classes_as_pixels():
    classes = torch.randint(0, 8, (24, 8, 8), generator=G)
    a, b = pair(lambda: UNet(8))
    merged, report = rb.merge(a, b, (IMAGES, classes))
    return a, merged, (IMAGES, classes), F.cross_entropy, report


def two_inputs():
    data = (TABLE[:, :4], TABLE[:, 1:]), torch.arange(60) % 3
    a, b = pair(Two)
    merged, report = rb.merge(a, b, data)
    return a, merged, data, F.cross_entropy, report


def loader_of_dictionaries():
    mask, labels = torch.ones_like(TEXT), torch.arange(24) % 2
    a, b = pair(Classifier)
    loader = [{"input_ids": TEXT, "attention_mask": mask, "labels": labels}]
    merged, report = rb.merge(a, b, loader)
    return a, merged, loader, F.cross_entropy, report


class Graph(nn.Module):
    """Messages along edges; its inputs are not of one number of examples."""

    def __init__(self):
        super().__init__()
        self.up, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, nodes, edges):
        hidden = F.relu(self.up(nodes))
        return self.head(hidden + torch.zeros_like(hidden).index_add(0, edges[1], hidden[edges[0]]))


def a_graph():
    data = (TABLE, torch.randint(0, 60, (2, 90), generator=G)), torch.arange(60) % 3
    a, b = pair(Graph)
    merged, report = rb.merge(a, b, [data])
    assert any("fitted and scored on" in note for note in report.notes)
    return a, merged, data, F.cross_entropy, report


def three_models():
    a, b = pair(tabular(3))
    c, _ = pair(tabular(3))
    merged, report = rb.merge([a, b, c], train_data=(TABLE, torch.arange(60) % 3))
    return a, merged, (TABLE, torch.arange(60) % 3), F.cross_entropy, report


TASKS = [
    unet_with_mean_squared_error,
    several_labels_with_binary_cross_entropy,
    characters,
    segmentation,
    segmentation_with_as_many_classes_as_pixels,
    two_inputs,
    loader_of_dictionaries,
    a_graph,
    three_models,
]


@pytest.mark.filterwarnings("ignore::rebasin_edu.errors.RebasinWarning")
@pytest.mark.parametrize("task", TASKS)
def test_every_task_in_three_lines_and_with_the_loss_of_torch(task):
    model, merged, data, loss, report = task()
    assert len(report.scores) >= 4
    model.load_state_dict(merged)
    batch = data[0] if isinstance(data, list) else None
    inputs, targets = (batch, batch["labels"]) if batch else data
    with torch.no_grad():
        if isinstance(inputs, dict):
            outputs = model(**{k: x for k, x in inputs.items() if k != "labels"})["logits"]
        else:
            outputs = model(*inputs) if isinstance(inputs, tuple) else model(inputs)
    expected = float(loss(outputs, targets))
    own = {"loss": loss} if loss is F.binary_cross_entropy_with_logits else {}
    assert rb.evaluate(merged, data, model=model, **own).loss == pytest.approx(expected, rel=1e-5)


def test_a_loss_gives_one_number_or_one_for_each_example():
    a, b = pair(tabular(3))
    targets = torch.randn(60, 3, generator=G)
    whole = rb.linear_path(a, b, (TABLE, targets), alphas=3, batch_size=20, loss=F.mse_loss)
    each = rb.linear_path(
        a, b, (TABLE, targets), alphas=3, batch_size=20,
        loss=lambda y, t: (y - t).square().mean(-1),
    )  # fmt: skip
    plain = rb.linear_path(a, b, (TABLE, targets), alphas=3)
    assert whole.loss == pytest.approx(plain.loss, rel=1e-6)
    assert each.loss == pytest.approx(plain.loss, rel=1e-6)
    assert all(map(math.isnan, whole.accuracy))


def test_many_networks_at_once_have_the_same_losses():
    a, b = pair(tabular(3))
    data, own = (TABLE, torch.arange(60) % 3), {"alphas": 5, "metrics": {"top": F.cross_entropy}}
    one, many = (rb.linear_path(a, b, data, batched=x, **own) for x in (False, True))
    assert one.loss == pytest.approx(many.loss, rel=1e-5)
    assert one.metrics["top"] == pytest.approx(one.loss, rel=1e-5)
    assert one.metrics["top"] == pytest.approx(many.metrics["top"], rel=1e-5)


def test_metrics_are_kept_in_curves_and_planes(tmp_path):
    a, b = pair(tabular(4))
    c, _ = pair(lambda: tabular(4)())
    c[0].weight.data += torch.randn(8, 6, generator=G)

    def exact(outputs, targets):
        return ((outputs > 0) == (targets > 0)).all(-1).float()

    own = {"loss": F.binary_cross_entropy_with_logits, "metrics": {"exact": exact}}
    curve = rb.linear_path(a, b, (TABLE, LABELS), alphas=3, **own)
    expected = float(exact(b(TABLE).detach(), LABELS).mean())
    assert curve.at(1).metrics["exact"] == pytest.approx(expected)
    curve.save(tmp_path / "curve.json")
    stored = rb.Curve.load(tmp_path / "curve.json")
    assert (stored.loss, stored.metrics) == (curve.loss, curve.metrics)
    plane = rb.loss_plane(a, b, c, (TABLE, LABELS), resolution=2, file=tmp_path / "p.json", **own)
    assert rb.Plane.load(tmp_path / "p.json").metrics == plane.metrics
    diagnosis = rb.diagnose(a, b, (TABLE, LABELS), **own)
    assert diagnosis.scores["A"].metrics["exact"] == curve.at(0).metrics["exact"]
    assert "exact" in str(diagnosis) and "nan" not in str(diagnosis)


def test_what_a_loss_leaves_out_is_no_prediction():
    a, _ = pair(tabular(3))
    targets = torch.where(torch.arange(60) % 4 == 0, -100, torch.arange(60) % 3)
    score = rb.evaluate(a, (TABLE, targets), batch_size=7)
    assert score.loss == pytest.approx(float(F.cross_entropy(a(TABLE).detach(), targets)), rel=1e-6)
    assert score.samples == 45
    own = nn.CrossEntropyLoss(ignore_index=255)
    other = rb.evaluate(a, (TABLE, torch.where(targets == -100, 255, targets)), loss=own)
    assert (other.accuracy, other.loss) == pytest.approx((score.accuracy, score.loss), rel=1e-5)


def test_soft_targets_are_a_loss_of_torch():
    a, _ = pair(tabular(3))
    soft = torch.rand(60, 3, generator=G).softmax(-1)
    score = rb.evaluate(a, (TABLE, soft), loss=F.cross_entropy, batch_size=20)
    assert score.loss == pytest.approx(float(F.cross_entropy(a(TABLE).detach(), soft)), rel=1e-6)


def test_sequences_as_long_as_there_are_classes_are_not_guessed():
    model = nn.Linear(4, 5)
    square, t = torch.randn(6, 5, 4, generator=G), torch.zeros(6, 5, dtype=torch.long)
    with pytest.raises(DataError, match="say which by loss="):
        rb.evaluate(model, (square, t))
    assert rb.evaluate(model, [(square[:, :3], t[:, :3]), (square, t)]).samples == 48
    with torch.no_grad():
        expected = float(F.cross_entropy(model(square).mT, t))
    found = rb.evaluate(model, (square, t), loss=lambda y, t: F.cross_entropy(y.mT, t))
    assert found.loss == pytest.approx(expected, rel=1e-6)


def test_problems_of_the_targets_are_found_before_the_matching():
    a, b = pair(tabular(3))
    reached = []

    class Spec(rb.PermutationSpec):
        def validate(self, weights, **named):
            reached.append(1)
            return super().validate(weights, **named)

    spec = rb.PermutationSpec.from_model(a, TABLE[:2])
    spec = Spec(spec.axes, parents=spec.parents, buffers=spec.buffers)
    with pytest.raises(DataError, match="the network has 3 classes"):
        rb.merge(a, b, (TABLE, torch.arange(60)), spec=spec)
    assert not reached
