"""From MakeHuman's 163 bones to SMPL-X's 55 joints: which bone belongs to which joint, where joints lie, skin
weights."""

from __future__ import annotations

import numpy as np

from turnaround.data.body.makehuman import Rig
from turnaround.models.body.skeleton import JOINT_INDEX, MIRROR_JOINT

_FINGER = {"1": "thumb", "2": "index", "3": "middle", "4": "ring", "5": "pinky"}
_PREFIXES = {
    "clavicle": "collar",
    "shoulder01": "collar",
    "upperarm": "shoulder",
    "lowerarm": "elbow",
    "wrist": "wrist",
    "metacarpal": "wrist",
    "upperleg": "hip",
    "lowerleg": "knee",
    "foot": "ankle",
    "toe": "foot",
}
_CENTRAL = {
    "root": "pelvis",
    "pelvis": "pelvis",
    "spine05": "pelvis",
    "spine04": "pelvis",
    "spine03": "spine1",
    "spine02": "spine2",
    "spine01": "spine3",
    "breast": "spine3",
    "neck01": "neck",
    "neck02": "neck",
    "neck03": "head",
    "head": "head",
    "jaw": "jaw",
}
_HEADS = {"spine3": "spine01", "neck": "neck01", "head": "head", "jaw": "jaw"}
_SIDE_HEADS = {
    "hip": "upperleg01",
    "knee": "lowerleg01",
    "ankle": "foot",
    "collar": "clavicle",
    "shoulder": "upperarm01",
    "elbow": "lowerarm01",
    "wrist": "wrist",
    "eye": "eye",
}
# SMPL-X's hips lie 6 cm from the middle (MakeHuman's, anatomical, 10.5 cm), its pelvis 9 cm above them
HIP_NARROWING = 0.57


def _joint_of_bone(rig: Rig, bone: int) -> str:
    stem, _, side_letter = rig.bones[bone].partition(".")
    side = {"L": "left_", "R": "right_"}.get(side_letter[:1], "")
    if stem in _CENTRAL:
        return _CENTRAL[stem]
    if stem.startswith("finger"):
        return f"{side}{_FINGER[stem[6]]}{stem[8]}"
    if stem == "eye":
        return f"{side}eye"
    for prefix, joint in _PREFIXES.items():
        if stem.startswith(prefix):
            return side + joint
    while rig.bones[bone] not in ("jaw", "head"):  # a bone of the face moves with the jaw or the skull
        bone = rig.parents[bone]
    return rig.bones[bone]


def bone_joints(rig: Rig) -> np.ndarray:
    """(B,) index of the SMPL-X joint that each source bone follows."""
    return np.array([JOINT_INDEX[_joint_of_bone(rig, bone)] for bone in range(len(rig.bones))])


def source_joints(rig: Rig, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (55,3) in the source mesh with anatomical hips, and the heads (B,3) of all bones."""
    heads = rig.heads(vertices)
    at = {name: heads[index] for index, name in enumerate(rig.bones)}
    joints = np.zeros((55, 3))
    joints[0] = 0.5 * at["spine05"] + 0.5 * at["spine03"]
    joints[JOINT_INDEX["spine1"]] = 0.75 * at["spine03"] + 0.25 * at["spine02"]
    joints[JOINT_INDEX["spine2"]] = 0.5 * at["spine02"] + 0.5 * at["spine01"]
    for name, bone in _HEADS.items():
        joints[JOINT_INDEX[name]] = at[bone]
    for side, suffix in (("left", ".L"), ("right", ".R")):
        for name, bone in _SIDE_HEADS.items():
            joints[JOINT_INDEX[f"{side}_{name}"]] = at[bone + suffix]
        joints[JOINT_INDEX[f"{side}_foot"]] = np.mean([at[f"toe{k}-1{suffix}"] for k in range(1, 6)], 0)
        for number, finger in _FINGER.items():
            for knuckle in "123":
                joints[JOINT_INDEX[f"{side}_{finger}{knuckle}"]] = at[f"finger{number}-{knuckle}{suffix}"]
    return joints, heads


def smplx_joints(joints: np.ndarray) -> np.ndarray:
    """Joints (..., 55, 3) with the hips moved inwards to where SMPL-X has them."""
    left, right = JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]
    moved = joints.copy()
    own, other = (1 + HIP_NARROWING) / 2, (1 - HIP_NARROWING) / 2
    moved[..., left, :] = own * joints[..., left, :] + other * joints[..., right, :]
    moved[..., right, :] = own * joints[..., right, :] + other * joints[..., left, :]
    return moved


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def joint_weights(rig: Rig, tposed: np.ndarray, joints: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Skin weights (V,55), rows sum to one, exactly symmetric.

    Beyond adding up the bones of a joint, two things change: the lower half of the middle spine bone follows
    spine1, as the joint spine2 lies higher than the bone's head; and the wrist's share fades in along the
    lower forearm, so that a twist of the hand is spread over it as radius and ulna do and does not wring the
    wrist.
    """
    weights = np.zeros((len(tposed), 55))
    np.add.at(weights.T, bone_joints(rig), rig.weights.T)
    spine2, spine3 = joints[JOINT_INDEX["spine2"]], joints[JOINT_INDEX["spine3"]]
    bottom = spine2[1] - (spine3[1] - spine2[1])
    stay = _smoothstep((tposed[:, 1] - bottom) / (spine3[1] - bottom))
    share = weights[:, JOINT_INDEX["spine2"]].copy()
    weights[:, JOINT_INDEX["spine2"]] = share * stay
    weights[:, JOINT_INDEX["spine1"]] += share * (1 - stay)
    for side in ("left", "right"):
        elbow, wrist = JOINT_INDEX[f"{side}_elbow"], JOINT_INDEX[f"{side}_wrist"]
        along = (tposed[:, 0] - joints[elbow, 0]) / (joints[wrist, 0] - joints[elbow, 0])
        moved = 0.4 * _smoothstep((along - 0.45) / 0.55) * weights[:, elbow]
        weights[:, elbow] -= moved
        weights[:, wrist] += moved
    weights = 0.5 * (weights + weights[mirror][:, list(MIRROR_JOINT)])
    unbound = weights.sum(1) < 1e-6  # joint cubes of no bone: keep them rigid with the pelvis
    weights[unbound, 0] = 1
    return weights / weights.sum(1, keepdims=True)
