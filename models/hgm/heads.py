"""From raw network outputs to Gaussians: a head for each kind; here all their channels have names."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from turnaround.models.hgm.tokens import BodyTokens, PixelTokens
from turnaround.pipeline.values.rotation import matrix_to_quat, quat_multiply
from turnaround.pipeline.values.types import Gaussians

ABSOLUTE = (3, 1, 3, 4, 3)  # xyz, opacity, scale, quaternion, colour: LGM's order
RAY = (1, 3, 1, 3, 3, 3)  # depth, offset, opacity, scale, turn, colour
BODY = (3, 3, 1, 3, 4, 4)  # offset, scale, opacity, free colour, mixture, turn
IMAGE_CHANNELS, BODY_CHANNELS = 14, 18

FOREGROUND = 0.25  # mask value above which a pixel makes a Gaussian


class ImageHead(ABC):
    """How the raw values of pixels become Gaussians."""

    @abstractmethod
    def chosen(self, mask: Float[Tensor, "g g"]) -> Bool[Tensor, "g g"]:
        """Tell which pixels become Gaussians."""

    @abstractmethod
    def depth(self, pixels: PixelTokens) -> Float[Tensor, " n"]:
        """Metres along the axis of each pixel's camera."""

    @abstractmethod
    def changed(self, raw: Float[Tensor, "n 14"], change: Float[Tensor, "n 14"]) -> Float[Tensor, "n 14"]:
        """Raw values after the fusion transformer has said `change`."""

    @abstractmethod
    def __call__(self, pixels: PixelTokens) -> Gaussians:
        """Activate: a Gaussian for each pixel."""


class AbsoluteHead(ImageHead):
    """LGM's head, which the paper keeps: xyz in [-1, 1] for every pixel of the picture, free colours."""

    def chosen(self, mask: Float[Tensor, "g g"]) -> Bool[Tensor, "g g"]:
        """All of them."""
        return torch.ones_like(mask, dtype=torch.bool)

    def depth(self, pixels: PixelTokens) -> Float[Tensor, " n"]:
        """World z, which is the front camera's axis."""
        return self(pixels).means[:, 2]

    def changed(self, raw: Float[Tensor, "n 14"], change: Float[Tensor, "n 14"]) -> Float[Tensor, "n 14"]:
        """Positions are residual, the other attributes are predicted anew (hgm.md A.6)."""
        xyz, _ = raw.split((3, 11), -1)
        step, anew = change.split((3, 11), -1)
        return torch.cat([xyz + step, anew], -1)

    def __call__(self, pixels: PixelTokens) -> Gaussians:
        """LGM's activations."""
        xyz, opacity, scale, quat, color = pixels.raw.split(ABSOLUTE, -1)
        return Gaussians(
            means=xyz.clamp(-1, 1),
            quats=F.normalize(quat + torch.tensor([1e-6, 0, 0, 0], device=quat.device), dim=-1),
            scales=0.1 * F.softplus(scale),
            opacities=torch.sigmoid(opacity[:, 0]),
            colors=0.5 * torch.tanh(color) + 0.5,
        )


class RayHead(ImageHead):
    """A Gaussian for each pixel of the person: on its ray, about the body's depth, in its colour."""

    def chosen(self, mask: Float[Tensor, "g g"]) -> Bool[Tensor, "g g"]:
        """Those in the mask, soft edges included."""
        return mask > FOREGROUND

    def depth(self, pixels: PixelTokens) -> Float[Tensor, " n"]:
        """The body's depth and a learned difference."""
        depth, *_ = pixels.raw.split(RAY, -1)
        return (pixels.base + 0.25 * depth[:, 0]).clamp(0.3, 6.0)

    def changed(self, raw: Float[Tensor, "n 14"], change: Float[Tensor, "n 14"]) -> Float[Tensor, "n 14"]:
        """All of them are residual."""
        return raw + change

    def __call__(self, pixels: PixelTokens) -> Gaussians:
        """At zero: on the body's surface, as wide as the pixel, in its colour."""
        _, offset, opacity, scale, turn, color = pixels.raw.split(RAY, -1)
        depth = self.depth(pixels)[:, None]
        return Gaussians(
            means=pixels.centre + pixels.ray * depth + 0.05 * torch.tanh(offset),
            quats=F.normalize(torch.cat([torch.ones_like(depth), turn], -1), dim=-1),
            scales=0.6 * pixels.footprint * depth.detach() * torch.exp(scale.clamp(-3, 2.5)),
            opacities=torch.sigmoid(opacity[:, 0] + 1.5),
            colors=(pixels.color + 0.3 * torch.tanh(color)).clamp(0, 1),
        )


def body_gaussians(body: BodyTokens) -> Gaussians:
    """Activate one person's points: discs on the body's surface that may leave it by 8 cm.

    The colour is a mixture of the pixel's own, the mirror point's, the part's mean, and a free one; at zero
    the first of them that is seen weighs most.
    """
    offset, scale, opacity, color, mixture, turn = body.raw.split(BODY, -1)
    frames = normal_frames(body.normals)
    candidates = torch.stack([body.own, body.mirrored, body.part, torch.sigmoid(color)], 1)
    hidden, nothing = 1 - body.seen, torch.zeros_like(body.seen)
    prior = torch.stack(
        [3 * body.seen, 3 * hidden * body.mirror_seen, 1.5 * hidden * body.part_seen, nothing], 1
    )
    share = torch.softmax(mixture + prior, -1)
    real, imaginary = turn.split((1, 3), -1)
    turned = torch.cat([1 + real.clamp(min=-0.9), imaginary], -1)
    disc = torch.tensor([body.spacing, body.spacing, 0.5 * body.spacing], device=scale.device)
    return Gaussians(
        means=body.points + (frames @ (0.08 * torch.tanh(offset))[..., None])[..., 0],
        quats=F.normalize(quat_multiply(matrix_to_quat(frames), turned), dim=-1),
        scales=torch.exp(scale.clamp(-3, 2)) * disc,
        opacities=torch.sigmoid(opacity[:, 0] + 1.0),
        colors=(share[..., None] * candidates).sum(1),
    )


def normal_frames(normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Rotations whose third axis is the normal."""
    across, up = torch.eye(3, device=normals.device)[:2]
    _, vertical, _ = normals.split(1, 1)
    beside = torch.where(vertical.abs() > 0.95, across, up)
    x = F.normalize(torch.cross(beside, normals, dim=-1), dim=-1)
    return torch.stack([x, torch.cross(normals, x, dim=-1), normals], -1)
