"""Cameras of a film: one that stands still, one that goes around, one that walks along."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.camera import orbit_cameras, project, turn_world
from turnaround.pipeline.values.types import Camera

View = Literal["front", "orbit", "follow"]
VIEWS: tuple[str, ...] = get_args(View)
ELEVATION = 8.0  # degrees from which the cameras look down: the ground is seen
FILL = 0.9  # share of the picture that all of the film fills
NEAREST, AWAY = 3.4, 2.8  # metres: to the middle at least; and beyond what moves farthest from it
SWING = 45.0  # degrees a second at most: of a camera that goes around
STEADY = 0.4  # seconds over which a camera that walks along evens out the steps
WIDEST = 2.0  # of a picture: its width by its height


def film_cameras(
    points: Float[Tensor, "f p 3"],
    path: Float[Tensor, "f 3"],
    size: int,
    fps: float,
    view: View,
    *,
    wide: bool = False,
    azimuth: float = 0.0,
) -> Camera:
    """A camera a frame, all with one lens, which sees everything in every frame.

    Args:
        points: of all persons in each frame, metres.
        path: of their middle.
        size: pixels of the height, even.
        fps: frames a second.
        view: front: still. orbit: once around in the film, if it is long enough for that. follow: as front,
            and goes along with the path.
        wide: as wide as the persons ask for, up to WIDEST; else square.
        azimuth: degrees from which the first frame is seen.
    """
    low, high = points.amin((0, 1)), points.amax((0, 1))
    centers = ((low + high) / 2).expand(len(points), 3)
    if view == "follow":
        level = _steady(path, STEADY * fps)
        shift = (points.mean(1) - level)[:, [0, 2]].mean(0)  # where the middle of the person is beside it
        centers = torch.stack([level[:, 0] + shift[0], centers[:, 1], level[:, 2] + shift[1]], -1)
    turn = min(360.0, SWING * len(points) / fps) if view == "orbit" else 0.0
    azimuths = [azimuth + turn * k / len(points) for k in range(len(points))]
    distance = max(NEAREST, float((points - centers[:, None])[..., [0, 2]].norm(dim=-1).max()) + AWAY)
    turned = orbit_cameras(azimuths, size, elevation=ELEVATION, distance=distance)
    views = [turn_world(turned[k], _moved(centers[k])) for k in range(len(points))]
    T = torch.stack([each.T_camera_world for each in views])
    T[:, :3, :3] = turned.T_camera_world[:, :3, :3]
    return _lens(Camera(turned.K, T, size, size), points, size, wide)


def _moved(by: Float[Tensor, "3"]) -> Float[Tensor, "4 4"]:
    """From the frame whose origin is there."""
    T = torch.eye(4)
    T[:3, 3] = by
    return T


def _steady(path: Float[Tensor, "f 3"], frames: float) -> Float[Tensor, "f 3"]:
    """The path with a Gaussian's weights over so many frames; it goes on straight at its ends."""
    reach = round(3 * frames)
    if reach < 1 or len(path) < 2:
        return path
    steps = torch.arange(1, reach + 1)[:, None]
    first, last = (path[1] - path[0]), (path[-1] - path[-2])
    longer = torch.cat([path[0] - steps.flip(0) * first, path, path[-1] + steps * last])
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / frames) ** 2)
    return F.conv1d(longer.T[:, None], (kernel / kernel.sum())[None, None])[:, 0].T


def _lens(cameras: Camera, points: Float[Tensor, "f p 3"], size: int, wide: bool) -> Camera:
    """The cameras zoomed to what they see over the film."""
    seen = project(points, cameras)[0]
    low, high = seen.amin((0, 1)), seen.amax((0, 1))
    across, down = (high - low).clamp(min=1e-3).tolist()
    aspect = min(max(across / down, 1.0), WIDEST) if wide else 1.0
    width = 2 * round(size * aspect / 2)
    scale = FILL * min(width / across, size / down)
    middle = (low + high) / 2
    K = cameras.K.clone()
    K[:, 0, 0] *= scale
    K[:, 1, 1] *= scale
    K[:, 0, 2] = (K[:, 0, 2] - middle[0]) * scale + width / 2
    K[:, 1, 2] = (K[:, 1, 2] - middle[1]) * scale + size / 2
    return Camera(K, cameras.T_camera_world, width, size)
