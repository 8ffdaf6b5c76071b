"""Specs written by hand, parameter by parameter, as the paper's authors did: what derived specs are
compared with.
"""

from __future__ import annotations

from torch import nn

from rebasin_edu.symmetry import PermutationSpec


def mlp_spec(model: nn.Module) -> PermutationSpec:
    """``lab.models.MLP`` at any depth: ``linear1 … linearN``, ``head``."""
    names = [name for name, module in model.named_children() if isinstance(module, nn.Linear)]
    axes: dict[str, tuple] = {}
    before = None
    for name in names:
        units = None if name == "head" else name
        axes |= _dense(name, units, before) | _norm(model, name.replace("linear", "norm"), units)
        before = units
    return _spec(model, axes)


def vgg_spec(model: nn.Module) -> PermutationSpec:
    """``lab.models.VGG16`` and ``VGG11``: convolutions, a flatten in which a unit owns its pixels,
    two hidden layers.
    """
    axes: dict[str, tuple] = {}
    before = None
    for name, module in model.named_children():
        if isinstance(module, nn.Conv2d):
            axes |= _conv(name, name, before) | _norm(model, name.replace("conv", "norm"), name)
            channels, before = module.out_channels, name
        elif isinstance(module, nn.Linear):
            units = None if name == "head" else name
            pixels = module.in_features // channels if name == "linear1" else 1
            axes |= _dense(name, units, (before, pixels) if pixels > 1 else before)
            before = units
    return _spec(model, axes)


def resnet20_spec(model: nn.Module) -> PermutationSpec:
    """``lab.models.ResNet20``: three residual streams, nine inner groups; a new stream begins at
    each strided block.
    """
    axes = _conv("stem", "stream1", None) | _norm(model, "stem_norm", "stream1")
    before = "stream1"
    for stage in (1, 2, 3):
        for block in (0, 1, 2):
            at, stream, inner = f"stage{stage}.{block}", f"stream{stage}", f"inner{stage}.{block}"
            axes |= _conv(f"{at}.conv1", inner, before) | _norm(model, f"{at}.norm1", inner)
            axes |= _conv(f"{at}.conv2", stream, inner) | _norm(model, f"{at}.norm2", stream)
            if stage > 1 and block == 0:
                axes |= _conv(f"{at}.shortcut.conv", stream, before) | _norm(
                    model, f"{at}.shortcut.norm", stream
                )
            before = stream
    return _spec(model, axes | _dense("head", None, before))


def resnet50_spec(model: nn.Module) -> PermutationSpec:
    """torchvision's ResNet50: the stem, four residual streams, and two inner groups in each of 16
    bottlenecks: 37 groups.
    """
    axes = _conv("conv1", "stem", None) | _norm(model, "bn1", "stem")
    before = "stem"
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            at, stream = f"layer{stage}.{block}", f"stream{stage}"
            first, second = f"{at}.first", f"{at}.second"
            axes |= _conv(f"{at}.conv1", first, before) | _norm(model, f"{at}.bn1", first)
            axes |= _conv(f"{at}.conv2", second, first) | _norm(model, f"{at}.bn2", second)
            axes |= _conv(f"{at}.conv3", stream, second) | _norm(model, f"{at}.bn3", stream)
            if block == 0:
                axes |= _conv(f"{at}.downsample.0", stream, before) | _norm(
                    model, f"{at}.downsample.1", stream
                )
            before = stream
    return _spec(model, axes | _dense("fc", None, before))


def _dense(name: str, units: str | None, before) -> dict[str, tuple]:
    return {f"{name}.weight": (units, before), f"{name}.bias": (units,)}


def _conv(name: str, units: str, before: str | None) -> dict[str, tuple]:
    return {f"{name}.weight": (units, before, None, None), f"{name}.bias": (units,)}


def _norm(model: nn.Module, name: str, units: str | None) -> dict[str, tuple]:
    if units is None or name not in dict(model.named_modules()):
        return {}
    return {
        f"{name}.{tensor}": (units,) for tensor in ("weight", "bias", "running_mean", "running_var")
    }


def _spec(model: nn.Module, axes: dict[str, tuple]) -> PermutationSpec:
    state = model.state_dict()
    return PermutationSpec.from_axes(
        {name: entry for name, entry in axes.items() if name in state}, model
    )
