"""A leg that reaches for a place: two-bone inverse kinematics that keeps the knee's plane."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.turns import about, shortest

_STRAIGHT = 0.9995  # of the leg's length, that a leg reaches at most


def bones(rest: Float[Tensor, "55 3"], side: str) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Thigh and shin in the rest pose."""
    hip, knee, ankle = (rest[JOINT_INDEX[f"{side}_{name}"]] for name in ("hip", "knee", "ankle"))
    return knee - hip, ankle - knee


def reach(
    hip: Float[Tensor, "f 3"],
    thigh: Float[Tensor, "f 3 3"],
    shin: Float[Tensor, "f 3 3"],
    rest: tuple[Float[Tensor, "3"], Float[Tensor, "3"]],
    target: Float[Tensor, "f 3"],
) -> tuple[Float[Tensor, "f 3 3"], Float[Tensor, "f 3 3"]]:
    """Rotations of thigh and shin against the world that put the ankle on `target`, or as near as the leg is
    long.

    The knee bends about its own hinge (the thigh's x axis, forwards), then the leg as a whole turns the
    shortest way; what already reaches its target stays as it is.

    Args:
        hip: where the hip lies.
        thigh, shin: rotations against the world before.
        rest: `bones` of the leg.
        target: of the ankle.
    """
    upper = (thigh @ rest[0][:, None])[..., 0]
    lower = (shin @ rest[1][:, None])[..., 0]
    a, b = rest[0].norm(), rest[1].norm()
    wish = target - hip
    distance = wish.norm(dim=-1).clamp(min=1e-6)
    distance = torch.minimum(distance, _STRAIGHT * (a + b)).clamp(min=float((a - b).abs()) + 0.05)
    along = upper / a
    hinge = thigh[..., 0] - (thigh[..., 0] * along).sum(-1, keepdim=True) * along
    hinge = F.normalize(hinge, dim=-1)
    # the shin is `across` along the hinge, and turns about it from the thigh's direction by the bend
    direction = lower / b
    across = (direction * hinge).sum(-1)
    behind = torch.cross(hinge, along, dim=-1)
    bend = torch.atan2((direction * behind).sum(-1), (direction * along).sum(-1))
    cosine = (distance**2 - a**2 - b**2) / (2 * a * b)
    wanted = torch.acos((cosine / (1 - across**2).clamp(min=1e-6).sqrt()).clamp(-1, 1))
    bent = about(hinge, wanted - bend) @ shin
    turn = shortest(upper + (bent @ rest[1][:, None])[..., 0], wish)
    return turn @ thigh, turn @ bent
