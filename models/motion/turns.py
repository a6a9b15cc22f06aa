"""Small rotations that motions are made of: about one axis, and the shortest from one direction to
another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.rotation import axis_angle_to_matrix


def about(axis: Float[Tensor, "*b 3"], angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation by `angle` (radians) about a unit axis."""
    return axis_angle_to_matrix(axis * angle[..., None])


def about_x(angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation by `angle` about x."""
    return about(_unit(0, angle), angle)


def about_y(angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation by `angle` about y."""
    return about(_unit(1, angle), angle)


def about_z(angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation by `angle` about z."""
    return about(_unit(2, angle), angle)


def _unit(axis: int, angle: Tensor) -> Tensor:
    return torch.eye(3, dtype=angle.dtype, device=angle.device)[axis].expand(*angle.shape, 3)


def shortest(a: Float[Tensor, "*b 3"], b: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation by the least angle that takes direction `a` to direction `b`; of opposite ones, about any
    axis across."""
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    axis = torch.cross(a, b, dim=-1)
    sine = axis.norm(dim=-1, keepdim=True)
    cosine = (a * b).sum(-1, keepdim=True)
    # the axis of the unit vector that lies least along a, where a and b leave it open
    least = F.one_hot(a.abs().argmin(-1), 3).to(a.dtype)
    across = F.normalize(torch.cross(a, least, dim=-1), dim=-1)
    unit = torch.where(sine > 1e-9, axis / sine.clamp(min=1e-12), across)
    return about(unit, torch.atan2(sine, cosine)[..., 0])
