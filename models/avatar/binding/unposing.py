"""Points of the photo's pose brought to rest: the blend of the bones undone, but never farther from the body
than
they were."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.bones import Bones
from turnaround.models.avatar.skinning import blended_turns, unskin_points
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.rotation import quat_to_matrix

SLACK = 0.02  # metres


def unpose(
    points: Float[Tensor, "n 3"],
    skin: SkinWeights,
    bones: Bones,
    foot: Float[Tensor, "n 3"],
    rest_foot: Float[Tensor, "n 3"],
) -> Float[Tensor, "n 3"]:
    """Where points lie at rest.

    In a sharp fold a blend all but flattens, and its inverse throws what is a little off the body far away.
    So
    the inverse counts within SLACK of where the point would be if it kept its place beside the body.

    Args:
        points: in the pose, metres.
        skin: their weights.
        bones: the pose.
        foot, rest_foot: a place of the body (or of the surface) near each point, in the pose and at rest.
    """
    exact = unskin_points(points, skin, bones)
    turns = quat_to_matrix(blended_turns(skin, bones))
    beside = rest_foot + (turns.mT @ (points - foot)[..., None])[..., 0]
    off = exact - beside
    length = off.norm(dim=-1, keepdim=True)
    return beside + off * (SLACK / length.clamp(min=SLACK))
