"""Finger rotations from a hand's 21 points in metres: a small network in the palm's own frame, one for both
sides.

In that frame neither the arm's pose nor the camera matters, so what is learned on renders holds for
photographs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.pipeline.values.rotation import matrix_to_rot6d, rot6d_to_matrix

JOINTS = 15  # index, middle, little, ring finger and thumb, three each, as SMPL-X has them
WIDTH = 256


class HandNetwork(nn.Module):
    """Points of left hands -> rotations of the fingers relative to their parents; right hands go through
    mirrored."""

    mean_pose: Float[Tensor, "15 6"]  # of a relaxed left hand, what an unseen hand gets

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(WIDTH, JOINTS * 6)
        nn.init.normal_(last.weight, 0, 0.002)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Linear(63, WIDTH),
            nn.GELU(),
            nn.LayerNorm(WIDTH),
            nn.Dropout(0.1),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.LayerNorm(WIDTH),
            nn.Dropout(0.1),
            last,
        )
        self.register_buffer("mean_pose", matrix_to_rot6d(torch.eye(3)).expand(JOINTS, 6).clone())

    def forward(
        self, world: Float[Tensor, "b 2 21 3"], flag: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 2 15 3 3"]:
        """Left and right; where `flag` is 0 the relaxed hand."""
        left = mirror_right(world)
        change = self.layers(palm_frame(left).flatten(-2)).unflatten(-1, (JOINTS, 6))
        pose = self.mean_pose + change * (flag > 0).float()[..., None, None]
        return mirror_right_rotations(rot6d_to_matrix(pose.float()))


def palm_frame(points: Float[Tensor, "*b 21 3"]) -> Float[Tensor, "*b 21 3"]:
    """Points in the frame of the palm: from the wrist, x to the middle knuckle, z out of the palm's plane,
    palms 1 long."""
    local = points - points[..., :1, :]
    length = local[..., 9:10, :].norm(dim=-1, keepdim=True).clamp(min=1e-4)
    x = F.normalize(local[..., 9, :], dim=-1)
    z = F.normalize(torch.linalg.cross(local[..., 5, :], local[..., 17, :]), dim=-1)
    y = torch.linalg.cross(z, x)
    y = F.normalize(y, dim=-1)
    axes = torch.stack([x, y, torch.linalg.cross(x, y)], -1)
    return local @ axes / length


def mirror_right(points: Float[Tensor, "b 2 21 3"]) -> Float[Tensor, "b 2 21 3"]:
    """Right hands as left ones, or the other way round."""
    sign = torch.ones(2, 1, 3, device=points.device)
    sign[1, :, 0] = -1
    return points * sign


def mirror_right_rotations(rotations: Float[Tensor, "b 2 15 3 3"]) -> Float[Tensor, "b 2 15 3 3"]:
    """Rotations of a right hand's fingers as those of a left one, or the other way round."""
    flip = torch.ones(2, 3, device=rotations.device)
    flip[1, 0] = -1
    return rotations * (flip[:, :, None] * flip[:, None, :])[:, None]
