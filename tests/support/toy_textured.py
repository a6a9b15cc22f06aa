"""Small textured meshes: a tetrahedron with an atlas by hand, and a ball coloured smoothly by position."""

from __future__ import annotations

import functools

import numpy as np
import torch
import trimesh

from tests.pipeline.formats.test_glb import COLORS, FACES, VERTICES
from turnaround.models.mesh.surface import Surface
from turnaround.models.texture.atlas import unwrap
from turnaround.models.texture.bake import bake
from turnaround.pipeline.values.types import TexturedMesh

RADIUS = 0.4


def tetrahedron() -> TexturedMesh:
    """Four vertices, seams ignored; a picture of slow colours."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    uv = torch.tensor([[0.5, 0.5], [0.1, 0.1], [0.9, 0.1], [0.5, 0.9]])
    return TexturedMesh(VERTICES, FACES, COLORS, uv, torch.stack([x, y, 0.5 + 0 * x], -1))


def smooth(points: torch.Tensor) -> torch.Tensor:
    """A colour for every place of the ball: points (n, 3) in metres -> sRGB (n, 3)."""
    return 0.5 + 0.45 * torch.sin(5 * points + torch.tensor([0.0, 1.0, 2.0]))


@functools.cache
def ball(size: int = 256, subdivisions: int = 3) -> TexturedMesh:
    """A ball with an atlas, its colours and texture `smooth`."""
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=RADIUS)
    atlas = unwrap(Surface(np.asarray(sphere.vertices), np.asarray(sphere.faces)))
    vertices = torch.tensor(np.asarray(sphere.vertices)[atlas.origin], dtype=torch.float32)
    bare = TexturedMesh(
        vertices,
        torch.from_numpy(atlas.faces),
        smooth(vertices),
        torch.from_numpy(atlas.uv),
        torch.ones(1, 1, 3),
    )
    return bake(bare, [], size)
