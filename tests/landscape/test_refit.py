"""Refit: every layer of a merged network in closed form, in one pass over the layers."""

import copy

import pytest
import torch
from torch import nn

from rebasin_edu.errors import DataError, RebasinWarning, WeightsError
from rebasin_edu.landscape import lerp, reestimate_batchnorm, refit
from rebasin_edu.landscape.least_squares import equations, matrix_of, thinned
from rebasin_edu.weights import run

LAYERS = {
    "linear": (nn.Linear(5, 4), (7, 5)),
    "linear, two axes of examples": (nn.Linear(5, 4, bias=False), (7, 3, 5)),
    "conv1d": (nn.Conv1d(3, 4, 3, padding=2, dilation=2), (5, 3, 9)),
    "conv2d, stride": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), bias=False), (5, 3, 8, 7)),
    "conv2d, same": (nn.Conv2d(3, 4, (3, 5), padding="same"), (5, 3, 8, 7)),
    "conv2d, reflect": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), (5, 3, 8, 7)),
    "conv2d, one image": (nn.Conv2d(3, 4, 3), (3, 8, 7)),
    "conv3d": (nn.Conv3d(2, 4, 3, padding=1), (3, 2, 4, 5, 4)),
}


def network(seed, norm=True):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 6, 3, bias=not norm), nn.BatchNorm2d(6) if norm else nn.Identity()]
    layers += [nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(96, 8), nn.ReLU(), nn.Linear(8, 4)]
    return nn.Sequential(*layers).double().eval()


@pytest.fixture(autouse=True)
def generator_untouched():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def images(n=60):
    return torch.randn(n, 3, 6, 6, dtype=torch.float64)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_its_design_matrix_times_its_weights(name):
    layer, shape = copy.deepcopy(LAYERS[name][0]).double(), LAYERS[name][1]
    x = torch.randn(shape, dtype=torch.float64)
    with torch.no_grad():
        for design, y in equations(layer, x, layer(x)):
            torch.testing.assert_close(design.T @ matrix_of(layer), y)


@pytest.mark.parametrize("norm", [True, False])
def test_refit_of_a_network_with_itself_changes_nothing(norm):
    a, x = network(0, norm), images()
    if norm:  # statistics of these very images: those of a new network are of no images
        a.load_state_dict(reestimate_batchnorm(a, x))
    weights = refit(a, a, x).weights
    for name, value in a.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-12)


def test_a_planted_wrong_weight_comes_back():
    a, merged = network(0, norm=False), network(0, norm=False).state_dict()
    merged = {name: x.clone() for name, x in merged.items()}
    merged["6.weight"][1, 2] += 3
    report = refit(a, a, images(400), merged=merged, ridge=1e-9)
    torch.testing.assert_close(report.weights["6.weight"], a[6].weight.data, rtol=0, atol=1e-6)
    assert report.layers[-1].before > 1e-2 > 1e-9 > report.layers[-1].after


def test_without_a_ridge_the_fit_is_that_of_least_squares():
    a, b, merged = (nn.Sequential(nn.Linear(5, 3)).double() for _ in range(3))
    x = torch.randn(40, 5, dtype=torch.float64)
    report = refit(a, b, x, merged=merged, alpha=0.25, ridge=1e-12)
    with torch.no_grad():
        target = 0.75 * a(x) + 0.25 * b(x)
    ones = torch.cat([x, torch.ones(40, 1, dtype=torch.float64)], 1)
    solution = torch.linalg.lstsq(ones, target).solution
    torch.testing.assert_close(report.weights["0.weight"], solution[:5].T)
    torch.testing.assert_close(report.weights["0.bias"], solution[5])


def test_each_layer_is_fitted_on_what_the_fitted_layers_before_it_feed_it():
    a, b, x, ridge = network(0), network(1), images(), 1e-3
    weights = refit(a, b, x, ridge=ridge).weights
    mixed, fitted, feed = network(0), network(0), {}
    mixed.load_state_dict(lerp(a, b, 0.5))
    fitted.load_state_dict(weights)
    with torch.no_grad():
        for index, layer in enumerate(fitted):
            feed[index] = x if index == 0 else fitted[:index](x)
            if isinstance(layer, nn.BatchNorm2d):
                torch.testing.assert_close(layer.running_mean, feed[index].mean((0, 2, 3)))
                torch.testing.assert_close(layer.running_var, feed[index].var((0, 2, 3)))
            if not isinstance(layer, (nn.Linear, nn.Conv2d)):
                continue
            target = (a[: index + 1](x) + b[: index + 1](x)) / 2
            parts = list(equations(layer, feed[index], target))
            design, target = torch.cat([d for d, _ in parts], 1), torch.cat([y for _, y in parts])
            w0, gram = matrix_of(mixed[index]), design @ design.T / len(target)
            gram += ridge * gram.diagonal().mean() * torch.eye(len(gram)).double()
            step = torch.linalg.solve(gram, design @ (target - design.T @ w0) / len(target))
            torch.testing.assert_close(matrix_of(layer), w0 + step)


