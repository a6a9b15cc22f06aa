"""When a foot is on the ground, and how far it then slips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import binary_closing, binary_opening
from torch import Tensor

NEAR = 0.035  # metres above the ground where a foot touches it
SLOW = 0.4  # metres a second along the ground: what stands still is slower
_SHARP = 0.006  # metres by which a point is higher than the lowest one and counts a third
_GAP, _SHORT = 0.07, 0.07  # seconds: shorter gaps are closed, shorter contacts are none


@dataclass(frozen=True)
class Touch:
    """One foot over a movement."""

    height: Float[Tensor, " f"]  # of its lowest point above the ground, metres
    slip: Float[Tensor, "f 2"]  # of the points that carry it, x and z, metres a second
    held: Bool[Tensor, " f"]  # whether it stands still on the ground


def touch(points: Float[Tensor, "f n 3"], fps: float, ground: float = 0.0) -> Touch:
    """What a foot does, from the points of its sole over time; `ground` is the world's y of the floor."""
    heights = ground - points[..., 1]
    lowest = heights.amin(1)
    slip = slipping(points, heights, fps)
    held = (lowest < NEAR) & (slip.norm(dim=-1) < SLOW)
    return Touch(lowest, slip, torch.from_numpy(_without_specks(held.numpy(), fps)))


def slipping(
    points: Float[Tensor, "f n 3"], heights: Float[Tensor, "f n"], fps: float
) -> Float[Tensor, "f 2"]:
    """How fast the points that carry a foot move along the ground, from the frame before.

    A foot that rolls from heel to toe does not slip: the points that carry it stand still one after the
    other.
    """
    if len(points) < 2:
        return torch.zeros(len(points), 2, dtype=points.dtype)
    both = torch.maximum(heights[1:], heights[:-1])  # a point that carries does so in both frames
    share = torch.softmax(-(both - both.amin(1, keepdim=True)) / _SHARP, 1)
    speed = (points[1:] - points[:-1])[..., [0, 2]] * fps
    slip = (share[..., None] * speed).sum(1)
    return torch.cat([slip[:1], slip])


def _without_specks(held: Bool[np.ndarray, " f"], fps: float) -> Bool[np.ndarray, " f"]:
    gap, short = max(1, round(_GAP * fps)), max(1, round(_SHORT * fps))
    padded = np.pad(held, gap + short, mode="edge")
    closed = binary_closing(padded, np.ones(gap + 1, bool))
    opened = binary_opening(closed, np.ones(short + 1, bool))
    return opened[gap + short : len(padded) - gap - short]
