"""Skin weights of a body carried to points near it: from the nearest surface that faces the same way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from turnaround.models.avatar.bones import BONE_NAMES, UPRIGHT
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.pipeline.values.types import Body

NEAREST = 24  # vertices of the body that are asked
SOFT = 0.015  # metres: how much farther than the nearest a vertex still counts
SURE = 0.035  # metres from the body within which cloth is sure to follow what it lies on
PLACE = 0.06  # metres on the body at rest within which vertices are one place
ALIKE = 0.5  # share of its weights that a point keeps from where they were carried from
UNLIKE = 0.5  # metres that a place of other weights counts as farther
TURNED = 0.03  # metres that a surface of the other direction counts as farther


class BodySkin(NamedTuple):
    """The body's outer surface in a pose, with the weights of all bones."""

    points: Float[np.ndarray, "v 3"]  # in the pose, world, metres
    rest: Float[np.ndarray, "v 3"]  # the same in the rest pose
    normals: Float[np.ndarray, "v 3"]  # in the pose
    weights: Float[np.ndarray, "v j"]


class Carried(NamedTuple):
    """Weights of points as the body near them has them."""

    weights: Float[np.ndarray, "n j"]
    trust: Float[np.ndarray, " n"]  # [0, 1]: 1 on the skin, 0 far from it
    foot: Float[np.ndarray, "n 3"]  # where on the body each point has its weights from, in the pose
    rest_foot: Float[np.ndarray, "n 3"]  # the same place in the rest pose


def body_skin(model: BodyModel, body: Body) -> BodySkin:
    """The outer skin of a posed body, its arms' weights shared with the twist bones."""
    posed = model(body).vertices
    used = torch.unique(model.skin_faces)
    normals = vertex_normals(posed, model.skin_faces)
    rest = UPRIGHT * (_shape(model, body) - model.rest_joints(body)[0])
    points, still, facing = (array[used].double().numpy() for array in (posed, rest, normals))
    return BodySkin(points, still, facing, with_twists(model, body)[used.numpy()])


def with_twists(model: BodyModel, body: Body) -> Float[np.ndarray, "v j"]:
    """The model's weights over all bones: along an arm the twist bones take the arm's own weights over.

    The upper arm goes from its twist bone at the shoulder to its own at the elbow; the forearm from its own
    at
    the elbow over the first twist bone to the second at the wrist.
    """
    weights = np.zeros((model.num_vertices, len(BONE_NAMES)))
    weights[:, :55] = model.lbs_weights.numpy()
    shape = _shape(model, body)
    joints = model.rest_joints(body)
    for side in ("left", "right"):
        for start, end, chain, knots in (
            ("shoulder", "elbow", ("upper_arm_twist", "shoulder"), (0.0, 1.0)),
            ("elbow", "wrist", ("elbow", "forearm_twist1", "forearm_twist2"), (0.0, 0.5, 1.0)),
        ):
            a, b = joints[JOINT_INDEX[f"{side}_{start}"]], joints[JOINT_INDEX[f"{side}_{end}"]]
            along = ((shape - a) @ (b - a) / ((b - a) ** 2).sum()).clamp(0, 1).numpy()
            limb = JOINT_INDEX[f"{side}_{start}"]
            own = weights[:, limb].copy()
            weights[:, limb] = 0
            for k, name in enumerate(chain):
                hat = np.interp(along, knots, np.eye(len(knots))[k])
                weights[:, BONE_NAMES.index(f"{side}_{name}")] += own * hat
    return weights


def _shape(model: BodyModel, body: Body) -> Float[Tensor, "v 3"]:
    return model.v_template + model.shapedirs @ torch.cat([body.betas, body.expression])


def carry(skin: BodySkin, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]) -> Carried:
    """Weights for points of a surface around the body.

    Args:
        skin: the body in the same pose.
        points: world, metres.
        normals: unit, out of the surface; of length 0 where none is known.
    """
    distance, index = (np.asarray(found) for found in KDTree(skin.points).query(points, NEAREST))
    agree = (skin.normals[index] * normals[:, None]).sum(-1)
    known = np.linalg.norm(normals, axis=1) > 0.5
    # a vertex of a surface that faces away (the other thigh, the chest behind an arm) counts as farther
    cost = distance + np.where(known[:, None], TURNED * (1 - agree), 0)
    best = cost.min(1, keepdims=True)
    share = np.exp(-((cost - best) / SOFT))
    # only of one place of the body: not of both sides of a fold
    nearest = skin.rest[index[np.arange(len(index)), cost.argmin(1)]]
    share[np.linalg.norm(skin.rest[index] - nearest[:, None], axis=-1) > PLACE] = 0
    share /= share.sum(1, keepdims=True)
    weights, foot, rest = (
        np.einsum("nk,nkj->nj", share, values[index]) for values in (skin.weights, skin.points, skin.rest)
    )
    return Carried(weights, np.exp(-((best[:, 0].clip(0) / SURE) ** 2)), foot, rest)


def feet(
    skin: BodySkin, points: Float[np.ndarray, "n 3"], weights: Float[np.ndarray, "n j"], carried: Carried
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Places of the body beside points whose weights are known, in the pose and at rest.

    They are those that the weights were carried from; where the surface has given a point those of another
    limb,
    the nearest place of that limb.
    """
    norms = np.linalg.norm(skin.weights, axis=1)
    strange = np.minimum(weights, carried.weights).sum(1) < ALIKE
    foot, rest = carried.foot.copy(), carried.rest_foot.copy()
    for k in np.flatnonzero(strange):
        like = skin.weights @ weights[k] / (norms * np.linalg.norm(weights[k]))
        nearest = (np.linalg.norm(skin.points - points[k], axis=1) + UNLIKE * (1 - like)).argmin()
        foot[k], rest[k] = skin.points[nearest], skin.rest[nearest]
    return foot, rest


def strongest(
    weights: Float[np.ndarray, "n j"], count: int = 4
) -> tuple[Int[np.ndarray, "n c"], Float[np.ndarray, "n c"]]:
    """The strongest bones of each point and their weights, falling and summing to 1; bones of weight 0 are
    0."""
    ids = np.argsort(-weights, 1, kind="stable")[:, :count]
    kept = np.take_along_axis(weights, ids, 1).clip(0)
    kept[kept < 1e-4 * kept[:, :1]] = 0
    kept /= kept.sum(1, keepdims=True)
    return np.where(kept > 0, ids, 0), kept
