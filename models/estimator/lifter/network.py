"""The lifter: a residual network from landmarks to the body's rotations with their uncertainty, shape, place
and gravity.

In the manner of Martinez et al. 2017 (arXiv 1705.03098), with rotations instead of points, certainty and both
hands and the face as inputs, and a Laplacian's scale for every rotation. Its input is what landmark networks
say, which looks the same for a render and for a photograph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.estimator.crop import lift
from turnaround.models.estimator.kinematics import POSED, Skeleton
from turnaround.models.estimator.lifter.face import FaceReader
from turnaround.models.estimator.lifter.hand import HandNetwork
from turnaround.models.estimator.lifter.landmark_points import COUNT
from turnaround.models.estimator.lifter.sighting import Sighting
from turnaround.pipeline.values.rotation import matrix_to_rot6d, rot6d_to_matrix

INPUTS = 33 * 8 + 3 + 2 * (1 + 21 * 5 + 2) + 1 + 68 * 3 + 2
HAND_UNIT, WORLD_UNIT = 0.1, 0.4  # metres, so that inputs are about 1


@dataclass(frozen=True)
class LifterConfig:
    """Sizes of the network."""

    width: int = 640
    blocks: int = 3
    dropout: float = 0.1


@dataclass(frozen=True)
class Lifted:
    """What the network says about a batch of people; world frame of the canonical camera."""

    rotations: Float[Tensor, "b 22 3 3"]  # global: joint -> world
    spread: Float[Tensor, "b 22"]  # expected error of each rotation, the scale of a Laplacian, radians
    betas: Float[Tensor, "b 10"]
    pelvis: Float[Tensor, "b 3"]  # metres
    joints: Float[Tensor, "b k 3"]  # metres
    up: Float[Tensor, "b 3"]  # unit, against gravity
    fingers: Float[Tensor, "b 2 15 3 3"]  # relative to their parents; left, right
    jaw: Float[Tensor, "b 3"]  # axis-angle
    expression: Float[Tensor, "b 10"]


class Lifter(nn.Module):
    """Sighting -> Lifted. `offsets` and `errors` describe the landmarks themselves (landmark_points.py)."""

    mean_pose: Float[Tensor, "22 6"]
    offsets: Float[Tensor, "n 3"]
    errors: Float[Tensor, "2 n"]

    def __init__(self, skeleton: Skeleton, config: LifterConfig = LifterConfig()) -> None:
        super().__init__()
        self.config, self.skeleton = config, skeleton
        self.enter = nn.Linear(INPUTS, config.width)
        self.blocks = nn.ModuleList(ResidualBlock(config.width, config.dropout) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.hand, self.face = HandNetwork(), FaceReader()
        self.pose_head, self.spread_head = nn.Linear(config.width, POSED * 6), nn.Linear(config.width, POSED)
        self.shape_head, self.place_head, self.up_head = (nn.Linear(config.width, n) for n in (10, 3, 3))
        for head in (self.pose_head, self.spread_head, self.shape_head, self.place_head, self.up_head):
            nn.init.normal_(head.weight, 0, 0.002)
            nn.init.zeros_(head.bias)
        self.register_buffer(
            "mean_pose", matrix_to_rot6d(torch.diag(torch.tensor([1.0, -1, -1]))).expand(POSED, 6).clone()
        )
        self.register_buffer("offsets", torch.zeros(COUNT, 3))  # metres, in the frame of the joint
        self.register_buffer("errors", torch.full((2, COUNT), 0.02))  # of person heights; if seen, if hidden

    def forward(self, seen: Sighting) -> Lifted:
        """The body of each person; `lift` places it along the ray of the landmarks' middle."""
        window = landmark_window(seen)
        hidden = self.enter(features(seen, window))
        for block in self.blocks:
            hidden = block(hidden)
        hidden = self.norm(hidden)
        with torch.autocast(hidden.device.type, enabled=False):  # a body has more digits than bfloat16
            return self._body(hidden.float(), seen, window)

    def _body(self, hidden: Float[Tensor, "b d"], seen: Sighting, window: Float[Tensor, "b 3"]) -> Lifted:
        rotations = rot6d_to_matrix(self.mean_pose + self.pose_head(hidden).unflatten(-1, (POSED, 6)))
        spread = F.softplus(self.spread_head(hidden) - 1.0) + 0.01
        betas, place = self.shape_head(hidden), self.place_head(hidden)
        pelvis = lift(place[:, :2], place[:, 2], window)
        up = F.normalize(self.up_head(hidden) + torch.tensor([0.0, -1, 0], device=hidden.device), dim=-1)
        joints = self.skeleton(rotations, betas) + pelvis[:, None]
        fingers = self.hand(seen.hands_world, seen.hands_flag)
        return Lifted(
            rotations, spread, betas, pelvis, joints, up, fingers, *self.face(seen.face, seen.face_flag)
        )


class ResidualBlock(nn.Module):
    """x + W2 gelu(W1 norm(x))."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """The same shape."""
        return x + self.layers(x)


def landmark_window(seen: Sighting) -> Float[Tensor, "b 3"]:
    """Middle and half side of a square about the landmarks, whose size does not change as the picture is
    turned."""
    points = seen.pose[..., :2]
    known = (seen.pose[..., 4:] > 0).float()
    count = known.sum(1).clamp(min=1)
    centre = (points * known).sum(1) / count
    radius = (
        ((points - centre[:, None]).square().sum(-1, keepdim=True) * known).sum(1) / count + 1e-8
    ).sqrt()
    return torch.cat([centre, 2 * radius], -1)


def features(seen: Sighting, window: Float[Tensor, "b 3"]) -> Float[Tensor, "b d"]:
    """The network's input: everything relative to the window, and where the window is; zeros for what is not
    seen."""
    side, centre = window[:, 2:, None], window[:, None, :2]
    known = (seen.pose[..., 4:] > 0).float()
    pose = torch.cat(
        [
            (seen.pose[..., :2] - centre) / side * known,
            seen.pose[..., 2:3] / side,
            seen.pose[..., 3:],
            seen.world / WORLD_UNIT,
        ],
        -1,
    )
    parts = [pose.flatten(1), window[:, :2], window[:, 2:].log()]
    for k in range(2):
        there = (seen.hands_flag[:, k] > 0).float()[:, None, None]
        hand, world = seen.hands[:, k], seen.hands_world[:, k]
        flat = (hand - hand[:, :1]) / side * 8
        parts += [
            seen.hands_flag[:, k : k + 1],
            flat.flatten(1),
            ((world - world[:, :1]) / HAND_UNIT).flatten(1),
        ]
        parts.append(((hand[:, :1] - centre) / side * there).flatten(1))
    there = (seen.face_flag > 0).float()[:, None, None]
    middle = seen.face[..., :2].mean(1, keepdim=True)
    face = torch.cat([(seen.face[..., :2] - middle) / side * 8, seen.face[..., 2:] / side * 8], -1) * there
    parts += [seen.face_flag[:, None], face.flatten(1), ((middle - centre) / side * there).flatten(1)]
    return torch.cat(parts, 1)
