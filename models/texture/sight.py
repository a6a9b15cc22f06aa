"""What a picture can be asked of a surface: how far the surface is at each pixel, and how much the pixel is
believed."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from scipy import ndimage

from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Camera, TexturedMesh, View

JUMP = 0.03  # metres between neighbouring pixels from which on one thing stands before another
INSIDE = 0.9  # a pixel whose mask is less holds background


def seen_depth(mesh: TexturedMesh, camera: Camera) -> Float32[np.ndarray, "h w"]:
    """Metres along the camera's axis to the mesh, 0 where it is not."""
    pixels, depth = project(mesh.vertices, camera)
    uvz = torch.cat([pixels, depth[..., None]], -1).numpy()
    return rasterize_mesh(uvz, mesh.faces.numpy(), camera.height, camera.width)[2]


def trust(view: View, depth: Float32[np.ndarray, "h w"], rim: float) -> Float32[np.ndarray, "h w"]:
    """[0, 1]: rises over `rim` pixels from the mask's edge, and from where one thing stands close before
    another.

    There the surface is some pixels beside what the picture shows, so that colours of one would land on the
    other.
    """
    unsure = view.mask.numpy() < INSIDE
    nearest = ndimage.minimum_filter(np.where(depth > 0, depth, np.inf), 3)
    unsure |= depth - nearest > JUMP  # the far side of a line: what is in front is whole
    rows, columns = np.flatnonzero(~unsure.all(1)), np.flatnonzero(~unsure.all(0))
    found = np.zeros(depth.shape, np.float32)
    if len(rows):
        box = slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)
        found[box] = np.minimum(np.asarray(ndimage.distance_transform_edt(~unsure[box])) / max(rim, 1e-6), 1)
    return found
