"""Normal maps of a mesh with gradients to its vertices."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int32
from torch import Tensor

from turnaround.models.mesh.zbuffer import rasterize_views
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Camera


def vertex_normals(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "v 3"]:
    """Unit normals, area-weighted over the faces of each vertex, out of a surface with counter-clockwise
    faces."""
    a, b, c = vertices[faces].unbind(1)
    across = torch.cross(b - a, c - a, dim=-1)
    total = torch.zeros_like(vertices).index_add(0, faces.T.reshape(-1), across.repeat(3, 1))
    return F.normalize(total, dim=-1)


def visible_faces(
    vertices: Float[Tensor, "v 3"], faces: Int[np.ndarray, "f 3"], cameras: Camera
) -> tuple[Int32[np.ndarray, "c h w"], Float[np.ndarray, "c h w 3"], Float[np.ndarray, "c h w"]]:
    """Face (-1: none), barycentric coordinates and depth (0: none) at each pixel centre, of one mesh in
    several views."""
    pixels, depth = project(vertices.detach(), cameras)
    uvz = torch.cat([pixels, depth[..., None]], -1).cpu().numpy()
    return rasterize_views(uvz, faces, cameras.height, cameras.width)


def normal_maps(
    vertices: Float[Tensor, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    cameras: Camera,
    visible: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Float[Tensor, "c h w 3"]:
    """Interpolated vertex normals, world frame, unit, zero where there is no surface; differentiable in
    `vertices`.

    The visible face and its barycentric coordinates are constants: their gradients matter only where normals
    jump.

    Args:
        vertices: in the world frame, metres.
        faces: vertex indices, counter-clockwise seen from outside.
        cameras: a batch.
        visible: `visible_faces` of (nearly) the same vertices, to save drawing them again.
    """
    face, bary, _ = visible if visible is not None else visible_faces(vertices, faces, cameras)
    face, bary = torch.from_numpy(face).to(vertices.device), torch.from_numpy(bary).to(vertices)
    triangles = torch.from_numpy(np.ascontiguousarray(faces, np.int64)).to(vertices.device)
    normals = vertex_normals(vertices, triangles)
    hit = face >= 0
    corners = normals[triangles[face[hit].long()]]
    interpolated = F.normalize((corners * bary[hit][..., None]).sum(-2), dim=-1)
    return torch.zeros(*face.shape, 3, dtype=vertices.dtype, device=vertices.device).index_put(
        (hit,), interpolated
    )
