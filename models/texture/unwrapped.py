"""A mesh made ready for a texture: fewer faces, an atlas, and the colours of the vertices that it had."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import KDTree

from turnaround.models.mesh.surface import Surface, decimate
from turnaround.models.texture.atlas import unwrap
from turnaround.pipeline.values.types import Mesh, TexturedMesh


def unwrapped(mesh: Mesh, faces: int, padding: int) -> TexturedMesh:
    """The mesh with at most `faces` faces, split along the seams of its atlas; its texture is one white
    texel.

    padding: see `unwrap`. ValueError for a mesh without faces.
    """
    vertices = mesh.vertices.double().numpy()
    surface = decimate(Surface(vertices, mesh.faces.numpy()), faces)
    atlas = unwrap(surface, padding)
    _, nearest = KDTree(vertices).query(surface.vertices[atlas.origin])
    return TexturedMesh(
        torch.from_numpy(surface.vertices[atlas.origin].astype(np.float32)),
        torch.from_numpy(atlas.faces),
        mesh.colors[torch.from_numpy(nearest)],
        torch.from_numpy(atlas.uv),
        torch.ones(1, 1, 3),
    )
