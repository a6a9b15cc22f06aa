"""Sums of face normals at the vertices of a mesh (numba), for what is drawn and compared many times."""

from __future__ import annotations

import numba


@numba.njit(cache=True, error_model="numpy", nogil=True)
def add_face_normals(points, faces, across):  # pragma: no cover - compiled
    """Add every face's normal, as long as twice its area, to its corners."""
    for k in range(len(faces)):
        a, b, c = faces[k, 0], faces[k, 1], faces[k, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            across[corner, 0] += x
            across[corner, 1] += y
            across[corner, 2] += z
