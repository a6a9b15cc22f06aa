"""Another shape of body and another face for a rigged person, clothes following."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import rest_bones
from turnaround.models.avatar.displacement import FACE, body_directions, carried_directions
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.types import Body


def reshaped(avatar: Avatar, betas: Float[Tensor, "10"]) -> Avatar:
    """The person with another shape of body: cloth, hair and Gaussians move as the skin near them does.

    With the betas of `avatar.rig` it is the same person.
    """
    rig, model = avatar.rig, avatar.model
    if torch.equal(betas, rig.rest.betas):
        return avatar
    directions = body_directions(model).shape
    change = betas - rig.rest.betas
    rest = replace(rig.rest, betas=betas)
    moved = _displaced(avatar, directions @ change, None)
    made = replace(rig, rest=rest, photo=replace(rig.photo, betas=betas), joints=rest_bones(model, rest))
    return replace(moved, rig=made)


def expressive(avatar: Avatar, expression: Float[Tensor, "10"]) -> Avatar:
    """The person with an expression kept on the face in all poses; `avatar.rig` stays as it is."""
    if not bool(expression.any()):
        return avatar
    moved = body_directions(avatar.model).expression @ expression
    return _displaced(avatar, moved, FACE)


def stature(model: BodyModel, betas: Float[Tensor, "10"]) -> float:
    """Metres from sole to crown of a body in the T pose, bare."""
    heights = model(replace(Body.neutral(), betas=betas)).vertices[..., 1]
    return float(heights.max() - heights.min())


def _displaced(avatar: Avatar, moved: Float[Tensor, "v 3"], reach: float | None) -> Avatar:
    """The person at rest with all points moved as the body's vertices near them."""
    mesh, gaussians, shift = avatar.mesh, avatar.gaussians, moved[..., None]
    of_mesh, of_gaussians = (
        carried_directions(avatar.model, avatar.rig.rest, points, shift, reach=reach)[..., 0]
        for points in (mesh.vertices, gaussians.means)
    )
    return replace(
        avatar,
        mesh=replace(mesh, vertices=mesh.vertices + of_mesh),
        gaussians=replace(gaussians, means=gaussians.means + of_gaussians),
    )
