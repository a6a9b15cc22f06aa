"""Landmark sets in memory: sightings with the bodies that they are of, spoilt as photographs spoil them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.crop import rotation_2d
from turnaround.models.estimator.kinematics import KEYPOINTS, mirror_keypoints, mirror_rotations, to_global
from turnaround.models.estimator.lifter.sighting import Sighting, mirrored, turned
from turnaround.models.landmarks.names import FACE_68
from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.values.record import TensorRecord
from turnaround.pipeline.values.rotation import axis_angle_to_matrix

HELD_OUT = 0.05  # share of the chunks, the last ones, that is only validated on
# landmarks that are lost together
LIMBS = (range(11, 17, 2), range(12, 17, 2), range(23, 33, 2), range(24, 33, 2), range(0, 11))


@dataclass(frozen=True)
class Bodies(TensorRecord):
    """The truth about a batch of people, in the canonical camera's world."""

    rotations: Float[Tensor, "b 22 3 3"]  # global
    betas: Float[Tensor, "b 10"]
    joints: Float[Tensor, "b k 3"]  # KEYPOINTS, metres
    up: Float[Tensor, "b 3"]  # against gravity
    fingers: Float[Tensor, "b 2 15 3 3"]  # rotations relative to their parents
    jaw: Float[Tensor, "b 3"]
    expression: Float[Tensor, "b 10"]
    K: Float[Tensor, "b 3 3"]  # of the camera that took the picture, to [0, 1]
    T_camera_world: Float[Tensor, "b 4 4"]


@dataclass(frozen=True)
class Batch(TensorRecord):
    """Input and labels."""

    seen: Sighting
    truth: Bodies


class LandmarkSet:
    """A folder of `turnaround data landmarks` in memory; `part`: train, held (the last chunks) or all."""

    def __init__(self, folder: Path, part: str, limit: int = 0) -> None:
        files = sorted(folder.glob("chunk_*.npz"))
        if len(files) < 2:
            raise MissingFile(
                f"{folder} holds {len(files)} chunks of landmarks, at least 2 are needed: make them with "
                f"`turnaround data landmarks`"
            )
        held = max(1, round(HELD_OUT * len(files)))
        chosen = {"train": files[:-held][: limit or None], "held": files[-held:], "all": files}[part]
        chunks = [dict(np.load(file)) for file in chosen]
        arrays = {
            name: torch.from_numpy(np.concatenate([c[name] for c in chunks]))
            for name in chunks[0]
            if name != "kind"
        }
        self.everything = Batch(_sighting(arrays), _bodies(arrays))
        self.kinds = np.concatenate([chunk["kind"] for chunk in chunks])

    def __len__(self) -> int:
        return len(self.everything.truth.betas)

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """A random training batch: mirrored or not, turned, with noise, and with parts withheld."""
        chosen = self.everything[torch.from_numpy(rng.integers(len(self), size=size))]
        flip = torch.from_numpy(rng.random(size) < 0.5)
        batch = _either(flip, mirror_batch(chosen), chosen)
        angle = np.where(rng.random(size) < 0.1, rng.uniform(-np.pi, np.pi, size), rng.normal(0, 0.2, size))
        batch = turn_batch(batch, torch.from_numpy(angle.astype(np.float32)))
        return Batch(_spoilt(batch.seen, rng), batch.truth)


def cat_batches(parts: list[Batch]) -> Batch:
    """All people of several batches."""
    joined = [
        type(first)(
            **{
                name: torch.cat([getattr(getattr(part, half), name) for part in parts])
                for name in vars(first)
            }
        )
        for half, first in (("seen", parts[0].seen), ("truth", parts[0].truth))
    ]
    return Batch(*joined)  # type: ignore[arg-type]


def mirror_batch(batch: Batch) -> Batch:
    """Everything as in the mirrored picture."""
    truth, flip = batch.truth, torch.tensor([-1.0, 1, 1], device=batch.truth.up.device)
    sign = flip[:, None] * flip
    bodies = Bodies(
        mirror_rotations(truth.rotations),
        truth.betas,
        mirror_keypoints(truth.joints),
        truth.up * flip,
        truth.fingers.flip(1) * sign,
        truth.jaw * -flip,
        truth.expression,
        truth.K,
        truth.T_camera_world,
    )
    return Batch(mirrored(batch.seen), bodies)


