"""Closed holes cut into pieces that are seen whole from one side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

LEVEL = 0.4  # cosine to a piece's first triangle that its others have at least
LEAST = 2e-4  # square metres of a piece
STEEP = 0.8  # of a direction's length along the vertical, beyond which the body's width is the picture's


class Chart(NamedTuple):
    """Triangles and the axes of a picture of them."""

    faces: Int[np.ndarray, " k"]
    axes: Float[np.ndarray, "3 3"]  # rows: right, down and into the picture, in the frame of the rest pose


def charts(corners: Float[np.ndarray, "t 3 3"]) -> list[Chart]:
    """Each triangle in one piece at most: the largest that is left, and what hangs together with it and faces
    alike. Pieces of less than LEAST are left out; the others come as found, the large ones first.

    corners: each triangle's own; those of neighbours are equal. Rest pose, metres.
    """
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(across, axis=1)
    normals = across / (area[:, None] + 1e-12)
    beside = _neighbours(corners)
    free = np.ones(len(corners), bool)
    found = []
    for first in np.argsort(-area, kind="stable"):
        if not free[first]:
            continue
        piece, todo = [], [int(first)]
        free[first] = False
        while todo:
            face = todo.pop()
            piece.append(face)
            for other in beside[face]:
                if free[other] and normals[other] @ normals[first] > LEVEL:
                    free[other] = False
                    todo.append(other)
        faces = np.sort(np.array(piece))
        if area[faces].sum() / 2 >= LEAST:
            found.append(Chart(faces, axes_towards(across[faces].sum(0))))
    return found


def axes_towards(normal: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Right, down and forward of a picture that looks against a direction, upright as pictures from around
    are."""
    forward = -normal / np.linalg.norm(normal)
    if abs(forward[1]) > STEEP:
        right = np.array([1.0, 0, 0]) - forward[0] * forward
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])
    down = np.array([0, 1.0, 0]) - forward[1] * forward
    down /= np.linalg.norm(down)
    return np.stack([np.cross(down, forward), down, forward])


def _neighbours(corners: Float[np.ndarray, "t 3 3"]) -> list[list[int]]:
    """Triangles that share an edge with each, in order."""
    ids = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)[1].reshape(-1, 3)
    at: dict[tuple[int, int], list[int]] = {}
    for face, (a, b, c) in enumerate(ids.tolist()):
        for edge in ((a, b), (b, c), (c, a)):
            at.setdefault((min(edge), max(edge)), []).append(face)
    beside: list[list[int]] = [[] for _ in range(len(corners))]
    for faces in at.values():
        for face in faces:
            beside[face] += [other for other in faces if other != face]
    return beside
