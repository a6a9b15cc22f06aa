"""Normals as pictures: the camera's frame with y and z flipped, so that what faces the camera is bluish (128,
128, 255)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.types import Camera


def encode_normals(
    normals: Float[Tensor, "h w 3"], camera: Camera, mask: Float[Tensor, "h w"] | None = None
) -> Float[Tensor, "h w 4"]:
    """An RGBA picture of world-frame normals; alpha is `mask`, by default 1 where there is a normal. White
    where alpha is 0."""
    there = normals.norm(dim=-1) > 1e-6
    alpha = there.to(normals) if mask is None else mask.to(normals) * there
    turned = F.normalize(normals, dim=-1) @ camera.T_camera_world[..., :3, :3].to(normals).T
    colours = turned * turned.new_tensor([0.5, -0.5, -0.5]) + 0.5
    return torch.cat(
        [torch.where(alpha[..., None] > 0, colours, torch.ones_like(colours)), alpha[..., None]], -1
    )


def decode_normals(
    image: Float[Tensor, "h w 4"], camera: Camera
) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"]]:
    """World-frame unit normals (0 where alpha is 0) and alpha of a picture made by `encode_normals`."""
    colours, alpha = image[..., :3], image[..., 3]
    turned = F.normalize((colours - 0.5) * colours.new_tensor([2, -2, -2]), dim=-1)
    normals = turned @ camera.T_camera_world[..., :3, :3].to(image)
    return normals * (alpha[..., None] > 0), alpha
