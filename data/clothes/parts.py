"""Part ids of a dressed surface: 16 * clothing role + body part, one byte; 0 is background (no body part has
the id 0)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, UInt8

from turnaround.models.body.skeleton import JOINT_NAMES

ROLES = (
    "skin",
    "eyes",
    "top",
    "bottom",
    "whole",
    "shoes",
    "hair",
    "hat",
    "eyebrows",
    "scarf",
    "gloves",
    "stockings",
    "crop",
    "beard",
    "coat",
)
BODY_PARTS = (
    "background",
    "head",
    "chest",
    "hips",
    "left_upper_arm",
    "right_upper_arm",
    "left_forearm",
    "right_forearm",
    "left_hand",
    "right_hand",
    "left_thigh",
    "right_thigh",
    "left_shin",
    "right_shin",
    "left_foot",
    "right_foot",
)
_OF_JOINT = {
    "pelvis": "hips",
    "spine1": "hips",
    "spine2": "chest",
    "spine3": "chest",
    "collar": "chest",
    "neck": "head",
    "head": "head",
    "jaw": "head",
    "eye": "head",
    "shoulder": "upper_arm",
    "elbow": "forearm",
    "wrist": "hand",
    "hip": "thigh",
    "knee": "shin",
    "ankle": "foot",
    "foot": "foot",
}


def _part_of_joint(name: str) -> int:
    side, _, rest = name.partition("_") if name.startswith(("left_", "right_")) else ("", "", name)
    part = _OF_JOINT.get(rest, "hand")  # what is left are fingers
    return BODY_PARTS.index(part if part in BODY_PARTS else f"{side}_{part}")


PART_OF_JOINT: UInt8[np.ndarray, "55"] = np.array([_part_of_joint(name) for name in JOINT_NAMES], np.uint8)


def part_ids(
    faces: Int32[np.ndarray, "f 3"], joints: Int32[np.ndarray, " v"], role: UInt8[np.ndarray, " f"]
) -> UInt8[np.ndarray, " f"]:
    """Ids of faces from the joint that moves each vertex most and the index in ROLES of each face; most
    corners decide."""
    corner = PART_OF_JOINT[joints[faces]]
    body = np.where(corner[:, 1] == corner[:, 2], corner[:, 1], corner[:, 0])
    return (16 * role + body).astype(np.uint8)


def body_part(ids: np.ndarray) -> np.ndarray:
    """Index in BODY_PARTS of part ids; 0 for background."""
    return ids % 16


def role(ids: np.ndarray) -> np.ndarray:
    """Index in ROLES of part ids; meaningless where `body_part` is 0."""
    return ids // 16
