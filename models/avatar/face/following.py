"""How points of a person's head follow the body's face: its expressions, its jaw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.displacement import (
    FACE,
    carried_directions,
    carried_values,
    rest_vertices,
)
from turnaround.models.avatar.face.places import face_places
from turnaround.models.avatar.face.warp import Warp
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.pipeline.values.types import Body, Camera

HEAD = 0.35  # metres from the head's joint within which points are looked at
# vertices of the body that a point of the face follows, and metres over which a farther one counts less:
# enough to reach both lids from the middle of an eye, which the skin leaves open
NEIGHBOURS, FALL = 64, 0.004


def with_face(avatar: Avatar, landmarks: Mapping[str, Any], camera: Camera) -> Avatar:
    """The person with the place of their face, where the photo shows it; see `face_places`."""
    found = face_places(landmarks, camera, avatar.posed_mesh(avatar.rig.photo))
    return replace(avatar, face=found)


def face_directions(
    avatar: Avatar, points: Float[Tensor, "n 3"], directions: Float[Tensor, "v 3 k"]
) -> Float[Tensor, "n 3 k"]:
    """Directions of the body's face at points of the person at rest.

    Where the photo shows the face, its eyes and mouth take the movements of the body's eyes and mouth, as
    much larger or smaller as they are themselves; else points take what is nearest to them.

    Args:
        avatar: the person.
        points: of their mesh or Gaussians, metres.
        directions: of each vertex of the body, metres.
    """
    model, rest = avatar.model, avatar.rig.rest
    if avatar.face is None:
        return carried_directions(model, rest, points, directions, reach=FACE)
    named = body_landmarks(model, rest)[torch.from_numpy(avatar.face.numbers)].double().numpy()
    warp = Warp(avatar.face.on(avatar.mesh.vertices), named)
    near = (points - avatar.rig.joints[JOINT_INDEX["head"]]).norm(dim=-1) < HEAD
    own = points[near].double().numpy()
    there = torch.from_numpy(warp.to_body(own)).float()
    moved = carried_values(model, rest, there, directions, reach=FACE, neighbours=NEIGHBOURS, fall=FALL)
    found = torch.zeros(len(points), 3, directions.shape[-1])
    found[near] = torch.from_numpy(warp.back(own)).float() @ moved
    return found


def body_landmarks(model: BodyModel, rest: Body) -> Float[Tensor, "51 3"]:
    """The face's landmarks of a person's shape in the rest pose, metres."""
    corners, shares = model.face_landmarks
    return (rest_vertices(model, rest)[corners] * shares[..., None]).sum(1)
