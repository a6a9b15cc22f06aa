"""Un-posing: from MakeHuman's A-pose rest to the T-pose of SMPL-X, by linear blend skinning of the source
rig."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from turnaround.data.body.makehuman import Rig
from turnaround.data.body.rig import bone_joints, source_joints
from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS

# directions of the left arm's bones in SMPL-X's template: its joints do not lie on one straight line
UPPER_ARM, FOREARM = np.array([1.0, -0.12, -0.08]), np.array([1.0, 0.02, -0.02])
ANKLE_APART = 0.115  # lateral position of an ankle, as a part of the leg's length
ANKLE_BACK = -0.03  # the ankles stand a little behind the hips, as in SMPL-X's template


@dataclass(frozen=True)
class TPose:
    """A T-posed mesh and what took it there."""

    vertices: np.ndarray  # (V,3)
    joints: np.ndarray  # (55,3), anatomical hips
    matrices: np.ndarray  # (V,3,4) rest -> T-pose


def minimal_rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation that turns direction a into direction b (not opposite)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    x, y, z = np.cross(a, b)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + skew + skew @ skew / (1 + a @ b)


def rotation_x(angle: float) -> np.ndarray:
    """Rotation about x, radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


class _Unposer:
    """Walks down the skeleton and gives each joint its world rotation."""

    def __init__(self, joints: np.ndarray) -> None:
        self.source = joints
        self.rotations = np.tile(np.eye(3), (55, 1, 1))
        self.joints = joints.copy()
        self.wrist_twist: dict[str, float] = {}
        for joint in range(1, 55):
            self._visit(joint)

    def _bone(self, joint: int, child: int) -> np.ndarray:
        """Vector joint -> child, turned as the parent already is."""
        return self.rotations[PARENTS[joint]] @ (self.source[child] - self.source[joint])

    def _visit(self, joint: int) -> None:
        parent = PARENTS[joint]
        self.joints[joint] = self.joints[parent] + self.rotations[parent] @ (
            self.source[joint] - self.source[parent]
        )
        self.rotations[joint] = self._turn(joint) @ self.rotations[parent]

    def _turn(self, joint: int) -> np.ndarray:
        name = JOINT_NAMES[joint]
        side, _, part = name.partition("_")
        sign = np.array([1.0 if side == "left" else -1.0, 1, 1])
        if part == "hip":
            leg = self._bone(joint, JOINT_INDEX[f"{side}_ankle"])
            length = np.linalg.norm(leg)
            down = np.array(
                [sign[0] * ANKLE_APART * length - self.joints[joint, 0], leg[1], ANKLE_BACK * length]
            )
            return minimal_rotation(leg, down)
        if part == "ankle":  # the foot stands flat, as modelled
            return self.rotations[PARENTS[joint]].T
        if part == "shoulder":
            return minimal_rotation(self._bone(joint, JOINT_INDEX[f"{side}_elbow"]), UPPER_ARM * sign)
        if part == "elbow":
            return minimal_rotation(self._bone(joint, JOINT_INDEX[f"{side}_wrist"]), FOREARM * sign)
        if part == "wrist":
            return self._palm_down(joint, side, sign)
        if part[:-1] in ("index", "middle", "ring", "pinky"):
            return self._straight_finger(joint, int(part[-1]))
        return np.eye(3)

    def _palm_down(self, joint: int, side: str, sign: np.ndarray) -> np.ndarray:
        ahead = minimal_rotation(
            self._bone(joint, JOINT_INDEX[f"{side}_middle1"]), np.array([1.0, 0, 0]) * sign
        )
        across = self.source[JOINT_INDEX[f"{side}_index1"]] - self.source[JOINT_INDEX[f"{side}_pinky1"]]
        across = ahead @ self.rotations[PARENTS[joint]] @ across
        self.wrist_twist[side] = float(np.arctan2(across[1], across[2]))
        return rotation_x(self.wrist_twist[side]) @ ahead

    def _straight_finger(self, joint: int, knuckle: int) -> np.ndarray:
        if knuckle == 3:
            return np.eye(3)
        bone = self._bone(joint, joint + 1)
        return minimal_rotation(bone, bone * [1, 0, 0.5])


def to_tpose(rig: Rig, vertices: np.ndarray) -> TPose:
    """T-pose a mesh (V,3) that stands in MakeHuman's rest pose."""
    source, _ = source_joints(rig, vertices)
    pose = _Unposer(source)
    follows = bone_joints(rig)
    rotations = pose.rotations[follows]
    for side, suffix in (
        ("left", ".L"),
        ("right", ".R"),
    ):  # the lower half of the forearm takes half of the twist
        bone = rig.bones.index("lowerarm02" + suffix)
        rotations[bone] = (
            rotation_x(pose.wrist_twist[side] / 2) @ pose.rotations[JOINT_INDEX[f"{side}_elbow"]]
        )
    shift = pose.joints[follows] - np.einsum("bij,bj->bi", rotations, source[follows])
    transforms = np.concatenate([rotations, shift[:, :, None]], 2)
    matrices = (rig.weights @ transforms.reshape(len(transforms), 12)).reshape(-1, 3, 4)
    posed = np.einsum("vij,vj->vi", matrices[:, :, :3], vertices) + matrices[:, :, 3]
    return TPose(posed, pose.joints, matrices)
