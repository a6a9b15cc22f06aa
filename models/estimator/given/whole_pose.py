"""Poses that a file writes as one array, in parts: 22 to 55 joints of SMPL-X, hands or eyes in pairs, films
of AMASS."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from turnaround.pipeline.errors import FormatError

BODY_POSE = ("body_pose", "smplx_body_pose", "pred_body_pose", "pose_body")
WHOLE_POSE = (
    "rotvec",
    "pred_pose",
    "rotmat",
    "full_pose",
    "fullpose",
    "poses",
    "pose",
)  # Multi-HMR: 53 joints; PyMAF-X: 22 or 55
PAIRS = {  # one array -> the fields of its first and second half, and joints in each
    "pose_hand": ("left_hand_pose", "right_hand_pose", 15),
    "hand_pose": ("left_hand_pose", "right_hand_pose", 15),
    "pose_eye": ("leye_pose", "reye_pose", 1),
}
COUNTS = (55, 53, 52, 24, 22)  # SMPL-X; Multi-HMR, with jaw, without eyes; SMPL-H; SMPL; the body alone


def of_person(fields: Mapping[str, np.ndarray], person: int) -> dict[str, np.ndarray]:
    """The fields of one person, or of one frame of a film, where the pose tells that the file holds several.

    Two people's 63 numbers are as many as one's in 6D, so that sizes alone do not tell. ValueError for one
    too many.
    """
    count = next((n for key, array in fields.items() if (n := _people(key, array))), 1)
    if count == 1:
        return dict(fields)
    if person >= count:
        raise FormatError(f"person {person} was asked for, the file holds {count}, 0 first")
    return {
        key: array[person] if array.ndim > 1 and len(array) == count else array
        for key, array in fields.items()
    }


def _people(key: str, array: np.ndarray) -> int:
    """How many people's poses an array holds; 0 where it does not tell."""
    if key in BODY_POSE:
        counts: tuple[int, ...] = (21, 23)
    elif key in WHOLE_POSE:
        counts = COUNTS
    else:
        return 0
    flat = array.ndim == 2 and array.shape[1] in {width * n for n in counts for width in (3, 6, 9)}
    rows = array.ndim == 3 and array.shape[1] in counts and array.shape[2] in (3, 6, 9)
    return len(array) if flat or rows or array.ndim == 4 else 0


def split_whole_pose(fields: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Field of Body -> (joints, width) of the pose of one person that is written as one array; empty where
    there is none.

    ValueError for a number of joints that is none of COUNTS.
    """
    key = next((name for name in WHOLE_POSE if name in fields), None)
    if key is None:
        return {}
    joints = _joints(key, fields[key])
    parts = {"global_orient": joints[:1], "body_pose": joints[1:22]}
    if len(joints) == 55:
        parts |= {
            name: joints[k : k + 1] for k, name in enumerate(("jaw_pose", "leye_pose", "reye_pose"), 22)
        }
        parts |= {"left_hand_pose": joints[25:40], "right_hand_pose": joints[40:55]}
    elif len(joints) >= 52:
        parts |= {"left_hand_pose": joints[22:37], "right_hand_pose": joints[37:52]}
        if len(joints) == 53:
            parts["jaw_pose"] = joints[52:53]
    return parts


def _joints(key: str, array: np.ndarray) -> np.ndarray:
    """One person's array as (joints, width), the width that of a matrix, of 6D or of axis-angle."""
    if array.ndim >= 2 and array.shape[-2:] == (3, 3):
        widths: tuple[int, ...] = (9,)
    else:
        widths = array.shape[-1:] if array.ndim >= 2 and array.shape[-1] in (3, 6) else (3, 6, 9)
    width = next((w for w in widths if array.size % w == 0 and array.size // w in COUNTS), None)
    if width is None:
        raise FormatError(
            f"'{key}' of shape {array.shape} is not a pose of {', '.join(map(str, COUNTS[:0:-1]))} or "
            f"{COUNTS[0]} joints"
        )
    return array.reshape(-1, width)


def split_pairs(fields: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Field of Body -> its half of an array of one person that holds both hands or both eyes in axis-angle,
    as AMASS writes them."""
    parts: dict[str, np.ndarray] = {}
    for key, (left, right, joints) in PAIRS.items():
        if key not in fields:
            continue
        array = fields[key]
        if array.size != 6 * joints:
            raise FormatError(f"'{key}' of shape {array.shape} is not {2 * joints} rotations as axis-angle")
        parts |= dict(zip((left, right), array.reshape(2, joints, 3), strict=True))
    return parts


def of_a_film(fields: Mapping[str, np.ndarray]) -> bool:
    """Whether the file is motion capture (AMASS), which knows no camera: its translation is one above a
    floor."""
    return any(name in fields for name in ("mocap_framerate", "mocap_frame_rate", "dmpls"))
