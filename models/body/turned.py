"""A body with some joints turned otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body

Degrees = tuple[float, float, float]


def turned(body: Body, turns: Mapping[str, Degrees]) -> Body:
    """One person with the joints that are named at rotations of their own; the others stay.

    Args:
        body: one person.
        turns: joint -> the axis of its rotation by its length in degrees, in SMPL-X's axes: x to the
            person's left, y up, z to the front in the T pose. `pelvis` turns the whole person, from upright
            before the camera.
    """
    fields = {name: value.clone() for name, value in vars(body).items()}
    for name, degrees in turns.items():
        joint, turn = JOINT_INDEX[name], torch.deg2rad(torch.tensor(degrees, dtype=body.transl.dtype))
        if joint == 0:
            upright = torch.diag(turn.new_tensor([1.0, -1.0, -1.0]))
            fields["global_orient"] = matrix_to_axis_angle(upright @ axis_angle_to_matrix(turn))
        elif joint < 22:
            fields["body_pose"][joint - 1] = turn
        elif joint < 25:
            fields[("jaw_pose", "leye_pose", "reye_pose")[joint - 22]] = turn
        else:
            side, finger = divmod(joint - 25, 15)
            fields[("left_hand_pose", "right_hand_pose")[side]][finger] = turn
    return replace(body, **fields)
