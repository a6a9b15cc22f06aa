"""Where a person's eyes, nose and mouth are on their mesh: the photo's landmarks as places on triangles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Camera, TexturedMesh

CONTOUR = 17  # landmarks of the record that lie on the face's outline, which the body does not name
LEAST = 30  # landmarks on the mesh, of 51: fewer are no face


@dataclass(frozen=True)
class FacePlaces:
    """Landmarks of a face on a mesh, whose vertices may move."""

    numbers: Int[np.ndarray, " k"]  # of `BodyModel.face_landmarks`
    corners: Int[np.ndarray, "k 3"]  # vertices of the triangle that each lies on
    shares: Float[np.ndarray, "k 3"]  # of these vertices, sum 1

    def on(self, vertices: Float[Tensor, "v 3"]) -> Float[np.ndarray, "k 3"]:
        """Where the landmarks are, metres."""
        return np.einsum("kc,kcd->kd", self.shares, vertices.double().numpy()[self.corners])


def face_places(landmarks: Mapping[str, Any], camera: Camera, mesh: TexturedMesh) -> FacePlaces | None:
    """Find the landmarks of a photo on the mesh that stands as in it; None where its face is not seen.

    Args:
        landmarks: the record of `models.landmarks`, in pixels of the camera.
        camera: the photo's.
        mesh: in the photo's pose, world frame.
    """
    face = landmarks.get("face")
    if face is None:
        return None
    pixels, depth = project(mesh.vertices, camera)
    seen = torch.cat([pixels.reshape(-1, 2), depth.reshape(-1, 1)], 1).float().numpy()
    faces = mesh.faces.numpy()
    ids, shares, _ = rasterize_mesh(seen, faces, camera.height, camera.width)
    column, row = np.array(face["points"], np.float64)[CONTOUR:, :2].T.astype(int)
    inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    inside[inside] = ids[row[inside], column[inside]] >= 0
    if inside.sum() < LEAST:
        return None
    at = row[inside], column[inside]
    return FacePlaces(np.flatnonzero(inside), faces[ids[at]].astype(np.int64), shares[at].astype(np.float64))
