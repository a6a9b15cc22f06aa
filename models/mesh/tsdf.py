"""Gaussians to a closed triangle mesh: dense depth views, a truncated signed distance volume, its largest
surface (HGM, section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.mesh.depth_filter import filter_depth
from turnaround.models.mesh.signed_distance import NOTHING, DepthPictures, integrate
from turnaround.models.mesh.surface import Surface
from turnaround.models.mesh.surface_nets import zero_level
from turnaround.models.splat import rasterize
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Camera, Gaussians, TensorRecord

RINGS = (
    (-60.0, 6),
    (-25.0, 16),
    (0.0, 20),
    (25.0, 16),
    (60.0, 6),
)  # elevation in degrees, cameras of the ring


@dataclass(frozen=True)
class DepthViews(TensorRecord):
    """Pictures of the Gaussians from all around."""

    cameras: Camera
    color: Float[Tensor, "c h w 3"]  # not mixed with a background; meaningless where alpha is 0
    alpha: Float[Tensor, "c h w"]
    depth: Float[Tensor, "c h w"]  # metres, 0 where there is no certain surface
    raw_depth: Float[Tensor, "c h w"]  # metres, as rendered


def ring_cameras(size: int) -> Camera:
    """64 cameras on five rings, every second ring turned by half a step."""
    azimuths, elevations = [], []
    for row, (elevation, count) in enumerate(RINGS):
        azimuths += [360.0 * (k + 0.5 * (row % 2)) / count for k in range(count)]
        elevations += [elevation] * count
    return orbit_cameras(azimuths, size, elevation=elevations)


def solid(gaussians: Gaussians, layers: int) -> Gaussians:
    """The same Gaussians as opaque as `layers` of them, one behind the other.

    The rendered depth is a mean along the ray; with nearly opaque Gaussians it is that of the first surface
    (a cheap stand-in for the median), and does not mix the front of a thin limb with its back.
    """
    opacities = 1 - (1 - gaussians.opacities.clamp(0, 0.999)) ** layers
    return Gaussians(gaussians.means, gaussians.quats, gaussians.scales, opacities, gaussians.colors)


@torch.no_grad()
def render_depth_views(
    gaussians: Gaussians, size: int = 384, *, layers: int = 4, min_alpha: float = 0.6, max_jump: float = 0.05
) -> DepthViews:
    """Depth and colour from `ring_cameras`.

    Args:
        gaussians: of one person around the origin.
        size: pixels of the square views.
        layers: see `solid`.
        min_alpha: pixels less opaque than this have no depth.
        max_jump: metres; pixels whose neighbours differ in depth by more have none: the mean depth is wrong
        at edges.
    """
    cameras = ring_cameras(size)
    cameras = cameras.to(gaussians.means.device)
    render = rasterize(solid(gaussians, layers), cameras, background=0.0, outputs=("rgb", "alpha", "depth"))
    assert render.depth is not None  # asked for
    rgb, alpha, depth = render.rgb.cpu(), render.alpha.cpu(), render.depth.cpu()
    color, certain = filter_depth(rgb.numpy(), alpha.numpy(), depth.numpy(), min_alpha, max_jump)
    return DepthViews(cameras.to("cpu"), torch.from_numpy(color), alpha, torch.from_numpy(certain), depth)


def fuse_depth(
    views: DepthViews, *, voxel: float = 0.01, truncation: float = 0.035, clear: float = 0.2
) -> Surface:
    """The closed surface of the truncated signed distance to all views, lengths in metres.

    Args:
        views: depth all around one person.
        voxel: edge of a voxel.
        truncation: distance to the surface at which the signed distance is cut.
        clear: a pixel less opaque than this sees past the person.

    Raises:
        ValueError: no view shows a surface.
    """
    depth = np.where(
        (views.depth.numpy() == 0) & (views.alpha.numpy() < clear), np.float32(NOTHING), views.depth.numpy()
    )
    K, T_camera_world = views.cameras.K.numpy(), views.cameras.T_camera_world.numpy()
    lens = np.stack([K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2]], 1)
    pictures = DepthPictures(depth, lens, np.ascontiguousarray(T_camera_world[:, :3]))
    return zero_level(integrate(pictures, voxel, truncation))
