"""How far away a person is, from the masks of all cameras: the depth that one picture does not tell.

A network that sees one picture knows a person's distance as well as their size, to a tenth. In the other
cameras that error moves the whole person by more than any limb is wrong, and a pose that is taught by
pictures would bend to make up for it. So people are drawn where the middles of the masks meet, and the
network's own depth is taught to be there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Camera

STEPS = 3  # of Gauss-Newton, in one unknown
FARTHEST = 0.5  # of the distance that is said: what masks may change of it


@torch.no_grad()
def depth_by_masks(
    points: Float[Tensor, "n 3"], cameras: Camera, mask: Float[Tensor, "v h w"]
) -> Float[Tensor, "3"]:
    """The way along the first camera's ray that brings the points' middles nearest to the masks' in all
    views.

    Args:
        points: of one person, in the frame of the first camera.
        cameras: v of them, from that frame.
        mask: of each; an empty one does not count.
    """
    weight = mask.sum((1, 2))
    height, width = mask.shape[-2:]
    x = torch.arange(width, device=mask.device) + 0.5
    y = torch.arange(height, device=mask.device) + 0.5
    total = weight.clamp(min=1e-6)
    middles = torch.stack([(mask.sum(1) * x).sum(-1) / total, (mask.sum(2) * y).sum(-1) / total], -1)
    ray = F.normalize(points.mean(0), dim=-1)
    known = (weight > 0).to(points.dtype)[:, None]
    way = points.new_zeros(())
    limit = FARTHEST * points.mean(0).norm()
    for _ in range(STEPS):
        here, ahead = (_middles(points + t * ray, cameras) for t in (way, way + 0.01))
        slope, error = (ahead - here) / 0.01 * known, (middles - here) * known
        way = (way + (slope * error).sum() / slope.square().sum().clamp(min=1e-6)).clamp(-limit, limit)
    return way * ray


def _middles(points: Float[Tensor, "n 3"], cameras: Camera) -> Float[Tensor, "v 2"]:
    """Where the points lie on average, pixels."""
    pixels, _ = project(points[None].expand(len(cameras.K), -1, -1), cameras)
    return pixels.mean(1)
