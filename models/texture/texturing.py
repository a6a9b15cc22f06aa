"""A mesh in a texture of its pictures: fewer faces, an atlas, its texels baked; and what is shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from turnaround.models.mesh.view import textured_pictures
from turnaround.models.previews import previews
from turnaround.models.texture.bake import bake
from turnaround.models.texture.unwrapped import unwrapped
from turnaround.pipeline.values.types import Mesh, TexturedMesh, View

ATLAS_PICTURE = 1024  # texels of the picture for people; the files beside the mesh hold all of them


class NoTexture(ValueError):
    """The mesh cannot be unwrapped."""


def textured(
    mesh: Mesh, views: Sequence[tuple[View, float]], *, size: int, faces: int, padding: int
) -> TexturedMesh:
    """Bake pictures into the texture of a simpler mesh.

    Args:
        mesh: in front of the views' cameras, with vertex colours for what none sees.
        views: pictures and their weights.
        size: texels of a side.
        faces: of the textured mesh, at most.
        padding: texels of 2,048 between two charts.

    Raises:
        NoTexture: a mesh without faces.
    """
    try:
        bare = unwrapped(mesh, faces, padding)
    except ValueError as error:
        raise NoTexture(str(error)) from error
    return bake(bare, views, size)


def atlas_picture(mesh: TexturedMesh) -> Float[Tensor, "h w 3"]:
    """Average the texture down to at most ATLAS_PICTURE texels a side."""
    step = max(1, mesh.texture.shape[0] // ATLAS_PICTURE)
    return avg_pool2d(mesh.texture.permute(2, 0, 1), step).permute(1, 2, 0)


def textured_previews(mesh: TexturedMesh, size: int) -> dict[str, Tensor]:
    """Draw the mesh from four sides, named by azimuth."""
    return previews(mesh.vertices, partial(textured_pictures, mesh), size)
