"""The face's movements as shapes of the mesh: the body's expressions and its jaw, carried to the head."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import UPRIGHT
from turnaround.models.avatar.displacement import body_directions, carried_directions
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.pipeline.formats.rigged.skinned import Morph
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body

REACH = 0.015  # metres from the body up to which the head's surface follows the face whole
OPEN = 0.25  # radians of the jaw when it is open
LEAST = 5e-5  # metres; what moves less stays
JAW_OPEN = "jawOpen"


def face_morphs(avatar: Avatar) -> tuple[Morph, ...]:
    """One shape for each of the body's expressions at 1, `expression_0` and on, and `jawOpen`; rest pose,
    metres."""
    model, rest = avatar.model, avatar.rig.rest
    directions = torch.cat([body_directions(model).expression, jaw_direction(model, rest)[..., None]], -1)
    carried = carried_directions(model, rest, avatar.mesh.vertices, directions, reach=REACH)
    names = [*(f"expression_{k}" for k in range(directions.shape[-1] - 1)), JAW_OPEN]
    return tuple(_morph(name, carried[..., k]) for k, name in enumerate(names))


def jaw_direction(model: BodyModel, rest: Body) -> Float[Tensor, "v 3"]:
    """How the body's vertices move when its jaw opens by OPEN: rest pose, world frame, metres."""
    turn = axis_angle_to_matrix(torch.tensor([OPEN, 0.0, 0.0])) - torch.eye(3)
    coefficients = torch.cat([rest.betas, rest.expression])
    jaw = JOINT_INDEX["jaw"]
    arm = model.v_template + model.shapedirs @ coefficients - model.rest_joints(rest)[jaw]
    return UPRIGHT * model.lbs_weights[:, jaw, None] * (arm @ turn.mT)


def _morph(name: str, deltas: Float[Tensor, "v 3"]) -> Morph:
    moved = (deltas.norm(dim=-1) > LEAST).nonzero()[:, 0]
    return Morph(name, moved.numpy(), deltas[moved].numpy())
