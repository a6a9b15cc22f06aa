"""Sums of face normals at the vertices of a mesh in NumPy: the order of the sums is that of written files."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Integer


def summed_normals(
    vertices: Float[np.ndarray, "v 3"], faces: Integer[np.ndarray, "f 3"]
) -> Float64[np.ndarray, "v 3"]:
    """Sum the normals of each vertex's faces, each as long as twice its area; 0 without a face."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    across, total = np.cross(b - a, c - a), np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(total, faces[:, corner], across)
    return total
