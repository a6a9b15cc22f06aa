"""Where landmarks lie on the body: each is a point fixed to a joint, learned from people whose body is known.

BlazePose's hips lie wider than SMPL-X's and at the surface; toes, heels and ears are no joints at all. A
landmark is joint + rotation @ offset (of the joint or of its parent), which costs no skinning, so a fit on
joints alone can use every landmark.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.skeleton import JOINT_INDEX, MIRROR_JOINT
from turnaround.models.estimator.kinematics import posed_chain
from turnaround.models.estimator.lifter.sighting import Sighting
from turnaround.models.landmarks.names import FACE_MIRROR, POSE_MIRROR, POSE_NAMES

_BASES = {"pinky": "wrist", "index": "wrist", "thumb": "wrist", "heel": "ankle"}
_FRAMES = {"shoulder": "collar", "hip": "pelvis"}  # these turn with the trunk, not with the limb


def _base(name: str) -> str:
    """The joint from which the offset of a landmark of the pose is told."""
    side, _, part = name.partition("_")
    if side not in ("left", "right") or part.split("_")[0] in ("eye", "ear"):
        return "head"
    return f"{side}_foot" if part == "foot_index" else f"{side}_{_BASES.get(part, part)}"


def _frame(name: str) -> str:
    """The joint with which the offset turns: the base, or its parent."""
    base = _base(name)
    side, _, part = base.partition("_")
    frame = _FRAMES.get(part)
    return base if frame is None else frame if frame == "pelvis" else f"{side}_{frame}"


KNUCKLES = (0, 5, 9, 13, 17)  # of a hand's 21 points: wrist and first knuckles, which the wrist carries
RIGID_FACE = (0, 2, 14, 16, 27, 28, 30, 36, 39, 42, 45)  # of the 68: ears, nose, corners of the eyes
POINT_NAMES: tuple[str, ...] = (
    *POSE_NAMES,
    *(f"{side}_hand-{k}" for side in ("left", "right") for k in KNUCKLES),
    *(f"face-{k}" for k in RIGID_FACE),
)
POINT_JOINTS: tuple[int, ...] = (
    *(JOINT_INDEX[_base(name)] for name in POSE_NAMES),
    *(JOINT_INDEX[f"{side}_wrist"] for side in ("left", "right") for _ in KNUCKLES),
    *(JOINT_INDEX["head"] for _ in RIGID_FACE),
)
POINT_FRAMES: tuple[int, ...] = (
    *(JOINT_INDEX[_frame(name)] for name in POSE_NAMES),
    *POINT_JOINTS[len(POSE_NAMES) :],
)
_HANDS, _FACE = len(POSE_NAMES), len(POSE_NAMES) + 2 * len(KNUCKLES)
POINT_MIRROR: tuple[int, ...] = (
    *POSE_MIRROR,
    *range(_HANDS + len(KNUCKLES), _FACE),
    *range(_HANDS, _HANDS + len(KNUCKLES)),
    *(_FACE + RIGID_FACE.index(FACE_MIRROR[k]) for k in RIGID_FACE),
)
COUNT = len(POINT_NAMES)
assert [POINT_JOINTS[k] for k in POINT_MIRROR] == [MIRROR_JOINT[joint] for joint in POINT_JOINTS]


def body_points(
    joints: Float[Tensor, "b k 3"], rotations: Float[Tensor, "b 22 3 3"], offsets: Float[Tensor, "n 3"]
) -> Float[Tensor, "b n 3"]:
    """The landmarks of posed bodies, in the frame of `joints`, from *global* rotations."""
    return joints[:, list(POINT_JOINTS)] + (rotations[:, list(POINT_FRAMES)] @ offsets[..., None])[..., 0]


# of the certainty of eyes, ears and mouth of a head seen from behind: they still tell where the head is
AWAY = 0.7


def observed_points(seen: Sighting) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
    """Where the landmarks are in the canonical picture ([-1, 1]), and how sure each is: 0 for what is not
    seen."""
    turned_away = (seen.face_flag < 0.5) & from_behind(seen)
    pose = seen.pose[:, :, 3].clone()
    pose[:, :11] *= torch.where(turned_away, AWAY, 1.0)[:, None]
    hands = seen.hands_flag[:, :, None].expand(-1, -1, len(KNUCKLES))
    face = seen.face_flag[:, None].expand(-1, len(RIGID_FACE))
    points = [
        seen.pose[..., :2],
        seen.hands[:, :, list(KNUCKLES)].flatten(1, 2),
        seen.face[:, list(RIGID_FACE), :2],
    ]
    return torch.cat(points, 1), torch.cat([pose, hands.flatten(1), face], 1)


def from_behind(seen: Sighting) -> Tensor:
    """(b,) bool: the left shoulder and hip lie left of the right ones, as those of a person seen from
    behind."""
    across = seen.pose[:, [11, 23], 0] - seen.pose[:, [12, 24], 0]
    return across.sum(1) < 0


def carried_landmarks(device: torch.device | str = "cpu") -> Float[Tensor, "n 22"]:
    """1 where a turn of posed joint j moves landmark n: j is the joint with which it turns, or above that."""
    return posed_chain(device)[list(POINT_FRAMES)]


def person_height(points: Float[Tensor, "b n 2"]) -> Float[Tensor, " b"]:
    """The longer side of the box about the pose's landmarks."""
    pose = points[:, : len(POSE_NAMES)]
    return (pose.amax(1) - pose.amin(1)).amax(1)
