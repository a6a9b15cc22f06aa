"""A movement as BVH, for Blender, Maya, MotionBuilder, Unity and Mixamo's tools.

Lengths are centimetres, as these programs and Mixamo have it, y is up, and who faces our camera faces along
z. The rest pose is the T pose of the person's shape.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import FINGERS, JOINT_INDEX, JOINT_NAMES, PARENTS
from turnaround.models.motion.kinematics import OPENCV, matrices
from turnaround.models.motion.soles import rest_joints
from turnaround.pipeline.formats.bvh import Bvh, encode, in_file_order
from turnaround.pipeline.values.motion import Motion

Names = Literal["smplx", "mixamo"]
CENTIMETRES = 100.0
_ORDER = "ZXY"  # z first: the gimbal lock of a root that turns about y is then far away
_MIXAMO = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck",
    "head": "Head", "jaw": "Jaw", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
    "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand", "eye": "Eye",
    **{f"{finger}{k}": f"Hand{finger.capitalize()}{k}" for finger in FINGERS for k in (1, 2, 3)},
}  # fmt: skip


def mixamo_name(joint: str) -> str:
    """Mixamo's name of a joint of SMPL-X: `left_hip` is `mixamorig:LeftUpLeg`."""
    side, _, plain = joint.partition("_") if joint.startswith(("left_", "right_")) else ("", "", joint)
    return f"mixamorig:{side.capitalize()}{_MIXAMO[plain]}"


def motion_to_bvh(motion: Motion, model: BodyModel, *, names: Names = "smplx") -> bytes:
    """The bytes of the .bvh; the shape is that of the first frame.

    Args:
        names: joints are called as in SMPL-X, or as in Mixamo (`mixamorig:LeftUpLeg`).
    """
    body = motion.to("cpu").body
    rest = rest_joints(model, body.betas[0])
    order = in_file_order(PARENTS)
    place = {joint: k for k, joint in enumerate(order)}
    flip = OPENCV.double()
    local = matrices(body).double()
    local[:, 0] = flip @ local[:, 0]
    pelvis = (rest[0] + body.transl.double()) @ flip * CENTIMETRES
    angles = Rotation.from_matrix(local.reshape(-1, 3, 3).numpy()).as_euler(_ORDER, degrees=True)
    angles = angles.reshape(len(motion), len(PARENTS), 3)[:, order].reshape(len(motion), -1)
    offsets = torch.stack([rest[j] - (rest[PARENTS[j]] if j else 0 * rest[0]) for j in order])
    rotations = tuple(f"{axis}rotation" for axis in _ORDER)
    names_of = [JOINT_NAMES[j] if names == "smplx" else mixamo_name(JOINT_NAMES[j]) for j in order]
    bvh = Bvh(
        names=tuple(names_of),
        parents=tuple(place[PARENTS[j]] if j else -1 for j in order),
        offsets=(offsets * CENTIMETRES).numpy(),
        ends=tuple(_end(j, rest) for j in order),
        channels=tuple(
            ("Xposition", "Yposition", "Zposition", *rotations) if not j else rotations for j in order
        ),
        frame_time=1 / motion.fps,
        values=np.concatenate([pelvis.numpy(), angles], 1),
    )
    return encode(bvh)


def _end(joint: int, rest: torch.Tensor) -> tuple[float, float, float] | None:
    """The end site of a joint without children: its bone once more; of toes straight ahead."""
    if joint in PARENTS:
        return None
    name, bone = JOINT_NAMES[joint], rest[joint] - rest[PARENTS[joint]]
    if name.endswith("_foot"):
        bone = torch.tensor([0.0, 0.0, 0.06], dtype=rest.dtype)
    elif joint in (JOINT_INDEX["jaw"], JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]):
        bone = torch.tensor([0.0, 0.0, 0.05], dtype=rest.dtype)
    x, y, z = (bone * CENTIMETRES).tolist()
    return x, y, z
