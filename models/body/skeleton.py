"""The SMPL-X skeleton: names and parents of its 55 joints."""

from __future__ import annotations

_BODY = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "jaw",
    "left_eye",
    "right_eye",
)
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_BODY_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15]


def _hand(side: str) -> list[str]:
    return [f"{side}_{finger}{knuckle}" for finger in FINGERS for knuckle in (1, 2, 3)]


def _hand_parents(wrist: int, first: int) -> list[int]:
    return [wrist if k % 3 == 0 else first + k - 1 for k in range(15)]


JOINT_NAMES: tuple[str, ...] = (*_BODY, *_hand("left"), *_hand("right"))
"""Names of the 55 joints, in the order of SMPL-X; `body_pose` drives joints 1..21."""

PARENTS: tuple[int, ...] = (*_BODY_PARENTS, *_hand_parents(20, 25), *_hand_parents(21, 40))
"""Index of each joint's parent, -1 for the pelvis."""

JOINT_INDEX: dict[str, int] = {name: index for index, name in enumerate(JOINT_NAMES)}


def _mirrored(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    return "left_" + name.removeprefix("right_") if name.startswith("right_") else name


MIRROR_JOINT: tuple[int, ...] = tuple(JOINT_INDEX[_mirrored(name)] for name in JOINT_NAMES)
"""Index of each joint's left-right counterpart (itself on the middle line)."""
