"""A surface cut into flat charts and laid into one square: the texture coordinates of its corners
(xatlas)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int

from turnaround.models.mesh.surface import Surface

RESOLUTION = 2048  # texels for which the space between charts is given
_COARSER = 4  # the charts are laid out in cells of so many texels, which takes a third of the time
_FACES = 2500  # of a part: the time to find charts grows faster than the number of faces


@dataclass(frozen=True)
class Atlas:
    """Where each corner of a surface lies in a texture. Vertices at seams are there once a chart."""

    origin: Int[np.ndarray, " v"]  # of each vertex: the surface's vertex that it is a copy of
    faces: Int[np.ndarray, "f 3"]  # the surface's faces in their order, of the new vertices
    uv: Float32[np.ndarray, "v 2"]  # [0, 1]; the origin is the texture's upper left corner


def unwrap(surface: Surface, padding: int = 8) -> Atlas:
    """Charts of little distortion that do not overlap.

    The surface is cut into level parts first, each with its own charts. xatlas holds the interpreter
    meanwhile: .5 s for 20,000 faces on one core, where one part and single texels take 2 s and find as many
    charts.

    Args:
        surface: metres; faces without an area are laid anywhere.
        padding: texels between two charts in a texture of RESOLUTION.

    Raises:
        ValueError: a surface without faces, or with vertices that are not finite.
    """
    import xatlas

    if not len(surface.faces) or not np.isfinite(surface.vertices).all():
        raise ValueError(f"an atlas needs faces and finite vertices, got {len(surface.faces)} faces")
    maker = xatlas.Atlas()
    used = []
    parts = _level_parts(surface)
    for faces in parts:
        vertices, corners = np.unique(surface.faces[faces], return_inverse=True)
        maker.add_mesh(
            surface.vertices[vertices].astype(np.float32), corners.reshape(-1, 3).astype(np.uint32)
        )
        used.append(vertices)
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding = RESOLUTION // _COARSER, -(-padding // _COARSER)
    maker.generate(xatlas.ChartOptions(), pack)
    return _joined([maker[k] for k in range(len(parts))], used, parts)


def _level_parts(surface: Surface) -> list[Int[np.ndarray, " _"]]:
    """Numbers of the faces of each part, from the highest to the lowest, about equally many."""
    height = surface.vertices[surface.faces, 1].sum(1)
    return np.array_split(np.argsort(height, kind="stable"), -(-len(height) // _FACES))


def _joined(made: list[tuple[np.ndarray, ...]], used: list[np.ndarray], parts: list[np.ndarray]) -> Atlas:
    """One atlas of the parts' (origin, faces, uv), with the surface's faces in their order."""
    faces = np.empty((sum(map(len, parts)), 3), np.int64)
    first = 0
    for (origin, corners, _), part in zip(made, parts, strict=True):
        faces[part] = corners.astype(np.int64) + first
        first += len(origin)
    origins = np.concatenate([vertices[origin] for (origin, _, _), vertices in zip(made, used, strict=True)])
    uv = np.concatenate([uv for _, _, uv in made]).clip(0, 1)
    return Atlas(origins.astype(np.int64), faces, np.ascontiguousarray(uv, np.float32))
