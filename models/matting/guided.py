"""Guided upsampling: a small mask takes over the edges of the large picture it belongs to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def box_mean(x: Float[Tensor, "b c h w"], radius: int) -> Float[Tensor, "b c h w"]:
    """Mean over (2 radius + 1)^2 windows, cut at the borders; by cumulative sums, so the radius costs
    nothing."""
    for axis in (-2, -1):
        size = x.shape[axis]
        index = torch.arange(size, device=x.device)
        low, high = (index - radius).clamp(min=0), (index + radius + 1).clamp(max=size)
        total = F.pad(x.double().cumsum(axis), (1, 0) if axis == -1 else (0, 0, 1, 0))
        count = (high - low).view(-1, *([1] * (-axis - 1)))
        x = ((total.index_select(axis, high) - total.index_select(axis, low)) / count).to(x.dtype)
    return x


def guided_upsample(
    mask: Float[Tensor, "b 1 k l"],
    picture: Float[Tensor, "b 3 h w"],
    max_size: int,
    radius: int = 3,
    eps: float = 2e-4,
) -> Float[Tensor, "b 1 h w"]:
    """The fast guided filter (He and Sun 2015, algorithm 2) with the picture's colours as the guide.

    In windows of the mask's resolution the mask is explained as a linear function of colour; its coefficients
    are enlarged and meet the colours of the large picture. Where colours explain nothing (the fit leaves the
    mask's variance), this is bilinear enlargement.
    """
    height, width = picture.shape[-2:]
    scale = min(1.0, max_size / max(height, width))
    fine = (max(2, round(height * scale)), max(2, round(width * scale)))
    large = (
        picture if fine == (height, width) else F.interpolate(picture, fine, mode="bilinear", antialias=True)
    )
    guide = F.interpolate(picture, mask.shape[-2:], mode="bilinear", antialias=True)
    weights, offset = _linear_coefficients(guide, mask, radius, eps)
    coefficients = F.interpolate(
        box_mean(torch.cat([weights, offset], 1), radius), fine, mode="bilinear", align_corners=False
    )
    filtered = (coefficients[:, :3] * large).sum(1, keepdim=True) + coefficients[:, 3:]
    plain = F.interpolate(mask, fine, mode="bilinear", align_corners=False)
    # the filter decides near the edge only: far inside and outside, colours must not make holes
    edge = (
        F.interpolate(box_mean(mask * (1 - mask) * 4, 1), fine, mode="bilinear", align_corners=False)
        .mul(3)
        .clamp(0, 1)
    )
    result = (plain + edge * (filtered - plain)).clamp(0, 1)
    return (
        result
        if fine == (height, width)
        else F.interpolate(result, (height, width), mode="bilinear", align_corners=False)
    )


def _linear_coefficients(
    guide: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"], radius: int, eps: float
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1 h w"]]:
    """Ridge regression of the mask on the guide's three channels in every window."""
    mean, mask_mean = box_mean(guide, radius), box_mean(mask, radius)
    products = (guide[:, :, None] * guide[:, None]).flatten(1, 2)
    covariance = box_mean(products, radius).unflatten(1, (3, 3)) - mean[:, :, None] * mean[:, None]
    cross = box_mean(guide * mask, radius) - mean * mask_mean
    system = covariance.permute(0, 3, 4, 1, 2) + eps * torch.eye(3, device=guide.device, dtype=guide.dtype)
    weights = torch.linalg.solve(system, cross.permute(0, 2, 3, 1)[..., None])[..., 0].movedim(-1, 1)
    return weights, mask_mean - (weights * mean).sum(1, keepdim=True)
