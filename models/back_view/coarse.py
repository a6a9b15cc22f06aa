"""Coarse back views for training the ControlNet: true ones made worse the way an under-converged HGM makes
them.

HGM (appendix, "Backview refinement details") renders an under-trained model and downsamples; where no
checkpoint is at hand the same faults are simulated: blur of overlapping Gaussians, blocks, edges bent by a
wrong body, smeared colours.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BLUR = (0.8, 2.2)  # pixels at 256 px, standard deviation; a body Gaussian is about 1 cm = 1 px wide
BEND = 1.2  # pixels, standard deviation of the displacement of edges
TINT = 0.03  # standard deviation of slow colour errors
GRAIN = 0.02  # standard deviation of the noise of single Gaussians


def simulate_coarse(image: Float[Tensor, "b 3 h w"], rng: np.random.Generator) -> Float[Tensor, "b 3 h w"]:
    """Pictures in [0, 1] over white as a coarse model would have rendered them; white stays white."""
    return torch.cat([_degrade(one[None], rng) for one in image])


def _degrade(image: Float[Tensor, "1 3 h w"], rng: np.random.Generator) -> Float[Tensor, "1 3 h w"]:
    ink = 1 - image  # zero on the background, so that what follows keeps it white
    ink = _bend(ink, rng)
    factor = int(rng.choice([1, 1, 2, 3]))
    if factor > 1:
        small = F.interpolate(ink, scale_factor=1 / factor, mode="area")
        ink = F.interpolate(small, size=ink.shape[-2:], mode="bilinear", align_corners=False)
    ink = blur(ink, float(rng.uniform(*BLUR)) / (1 if factor == 1 else 1.5))
    ink = ink * (1 + _field(ink, 8, 2 * TINT, rng)) * (1 + _field(ink, ink.shape[-1] // 2, 2 * GRAIN, rng))
    return (1 - ink).clamp(0, 1)


def blur(image: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """Gaussian blur with replicated borders; `sigma` in pixels."""
    radius = max(1, int(3 * sigma + 0.5))
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = (kernel / kernel.sum()).repeat(image.shape[1], 1)
    padded = F.pad(image, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, kernel[:, None, None, :], groups=image.shape[1])
    return F.conv2d(rows, kernel[:, None, :, None], groups=image.shape[1])


def _field(like: Tensor, cells: int, scale: float, rng: np.random.Generator, channels: int = 3) -> Tensor:
    """Smooth noise (1, channels, h, w) with about `cells` cells across."""
    height = max(2, round(cells * like.shape[-2] / like.shape[-1]))
    noise = torch.from_numpy(rng.normal(0, scale, (1, channels, height, max(2, cells)))).float()
    return F.interpolate(noise, size=like.shape[-2:], mode="bicubic", align_corners=False)


def _bend(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Move pixels by a smooth field of `BEND` pixels."""
    height, width = image.shape[-2:]
    shift = _field(image, 6, BEND, rng, channels=2)[0]
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    grid = torch.stack([(u + shift[0]) / width, (v + shift[1]) / height], -1) * 2 - 1
    return F.grid_sample(image, grid[None].float(), padding_mode="border", align_corners=False)
