"""What the landmark networks say of people, as tensors; how it looks in a mirrored or turned picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.crop import rotation_2d
from turnaround.models.landmarks.names import FACE_MIRROR, POSE_MIRROR
from turnaround.pipeline.values.record import TensorRecord


@dataclass(frozen=True)
class Sighting(TensorRecord):
    """Landmarks of a batch of people; x and y in [-1, 1] of the canonical picture, z in the same unit."""

    pose: Float[Tensor, "b 33 5"]  # x, y, z, visibility, presence
    world: Float[Tensor, "b 33 3"]  # metres from the mid hip; x right, y down, z away from the camera
    hands: Float[Tensor, "b 2 21 2"]  # left, right; 0 where a hand is not seen
    hands_world: Float[Tensor, "b 2 21 3"]  # metres
    hands_flag: Float[Tensor, "b 2"]
    face: Float[Tensor, "b 68 3"]  # x, y, z; 0 where no face is seen
    face_flag: Float[Tensor, " b"]


def mirrored(seen: Sighting) -> Sighting:
    """The same people in the mirrored picture, left and right exchanged."""
    flip = torch.tensor([-1.0, 1, 1, 1, 1], device=seen.pose.device)
    return Sighting(
        seen.pose[:, list(POSE_MIRROR)] * flip,
        seen.world[:, list(POSE_MIRROR)] * flip[:3],
        seen.hands.flip(1) * flip[:2],
        seen.hands_world.flip(1) * flip[:3],
        seen.hands_flag.flip(1),
        seen.face[:, list(FACE_MIRROR)] * flip[:3],
        seen.face_flag,
    )


def turned(seen: Sighting, angle: Float[Tensor, " b"]) -> Sighting:
    """The same people in a picture turned about its centre by `angle` (radians, clockwise)."""
    turn = rotation_2d(angle).transpose(-1, -2)

    def rotate(points: Tensor) -> Tensor:
        flat = points[..., :2].reshape(len(points), -1, 2) @ turn
        return torch.cat([flat.reshape(*points.shape[:-1], 2), points[..., 2:]], -1)

    return Sighting(
        rotate(seen.pose),
        rotate(seen.world),
        rotate(seen.hands),
        rotate(seen.hands_world),
        seen.hands_flag,
        rotate(seen.face),
        seen.face_flag,
    )


def from_trace(landmarks: Mapping[str, Any], size: int, *, second: bool = False) -> Sighting:
    """The sighting of one person, a batch of one, from `prepare.landmarks`.

    Args:
        size: pixels of the view, in which the landmarks are told.
        second: of the run on the mirrored picture, whose answers were brought back.
    """
    run = landmarks["mirrored"] if second else landmarks
    plane = lambda points: torch.tensor(points, dtype=torch.float32)[None] * 2 / size  # noqa: E731
    pose = torch.tensor(run["pose"], dtype=torch.float32)[None]
    pose = torch.cat([plane(run["pose"])[..., :2] - 1, plane(run["pose"])[..., 2:3], pose[..., 3:]], -1)
    hands, worlds, flags = [], [], []
    for side in ("left", "right"):
        hand = landmarks["hands"][side]
        hands.append(torch.zeros(1, 21, 2) if hand is None else plane(hand["xy"]) - 1)
        worlds.append(
            torch.zeros(1, 21, 3) if hand is None else torch.tensor(hand["world"], dtype=torch.float32)[None]
        )
        flags.append(0.0 if hand is None else float(hand["flag"]))
    face = landmarks["face"]
    points = torch.zeros(1, 68, 3) if face is None else plane(face["points"]) - torch.tensor([1.0, 1, 0])
    return Sighting(
        pose,
        torch.tensor(run["world"], dtype=torch.float32)[None],
        torch.stack(hands, 1),
        torch.stack(worlds, 1),
        torch.tensor([flags]),
        points,
        torch.tensor([0.0 if face is None else float(face["flag"])]),
    )
