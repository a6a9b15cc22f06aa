"""Gaussians to a closed triangle mesh: dense depth views, a truncated signed distance volume, its largest surface (HGM, section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.depth_filter import filter_depth
from models.splat import rasterize
from models.surface import Surface
from pipeline.camera import orbit_cameras
from pipeline.types import Camera, Gaussians, TensorRecord

RINGS = ((-60.0, 6), (-25.0, 16), (0.0, 20), (25.0, 16), (60.0, 6))  # elevation in degrees, cameras of the ring

SAMPLING = 4  # pixels between those at which open3d looks for voxels to open


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
    rgb, alpha, depth = render.rgb.cpu(), render.alpha.cpu(), render.depth.cpu()
    color, certain = filter_depth(rgb.numpy(), alpha.numpy(), depth.numpy(), min_alpha, max_jump)
    return DepthViews(cameras.to("cpu"), torch.from_numpy(color), alpha, torch.from_numpy(certain), depth)


def fuse_depth(views: DepthViews, *, voxel: float = 0.008, truncation: float = 0.03) -> Surface:
    """The zero level of open3d's scalable TSDF volume over all views (Curless & Levoy 1996), lengths in metres.

    Raises:
        ValueError: no view shows a surface.
    """
    import open3d as o3d

    integration = o3d.pipelines.integration
    volume = integration.ScalableTSDFVolume(voxel, truncation, integration.TSDFVolumeColorType.NoColor)
    for K, T, depth in zip(
        views.cameras.K.double().numpy(), views.cameras.T_camera_world.double().numpy(), views.depth.numpy(), strict=True
    ):
        box = _box(depth)
        if box is None:
            continue
        rows, columns = box
        image = o3d.geometry.Image(np.ascontiguousarray(depth[rows, columns], np.float32))
        height, width = depth[rows, columns].shape
        grey = o3d.geometry.Image(np.zeros((height, width, 3), np.uint8))  # the interface wants a colour
        rgbd = o3d.geometry.RGBDImage.create_from_color_and_depth(grey, image, 1.0, 10.0, False)
        # open3d puts pixel centres at whole numbers
        cx, cy = K[0, 2] - 0.5 - columns.start, K[1, 2] - 0.5 - rows.start
        volume.integrate(rgbd, o3d.camera.PinholeCameraIntrinsic(width, height, K[0, 0], K[1, 1], cx, cy), T)
    mesh = volume.extract_triangle_mesh()
    surface = Surface(np.asarray(mesh.vertices).copy(), np.asarray(mesh.triangles).astype(np.int64))
    if len(surface.faces) == 0:
        raise ValueError("the depth views show no surface: expected Gaussians of a person around the origin, opaque enough to be seen")
    return surface


def _box(depth: Float[np.ndarray, "h w"]) -> tuple[slice, slice] | None:
    """Rows and columns around all pixels with depth; the first are multiples of open3d's sampling step, so that it samples the same."""
    rows, columns = np.flatnonzero((depth > 0).any(1)), np.flatnonzero((depth > 0).any(0))
    if len(rows) == 0:
        return None
    top, left = (int(index[0]) // SAMPLING * SAMPLING for index in (rows, columns))
    return slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1)
