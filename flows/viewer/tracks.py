"""Clips as the page keeps them: what turns each bone against its parent, frame by frame, in 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import BONE_PARENTS
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.rotation import matrix_to_quat

FPS = 30.0  # at most: between two frames the page turns bones by the shortest arc
MOST_FRAMES = 20_000  # of all clips together, ten megabytes
_SAME_SHAPE = 0.01  # metres between joints of the rig and of a clip, beyond which it is another person's
_STAYS = 0.15  # metres about its middle: a clip that goes no farther is watched from one place
_CALM = 0.5  # seconds over which the place that the camera goes along with is smoothed
_STILL = 1e-4  # of a quaternion's numbers: a bone that moves less keeps its first rotation


@dataclass(frozen=True)
class Track:
    """One clip on the bones of a rig, world frame."""

    name: str
    fps: float
    turns: Float[Tensor, "f j 4"]  # quaternions wxyz of each bone against its parent, neighbours in one half
    places: Float[Tensor, "f 3"]  # of the pelvis, metres
    path: Float[Tensor, "f 2"]  # x and z of where the person is, without swaying, metres
    faces: Float[Tensor, "f 10"]  # coefficients of the expressions


def track(avatar: Avatar, name: str, motion: Motion) -> Track:
    """A clip of the rig's person.

    Raises:
        CallError: the motion has other proportions, or nothing in it.
    """
    if len(motion) < 1:
        raise CallError(f"the clip {name!r} has no frames")
    motion = motion.to("cpu")
    motion = motion.resampled(FPS) if motion.fps > FPS else motion
    bones = avatar.bones(motion.body)
    local = local_rotations(bones.rotations)
    far = (
        (bones.positions[0] - chained(local[0], bones.positions[0, 0], avatar.rig.joints)).norm(dim=-1).max()
    )
    if not float(far) < _SAME_SHAPE:
        raise CallError(
            f"the clip {name!r} is of a body of another shape ({100 * float(far):.1f} cm between joints): "
            "`models.motion.retarget` makes it this person's"
        )
    places = bones.positions[:, 0]
    turns, path = _steady(matrix_to_quat(local)), _path(places, motion.fps)
    return Track(name, motion.fps, turns, places, path, motion.body.expression.float())


def local_rotations(world: Float[Tensor, "*b j 3 3"]) -> Float[Tensor, "*b j 3 3"]:
    """Rotations of bones against their parents, from those against the rest pose in the world."""
    parents = list(BONE_PARENTS)
    local = world.clone()
    local[..., 1:, :, :] = world[..., parents[1:], :, :].mT @ world[..., 1:, :, :]
    return local


def chained(
    local: Float[Tensor, "j 3 3"], place: Float[Tensor, "3"], rest: Float[Tensor, "j 3"]
) -> Float[Tensor, "j 3"]:
    """Where bones lie whose rotations against their parents are given: as the page chains them."""
    rotations, places = [local[0]], [place]
    for bone, parent in list(enumerate(BONE_PARENTS))[1:]:
        places.append(places[parent] + rotations[parent] @ (rest[bone] - rest[parent]))
        rotations.append(rotations[parent] @ local[bone])
    return torch.stack(places)


def _steady(quats: Float[Tensor, "f j 4"]) -> Float[Tensor, "f j 4"]:
    """Signs such that no quaternion is farther than a quarter turn from the one before."""
    flips = (quats[1:] * quats[:-1]).sum(-1, keepdim=True).sign()
    return quats * torch.cat(
        [torch.ones_like(quats[:1, :, :1]), torch.where(flips < 0, -1.0, 1.0).cumprod(0)]
    )


def _path(places: Float[Tensor, "f 3"], fps: float) -> Float[Tensor, "f 2"]:
    flat = places[:, [0, 2]].double().numpy()
    middle = (flat.max(0) + flat.min(0)) / 2
    if np.abs(flat - middle).max() < _STAYS:
        return torch.from_numpy(np.broadcast_to(middle, flat.shape).astype(np.float32))
    return torch.from_numpy(gaussian_filter1d(flat, _CALM * fps, axis=0, mode="nearest").astype(np.float32))


def pack_tracks(tracks: Sequence[Track]) -> tuple[list[dict[str, Any]], bytes]:
    """Clips: their descriptions, and their bytes.

    First places, paths and, where they move, expressions of all clips (float32), then their rotations (int16,
    1 is 32767, xyzw), number by number of each bone, of those bones that are not as at rest all the time.
    """
    frames = sum(len(each.places) for each in tracks)
    if frames > MOST_FRAMES:
        raise CallError(
            f"{frames} frames are too many for a page ({MOST_FRAMES} at most): cut the clips, or lower their "
            "frames a second"
        )
    facts, ways, turns = [], [], []
    for each in tracks:
        away = (each.turns.abs() - torch.tensor([1.0, 0, 0, 0])).abs().amax((0, 2))
        bones = torch.nonzero(away > _STILL)[:, 0]
        face = bool(each.faces.any())
        facts.append(
            {
                "name": each.name,
                "fps": each.fps,
                "frames": len(each.places),
                "bones": bones.tolist(),
                "face": face,
            }
        )
        ways += [way.numpy().astype("<f4").tobytes() for way in (each.places, each.path)]
        ways += [each.faces.numpy().astype("<f4").tobytes()] if face else []
        numbers = each.turns[:, bones][..., [1, 2, 3, 0]].reshape(len(each.places), -1).T
        turns.append(np.round(numbers.double().clamp(-1, 1).numpy() * 32767).astype("<i2").tobytes())
    return facts, b"".join(ways + turns)


def pack_skin(skin: SkinWeights) -> bytes:
    """Four bones and four weights in 255ths a point, all of the first numbers, then the second and so on."""
    return np.concatenate([skin.bones.numpy().astype(np.uint8), in_255ths(skin.weights)], 1).T.tobytes()


def in_255ths(weights: Float[Tensor, "n 4"]) -> UInt8[np.ndarray, "n 4"]:
    """Weights as whole numbers whose sum is 255: the largest remainders are rounded up."""
    scaled = 255 * weights.double().numpy()
    whole = np.floor(scaled)
    missing = 255 - whole.sum(1)
    rank = np.argsort(np.argsort(whole - scaled, 1, kind="stable"), 1)
    return (whole + (rank < missing[:, None])).astype(np.uint8)
