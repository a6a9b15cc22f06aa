"""Names of BlazePose's 33 landmarks and of the hands' 21, and counterparts; left is the person's left."""

from __future__ import annotations

POSE_NAMES: tuple[str, ...] = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""In the order of the network."""

POSE_INDEX: dict[str, int] = {name: index for index, name in enumerate(POSE_NAMES)}


def _mirrored(name: str) -> str:
    swap = {"left": "right", "right": "left"}
    return "_".join(swap.get(word, word) for word in name.split("_"))


POSE_MIRROR: tuple[int, ...] = tuple(POSE_INDEX[_mirrored(name)] for name in POSE_NAMES)
"""Index of each landmark's left-right counterpart."""

HAND_NAMES: tuple[str, ...] = (
    "wrist",
    *(f"{finger}{k}" for finger in ("thumb", "index", "middle", "ring", "pinky") for k in (1, 2, 3, 4)),
)  # fmt: skip
"""The hand network's 21 points: wrist, then four of each finger from the palm to the tip."""

_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIMBS: tuple[str, ...] = tuple(f"{side}_{joint}" for joint in _JOINTS for side in ("left", "right"))
"""The twelve joints of the arms and legs."""

FACE_68: tuple[int, ...] = (
    # contour, from the right ear
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
)  # fmt: skip
"""Points of the face mesh that stand for the 68 landmarks of 300-W, which are COCO-WholeBody's face."""

FACE_MIRROR: tuple[int, ...] = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,  # contour, brows, nose
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,  # eyes
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,  # lips
)  # fmt: skip
"""Left-right counterparts of the 68."""
