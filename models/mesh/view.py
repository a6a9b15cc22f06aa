"""Pictures of a mesh: its vertex colours softly shaded, its normals, its texture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.mesh.shading import COLOR, NORMALS, SHADED, draw_pictures
from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.models.texture.drawing import draw_textured
from turnaround.pipeline.values.camera import project, resize
from turnaround.pipeline.values.types import Camera, Mesh, TexturedMesh

Look = Literal["color", "shaded", "normals"]
_CODES = {"color": COLOR, "shaded": SHADED, "normals": NORMALS}


def mesh_pictures(
    mesh: Mesh, cameras: Camera, look: Look = "shaded", *, supersample: int = 2
) -> Float[Tensor, "c h w 3"]:
    """The mesh over white from every camera, in [0, 1]; drawn `supersample` times larger and averaged.

    color: vertex colours as they are. shaded: the same under a headlight. normals: in the camera's frame,
    facing is bluish. Raises ValueError for faces that name no vertex.
    """
    faces = np.ascontiguousarray(mesh.faces.numpy(), np.int32)
    if faces.size and not (faces.min() >= 0 and faces.max() < len(mesh.vertices)):
        raise ValueError(
            f"faces name vertices {faces.min()}..{faces.max()}, but there are {len(mesh.vertices)}"
        )
    pixels, depth = project(mesh.vertices, resize(cameras, cameras.width * supersample))
    uvz = torch.cat([pixels, depth[..., None]], -1).numpy()
    normals = (
        torch.zeros_like(mesh.vertices) if look == "color" else vertex_normals(mesh.vertices, mesh.faces)
    )
    rotations = np.ascontiguousarray(cameras.T_camera_world[..., :3, :3].numpy())
    pictures = np.zeros((len(uvz), cameras.height, cameras.width, 3), np.float32)
    colors = np.ascontiguousarray(mesh.colors.numpy(), np.float32)
    draw_pictures(uvz, faces, colors, normals.numpy(), rotations, _CODES[look], supersample, pictures)
    return torch.from_numpy(pictures)


def textured_pictures(
    mesh: TexturedMesh, cameras: Camera, *, supersample: int = 2
) -> Float[Tensor, "c h w 3"]:
    """The mesh in its texture over white from every camera, in [0, 1]; drawn `supersample` times larger and
    averaged."""
    faces = np.ascontiguousarray(mesh.faces.numpy(), np.int32)
    pixels, depth = project(mesh.vertices, resize(cameras, cameras.width * supersample))
    uvz = torch.cat([pixels, depth[..., None]], -1).numpy()
    uv, texture = mesh.uv.numpy(), np.ascontiguousarray(mesh.texture.numpy())
    pictures = np.zeros((len(uvz), cameras.height, cameras.width, 3), np.float32)
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        for _ in pool.map(
            lambda k: draw_textured(uvz[k], faces, uv, texture, supersample, pictures[k]), range(len(uvz))
        ):
            pass
    return torch.from_numpy(pictures)
