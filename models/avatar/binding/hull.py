"""What lies within the outlines of a person from all sides: nothing may be added where they leave it open."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from turnaround.models.splat.rasterize import rasterize
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.close_orbit import close_orbit
from turnaround.pipeline.values.types import Gaussians

AROUND: Final = (0, 45, 90, 135)  # degrees; the other sides have the same outlines but for perspective
SIZE: Final = 512  # pixels
EDGE: Final = 2  # pixels within an outline that stay free: a disc is about as wide
SOLID: Final = 0.5  # of the opacity, from which on a pixel is the person's


@torch.no_grad()
def within(points: Float[Tensor, "n 3"], person: Gaussians) -> Bool[Tensor, " n"]:
    """Whether points lie in the outlines of Gaussians from all of AROUND.

    points: world frame, metres, as the person.
    """
    cameras = close_orbit(person.means, AROUND, SIZE)
    alpha = rasterize(person, cameras, outputs=("rgb", "alpha")).alpha
    alpha = -max_pool2d(-alpha, 2 * EDGE + 1, stride=1, padding=EDGE)
    inside = torch.ones(len(points), dtype=torch.bool)
    pixels, _ = project(points, cameras)
    for picture, places in zip(alpha, pixels, strict=True):
        column, row = places.floor().long().clamp(0, SIZE - 1).unbind(-1)
        inside &= picture[row, column] > SOLID
    return inside