def turn_batch(batch: Batch, angle: Float[Tensor, " b"]) -> Batch:
    """Everything turned about the optical axis by `angle`; the camera that took the picture is no longer
    known."""
    truth = batch.truth
    turn = torch.eye(3).repeat(len(angle), 1, 1)
    turn[:, :2, :2] = rotation_2d(angle)
    bodies = Bodies(
        turn[:, None] @ truth.rotations,
        truth.betas,
        truth.joints @ turn.transpose(-1, -2),
        (turn @ truth.up[..., None])[..., 0],
        truth.fingers,
        truth.jaw,
        truth.expression,
        truth.K,
        truth.T_camera_world,
    )
    return Batch(turned(batch.seen, angle), bodies)


def _either(choice: Tensor, yes: Batch, no: Batch) -> Batch:
    pick = lambda a, b: torch.where(choice.view(-1, *([1] * (a.ndim - 1))), a, b)  # noqa: E731
    parts = [
        type(a)(**{name: pick(getattr(a, name), getattr(b, name)) for name in vars(a)})
        for a, b in ((yes.seen, no.seen), (yes.truth, no.truth))
    ]
    return Batch(*parts)  # type: ignore[arg-type]


def _spoilt(seen: Sighting, rng: np.random.Generator) -> Sighting:
    """Noise, limbs taken for each other's, and hands, faces, depth or single landmarks withheld."""
    size = len(seen.pose)
    noise = lambda shape, sigma: torch.from_numpy(rng.normal(0, sigma, shape).astype(np.float32))  # noqa: E731
    extent = (seen.pose[..., :2].amax(1) - seen.pose[..., :2].amin(1)).amax(1)[:, None, None]
    pose = seen.pose.clone()
    pose[..., :3] += noise(pose[..., :3].shape, 0.006) * extent
    world = seen.world + noise(seen.world.shape, 0.01)
    known = torch.from_numpy((rng.random((size, 33)) > 0.02).astype(np.float32))
    for limb in LIMBS:
        lost = torch.from_numpy(rng.random(size) < 0.02)
        known[:, list(limb)] *= (~lost)[:, None].float()
    depth = torch.from_numpy((rng.random(size) > 0.1).astype(np.float32))[:, None, None]
    pose = torch.cat([pose[..., :2], pose[..., 2:3] * depth, pose[..., 3:]], -1) * known[..., None]
    hands = torch.from_numpy((rng.random((size, 2)) > 0.15).astype(np.float32))
    face = torch.from_numpy((rng.random(size) > 0.15).astype(np.float32))
    return Sighting(
        pose,
        world * depth * known[..., None],
        seen.hands * hands[..., None, None],
        seen.hands_world * hands[..., None, None],
        seen.hands_flag * hands,
        seen.face * face[:, None, None],
        seen.face_flag * face,
    )


def _sighting(arrays: dict[str, Tensor]) -> Sighting:
    flat = torch.tensor([1.0, 1, 0])
    points, face = arrays["pose_points"], arrays["face_points"][:, list(FACE_68)] * 2
    seen = (arrays["face_flag"] > 0)[:, None, None]
    hands = arrays["hand_flag"][..., 0]
    return Sighting(
        torch.cat([points[..., :3] * 2 - flat, points[..., 3:]], -1),
        arrays["pose_world"],
        (arrays["hand_xy"] * 2 - 1) * (hands > 0)[..., None, None],
        arrays["hand_world"],
        hands,
        (face - flat) * seen,
        arrays["face_flag"],
    )


def _bodies(arrays: dict[str, Tensor]) -> Bodies:
    pose = torch.cat([arrays["body_global_orient"][:, None], arrays["body_body_pose"]], 1)
    fingers = torch.stack([arrays["body_left_hand_pose"], arrays["body_right_hand_pose"]], 1)
    return Bodies(
        to_global(axis_angle_to_matrix(pose)),
        arrays["body_betas"],
        arrays["joints"][:, list(KEYPOINTS)],
        arrays["up"],
        axis_angle_to_matrix(fingers),
        arrays["body_jaw_pose"],
        arrays["body_expression"],
        arrays["K"],
        arrays["T_camera_world"],
    )
