"""What a photo hides where limbs touched: holes closed with faces in the colours of their rims."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from turnaround.models.avatar.binding.triangulation import MOST, fill
from turnaround.pipeline.values.types import TexturedMesh


class Caps(NamedTuple):
    """Triangles that close holes, each with three vertices of its own and one flat colour."""

    vertices: Float[np.ndarray, "k 3 3"]  # rest pose, metres
    weights: Float[np.ndarray, "k 3 j"]
    like: Int[np.ndarray, " k"]  # vertex whose place in the texture and whose colour a triangle has


def caps_of(
    rims: list[Int[np.ndarray, " _"]],
    vertices: Float[np.ndarray, "v 3"],
    weights: Float[np.ndarray, "v j"],
) -> Caps:
    """Triangles of least area over each rim; a rim of more than `triangulation.MOST` vertices stays open.

    Args:
        rims: closed, in the direction of the faces wanted.
        vertices: rest pose, metres.
        weights: of the vertices.
    """
    triangles = [rim[fill(vertices[rim])] for rim in rims if len(rim) <= MOST]
    corners = np.concatenate(triangles) if triangles else np.zeros((0, 3), int)
    return Caps(vertices[corners], weights[corners], corners[:, 0])


def together(parts: list[Caps]) -> Caps:
    """All triangles, in order."""
    vertices, weights, like = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Caps(vertices, weights, like)


def with_caps(mesh: TexturedMesh, caps: Caps) -> TexturedMesh:
    """The mesh with the caps' triangles after its own."""
    count = len(caps.like)
    like = torch.from_numpy(np.repeat(caps.like, 3))
    faces = len(mesh.vertices) + torch.arange(3 * count).reshape(count, 3)
    return TexturedMesh(
        torch.cat([mesh.vertices, torch.from_numpy(caps.vertices.reshape(-1, 3)).float()]),
        torch.cat([mesh.faces, faces.to(mesh.faces.dtype)]),
        torch.cat([mesh.colors, mesh.colors[like]]),
        torch.cat([mesh.uv, mesh.uv[like]]),
        mesh.texture,
    )
