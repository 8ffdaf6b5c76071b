"""The path with every network mended: its ends are what was trained, its middle is what the repairs
alone give.
"""

import pytest
import torch

from rebasin_edu.errors import DataError
from rebasin_edu.lab.models import MLP, ResNet20
from rebasin_edu.landscape import (
    evaluate,
    lerp,
    linear_path,
    reestimate_batchnorm,
    repair,
    repaired_path,
)

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = (
    torch.randn(40, 3, 8, 8, generator=GENERATOR),
    torch.randint(0, 4, (40,), generator=GENERATOR),
)
OTHERS = (
    torch.randn(60, 3, 8, 8, generator=GENERATOR),
    torch.randint(0, 4, (60,), generator=GENERATOR),
)
MAKERS = {
    "batchnorm": lambda seed: ResNet20(0.25, 4, "batch", seed=seed),
    "layernorm": lambda seed: ResNet20(0.25, 4, "layer", seed=seed),
    "none": lambda seed: MLP(192, (12, 12), 4, seed=seed),
}


def pair(name):
    found = []
    for seed in (1, 2):
        model = MAKERS[name](seed).train()
        with torch.no_grad():
            model(OTHERS[0])  # running statistics of its own
        found.append(model.eval())
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_ends_are_the_parents_and_the_middle_is_mended(name):
    a, b = pair(name)
    plain = linear_path(a, a, b, IMAGES, alphas=3)
    mended = repaired_path(a, a, b, IMAGES, OTHERS, alphas=3, samples=60)
    assert mended.alphas == plain.alphas
    assert mended.meta["mend"] == ("batchnorm" if name == "batchnorm" else "repair")
    for end in (0, 1):
        assert mended[end].loss == pytest.approx(plain[end].loss, abs=1e-6)
    if name == "batchnorm":
        middle = reestimate_batchnorm(a, lerp(a, b, 0.5), OTHERS, batch_size=250)
    else:
        middle = repair(a, a, b, None, OTHERS, alpha=0.5, batch_size=250).weights
    assert mended[0.5].loss == pytest.approx(evaluate(a, middle, IMAGES).loss, rel=1e-5)
    assert mended[0.5].loss != pytest.approx(plain[0.5].loss, rel=1e-4)
    assert mended.samples == 40


def test_a_mend_can_be_chosen_and_an_unknown_one_is_refused():
    a, b = pair("batchnorm")
    chosen = repaired_path(
        a,
        a,
        b,
        IMAGES,
        OTHERS,
        mend="repair",
        alphas=[0.5],
        meta={"seeds": [1, 2]},
        label="repaired",
    )
    assert chosen.meta == {"mend": "repair", "seeds": [1, 2]}
    assert chosen.label == "repaired"
    wanted = evaluate(a, repair(a, a, b, None, OTHERS).weights, IMAGES)
    assert chosen[0.5].loss == pytest.approx(wanted.loss, rel=1e-5)
    with pytest.raises(
        ValueError, match="mend='both' is not known; choose one of 'auto', 'batchnorm', 'repair'"
    ):
        repaired_path(a, a, b, IMAGES, OTHERS, mend="both")
    with pytest.raises(DataError, match="no examples"):
        repaired_path(a, a, b, IMAGES, [])


def test_arguments_are_left_alone():
    a, b = pair("batchnorm")
    before = [{name: x.clone() for name, x in net.state_dict().items()} for net in (a, b)]
    repaired_path(a, a, b, IMAGES, OTHERS, alphas=3)
    for net, old in zip((a, b), before):
        assert all(torch.equal(x, old[name]) for name, x in net.state_dict().items())
