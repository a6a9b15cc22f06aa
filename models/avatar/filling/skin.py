"""Bare skin that no picture shows: one tone, darker in folds and between fingers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy.spatial import KDTree

from turnaround.models.avatar.filling.room import room_beside
from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.pipeline.values.types import TexturedMesh

REACH = 0.012  # metres about a place within which what stands before it takes its light
NEAREST = 48  # places that are asked
DARK = 2.2  # times the mean cosine to what stands before a place that is taken from its light
DEPTH = 0.8  # by which the power of a colour grows to that of the darkest place
LENGTH, TALL = 64, 4  # texels of the ramp from dark to light


def with_skin(mesh: TexturedMesh, first: int, tone: Float[np.ndarray, "3"]) -> TexturedMesh:
    """The mesh with the faces from `first` on in a tone of skin.

    Each place lies on a ramp of the tone's shades in the texture; without room for it all have the tone that
    the mesh has there.

    Args:
        mesh: at rest; those faces have vertices of their own.
        first: number of the first of them, which are the last of the mesh.
        tone: sRGB in [0, 1].
    """
    faces, size = mesh.faces.numpy(), len(mesh.texture)
    place = room_beside(mesh.uv.numpy(), faces[:first], size).take(TALL, LENGTH)
    if first == len(faces) or place is None:
        return mesh
    row, column = place
    open_to_light = np.linspace(0, 1, LENGTH)
    ramp = shade(tone, open_to_light).astype(np.float32)
    texture, uv, colors = mesh.texture.clone(), mesh.uv.clone(), mesh.colors.clone()
    texture[row : row + TALL, column : column + LENGTH] = torch.from_numpy(ramp)
    own = mesh.faces[first:].reshape(-1)
    light = openness(mesh.vertices[own].numpy())
    across = column + 0.5 + (LENGTH - 1) * light
    uv[own] = torch.from_numpy(np.stack([across, np.full(len(across), row + TALL / 2)], 1) / size).float()
    colors[own] = torch.from_numpy(shade(tone, light)).float()
    return replace(mesh, texture=texture, uv=uv, colors=colors)


def shade(tone: Float[np.ndarray, "3"], light: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """The tone in so much light, [0, 1]: what is darker is redder."""
    return np.asarray(tone) ** (1 + DEPTH * (1 - light[:, None]))


def openness(corners: Float32[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """How much light reaches the corners of triangles, three after three: 1 where nothing stands before
    them."""
    points, same = np.unique(corners, axis=0, return_inverse=True)
    same = same.reshape(-1)
    faces = torch.from_numpy(same.reshape(-1, 3))
    normals = vertex_normals(torch.from_numpy(points), faces).double().numpy()
    count = min(NEAREST, len(points))
    distance, index = (np.asarray(a) for a in KDTree(points).query(points, count))
    way = (points[index] - points[:, None]) / np.maximum(distance[..., None], 1e-9)
    before = np.einsum("nkc,nc->nk", way, normals).clip(0) * (distance < REACH) * (distance > 0)
    shut = DARK * before.sum(1) / np.maximum(((distance < REACH) & (distance > 0)).sum(1), 1)
    return (1 - shut).clip(0, 1)[same]
