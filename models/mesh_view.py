"""Pictures of a mesh: its vertex colours softly shaded, and its normals."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.silhouette.normals import normal_maps, visible_faces
from pipeline.camera import resize
from pipeline.normal_image import encode_normals
from pipeline.types import Camera, Mesh

Look = Literal["color", "shaded", "normals"]
_LIGHT = (0.25, -0.45, -0.85)  # in the camera's frame: from above, a little from the right


def mesh_pictures(mesh: Mesh, cameras: Camera, look: Look = "shaded", *, supersample: int = 2) -> Float[Tensor, "c h w 3"]:
    """The mesh over white from every camera; drawn `supersample` times larger and averaged.

    color: vertex colours as they are. shaded: the same under a headlight. normals: in the camera's frame, facing is bluish.
    """
    large = resize(cameras, cameras.width * supersample)
    faces = mesh.faces.numpy().astype(np.int32)
    visible = visible_faces(mesh.vertices, faces, large)
    hit = torch.from_numpy(visible[0] >= 0)
    if look == "normals":
        normals = normal_maps(mesh.vertices, faces, large, visible)
        pictures = torch.stack([_over_white(encode_normals(n, large[i], hit[i].float())) for i, n in enumerate(normals)])
    else:
        corners = mesh.colors[mesh.faces[torch.from_numpy(visible[0]).clamp(min=0).long()]]
        pictures = (corners * torch.from_numpy(visible[1])[..., None]).sum(-2)
        if look == "shaded":
            pictures = pictures * _light(normal_maps(mesh.vertices, faces, large, visible), large)[..., None]
        pictures = torch.where(hit[..., None], pictures, torch.ones_like(pictures))
    small = F.avg_pool2d(pictures.permute(0, 3, 1, 2), supersample).permute(0, 2, 3, 1)
    return small.clamp(0, 1).contiguous()


def _light(normals: Float[Tensor, "c h w 3"], cameras: Camera) -> Float[Tensor, "c h w"]:
    in_camera = torch.einsum("cij,chwj->chwi", cameras.T_camera_world[:, :3, :3], normals)
    toward = F.normalize(torch.tensor(_LIGHT), dim=0)
    return 0.72 + 0.36 * (in_camera @ toward).clamp(min=0)


def _over_white(rgba: Float[Tensor, "h w 4"]) -> Float[Tensor, "h w 3"]:
    return rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
