"""Flat pictures of the person at rest, with what guides a search for the like of their pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int8
from scipy import ndimage

from turnaround.models.exemplar.sheet import Sheet
from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.pipeline.values.types import TexturedMesh

FAR = 50.0  # metres from which pictures are taken: parallel but for some thousandths
RIM = 2  # pixels about what was added that limbs which touched have stained
FACING = 0.35  # cosine below which a texture is too oblique to be copied
SIGMAS = (2, 4, 8, 16, 32)  # pixels over which unknown pixels take colours
FALL = 4  # power of a sigma by which the wider ones count less


class Person(NamedTuple):
    """The mesh at rest as pictures are drawn of it."""

    vertices: Float32[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    normals: Float32[np.ndarray, "v 3"]
    uv: Float32[np.ndarray, "v 2"]
    parts: Int8[np.ndarray, " v"]  # `exemplar.parts.PARTS`
    added: Bool[np.ndarray, " f"]  # faces that no picture has seen
    texture: Float32[np.ndarray, "t t 3"]
    centres: Float32[np.ndarray, "f 3"]  # of the faces
    directions: Float32[np.ndarray, "f 3"]  # unit, out of them


def person_of(mesh: TexturedMesh, parts: Int8[np.ndarray, " v"], first: int) -> Person:
    """The arrays of a mesh whose faces from `first` on were added."""
    added = np.arange(len(mesh.faces)) >= first
    normals = vertex_normals(mesh.vertices, mesh.faces).numpy()
    vertices, faces, uv, texture = (
        tensor.numpy() for tensor in (mesh.vertices, mesh.faces, mesh.uv, mesh.texture)
    )
    a, b, c = vertices[faces.T]
    across = np.cross(b - a, c - a)
    directions = across / np.linalg.norm(across, axis=1, keepdims=True).clip(1e-12)
    return Person(vertices, faces, normals, uv, parts, added, texture, (a + b + c) / 3, directions)


def drawn(
    person: Person,
    chosen: Int[np.ndarray, " n"],
    axes: Float32[np.ndarray, "3 3"],
    corner: Float[np.ndarray, "2"],
    shape: tuple[int, int],
    step: float,
) -> Sheet:
    """A parallel picture of some faces.

    Args:
        person: at rest.
        chosen: numbers of the faces.
        axes: right, down and forward.
        corner: where the picture's upper left corner lies along the first two, metres.
        shape: rows and columns.
        step: metres of a pixel.
    """
    used, faces = np.unique(person.faces[chosen], return_inverse=True)
    faces = faces.reshape(-1, 3)
    places = person.vertices[used] @ axes.T
    flat = np.concatenate([(places[:, :2] - corner) / step, places[:, 2:] + FAR], 1).astype(np.float32)
    face, bary, _ = rasterize_mesh(flat, faces, *shape)
    hit = face >= 0
    corners, share = used[faces[face[hit]]], bary[hit][..., None]

    def at(values: np.ndarray) -> np.ndarray:
        found = np.zeros((*shape, values.shape[1]), np.float32)
        found[hit] = (values[corners] * share).sum(1)
        return found

    normal = at(person.normals)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True).clip(1e-6)
    seen = np.zeros(shape, bool)
    seen[hit] = ~person.added[chosen[face[hit]]]
    stained = np.asarray(ndimage.binary_dilation(hit & ~seen, iterations=RIM), bool)
    known = seen & ~stained & (normal @ axes[2] < -FACING)
    part = np.zeros(shape, np.int8)
    part[hit] = person.parts[corners[np.arange(len(corners)), bary[hit].argmax(-1)]]
    column, row = np.moveaxis((at(person.uv) * len(person.texture)).astype(int), -1, 0)
    last = len(person.texture) - 1
    picture = person.texture[row.clip(0, last), column.clip(0, last)]
    position = at(person.vertices) * np.array([1, -1, -1], np.float32)
    return Sheet(picture, picture, position, part, normal, hit, known)


def smoothed(sheet: Sheet) -> Sheet:
    """The sheet whose unknown pixels have the colours of known ones about them, the near ones most; their own
    where none is within reach."""
    weight = sheet.known.astype(np.float32)
    inked = np.concatenate([sheet.picture * weight[..., None], weight[..., None]], -1)
    total = np.concatenate([sheet.picture, np.ones_like(sheet.picture[..., :1])], -1) * np.float32(1e-9)
    for sigma in SIGMAS:
        total += np.float32(sigma) ** -FALL * ndimage.gaussian_filter(inked, (sigma, sigma, 0), truncate=2.5)
    slow = np.where(sheet.known[..., None], sheet.picture, total[..., :3] / total[..., 3:])
    return sheet.replace(slow=slow, picture=slow)