def test_batches_change_nothing_and_neither_do_labels():
    a, b, x = network(0), network(1), images()
    whole = refit(a, b, x).weights
    parts = refit(a, b, [(x[:40], torch.zeros(40)), (x[40:], torch.zeros(20))])
    for name, value in whole.items():
        if value.is_floating_point():
            torch.testing.assert_close(parts.weights[name], value)


def test_the_ends_are_the_parents_bit_for_bit():
    a, b = network(0), network(1)
    for alpha, parent in ((0, a), (1, b)):
        weights = refit(a, b, images(), alpha=alpha).weights
        assert all(torch.equal(weights[name], x) for name, x in parent.state_dict().items())


def test_neither_the_networks_nor_the_generator_are_touched():
    a, b, x = network(0).train(), network(1), images()
    before = [copy.deepcopy(net.state_dict()) for net in (a, b)]
    state = torch.get_rng_state()
    refit(a, b, x)
    assert torch.equal(state, torch.get_rng_state()) and a.training and not b.training
    for net, old in zip((a, b), before):
        assert all(torch.equal(old[name], value) for name, value in net.state_dict().items())
        assert all(not m._forward_hooks and "forward" not in vars(m) for m in net.modules())


class Odd(nn.Module):
    """A layer called twice, a tied pair, a grouped convolution, and attention."""

    def __init__(self):
        super().__init__()
        self.up, self.twice, self.head = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.tied, self.again = nn.Linear(8, 8), nn.Linear(8, 8)
        self.again.weight = self.tied.weight
        self.grouped, self.attention = nn.Conv1d(8, 8, 1, groups=2), nn.MultiheadAttention(8, 2)
        self.cell = nn.LSTM(8, 8)

    def forward(self, x):
        x = self.again(self.tied(self.twice(self.twice(self.up(x)))))
        x = x + self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0] + self.cell(x)[0]
        return self.head(self.grouped(x[..., None])[..., 0])


def test_layers_that_cannot_be_fitted_are_named_and_keep_their_merged_weights():
    a, b = Odd(), Odd()
    report = refit(a, b, torch.randn(30, 4))
    assert [layer.name for layer in report.layers] == ["up", "head"]
    named = {"twice", "tied", "again", "grouped", "attention", "attention.out_proj", "cell"}
    assert set(report.left_alone) == named
    assert "2 times" in report.left_alone["twice"] and "groups" in report.left_alone["grouped"]
    merged = lerp(a, b, 0.5)
    assert torch.equal(report.weights["twice.weight"], merged["twice.weight"])
    assert "left alone: cell" in str(report)


def test_a_refitted_network_is_nearer_to_its_parents_mean_on_other_examples():
    a, b, x, new = network(0, False), network(1, False), images(500), images(200)
    merged, weights = lerp(a, b, 0.5), refit(a, b, x).weights
    with torch.no_grad():
        target = (a(new) + b(new)) / 2
        errors = [(run(a, w, new) - target).square().mean() for w in (merged, weights)]
    assert errors[1] < errors[0]


def test_equations_at_every_other_position_are_some_of_all():
    layer, x = copy.deepcopy(LAYERS["conv2d, stride"][0]).double(), images(9)
    with torch.no_grad():
        y = layer(x)
        whole = {tuple(row.tolist()) for _, rows in equations(layer, x, y) for row in rows}
        some = list(equations(layer, x, y, strides=[2, 1]))
        assert len(some) == 2  # the second half of the examples begins at the second row
        for design, rows in some:
            torch.testing.assert_close(design.T @ matrix_of(layer), rows)
            assert {tuple(row.tolist()) for row in rows} < whole


def test_images_are_thinned_to_what_a_layer_needs():
    layer = nn.Conv2d(3, 4, 3)
    assert thinned(layer, torch.ones(5, 3, 9, 9), torch.ones(5, 4, 7, 7), 17) == [1, 1]
    rows, columns = 1000 * 49, 27
    strides = thinned(layer, torch.ones(5, 3, 9, 9), torch.ones(5, 4, 7, 7), 1000)
    assert 32 * columns <= rows / (strides[0] * strides[1]) < 2 * 32 * columns
    assert thinned(nn.Linear(3, 4), torch.ones(5, 9, 3), torch.ones(5, 9, 4), 10**6) == []


def test_the_fit_in_single_precision_is_that_in_double():
    a, b, x = network(0), network(1), images(200)
    fine = refit(a, b, x).weights
    coarse = refit(*(copy.deepcopy(net).float() for net in (a, b)), x.float()).weights
    for name, value in fine.items():
        torch.testing.assert_close(coarse[name], value.to(coarse[name]), rtol=1e-3, atol=1e-4)


