"""Hands of given bodies: relative to the flat hand, as ours, or to the mean hand (`flat_hand_mean=False`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.types import Body

RAW = ("smplx_lhand_pose", "smplx_rhand_pose")  # what the networks of OSX, SMPLer-X and AiOS return
OSX = ("root_pose", "lhand_pose", "rhand_pose", "shape", "expr")  # what OSX and Hand4Whole write as json
SMPLERX = {  # what SMPLer-X and SMPLest-X write as npz, by name and shape, with eyes that are always zero
    "global_orient": (1, 3), "body_pose": (21, 3), "left_hand_pose": (15, 3), "right_hand_pose": (15, 3),
    "jaw_pose": (1, 3), "leye_pose": (1, 3), "reye_pose": (1, 3), "betas": (1, 10), "expression": (1, 10),
}  # fmt: skip


def relative_to_mean(fields: Mapping[str, np.ndarray]) -> bool:
    """Whether a file is of the kin of SMPLer-X, by its names and shapes."""
    if any(name in fields for name in RAW) or all(name in fields for name in OSX):
        return True
    alike = all(name in fields and fields[name].shape == shape for name, shape in SMPLERX.items())
    return alike and not fields["leye_pose"].any() and not fields["reye_pose"].any()


def with_mean_hands(body: Body, model: BodyModel) -> Body:
    """The body of a file whose hands are relative to the mean hand, which the body model's file tells."""
    left, right = model.mean_hands
    return replace(
        body, left_hand_pose=body.left_hand_pose + left, right_hand_pose=body.right_hand_pose + right
    )
