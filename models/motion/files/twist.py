"""How a bone of somebody's skeleton is turned about itself: not told by its rest pose, but by how it is used.

A skeleton whose rest pose is neither T nor A (all bones along one axis, say) leaves open where knees and
elbows point. They bend one way only, so that their motion tells; and shoulders and spine are on the average
where they are at rest.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.kinematics import mean_rotation
from turnaround.models.motion.turns import about

HINGES = {  # joint -> upper and lower joint of its limb, and the axis that they bend about in our T pose
    **{f"{side}_{name}": (f"{side}_hip", f"{side}_knee", (1.0, 0.0, 0.0))
       for side in ("left", "right") for name in ("hip", "knee")},
    "left_shoulder": ("left_shoulder", "left_elbow", (0.0, -1.0, 0.0)),
    "right_shoulder": ("right_shoulder", "right_elbow", (0.0, 1.0, 0.0)),
}  # fmt: skip
_BENT = 0.15  # mean sine of the bend, below which a limb is too straight to tell
_SURE = 0.35  # cosine between hinges, above which they are one: nobody's elbow is drawn exactly


def hinge_turn(
    turn: Float[Tensor, "3 3"],
    axis: tuple[float, float, float],
    bone: Float[Tensor, "3"],
    joint: Float[Tensor, "f 3 3"],
    limb: tuple[Float[Tensor, "f 3"], Float[Tensor, "f 3"]],
    *,
    open_: bool,
) -> Float[Tensor, "3 3"]:
    """The turn about a bone that makes our knee or elbow bend as the file's does.

    Args:
        turn: of our joint in the file's rest pose, in the file's axes.
        axis: of `HINGES`.
        bone: direction of the joint's bone in the file's rest pose.
        joint: rotations of the file's joint over frames.
        limb: directions of the limb's upper and lower bone over frames.
        open_: whether the rest pose tells nothing; else what bends nearly so already stays.
    """
    along = F.normalize(bone, dim=0)
    upper, lower = (F.normalize(directions, dim=-1) for directions in limb)
    used = (joint.mT @ torch.linalg.cross(upper, lower)[..., None])[..., 0].mean(0)
    ours = turn @ torch.tensor(axis, dtype=turn.dtype)
    used, ours = (v - (v @ along) * along for v in (used, ours))
    alike = float(F.cosine_similarity(used, ours, dim=0))
    if used.norm() < _BENT or (alike > _SURE and not open_):
        return torch.eye(3, dtype=turn.dtype)
    return about(along, torch.atan2(torch.linalg.cross(ours, used) @ along, ours @ used))


def usual_turn(
    above: Float[Tensor, "3 3"], parent: Float[Tensor, "f 3 3"], joint: Float[Tensor, "f 3 3"]
) -> Float[Tensor, "3 3"]:
    """The turn of a joint of ours that is on the average as its parent is, where `above` is the parent's."""
    return mean_rotation(joint.mT @ parent @ above)
