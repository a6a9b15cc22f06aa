"""Structural similarity of each pixel, by the window that is asked for; differentiable: metric and losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Batch = Float[Tensor, "b c h w"]
Maps = Float[Tensor, "b c h2 w2"]  # smaller by the window where it does not pad
K1, K2 = 0.01, 0.03  # Wang et al. 2004: shares of the range that keep the divisors off zero


def ssim_maps(
    x: Batch, y: Batch, mean: Callable[[Tensor], Tensor], data_range: float = 1.0
) -> tuple[Maps, Maps]:
    """Compute SSIM and its contrast-structure part per pixel and channel.

    Args:
        x, y: pictures.
        mean: the weighted mean of the window about each pixel.
        data_range: largest value less smallest.
    """
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x * mean_x, mean(y * y) - mean_y * mean_y
    cov = mean(x * y) - mean_x * mean_y
    contrast = (2 * cov + c2) / (var_x + var_y + c2)
    return (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1) * contrast, contrast


def gaussian_mean(x: Batch) -> Maps:
    """Average with Gaussian weights: 11 pixels, sigma 1.5, borders not padded."""
    offsets = torch.arange(11, dtype=x.dtype, device=x.device) - 5
    kernel = torch.exp(-offsets.square() / (2 * 1.5**2))
    kernel = kernel / kernel.sum()
    channels = x.shape[1]
    x = F.conv2d(x, kernel.view(1, 1, 11, 1).expand(channels, 1, 11, 1), groups=channels)
    return F.conv2d(x, kernel.view(1, 1, 1, 11).expand(channels, 1, 1, 11), groups=channels)


def box_mean(x: Batch, size: int = 7) -> Maps:
    """Average evenly over a square, borders not padded."""
    return F.avg_pool2d(F.avg_pool2d(x, (size, 1), 1), (1, size), 1)
