"""What a camera sees of a surface: depth, normals and how much they face it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int32

from turnaround.models.mesh.surface import Surface
from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.pipeline.values.camera import camera_center, project, rays
from turnaround.pipeline.values.types import Camera


@dataclass(frozen=True)
class Sight:
    """One camera's pictures of a surface; zeros where there is none."""

    camera: Camera
    face: Int32[np.ndarray, "h w"]  # -1: none
    bary: Float[np.ndarray, "h w 3"]  # in that face
    depth: Float[np.ndarray, "h w"]  # metres along the camera's axis
    normal: Float[np.ndarray, "h w 3"]  # world frame, unit, out of the surface
    ray: Float[np.ndarray, "h w 3"]  # of depth 1
    facing: Float[np.ndarray, "h w"]  # cosine of the angle between normal and the way to the camera

    @property
    def hit(self) -> np.ndarray:
        """Where there is a surface."""
        return self.face >= 0

    def points(self, depth: np.ndarray | None = None) -> Float[np.ndarray, "h w 3"]:
        """World points of all pixels, at their own depth or at another."""
        depth = self.depth if depth is None else depth
        return camera_center(self.camera).numpy() + self.ray * depth[..., None]


def look(surface: Surface, camera: Camera) -> Sight:
    """What one camera sees of a surface."""
    face, bary, depth = drawn(surface, camera)
    hit = face >= 0
    normal = np.zeros((*face.shape, 3), np.float32)
    found = np.einsum("nkc,nk->nc", surface.normals[surface.faces[face[hit]]], bary[hit])
    normal[hit] = found / (np.linalg.norm(found, axis=-1, keepdims=True) + 1e-9)
    ray = rays(camera).numpy()
    return Sight(camera, face, bary, depth, normal, ray, facing(ray, normal))


def drawn(
    surface: Surface, camera: Camera
) -> tuple[Int32[np.ndarray, "h w"], Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Face (-1: none), barycentric coordinates and depth at each pixel of one camera."""
    pixels, distance = project(torch.from_numpy(surface.vertices).float(), camera)
    uvz = torch.cat([pixels, distance[:, None]], -1).numpy()
    return rasterize_mesh(uvz, np.ascontiguousarray(surface.faces, np.int32), camera.height, camera.width)


def facing(ray: Float[np.ndarray, "h w 3"], normal: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Cosine between normals and the ways back along their pixels' rays."""
    return -np.einsum("hwc,hwc->hw", normal, ray) / np.sqrt(np.einsum("hwc,hwc->hw", ray, ray))
