"""The error of an estimated body, as the model must bear it: noise on true SMPL-X parameters."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body

LIMBS = (0, 1, 3, 4, 15, 16, 17, 18)  # hips, knees, shoulders, elbows in `body_pose`


def noisy_body(body: Body, rng: np.random.Generator, amount: float) -> Body:
    """`body` with joints turned, shape and place changed; `amount` 1 is about 57 mm of joint error, 0.4 about
    23 mm.

    Rotations 0.05 rad (limbs 0.07), betas 0.5, place 8 mm across and 25 mm along the camera's axis (standard
    deviations).
    """

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.tensor(rng.normal(size=shape) * scale * amount, dtype=torch.float32)

    pose_noise = normal(21, 3, scale=0.05)
    pose_noise[list(LIMBS)] += normal(len(LIMBS), 3, scale=0.05)
    place = normal(3) * torch.tensor([0.008, 0.008, 0.025])
    turned = axis_angle_to_matrix(normal(3, scale=0.05)) @ axis_angle_to_matrix(body.global_orient)
    return dataclasses.replace(
        body,
        betas=body.betas + normal(10, scale=0.5),
        global_orient=matrix_to_axis_angle(turned),
        body_pose=body.body_pose + pose_noise,
        transl=body.transl + place,
    )
