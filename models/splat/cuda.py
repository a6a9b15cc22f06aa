"""The CUDA backend of the splat renderer: gsplat, called so that it computes what the CPU backend computes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from models.splat.dense import facing_normals
from pipeline.types import Camera, Gaussians


def render(gaussians: Gaussians, cameras: Camera, geometry: bool) -> tuple[Float[Tensor, "c h w channels"], Float[Tensor, "c h w"]]:
    """Blended channels over nothing (r, g, b and, with `geometry`, depth and normal sums) and alpha.

    Raises:
        ImportError: gsplat is not installed.
    """
    try:
        from gsplat import rasterization  # type: ignore[import-not-found]
    except ImportError as error:
        raise ImportError(
            "rendering on CUDA needs gsplat: pip install 'turnaround[cuda]', or move the Gaussians and cameras to the CPU"
        ) from error
    colors = gaussians.colors.expand(len(cameras.K), -1, -1)
    if geometry:
        colors = torch.cat([colors, facing_normals(gaussians, cameras)], -1)
    image, alpha, _ = rasterization(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, colors,
        cameras.T_camera_world, cameras.K, cameras.width, cameras.height,
        near_plane=0.01, eps2d=0.3, packed=True, tile_size=16, render_mode="RGB+D" if geometry else "RGB",
    )  # fmt: skip
    if geometry:  # gsplat puts the depth last
        image = torch.cat([image[..., :3], image[..., 6:], image[..., 3:6]], -1)
    return image, alpha[..., 0]
