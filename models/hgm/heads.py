"""From raw network outputs to Gaussians: one function a kind of Gaussian, all activations in one place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from turnaround.models.hgm.body_branch import BodyCode
from turnaround.pipeline.values.rotation import matrix_to_quat, quat_multiply
from turnaround.pipeline.values.types import Gaussians

IMAGE_CHANNELS = 14
BODY_CHANNELS = 18


def absolute_gaussians(raw: Float[Tensor, "n 14"]) -> Gaussians:
    """LGM's head, which the paper keeps: xyz in [-1, 1], opacity, scale, quaternion, colour."""
    xyz, opacity, scale, quat, color = raw.split((3, 1, 3, 4, 3), -1)
    return Gaussians(
        means=xyz.clamp(-1, 1),
        quats=F.normalize(quat + torch.tensor([1e-6, 0, 0, 0], device=raw.device), dim=-1),
        scales=0.1 * F.softplus(scale),
        opacities=torch.sigmoid(opacity[:, 0]),
        colors=0.5 * torch.tanh(color) + 0.5,
    )


def ray_depth(raw: Float[Tensor, "n 14"], base: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Depth along the camera's axis: the body's (or 2 m) and a learned difference."""
    return (base + 0.25 * raw[:, 0]).clamp(0.3, 6.0)


def ray_gaussians(
    raw: Float[Tensor, "n 14"],
    base: Float[Tensor, " n"],
    centre: Float[Tensor, "n 3"],
    ray: Float[Tensor, "n 3"],
    color: Float[Tensor, "n 3"],
    footprint: float,
) -> Gaussians:
    """A Gaussian a pixel: on the pixel's ray, in the pixel's colour.

    Args:
        raw: depth, offset (3), opacity, scale (3), rotation (3), colour (3).
        base: metres, where the body's surface is.
        centre, ray: the camera's position and the pixel's ray of depth 1.
        color: of the pixel, background taken out.
        footprint: width of a pixel at depth 1, metres.
    """
    depth = ray_depth(raw, base)
    unit = torch.ones_like(raw[:, :1])
    return Gaussians(
        means=centre + ray * depth[:, None] + 0.05 * torch.tanh(raw[:, 1:4]),
        quats=F.normalize(torch.cat([unit, raw[:, 8:11]], -1), dim=-1),
        scales=0.6 * footprint * depth.detach()[:, None] * torch.exp(raw[:, 5:8].clamp(-3, 2.5)),
        opacities=torch.sigmoid(raw[:, 4] + 1.5),
        colors=(color + 0.3 * torch.tanh(raw[:, 11:14])).clamp(0, 1),
    )


def normal_frames(normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Rotations whose third axis is the normal."""
    up = torch.where(
        normals[:, 1:2].abs() > 0.95,
        torch.tensor([1.0, 0, 0], device=normals.device),
        torch.tensor([0, 1.0, 0], device=normals.device),
    )
    x = F.normalize(torch.cross(up, normals, dim=-1), dim=-1)
    return torch.stack([x, torch.cross(normals, x, dim=-1), normals], -1)


def body_gaussians(
    raw: Float[Tensor, "n 18"],
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    code: BodyCode,
    person: int,
    spacing: float,
) -> Gaussians:
    """Discs on the body's surface that may leave it by 8 cm.

    The colour is a mixture of the pixel's own, the mirror point's, the part's mean, and a free one: raw holds
    offset (3), scale (3), opacity, free colour (3), mixture (4), rotation (4).
    """
    frames = normal_frames(normals)
    seen, mirror_seen, part_seen = code.seen[person], code.mirror_seen[person], code.part_seen[person]
    candidates = torch.stack(
        [code.own[person], code.mirrored[person], code.part[person], torch.sigmoid(raw[:, 7:10])], 1
    )
    prior = torch.stack(
        [3 * seen, 3 * (1 - seen) * mirror_seen, 1.5 * (1 - seen) * part_seen, torch.zeros_like(seen)], 1
    )
    share = torch.softmax(raw[:, 10:14] + prior, -1)
    turn = torch.cat([1 + raw[:, 14:15].clamp(min=-0.9), raw[:, 15:18]], -1)
    return Gaussians(
        means=points + (frames @ (0.08 * torch.tanh(raw[:, :3]))[..., None])[..., 0],
        quats=F.normalize(quat_multiply(matrix_to_quat(frames), turn), dim=-1),
        scales=torch.exp(raw[:, 3:6].clamp(-3, 2))
        * torch.tensor([spacing, spacing, 0.5 * spacing], device=raw.device),
        opacities=torch.sigmoid(raw[:, 6] + 1.0),
        colors=(share[..., None] * candidates).sum(1),
    )
