"""Which point of the surface each texel is: the mesh drawn into its own texture (numba)."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Float32, Int32, Int64

from turnaround.models.bands import in_bands
from turnaround.models.mesh.zbuffer import barycentric, draw_nearest
from turnaround.pipeline.formats.glb import shared_normals
from turnaround.pipeline.values.types import TexturedMesh


@dataclass(frozen=True)
class Texels:
    """The texels whose centres lie in a chart, row by row."""

    place: Int64[np.ndarray, " n"]  # row * size + column
    points: Float32[np.ndarray, "n 3"]  # metres, world frame
    normals: Float32[np.ndarray, "n 3"]  # out of the surface; not quite unit between vertices
    colors: Float32[np.ndarray, "n 3"]  # of the vertices, interpolated


def surface_texels(mesh: TexturedMesh, size: int) -> Texels:
    """The texels of a square texture of `size` for the mesh's atlas; its own texture is not looked at."""
    faces = np.ascontiguousarray(mesh.faces.numpy(), np.int32)
    flat = np.concatenate([mesh.uv.numpy() * size, np.ones((len(mesh.uv), 1))], 1).astype(np.float32)
    drawn, depth = np.full((size, size), -1, np.int32), np.empty((size, size), np.float32)
    in_bands(lambda top, bottom: draw_nearest(flat, faces, top, bottom, drawn, depth), size)
    place = np.flatnonzero(drawn.ravel() >= 0)
    vertices = mesh.vertices.numpy()
    values = np.concatenate(
        [vertices, shared_normals(vertices, mesh.faces.numpy()), mesh.colors.numpy()], 1
    ).astype(np.float32)
    found = np.empty((len(place), 9), np.float32)
    in_bands(
        lambda start, stop: _interpolate(start, stop, place, drawn, flat, faces, values, found), len(place)
    )
    return Texels(place, *(np.ascontiguousarray(found[:, k : k + 3]) for k in (0, 3, 6)))


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _interpolate(
    start: int,
    stop: int,
    place: Int64[np.ndarray, " n"],
    drawn: Int32[np.ndarray, "t t"],
    flat: Float32[np.ndarray, "v 3"],
    faces: Int32[np.ndarray, "f 3"],
    values: Float32[np.ndarray, "v k"],
    found: Float32[np.ndarray, "n k"],
):  # pragma: no cover - compiled
    """Values of the vertices at the centres of texels start to stop - 1."""
    size = drawn.shape[1]
    for i in range(start, stop):
        y, x = place[i] // size, place[i] % size
        face = faces[drawn[y, x]]
        wa, wb, wc = barycentric(flat, face, x, y)
        for k in range(values.shape[1]):
            found[i, k] = wa * values[face[0], k] + wb * values[face[1], k] + wc * values[face[2], k]
