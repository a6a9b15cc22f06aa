"""Pictures of a mesh: vertex colours with simple shading, and normals, from cameras around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.silhouette import normal_maps, visible_faces
from pipeline.camera import orbit_cameras
from pipeline.types import Camera, Mesh

SAMPLES = 2  # drawn pixels a picture pixel and axis, against jagged edges


@torch.no_grad()
def render_mesh(mesh: Mesh, cameras: Camera, *, shading: float = 0.25) -> tuple[Float[Tensor, "c h w 3"], Float[Tensor, "c h w 3"]]:
    """Colours and normal pictures over white.

    Args:
        mesh: in the world frame.
        cameras: a batch of square cameras.
        shading: how much darker a surface gets that turns away from the camera, 0 to 1; the colours hold light already.

    Returns:
        Shaded colours, and normals in the camera's frame as colours (bluish where they face it).
    """
    fine = _finer(cameras)
    faces = np.ascontiguousarray(mesh.faces.numpy(), np.int32)
    visible = visible_faces(mesh.vertices, faces, fine)
    normals = normal_maps(mesh.vertices, faces, fine, visible)
    turned = normals @ fine.T_camera_world[:, None, :3, :3].transpose(-1, -2)
    face, bary = torch.from_numpy(visible[0]).long(), torch.from_numpy(visible[1])
    hit = face >= 0
    light = 1 - shading * (1 - (-turned[hit][:, 2]).clamp(0, 1))
    colors, bumps = torch.ones_like(turned), torch.ones_like(turned)
    colors[hit] = (mesh.colors[mesh.faces[face[hit]]] * bary[hit][..., None]).sum(1) * light[:, None]
    bumps[hit] = turned[hit] * torch.tensor([0.5, -0.5, -0.5]) + 0.5
    return _average(colors), _average(bumps)


def preview_pictures(mesh: Mesh, azimuths: Sequence[float], size: int) -> dict[str, Float[Tensor, "h w 3"]]:
    """Colour and normal pictures by name: `color_000`, `normal_000`, ..."""
    colors, normals = render_mesh(mesh, orbit_cameras(azimuths, size))
    pictures = {f"color_{round(a):03d}": image for a, image in zip(azimuths, colors, strict=True)}
    return pictures | {f"normal_{round(a):03d}": image for a, image in zip(azimuths, normals, strict=True)}


def _finer(cameras: Camera) -> Camera:
    scale = torch.tensor([SAMPLES, SAMPLES, 1.0])
    return Camera(cameras.K * scale[:, None], cameras.T_camera_world, cameras.width * SAMPLES, cameras.height * SAMPLES)


def _average(images: Float[Tensor, "c hs ws 3"]) -> Float[Tensor, "c h w 3"]:
    return F.avg_pool2d(images.permute(0, 3, 1, 2), SAMPLES).permute(0, 2, 3, 1).clamp(0, 1)
