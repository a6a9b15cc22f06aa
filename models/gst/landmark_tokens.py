"""Landmarks as tokens beside those of the image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.estimator.crop import to_window
from turnaround.models.estimator.lifter.sighting import Sighting
from turnaround.models.landmarks.names import POSE_NAMES

COUNT = len(POSE_NAMES)
# x, y in the window, [-1, 1], and z in the same unit; metres from the mid hip (x, y, z); certainty, last
CHANNELS = 7


class LandmarkTokens(nn.Module):
    """A token a landmark of BlazePose; a person without landmarks has tokens that say so."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.names = nn.Parameter(torch.randn(COUNT, width) * 0.02)
        self.place = nn.Sequential(nn.Linear(CHANNELS, width), nn.GELU(), nn.Linear(width, width))
        self.absent = nn.Parameter(torch.zeros(width))

    def forward(self, landmarks: Float[Tensor, "b n 7"]) -> Float[Tensor, "b n d"]:
        """Landmarks of no certainty are as if they were not there."""
        known = (landmarks[..., -1:] > 0).to(landmarks.dtype)
        return self.names + known * self.place(landmarks * known) + (1 - known) * self.absent


def landmark_values(seen: Sighting, window: Float[Tensor, "b 3"]) -> Float[Tensor, "b n 7"]:
    """What the tokens are made of, from a sighting in the canonical picture."""
    xy = to_window(seen.pose[..., :2], window)
    z = seen.pose[..., 2:3] / window[:, None, 2:]
    certainty = seen.pose[..., 3:].prod(-1, keepdim=True)
    return torch.cat([xy, z, seen.world, certainty], -1)
