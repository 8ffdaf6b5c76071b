"""Random crops, flips, resizes and rotations of whole batches, on the device the images are on."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Augment = Callable[[Tensor, torch.Generator], Tensor]


def crop_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to an eighth of its side over a black border, and mirror every second
    one by chance.

    Args:
        images: uint8 ``(N, C, H, W)``; at 32×32 this is the usual pad-by-4 random crop.
        generator: on the CPU; the same one gives the same images on every device.

    Returns:
        uint8 of the same shape.
    """
    n, _, height, width = images.shape
    pad = max(1, height // 8)
    corner = torch.randint(0, 2 * pad + 1, (2, n), generator=generator).to(images.device)
    flip = (torch.rand(n, generator=generator) < 0.5).to(images.device)
    padded = F.pad(images, (pad, pad, pad, pad))
    windows = padded.unfold(2, height, 1).unfold(
        3, width, 1
    )  # (N, C, 2 pad + 1, 2 pad + 1, H, W), a view
    cut = windows[torch.arange(n, device=images.device), :, corner[0], corner[1]]  # (N, C, H, W)
    return torch.where(flip.view(-1, 1, 1, 1), cut.flip(3), cut)


def paper(images: Tensor, generator: torch.Generator) -> Tensor:
    """Resize by 0.8 … 1.2, shift, mirror and rotate by up to 30°, as the paper's appendix A.3.2
    lists.

    One bilinear resampling does all four.

    Args:
        images: uint8 ``(N, C, H, W)``.
        generator: on the CPU.

    Returns:
        float32 of the same shape, still in units of bytes; black where the image does not reach.
    """
    n = len(images)
    draw = torch.rand(5, n, generator=generator).to(images.device)
    scale = 1 / (0.8 + 0.4 * draw[0])
    angle = (draw[1] * 2 - 1) * math.pi / 6
    shift = (draw[2:4] * 2 - 1) * 0.25  # in half sides: 4 of 32 pixels
    mirror = torch.where(draw[4] < 0.5, -1.0, 1.0)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = [
        torch.stack([cos * mirror, -sin, shift[0]], 1),
        torch.stack([sin * mirror, cos, shift[1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)


AUGMENTATIONS: dict[str | None, Augment | None] = {
    None: None,
    "crop-flip": crop_flip,
    "paper": paper,
}
