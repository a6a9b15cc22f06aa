"""The estimator's window: a square about the person's mask, and what its place says about the camera.

Everything is relative to the canonical picture: coordinates in [-1, 1], pixel rows downward, focal length 2 *
FOCAL in these units. A window is (centre x, centre y, half side). The body is always estimated in the
canonical camera's frame; the window only selects pixels (Li et al. 2022, CLIFF), so that cutting and moving
it never changes a label.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.camera import DISTANCE, FOCAL

SIZE = 128  # pixels of the network's input
PADDING = 1.12  # side of the window over the longer side of the person's box
PLANE = 2 * FOCAL  # focal length in half pictures
REFERENCE_HEIGHT = 1.6  # metres; a window is taken to be about this large where the person stands


def mask_window(
    mask: Float[Tensor, "b h w"], angle: Float[Tensor, " b"] | None = None
) -> Float[Tensor, "b 3"]:
    """The window of what is more likely person than not; `angle` turns the picture first (about its
    centre)."""
    small = F.adaptive_avg_pool2d(mask[:, None], 64)[:, 0] if min(mask.shape[-2:]) > 64 else mask
    height, width = small.shape[-2:]
    ys, xs = torch.meshgrid(
        (torch.arange(height, device=mask.device) + 0.5) / height * 2 - 1,
        (torch.arange(width, device=mask.device) + 0.5) / width * 2 - 1,
        indexing="ij",
    )
    points = torch.stack([xs, ys], -1).reshape(1, -1, 2).expand(len(mask), -1, -1)
    if angle is not None:
        points = points @ rotation_2d(angle).transpose(-1, -2)
    inside = (small.reshape(len(mask), -1, 1) > 0.4).expand(-1, -1, 2)
    low = torch.where(inside, points, 2.0).amin(1)
    high = torch.where(inside, points, -2.0).amax(1)
    side = (high - low).amax(-1, keepdim=True) + 2 / width
    empty = ~inside.any(1)[:, :1]
    window = torch.cat([(low + high) / 2, PADDING * side / 2], -1)
    return torch.where(empty, torch.tensor([0.0, 0.0, 1.0], device=mask.device), window)


def rotation_2d(angle: Float[Tensor, " b"]) -> Float[Tensor, "b 2 2"]:
    """Turns (x, y) by `angle`; with rows downward a positive one is clockwise."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def cut(
    picture: Float[Tensor, "b c h w"],
    window: Float[Tensor, "b 3"],
    size: int = SIZE,
    angle: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, "b c s s"]:
    """The pixels of the window, of the picture turned by `angle`; zero beyond the picture.

    Large pictures are averaged down first, so that nothing aliases.
    """
    factor = int((picture.shape[-1] * window[:, 2].min() / size).clamp(min=1))
    picture = F.avg_pool2d(picture, factor) if factor > 1 else picture
    turn = (
        torch.eye(2, device=picture.device).expand(len(window), 2, 2)
        if angle is None
        else rotation_2d(-angle)
    )
    theta = torch.cat([turn * window[:, 2, None, None], turn @ window[:, :2, None]], -1)
    grid = F.affine_grid(theta, [len(window), picture.shape[1], size, size], align_corners=False)
    return F.grid_sample(picture, grid.to(picture.dtype), align_corners=False)


def cut_white(
    picture: Float[Tensor, "b 4 h w"],
    window: Float[Tensor, "b 3"],
    size: int = SIZE,
    angle: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, "b 4 s s"]:
    """As `cut`, of colours over white and their mask, the last channel: beyond the picture it is white, and
    nobody is there."""
    color, mask = picture.split((3, 1), 1)
    darkness, mask = cut(torch.cat([color - 1, mask], 1), window, size, angle).split((3, 1), 1)
    return torch.cat([darkness + 1, mask], 1)


def to_window(points: Float[Tensor, "b k 2"], window: Float[Tensor, "b 3"]) -> Float[Tensor, "b k 2"]:
    """Picture coordinates -> coordinates in the window, both [-1, 1]."""
    return (points - window[:, None, :2]) / window[:, None, 2:]


def from_window(points: Float[Tensor, "b k 2"], window: Float[Tensor, "b 3"]) -> Float[Tensor, "b k 2"]:
    """The inverse of `to_window`."""
    return points * window[:, None, 2:] + window[:, None, :2]


def project_plane(points: Float[Tensor, "*b k 3"]) -> Float[Tensor, "*b k 2"]:
    """World points in the canonical picture, coordinates in [-1, 1]."""
    return PLANE * points[..., :2] / (points[..., 2:] + DISTANCE).clamp(min=0.1)


def lift(
    uv: Float[Tensor, "b 2"], log_depth: Float[Tensor, " b"], window: Float[Tensor, "b 3"]
) -> Float[Tensor, "b 3"]:
    """World point seen at `uv` of the window; depth is exp(log_depth) times that of a reference person who
    fills it."""
    depth = torch.exp(log_depth) * PLANE * REFERENCE_HEIGHT / 2 / window[:, 2]
    plane = uv * window[:, 2:] + window[:, :2]
    return torch.cat([plane * depth[:, None] / PLANE, depth[:, None] - DISTANCE], -1)


def log_depth_of(point: Float[Tensor, "b 3"], window: Float[Tensor, "b 3"]) -> Float[Tensor, " b"]:
    """The inverse of `lift` in depth."""
    return torch.log((point[:, 2] + DISTANCE) * window[:, 2] * 2 / (PLANE * REFERENCE_HEIGHT))
