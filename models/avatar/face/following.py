"""How points of a person's head follow the body's face: its expressions, its jaw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
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
from turnaround.models.avatar.face.places import FacePlaces, face_places
from turnaround.models.avatar.face.warp import Warp, agree
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.pipeline.values.types import Body, Camera

HEAD = 0.35  # metres from the head's joint within which points are looked at
# vertices of the body that a point of the face follows, and metres over which a farther one counts less:
# enough to reach both lids from the middle of an eye, which the skin leaves open
NEIGHBOURS, FALL = 64, 0.004


def with_face(avatar: Avatar, landmarks: Mapping[str, Any], camera: Camera) -> Avatar:
    """The person with the place of their face, where the photo shows it and it is one; see `face_places`."""
    found = face_places(landmarks, camera, avatar.posed_mesh(avatar.rig.photo))
    if found is not None and not agree(found.on(avatar.mesh.vertices), _named(avatar, found)):
        found = None
    return replace(avatar, face=found)


def _named(avatar: Avatar, face: FacePlaces) -> Float[np.ndarray, "k 3"]:
    """The body's landmarks that were found on the person."""
    numbers = torch.from_numpy(face.numbers)
    return body_landmarks(avatar.model, avatar.rig.rest)[numbers].double().numpy()


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
    warp = Warp(avatar.face.on(avatar.mesh.vertices), _named(avatar, avatar.face))
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
