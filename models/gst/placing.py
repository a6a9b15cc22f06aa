"""From the canonical camera, in whose frame a body is said, to the real one that took the picture.

A camera with a longer lens sees the same window if the person is as much farther away: depth alone grows, the
body keeps its size (HMR's weak perspective; the paper's t = (tx, ty, 2f / 256 s)).
"""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.camera import DISTANCE, FOCAL
from turnaround.pipeline.values.types import Camera, Gaussians


def reach_of(camera: Camera) -> Float[Tensor, "*b"]:
    """How many times farther than the canonical camera square cameras stand to see a person as large."""
    return camera.K[..., 0, 0] / (FOCAL * camera.width)


def shift_of(pelvis: Float[Tensor, "*b 3"], reach: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3"]:
    """What takes points of the canonical world to the frame of a real camera with `reach`."""
    depth = (pelvis[..., 2] + DISTANCE) * reach - pelvis[..., 2]
    return torch.stack([torch.zeros_like(depth), torch.zeros_like(depth), depth], -1)


def moved(gaussians: Gaussians, shift: Float[Tensor, "3"]) -> Gaussians:
    """Gaussians elsewhere."""
    return dataclasses.replace(gaussians, means=gaussians.means + shift)
