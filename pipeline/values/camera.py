"""The cameras of the project: the canonical one, orbits around the person, projection and rays.

The world frame belongs to the input picture: OpenCV axes like the camera, origin 2 m before it on the optical
axis, where the person's pelvis is. Azimuth 0 is the input, positive azimuths move the camera towards world
+x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.types import Camera

FOCAL = 0.8  # focal length over picture width (the THuman2.0 renders of GPS-Gaussian and HGM)
DISTANCE = 2.0  # metres from the camera to the world's origin
FILL = 0.875  # share of a close view that the person's longer side has


def intrinsics(size: int, focal: float = FOCAL) -> Float[Tensor, "3 3"]:
    """K of a square picture; `focal` is relative to its width."""
    return torch.tensor(
        [[focal * size, 0, size / 2], [0, focal * size, size / 2], [0, 0, 1]], dtype=torch.float32
    )


def canonical_camera(size: int, focal: float = FOCAL, distance: float = DISTANCE) -> Camera:
    """The camera of the input picture."""
    T_camera_world = torch.eye(4)
    T_camera_world[2, 3] = distance
    return Camera(intrinsics(size, focal), T_camera_world, size, size)


def orbit_cameras(
    azimuths: Sequence[float],
    size: int,
    *,
    elevation: float | Sequence[float] = 0.0,
    focal: float = FOCAL,
    distance: float = DISTANCE,
) -> Camera:
    """A batch of cameras that look at the origin; angles in degrees, elevation > 0 looks from above."""
    elevations = [elevation] * len(azimuths) if isinstance(elevation, (int, float)) else list(elevation)
    transforms = [
        _look_at_origin(math.radians(a), math.radians(e), distance)
        for a, e in zip(azimuths, elevations, strict=True)
    ]
    return Camera(intrinsics(size, focal).expand(len(transforms), 3, 3), torch.stack(transforms), size, size)


def _look_at_origin(azimuth: float, elevation: float, distance: float) -> Float[Tensor, "4 4"]:
    ca, sa, ce, se = math.cos(azimuth), math.sin(azimuth), math.cos(elevation), math.sin(elevation)
    # rows are the camera's axes in the world; with both angles 0 this is the identity
    R = [[ca, 0.0, sa], [sa * se, ce, -ca * se], [-sa * ce, se, ca * ce]]
    T_camera_world = torch.eye(4)
    T_camera_world[:3, :3] = torch.tensor(R)
    T_camera_world[2, 3] = distance
    return T_camera_world


def turn_world(camera: Camera, T_new_old: Float[Tensor, "4 4"]) -> Camera:
    """The same cameras expressed in a new world frame."""
    return Camera(camera.K, camera.T_camera_world @ torch.linalg.inv(T_new_old), camera.width, camera.height)


def resize(camera: Camera, size: int) -> Camera:
    """The same square cameras with pictures of `size` pixels."""
    scale = torch.tensor([size / camera.width, size / camera.height, 1.0], device=camera.K.device)
    return Camera(camera.K * scale[:, None], camera.T_camera_world, size, size)


def cropped(camera: Camera, corner: tuple[float, float], side: float, size: int) -> Camera:
    """The square of `side` pixels whose upper left corner is at x, y of one camera's picture, as a camera of
    `size` pixels."""
    scale = size / side
    move = torch.tensor(
        [[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale], [0, 0, 1]], dtype=torch.float64
    )
    return Camera((move.to(camera.K.device) @ camera.K.double()).float(), camera.T_camera_world, size, size)


def framed(camera: Camera, box: tuple[float, float, float, float], size: int, fill: float = FILL) -> Camera:
    """One camera that looks at a box alone.

    Args:
        camera: as it is.
        box: left, top, right and bottom in its pixels.
        size: pixels of the new square picture.
        fill: share of the picture that the box's longer side has.
    """
    left, top, right, bottom = box
    side = max(right - left, bottom - top) / fill
    return cropped(camera, ((left + right - side) / 2, (top + bottom - side) / 2), side, size)


def to_camera(points: Float[Tensor, "*b n 3"], camera: Camera) -> Float[Tensor, "*c n 3"]:
    """Points in the camera's frame; the camera's batch dimensions broadcast against the points'."""
    R, t = camera.T_camera_world[..., :3, :3], camera.T_camera_world[..., :3, 3]
    return points @ R.transpose(-1, -2) + t[..., None, :]


def project(
    points: Float[Tensor, "*b n 3"], camera: Camera
) -> tuple[Float[Tensor, "*c n 2"], Float[Tensor, "*c n"]]:
    """Pixel coordinates (the centre of the first pixel is 0.5) and depth in metres."""
    p = to_camera(points, camera)
    depth = p[..., 2]
    K = camera.K
    pixels = p @ K.transpose(-1, -2)
    return pixels[..., :2] / depth[..., None], depth


def camera_center(camera: Camera) -> Float[Tensor, "*b 3"]:
    """The camera's position in the world."""
    R, t = camera.T_camera_world[..., :3, :3], camera.T_camera_world[..., :3, 3]
    return -(R.transpose(-1, -2) @ t[..., None])[..., 0]


def rays(camera: Camera) -> Float[Tensor, "*b h w 3"]:
    """World-frame ray through each pixel centre, of depth 1 (not unit length): point = centre + depth *
    ray."""
    device = camera.K.device
    v, u = torch.meshgrid(
        torch.arange(camera.height, device=device) + 0.5,
        torch.arange(camera.width, device=device) + 0.5,
        indexing="ij",
    )
    pixels = torch.stack([u, v, torch.ones_like(u)], -1).reshape(-1, 3)
    directions = pixels @ torch.linalg.inv(camera.K).transpose(-1, -2) @ camera.T_camera_world[..., :3, :3]
    return directions.reshape(*camera.K.shape[:-2], camera.height, camera.width, 3)


def plucker(camera: Camera) -> Float[Tensor, "*b 6 h w"]:
    """Pluecker coordinates (o x d, d) of each pixel's unit ray (LGM, section 3.2)."""
    d = torch.nn.functional.normalize(rays(camera), dim=-1)
    o = camera_center(camera)[..., None, None, :].expand_as(d)
    return torch.cat([torch.cross(o, d, dim=-1), d], -1).movedim(-1, -3)
