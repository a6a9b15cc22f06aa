"""Gaussians to a closed triangle mesh: dense depth views, a truncated signed distance volume, its largest surface (HGM, section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.splat import rasterize
from models.surface import Surface
from pipeline.camera import orbit_cameras
from pipeline.types import Camera, Gaussians, TensorRecord

RINGS = ((-60.0, 6), (-25.0, 16), (0.0, 20), (25.0, 16), (60.0, 6))  # elevation in degrees, cameras of the ring


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

    The rendered depth is a mean along the ray; with nearly opaque Gaussians it is that of the first surface (a cheap
    stand-in for the median), and does not mix the front of a thin limb with its back.
    """
    opacities = 1 - (1 - gaussians.opacities.clamp(0, 0.999)) ** layers
    return Gaussians(gaussians.means, gaussians.quats, gaussians.scales, opacities, gaussians.colors)


@torch.no_grad()
def render_depth_views(
    gaussians: Gaussians, size: int = 384, *, layers: int = 3, min_alpha: float = 0.5, max_jump: float = 0.05
) -> DepthViews:
    """Depth and colour from `ring_cameras`.

    Args:
        gaussians: of one person around the origin.
        size: pixels of the square views.
        layers: see `solid`.
        min_alpha: pixels less opaque than this have no depth.
        max_jump: metres; pixels whose neighbours differ in depth by more have none: the mean depth is wrong at edges.
    """
    cameras = ring_cameras(size)
    cameras = cameras.to(gaussians.means.device)
    render = rasterize(solid(gaussians, layers), cameras, background=0.0, outputs=("rgb", "alpha", "depth"))
    depth = torch.where(render.alpha > min_alpha, render.depth, 0.0)
    certain = depth_range(depth) < max_jump
    color = (render.rgb / render.alpha[..., None].clamp(min=1e-3)).clamp(0, 1)
    return DepthViews(cameras, color, render.alpha, depth * certain, render.depth).to("cpu")


def depth_range(depth: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    """Largest minus smallest depth among the 3 x 3 neighbours that have one."""
    far = F.max_pool2d(depth[:, None], 3, 1, 1)[:, 0]
    near = -F.max_pool2d(torch.where(depth > 0, -depth, -1e3)[:, None], 3, 1, 1)[:, 0]
    return far - near


def fuse_depth(views: DepthViews, *, voxel: float = 0.008, truncation: float = 0.03) -> Surface:
    """The zero level of open3d's scalable TSDF volume over all views (Curless & Levoy 1996), lengths in metres.

    Raises:
        ValueError: no view shows a surface.
    """
    import open3d as o3d

    integration = o3d.pipelines.integration
    volume = integration.ScalableTSDFVolume(voxel, truncation, integration.TSDFVolumeColorType.NoColor)
    height, width = views.depth.shape[1:]
    grey = o3d.geometry.Image(np.zeros((height, width, 3), np.uint8))  # the interface wants a colour
    for K, T, depth in zip(
        views.cameras.K.double().numpy(), views.cameras.T_camera_world.double().numpy(), views.depth.numpy(), strict=True
    ):
        image = o3d.geometry.Image(np.ascontiguousarray(depth, np.float32))
        rgbd = o3d.geometry.RGBDImage.create_from_color_and_depth(grey, image, 1.0, 10.0, False)
        # open3d puts pixel centres at whole numbers
        volume.integrate(rgbd, o3d.camera.PinholeCameraIntrinsic(width, height, K[0, 0], K[1, 1], K[0, 2] - 0.5, K[1, 2] - 0.5), T)
    mesh = volume.extract_triangle_mesh()
    surface = Surface(np.asarray(mesh.vertices).copy(), np.asarray(mesh.triangles).astype(np.int64))
    if len(surface.faces) == 0:
        raise ValueError("the depth views show no surface: expected Gaussians of a person around the origin, opaque enough to be seen")
    return surface
