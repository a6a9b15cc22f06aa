"""The values that stages exchange: Camera, Gaussians, Body, Mesh, TexturedMesh, View.

All are frozen dataclasses of tensors, `.to(device)` moves every tensor. Leading batch dimensions are written
`*b`; a type without them is one camera, one person, one mesh.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turnaround.pipeline.values.record import TensorRecord


@dataclass(frozen=True)
class Camera(TensorRecord):
    """Pinhole cameras, OpenCV axes (x right, y down, z forward), pixel centres at +0.5."""

    K: Float[Tensor, "*b 3 3"]  # pixels
    T_camera_world: Float[Tensor, "*b 4 4"]  # metres
    width: int
    height: int


@dataclass(frozen=True)
class Gaussians(TensorRecord):
    """3D Gaussians with activated values, world frame, no view-dependent colour."""

    means: Float[Tensor, "n 3"]  # metres
    quats: Float[Tensor, "n 4"]  # unit, wxyz, T_world_gaussian
    scales: Float[Tensor, "n 3"]  # metres, standard deviations
    opacities: Float[Tensor, " n"]  # [0, 1]
    colors: Float[Tensor, "n 3"]  # sRGB in [0, 1]

    def __len__(self) -> int:
        return self.means.shape[0]

    @staticmethod
    def cat(parts: list[Gaussians]) -> Gaussians:
        """All Gaussians of `parts`, in order."""
        names = [field.name for field in dataclasses.fields(Gaussians)]
        return Gaussians(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True)
class Body(TensorRecord):
    """SMPL-X parameters in the world frame; rotations are axis-angle in radians.

    The world has OpenCV axes, so a person who stands upright and faces the camera has a
    `global_orient` of (pi, 0, 0). As in `smplx`, the pelvis is at J_0(betas) + transl.
    """

    betas: Float[Tensor, "*b 10"]
    expression: Float[Tensor, "*b 10"]
    global_orient: Float[Tensor, "*b 3"]
    body_pose: Float[Tensor, "*b 21 3"]
    left_hand_pose: Float[Tensor, "*b 15 3"]
    right_hand_pose: Float[Tensor, "*b 15 3"]
    jaw_pose: Float[Tensor, "*b 3"]
    leye_pose: Float[Tensor, "*b 3"]
    reye_pose: Float[Tensor, "*b 3"]
    transl: Float[Tensor, "*b 3"]  # metres

    @staticmethod
    def neutral(*batch: int) -> Body:
        """The mean shape, upright, facing the canonical camera, T pose, its pelvis near the origin."""
        orient = torch.zeros(*batch, 3)
        orient[..., 0] = torch.pi

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*batch, *shape)

        return Body(
            betas=zeros(10),
            expression=zeros(10),
            global_orient=orient,
            body_pose=zeros(21, 3),
            left_hand_pose=zeros(15, 3),
            right_hand_pose=zeros(15, 3),
            jaw_pose=zeros(3),
            leye_pose=zeros(3),
            reye_pose=zeros(3),
            transl=zeros(3),
        )


@dataclass(frozen=True)
class Mesh(TensorRecord):
    """A triangle mesh with vertex colours, world frame, counter-clockwise seen from outside."""

    vertices: Float[Tensor, "v 3"]  # metres
    faces: Int[Tensor, "f 3"]
    colors: Float[Tensor, "v 3"]  # sRGB in [0, 1]


@dataclass(frozen=True)
class TexturedMesh(TensorRecord):
    """A mesh with a base colour texture, split along the seams of its atlas: each vertex has one place in the
    texture."""

    vertices: Float[Tensor, "v 3"]  # metres, world frame; copies on both sides of a seam are equal
    faces: Int[Tensor, "f 3"]  # counter-clockwise seen from outside
    colors: Float[Tensor, "v 3"]  # sRGB in [0, 1]
    uv: Float[Tensor, "v 2"]  # [0, 1], of the texture's width and height; the origin is its upper left corner
    texture: Float[Tensor, "t t 3"]  # sRGB in [0, 1]


@dataclass(frozen=True)
class View(TensorRecord):
    """A square picture of one person over white, its soft mask and its camera."""

    image: Float[Tensor, "h w 3"]  # sRGB in [0, 1], already composed over white
    mask: Float[Tensor, "h w"]  # [0, 1]
    camera: Camera
