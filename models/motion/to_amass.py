"""A movement as the .npz of AMASS, for SMPL-X add-ons and everything that learns from motion capture.

`poses` (f,165) and their parts, `trans`, `betas`, `gender`, `mocap_frame_rate`, `surface_model_type`; z is
up, and who faces our camera faces along -y.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from turnaround.models.body.model import BodyModel
from turnaround.models.motion.files.axes import world_from_file
from turnaround.models.motion.kinematics import full_pose
from turnaround.models.motion.soles import pelvis_at_rest
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle


def motion_to_amass(motion: Motion, model: BodyModel, *, gender: str = "neutral") -> bytes:
    """The bytes of the .npz, the same each time; betas are those of the first frame."""
    body = motion.to("cpu").body
    turn = world_from_file("z").T
    orient = matrix_to_axis_angle(turn @ axis_angle_to_matrix(body.global_orient.double()))
    rest = pelvis_at_rest(model, body.betas)
    pelvis = (rest + body.transl.double()) @ turn.T
    pose = full_pose(body)
    pose[:, 0] = orient.float()
    flat = pose.reshape(len(motion), 165).numpy()
    fields: dict[str, NDArray[np.generic]] = {
        "poses": flat,
        "root_orient": flat[:, :3],
        "pose_body": flat[:, 3:66],
        "pose_jaw": flat[:, 66:69],
        "pose_eye": flat[:, 69:75],
        "pose_hand": flat[:, 75:],
        "trans": (pelvis - rest).float().numpy(),
        "betas": body.betas[0].numpy(),
        "expression": body.expression.numpy(),
        "num_betas": np.array(body.betas.shape[1]),
        "gender": np.array(gender),
        "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": np.array(float(motion.fps)),
        "mocap_time_length": np.array(motion.duration),
    }
    stream = io.BytesIO()
    arrays = {name: array.copy("C") for name, array in fields.items()}  # strides would change the bytes
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()
