"""Is a pose possible? Joint limits, and limbs as capsules that may not enter each other."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.spatial.transform import Rotation

from turnaround.data.poses.limbs import template_joints
from turnaround.models.body.skeleton import JOINT_INDEX, PARENTS

# capsules: ends (joint, offset from it in that joint's frame, metres) and radius, for the mean body
_HAND = np.array([0.12, -0.01, 0.0])
_CAPSULES: dict[str, tuple[tuple[str, np.ndarray], tuple[str, np.ndarray], float]] = {
    "belly_left": (("pelvis", np.array([0.07, 0, 0.0])), ("spine1", np.array([0.06, 0.03, 0.01])), 0.10),
    "belly_right": (("pelvis", np.array([-0.07, 0, 0.0])), ("spine1", np.array([-0.06, 0.03, 0.01])), 0.10),
    "chest_left": (("spine2", np.array([0.06, 0, 0.03])), ("spine3", np.array([0.06, 0.02, 0.03])), 0.105),
    "chest_right": (("spine2", np.array([-0.06, 0, 0.03])), ("spine3", np.array([-0.06, 0.02, 0.03])), 0.105),
    "head": (("head", np.array([0, 0.05, 0.02])), ("head", np.array([0, 0.10, 0.02])), 0.085),
    "neck": (("neck", np.zeros(3)), ("head", np.zeros(3)), 0.055),
}
for _side, _sign in (("left", 1.0), ("right", -1.0)):
    _CAPSULES |= {
        f"{_side}_upper_arm": ((f"{_side}_shoulder", np.zeros(3)), (f"{_side}_elbow", np.zeros(3)), 0.042),
        f"{_side}_forearm": ((f"{_side}_elbow", np.zeros(3)), (f"{_side}_wrist", np.zeros(3)), 0.033),
        f"{_side}_hand": (
            (f"{_side}_wrist", _HAND * [_sign * 0.2, 1, 1]),
            (f"{_side}_wrist", _HAND * [_sign, 1, 1]),
            0.025,
        ),
        f"{_side}_thigh": (
            (f"{_side}_hip", np.array([_sign * 0.035, -0.06, 0])),
            (f"{_side}_knee", np.zeros(3)),
            0.062,
        ),
        f"{_side}_shin": ((f"{_side}_knee", np.zeros(3)), (f"{_side}_ankle", np.zeros(3)), 0.045),
    }
_TRUNK = ("belly_left", "belly_right", "chest_left", "chest_right", "head", "neck")
_ARM = ("upper_arm", "forearm", "hand")
TOLERANCE = 0.012  # metres that soft tissue gives way


def _pairs() -> list[tuple[str, str]]:
    pairs = []
    for side, other in (("left", "right"), ("right", "left")):
        pairs += [(f"{side}_{part}", trunk) for part in ("forearm", "hand") for trunk in _TRUNK]
        pairs += [
            (f"{side}_{part}", f"{leg}_{bone}")
            for part in ("forearm", "hand")
            for leg in (side, other)
            for bone in ("thigh", "shin")
        ]
        pairs += [(f"{side}_hand", f"{side}_upper_arm")]
    pairs += [(f"left_{a}", f"right_{b}") for a, b in itertools.product(_ARM, _ARM)]
    pairs += [("left_shin", "right_shin"), ("left_thigh", "right_shin"), ("left_shin", "right_thigh")]
    return pairs


_PAIRS = _pairs()


def forward_kinematics(rotvecs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (55,3) and rotations (55,3,3) of the mean body's joints for axis-angle (55,3)."""
    rest, local = template_joints(), Rotation.from_rotvec(rotvecs).as_matrix()
    position, rotation = rest.copy(), local.copy()
    for index in range(1, 55):
        parent = PARENTS[index]
        position[index] = position[parent] + rotation[parent] @ (rest[index] - rest[parent])
        rotation[index] = rotation[parent] @ local[index]
    return position, rotation


def _segment_distance(a0: np.ndarray, a1: np.ndarray, b0: np.ndarray, b1: np.ndarray) -> np.ndarray:
    """Least distances (n,) between segments a and b, each end (n,3) (Ericson 2005, section 5.1.9)."""
    d1, d2, r = a1 - a0, b1 - b0, a0 - b0
    a, e, f = (d1 * d1).sum(1) + 1e-12, (d2 * d2).sum(1) + 1e-12, (d2 * r).sum(1)
    b, c = (d1 * d2).sum(1), (d1 * r).sum(1)
    s = np.clip((b * f - c * e) / np.maximum(a * e - b * b, 1e-12), 0, 1)
    t = np.clip((b * s + f) / e, 0, 1)
    s = np.clip((b * t - c) / a, 0, 1)
    return np.linalg.norm(a0 + s[:, None] * d1 - b0 - t[:, None] * d2, axis=1)


def penetration(rotvecs: np.ndarray) -> float:
    """How deep (metres, negative when apart) the worst pair of capsules enter each other; rotvecs (55,3)."""
    position, rotation = forward_kinematics(rotvecs)

    def place(end: tuple[str, np.ndarray]) -> np.ndarray:
        index = JOINT_INDEX[end[0]]
        return position[index] + rotation[index] @ end[1]

    ends = {name: (place(start), place(stop), radius) for name, (start, stop, radius) in _CAPSULES.items()}
    first, second = [ends[a] for a, _ in _PAIRS], [ends[b] for _, b in _PAIRS]
    columns = [np.stack([item[k] for item in items]) for items in (first, second) for k in (0, 1)]
    radii = np.array([a[2] + b[2] for a, b in zip(first, second, strict=True)])
    return float((radii - _segment_distance(*columns)).max())


# the largest plain angle of each joint, radians
_LIMITS = {
    "hip": 2.2,
    "knee": 2.5,
    "ankle": 0.8,
    "foot": 0.5,
    "spine1": 0.6,
    "spine2": 0.5,
    "spine3": 0.4,
    "neck": 0.6,
    "head": 0.6,
    "collar": 0.5,
    "shoulder": 2.6,
    "elbow": 2.7,
    "wrist": 1.25,
    "pelvis": 3.2,
}
_HYPEREXTENSION = 0.15  # radians that a knee or an elbow bends beyond straight


def within_limits(rotvecs: np.ndarray) -> bool:
    """True when every body joint of (55,3) turns by no more than its limit, and no knee or elbow bends the
    wrong way."""
    for name, index in JOINT_INDEX.items():
        limit = _LIMITS.get(name.removeprefix("left_").removeprefix("right_"))
        if limit is not None and np.linalg.norm(rotvecs[index]) > limit:
            return False
    knees = [rotvecs[JOINT_INDEX[f"{side}_knee"], 0] for side in ("left", "right")]
    elbows = [-rotvecs[JOINT_INDEX["left_elbow"], 1], rotvecs[JOINT_INDEX["right_elbow"], 1]]
    return min(*knees, *elbows) > -_HYPEREXTENSION


def possible(rotvecs: np.ndarray) -> bool:
    """Within limits, and no limb more than TOLERANCE inside another or the trunk."""
    return within_limits(rotvecs) and penetration(rotvecs) < TOLERANCE
