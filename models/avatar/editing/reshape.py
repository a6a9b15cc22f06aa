"""Another shape of body and another face for a rigged person, clothes following."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import rest_bones
from turnaround.models.avatar.displacement import body_directions, carried_directions
from turnaround.models.avatar.face.following import face_directions
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.types import Body


def reshaped(avatar: Avatar, betas: Float[Tensor, "10"]) -> Avatar:
    """The person with another shape of body: cloth, hair and Gaussians move as the skin near them does.

    With the betas of `avatar.rig` it is the same person.
    """
    rig, model = avatar.rig, avatar.model
    if torch.equal(betas, rig.rest.betas):
        return avatar
    change = (body_directions(model).shape @ (betas - rig.rest.betas))[..., None]
    rest = replace(rig.rest, betas=betas)
    moved = _displaced(avatar, lambda points: carried_directions(model, rig.rest, points, change))
    made = replace(rig, rest=rest, photo=replace(rig.photo, betas=betas), joints=rest_bones(model, rest))
    return replace(moved, rig=made)


def expressive(avatar: Avatar, expression: Float[Tensor, "10"]) -> Avatar:
    """The person with an expression kept on the face in all poses; `avatar.rig` stays as it is."""
    if not bool(expression.any()):
        return avatar
    moved = (body_directions(avatar.model).expression @ expression)[..., None]
    return _displaced(avatar, lambda points: face_directions(avatar, points, moved))


def stature(model: BodyModel, betas: Float[Tensor, "10"]) -> float:
    """Metres from sole to crown of a body in the T pose, bare."""
    heights = model(replace(Body.neutral(), betas=betas)).vertices[..., 1]
    return float(heights.max() - heights.min())


def _displaced(avatar: Avatar, shift: Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 3 1"]]) -> Avatar:
    """The person at rest with all points moved."""
    mesh, gaussians = avatar.mesh, avatar.gaussians
    return replace(
        avatar,
        mesh=replace(mesh, vertices=mesh.vertices + shift(mesh.vertices)[..., 0]),
        gaussians=replace(gaussians, means=gaussians.means + shift(gaussians.means)[..., 0]),
    )
