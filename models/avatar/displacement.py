"""Directions of the body's shape carried to what lies on and around it: cloth, hair, Gaussians."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree
from torch import Tensor

from turnaround.models.avatar.bones import UPRIGHT
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.types import Body

NEIGHBOURS = 24  # vertices of the body that a point follows
FALL = 0.01  # metres over which a farther vertex counts less, on the body itself
LOOSE = 0.25  # the same, a metre of distance from the body: loose cloth follows more of it
FACE = 0.015  # metres from the head within which what is there follows the face's expression whole


class BodyDirections(NamedTuple):
    """How the vertices of a body move with its coefficients: rest pose, world frame, pelvis at the origin."""

    shape: Float[Tensor, "v 3 10"]  # metres a unit of each beta
    expression: Float[Tensor, "v 3 10"]


def body_directions(model: BodyModel) -> BodyDirections:
    """The directions of a body model, in the frame of a rig's rest pose."""
    moved = UPRIGHT[:, None] * (model.shapedirs - model.joint_shapedirs[0])
    return BodyDirections(moved[..., :10].contiguous(), moved[..., 10:].contiguous())


def rest_vertices(model: BodyModel, rest: Body) -> Float[Tensor, "v 3"]:
    """Vertices of a body's shape in the rest pose: T pose, pelvis at the origin, world frame, metres."""
    coefficients = torch.cat([rest.betas, rest.expression])
    return UPRIGHT * (model.v_template + model.shapedirs @ coefficients - model.rest_joints(rest)[0])


def carried_directions(
    model: BodyModel,
    rest: Body,
    points: Float[Tensor, "n 3"],
    directions: Float[Tensor, "v 3 k"],
    *,
    reach: float | None = None,
) -> Float[Tensor, "n 3 k"]:
    """Directions of the body's vertices at points about it: a blend of those nearby, smooth in the points.

    Args:
        model: the body model.
        rest: the person's shape, `Rig.rest`.
        points: in the rest pose, metres.
        directions: of each vertex of the body; see `body_directions`.
        reach: metres from the body up to which points follow whole; from there on less, at twice as far not
            at all. None: all follow.
    """
    return carried_values(model, rest, points, directions, reach=reach)


def carried_values(
    model: BodyModel,
    rest: Body,
    points: Float[Tensor, "n 3"],
    values: Float[Tensor, "v *k"],
    *,
    reach: float | None = None,
    neighbours: int = NEIGHBOURS,
    fall: float = FALL,
) -> Float[Tensor, "n *k"]:
    """Any values of the body's vertices at points about it; see `carried_directions`."""
    skin = model.skin_faces.unique()
    surface = rest_vertices(model, rest)[skin].double().numpy()
    distance, index = KDTree(surface).query(points.double().numpy(), neighbours, workers=1)
    nearest = distance[:, :1]
    weight = np.exp(-(distance - nearest) / (fall + LOOSE * nearest))
    # the last neighbour counts nothing, so that none comes or goes with a jump
    weight = weight - weight[:, -1:] + 1e-9
    weight /= weight.sum(1, keepdims=True)
    if reach is not None:
        beyond = np.clip(nearest / reach - 1, 0, 1)
        weight *= 1 - beyond**2 * (3 - 2 * beyond)
    rows = np.repeat(np.arange(len(points)), neighbours)
    blend = csr_matrix((weight.ravel(), (rows, index.ravel())), (len(points), len(surface)))
    flat = values[skin].double().numpy().reshape(len(surface), -1)
    return torch.from_numpy((blend @ flat).astype(np.float32)).reshape(len(points), *values.shape[1:])
