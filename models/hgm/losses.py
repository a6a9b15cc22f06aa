"""Losses of the Human Gaussian Model: pictures, masks, structure and depth (equation 6; LPIPS needs weights we do not ship)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.hgm.dataset import Example
from models.hgm.model import HGMOutput
from models.splat import rasterize

WEIGHTS = {"rgb": 1.0, "mask": 0.5, "structure": 0.05, "depth": 0.2, "image_only": 0.3}


def box_ssim(x: Float[Tensor, "b c h w"], y: Float[Tensor, "b c h w"], window: int = 7) -> Tensor:
    """Mean SSIM with a box window: the loss's cheap stand-in for the Gaussian one of the metric."""

    def mean(t: Tensor) -> Tensor:
        return F.avg_pool2d(F.avg_pool2d(t, (window, 1), 1), (1, window), 1)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    return (((2 * mx * my + 1e-4) * (2 * cov + 9e-4)) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))).mean()


def hgm_loss(output: HGMOutput, example: Example) -> tuple[Tensor, dict[str, float]]:
    """Loss of one person: all supervised views of the merged Gaussians, depth of the pixels', one view of theirs alone."""
    render = rasterize(output.merged, example.cameras, outputs=("rgb", "alpha"))
    rows, columns = _box(example.mask)
    rgb, truth = render.rgb[:, rows, columns], example.rgb[:, rows, columns]
    size = example.mask.shape[-1]
    terms = {
        "rgb": (render.rgb - example.rgb).square().mean(),
        "mask": (render.alpha - example.mask).square().mean(),
        "structure": 1 - box_ssim(rgb.permute(0, 3, 1, 2), truth.permute(0, 3, 1, 2)),
    }
    if len(output.pixels):
        view, row, column = output.pixels.unbind(1)
        step = size // example.inputs.mask.shape[-1]
        true = example.depth[view, row * step, column * step]
        known = true > 0
        terms["depth"] = ((output.depth - true).abs() * known).sum() / known.sum().clamp(min=1)
    if output.body is not None and len(output.image):
        alone = rasterize(output.image, example.cameras[:1], outputs=("rgb", "alpha"))
        terms["image_only"] = (alone.rgb - example.rgb[:1]).square().mean() + 0.5 * (alone.alpha - example.mask[:1]).square().mean()
    loss = sum(WEIGHTS[name] * value for name, value in terms.items())
    return loss, {name: float(value.detach()) for name, value in terms.items()}  # type: ignore[return-value]


def _box(mask: Float[Tensor, "v h w"], margin: int = 6) -> tuple[slice, slice]:
    """The rows and columns where any of the views shows the person."""
    inside = mask.amax(0) > 0
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    if not len(rows):
        return slice(0, mask.shape[1]), slice(0, mask.shape[2])
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