def test_three_networks_are_fitted_to_the_mean_of_their_outputs():
    nets = [nn.Sequential(nn.Linear(5, 3)).double() for _ in range(3)]
    x = torch.randn(40, 5, dtype=torch.float64)
    report = refit(nets, train_data=x, merged=nn.Sequential(nn.Linear(5, 3)).double(), ridge=1e-12)
    with torch.no_grad():
        mean = sum(net(x) for net in nets) / 3
        torch.testing.assert_close(run(nets[0], report.weights, x), mean)
    one = refit([nets[0]] * 3, train_data=x).weights
    torch.testing.assert_close(one["0.weight"], nets[0][0].weight.data)


def test_what_cannot_be_fitted_says_so():
    a, b = network(0), network(1)
    with pytest.raises(DataError, match="too few to fit"):
        refit(a, b, images(1))
    with pytest.raises(DataError):
        refit(a, b, images(0))
    with pytest.raises(DataError, match="train_data="):
        refit(a, b)
    with pytest.raises(ValueError, match="two networks"):
        refit([a, b, a], train_data=images(), alpha=0.3)
    with pytest.raises(ValueError, match="two networks"):
        refit(a, train_data=images())
    cells = [nn.Sequential(nn.Embedding(5, 4)) for _ in range(2)]
    told = "no layer .* can be fitted: 0 is an Embedding, not a linear"
    with pytest.warns(RebasinWarning, match=told):
        kept = refit(*cells, torch.arange(5)).weights
    assert torch.equal(kept["0.weight"], lerp(*cells, 0.5)["0.weight"])
    with pytest.raises(DataError, match="NaN"):
        refit(a, b, images() * torch.nan)
    broken = {name: x.clone() for name, x in b.state_dict().items()}
    broken["6.weight"][0] = torch.nan
    with pytest.raises(WeightsError, match="NaN"):
        refit(a, broken, images())
    with pytest.raises(WeightsError, match="model"):
        refit(a.state_dict(), b.state_dict(), images())
    with pytest.raises(ValueError, match="ridge"):
        refit(a, b, images(), ridge=0)


def test_early_layers_of_large_images_are_fitted_on_some_of_them_and_late_ones_on_all():
    def net(seed):
        torch.manual_seed(seed)
        head = [nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)]
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), *head).eval()

    a, b, x = net(0), net(1), torch.randn(600, 3, 12, 12)
    some, whole = refit(a, b, x[:250]), refit(a, b, x)
    for name in ("0.weight", "0.bias", "1.running_var"):
        torch.testing.assert_close(whole.weights[name], some.weights[name])
    assert [fit.layers[-1].rows for fit in (some, whole)] == [250, 600]
    fitted = net(0)
    fitted.load_state_dict(whole.weights)
    with torch.no_grad():
        design, target = fitted[:-1](x), (a(x) + b(x)) / 2
        torch.testing.assert_close(
            torch.linalg.lstsq(design - design.mean(0), target - target.mean(0)).solution.T,
            fitted[-1].weight.data,
            rtol=0.05,
            atol=0.01,
        )


def test_a_norm_before_all_layers_reads_all_examples():
    a, b = (nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3)).eval() for _ in range(2))
    x = 2 + torch.randn(600, 5)
    weights = refit(a, b, x).weights
    torch.testing.assert_close(weights["0.running_mean"], x.mean(0))
    torch.testing.assert_close(weights["0.running_var"], x.var(0))


class Casting(nn.Module):
    """Its second layer runs in half precision, and its third keeps gradients."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        before = torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()
        x = self.one(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = self.two(x.relu())
            assert torch.is_autocast_enabled("cpu") and x.dtype == torch.bfloat16
        with torch.enable_grad():
            x = self.three(x.float().relu())
            assert torch.is_grad_enabled()
        assert before == (torch.is_autocast_enabled("cpu"), torch.is_grad_enabled())
        return x


def test_passes_that_wait_keep_their_own_settings_of_casts_and_gradients():
    a, b, x = Casting(), Casting(), torch.randn(600, 6)
    report = refit(a, b, x)
    assert [layer.name for layer in report.layers] == ["one", "two", "three"]
    assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        refit(a, b, x)
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        assert torch.is_autocast_enabled("cpu") and not torch.is_grad_enabled()


def test_an_error_of_the_model_comes_through_and_passes_that_wait_are_closed():
    class Failing(Casting):
        def forward(self, x):
            if len(x) == 50:
                raise ArithmeticError("the last batch")
            return super().forward(x)

    nets = Failing(), Failing()
    with pytest.raises(ArithmeticError, match="last batch"):
        refit(*nets, torch.randn(300, 6))
    assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
