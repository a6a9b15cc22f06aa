"""Points of the photo's pose brought to rest: the blend of the bones undone, but never far from where the
body
has them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from turnaround.models.avatar.binding.transfer import BodySkin
from turnaround.models.avatar.bones import Bones
from turnaround.models.avatar.skinning import blended_turns, firm, unskin_points
from turnaround.pipeline.values.rig import INFLUENCES, SkinWeights
from turnaround.pipeline.values.rotation import quat_to_matrix

SLACK = 0.02  # metres
POWERS = (1.0, 2.0, 4.0)  # by which weights are sharpened where a blend throws a point farther


def unpose(
    points: Float[Tensor, "n 3"],
    skin: SkinWeights,
    bones: Bones,
    foot: Float[Tensor, "n 3"],
    rest_foot: Float[Tensor, "n 3"],
    body: BodySkin,
) -> tuple[Float[Tensor, "n 3"], SkinWeights]:
    """Where points lie at rest, and weights with which that pose takes them back.

    In a sharp fold a blend all but flattens, and its inverse throws what is a little off the body far away.
    Where it is thrown SLACK beyond its place beside the body, its weights are sharpened until it is not; in
    the end its strongest bone moves it alone, or the bone of the nearest skin where even that one takes it
    away.

    Args:
        points: in the pose, metres.
        skin: their weights.
        bones: the pose.
        foot, rest_foot: a place of the body (or of the surface) near each point, in the pose and at rest.
        body: the skin in the pose.
    """
    resting, settled = torch.empty_like(points), torch.zeros(len(points), dtype=torch.bool)
    weights = SkinWeights(skin.bones.clone(), skin.weights.clone())
    for power in POWERS:
        sharper = firm(sharpened(skin, power), bones)
        exact, beside = (
            unskin_points(points, sharper, bones),
            _beside(points, sharper, bones, foot, rest_foot),
        )
        near = ((exact - beside).norm(dim=-1) <= SLACK) & ~settled
        resting = torch.where(near[:, None], exact, resting)
        weights = _chosen(near, sharper, weights)
        settled |= near
    left = torch.nonzero(~settled)[:, 0]
    alone = _alone(points[left], skin[left], bones, foot[left], rest_foot[left], body)
    resting[left] = unskin_points(points[left], alone, bones)
    weights.bones[left], weights.weights[left] = alone.bones, alone.weights
    return resting, weights


def _alone(
    points: Float[Tensor, "n 3"],
    skin: SkinWeights,
    bones: Bones,
    foot: Float[Tensor, "n 3"],
    rest_foot: Float[Tensor, "n 3"],
    body: BodySkin,
) -> SkinWeights:
    """One bone a point: the strongest, or that of the nearest skin where the strongest takes the point far
    away."""
    own = _single(skin.bones[:, 0])
    off = unskin_points(points, own, bones) - _beside(points, own, bones, foot, rest_foot)
    nearest = KDTree(body.points).query(points.double().numpy())[1]
    of_skin = torch.from_numpy(body.weights[nearest].argmax(1))
    return _single(torch.where(off.norm(dim=-1) <= 2 * SLACK, skin.bones[:, 0], of_skin))


def _single(bones: Int[Tensor, " n"]) -> SkinWeights:
    ids, weights = torch.zeros(len(bones), INFLUENCES, dtype=torch.int64), torch.zeros(len(bones), INFLUENCES)
    ids[:, 0], weights[:, 0] = bones, 1
    return SkinWeights(ids, weights)


def sharpened(skin: SkinWeights, power: float) -> SkinWeights:
    """Weights in which the strong bones count for more; the same bones."""
    weights = skin.weights**power
    return SkinWeights(skin.bones, weights / weights.sum(-1, keepdim=True))


def _beside(
    points: Float[Tensor, "n 3"],
    skin: SkinWeights,
    bones: Bones,
    foot: Float[Tensor, "n 3"],
    rest_foot: Float[Tensor, "n 3"],
) -> Float[Tensor, "n 3"]:
    """Where points would be at rest if they kept their place beside their feet."""
    turns = quat_to_matrix(blended_turns(skin, bones))
    return rest_foot + (turns.mT @ (points - foot)[..., None])[..., 0]


def _chosen(where: Tensor, yes: SkinWeights, no: SkinWeights) -> SkinWeights:
    return SkinWeights(
        torch.where(where[:, None], yes.bones, no.bones), torch.where(where[:, None], yes.weights, no.weights)
    )
