"""A mesh in parts of one colour each: what viser moves has no texture, and what has one it cannot move."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.cluster.vq import kmeans, vq

from turnaround.pipeline.values.types import TexturedMesh

COLORS = 64  # parts of a person: a message each, for every pose
_SAMPLES = 4000  # faces whose colours k-means looks at
_SETTLED = 1e-3  # of colours' mean distance: what k-means still gains when it ends
_INSIDE = np.array([[4, 1, 1], [1, 4, 1], [1, 1, 4], [2, 2, 2]]) / 6  # places on a face that tell its colour


class Facet(NamedTuple):
    """Faces of nearly one colour."""

    color: tuple[int, int, int]  # sRGB
    vertices: Int[np.ndarray, " v"]  # of the mesh, rising
    faces: Int[np.ndarray, "f 3"]  # into `vertices`

    def of(self, vertices: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "v 3"]:
        """Its vertices out of those of the mesh."""
        return vertices[self.vertices]


def facets(mesh: TexturedMesh, count: int = COLORS) -> list[Facet]:
    """Parts of a mesh, at most `count`; each face is in one, in the colour nearest to its mean."""
    faces = mesh.faces.numpy()
    colors = face_colors(mesh)
    some = colors[:: -(-len(colors) // _SAMPLES)]
    start = np.unique(some[np.linspace(0, len(some) - 1, count).astype(int)], axis=0)
    centres, _ = kmeans(some, start, thresh=_SETTLED)
    nearest, _ = vq(colors, centres)
    found = []
    for number, centre in enumerate(centres):
        chosen = faces[nearest == number]
        if len(chosen):
            vertices, local = np.unique(chosen, return_inverse=True)
            red, green, blue = np.rint(centre.clip(0, 1) * 255).astype(int).tolist()
            found.append(Facet((red, green, blue), vertices, local.reshape(-1, 3)))
    return found


def face_colors(mesh: TexturedMesh) -> Float[np.ndarray, "f 3"]:
    """The mean colour of the texture on each face."""
    size = mesh.texture.shape[0]
    uv = _INSIDE @ mesh.uv.double().numpy()[mesh.faces.numpy()]
    column, row = np.moveaxis(np.floor(uv * size).astype(int).clip(0, size - 1), -1, 0)
    return mesh.texture.numpy()[row, column].astype(np.float64).mean(1)
