"""The edges of a triangle mesh with the faces on both sides; what a silhouette is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32


@dataclass(frozen=True)
class MeshEdges:
    """Topology of a mesh, computed once and used for every pose and camera."""

    faces: Int32[np.ndarray, "f 3"]
    ends: Int32[np.ndarray, "e 2"]  # the two vertices of each edge
    sides: Int32[np.ndarray, "e 2"]  # the faces left and right; -1 in the second column at a border
    opposite: Int32[np.ndarray, " e"]  # the third vertex of the first face


def mesh_edges(faces: Int[np.ndarray, "f 3"]) -> MeshEdges:
    """The unique edges of `faces`.

    An edge shared by more than two faces keeps its first two; a body has none.

    Raises:
        ValueError: `faces` is not (f, 3).
    """
    faces = np.ascontiguousarray(faces, np.int32)
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"faces must be (faces, 3), got {faces.shape}")
    half = np.concatenate(
        [faces[:, [0, 1, 2]], faces[:, [1, 2, 0]], faces[:, [2, 0, 1]]]
    )  # start, end, opposite
    face = np.tile(np.arange(len(faces), dtype=np.int32), 3)
    ends, inverse = np.unique(np.sort(half[:, :2], axis=1), axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    edge = inverse.ravel()[order]
    first = np.searchsorted(edge, np.arange(len(ends)))
    count = np.bincount(edge, minlength=len(ends))
    second = np.where(count > 1, face[order[np.minimum(first + 1, len(order) - 1)]], -1)
    sides = np.stack([face[order[first]], second], 1)
    return MeshEdges(
        faces, ends.astype(np.int32), sides.astype(np.int32), half[order[first], 2].astype(np.int32)
    )
