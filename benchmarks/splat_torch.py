"""A splat renderer in plain torch, for comparison: one list of all (pixel, Gaussian) pairs, sorted, blended
by cumulative sums.

The algorithm of gsplat's `_torch_impl.accumulate`, without its CUDA parts, in float32 and with autograd. It
leaves out the early end of a pixel's blending other than the cut at T < 1e-4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from turnaround.models.splat import dense
from turnaround.pipeline.values.types import Camera, Gaussians


def render(gaussians: Gaussians, cameras: Camera, geometry: bool) -> tuple[Tensor, Tensor]:
    """Channels (c, h, w, .) over nothing and alpha (c, h, w), as `models.splat.cpu.render`; c must be 1."""
    centers, covariances, depth = dense.project(gaussians, cameras)
    channels = gaussians.colors
    if geometry:
        channels = torch.cat([channels, depth[0, :, None], dense.facing_normals(gaussians, cameras)[0]], -1)
    centers, covariances, depth = centers[0], covariances[0], depth[0]
    a, b, d = covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]
    conics = torch.stack([d, -b, a], -1) / (a * d - b * b)[:, None]
    g, pixel = _pairs(
        centers, torch.stack([a, d], -1), conics, gaussians.opacities, depth, cameras.width, cameras.height
    )
    alpha = (gaussians.opacities[g] * torch.exp(-_exponent(centers, conics, g, pixel, cameras.width))).clamp(
        max=0.999
    )
    weights = _weights(alpha, pixel)
    size = cameras.height * cameras.width
    image = torch.zeros(size, channels.shape[1]).index_add(0, pixel, weights[:, None] * channels[g])
    total = torch.zeros(size).index_add(0, pixel, weights)
    return image.view(1, cameras.height, cameras.width, -1), total.view(1, cameras.height, cameras.width)


def _exponent(centers: Tensor, conics: Tensor, g: Tensor, pixel: Tensor, width: int) -> Tensor:
    dx, dy = pixel % width + 0.5 - centers[g, 0], pixel // width + 0.5 - centers[g, 1]
    c = conics[g]
    return 0.5 * (c[:, 0] * dx * dx + c[:, 2] * dy * dy) + c[:, 1] * dx * dy


@torch.no_grad()
def _pairs(
    centers: Tensor,
    variances: Tensor,
    conics: Tensor,
    opacities: Tensor,
    depth: Tensor,
    width: int,
    height: int,
) -> tuple[Tensor, Tensor]:
    """Gaussian and pixel of every pair with alpha >= 1/255, by pixel and then by depth."""
    reach = torch.sqrt(2 * torch.log((255 * opacities).clamp(min=1.0)))[:, None] * variances.sqrt()
    low = (centers - reach - 0.5).ceil().clamp(min=0).long()
    high = (centers + reach - 0.5).floor().long().minimum(torch.tensor([width - 1, height - 1]))
    extent = (high - low + 1).clamp(min=0) * (depth > 0.01)[:, None]
    counts = extent[:, 0] * extent[:, 1]
    g = torch.repeat_interleave(torch.arange(len(centers)), counts)
    index = torch.arange(g.numel()) - (torch.cumsum(counts, 0) - counts)[g]
    pixel = (low[g, 1] + index // extent[g, 0]) * width + low[g, 0] + index % extent[g, 0]
    seen = opacities[g] * torch.exp(-_exponent(centers, conics, g, pixel, width)) >= 1 / 255
    g, pixel = g[seen], pixel[seen]
    rank = torch.empty_like(counts)
    rank[depth.argsort(stable=True)] = torch.arange(len(centers))
    order = torch.argsort(pixel * len(centers) + rank[g])
    return g[order], pixel[order]


def _weights(alpha: Tensor, pixel: Tensor) -> Tensor:
    """alpha times the transmittance before it, by a cumulative sum of logarithms that starts anew at each
    pixel."""
    logs = torch.log1p(-alpha)
    before = torch.cumsum(logs.double(), 0) - logs
    starts = torch.ones_like(pixel, dtype=torch.bool)
    starts[1:] = pixel[1:] != pixel[:-1]
    segment = torch.cumsum(starts.long(), 0) - 1
    transmittance = torch.exp(before - before[starts][segment]).to(alpha.dtype)
    return alpha * transmittance * (transmittance * (1 - alpha) > 1e-4)
