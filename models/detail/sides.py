"""Pictures of the sides: what front and back show of them, and the ring between, which neither does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from turnaround.models.detail.carrying import carried
from turnaround.models.detail.panel import Panel
from turnaround.models.detail.sight import Sight, look
from turnaround.models.mesh.painting import spread
from turnaround.models.mesh.surface import Surface, mean_of_neighbours
from turnaround.pipeline.values.camera import framed, orbit_cameras, project
from turnaround.pipeline.values.crop import window
from turnaround.pipeline.values.types import Camera, View


@dataclass(frozen=True)
class Side:
    """A picture of a side before its ring is filled."""

    camera: Camera  # of the whole, square picture
    corner: tuple[int, int]  # row and column of it where what follows begins
    sight: Sight  # of the part that holds the surface
    image: Float[np.ndarray, "h w 3"]  # what is carried; elsewhere the surface's own colours; white off it
    known: Bool[np.ndarray, "h w"]  # where it is carried


def close_camera(surface: Surface, azimuth: float, size: int) -> Camera:
    """A camera from an azimuth in degrees that the surface fills, square."""
    wide = orbit_cameras([azimuth], size)[0]
    pixels, _ = project(torch.from_numpy(surface.vertices).float(), wide)
    low, high = pixels.amin(0).tolist(), pixels.amax(0).tolist()
    return framed(wide, (low[0], low[1], high[0], high[1]), size)


def vertex_colors(
    panels: Sequence[Panel], surface: Surface, own: Float[np.ndarray, "v 3"], trust: float = 0.05
) -> Float[np.ndarray, "v 3"]:
    """Colours of the vertices as the pictures show them; those that none shows take their neighbours', the
    surface's own a little.

    Args:
        panels: pictures on the surface.
        surface: whose vertices.
        own: their colours so far.
        trust: weight of `own` beside a picture that looks straight on.
    """
    colors, weight = carried(panels, surface.vertices, surface.normals)
    flowed = spread(colors * weight[:, None], weight, mean_of_neighbours(surface), rounds=200).numpy()
    far = weight < 1e-4
    return np.where(far[:, None], (1 - trust) * flowed + trust * own, flowed).astype(np.float32)


def side(panels: Sequence[Panel], surface: Surface, colors: Float[np.ndarray, "v 3"], camera: Camera) -> Side:
    """The picture from a square camera as far as other pictures show it."""
    corner, camera_of_part = _part(surface, camera)
    sight = look(surface, camera_of_part)
    hit = sight.hit
    image = np.ones((*hit.shape, 3), np.float32)
    image[hit] = (colors[surface.faces[sight.face[hit]]] * sight.bary[hit][..., None]).sum(-2)
    carried_colors, weight = carried(panels, sight.points()[hit], sight.normal[hit])
    known = np.zeros(hit.shape, bool)
    known[hit] = weight > 1e-4
    image[known] = carried_colors[weight > 1e-4]
    return Side(camera, corner, sight, image, known)


def as_view(side: Side, image: Float[np.ndarray, "h w 3"]) -> View:
    """A finished picture of a side as a square view over white."""
    size, (top, left) = side.camera.width, side.corner
    picture, mask = torch.ones(size, size, 3), torch.zeros(size, size)
    part = (slice(top, top + image.shape[0]), slice(left, left + image.shape[1]))
    hit = torch.from_numpy(side.sight.hit).float()
    picture[part] = (
        torch.from_numpy(np.ascontiguousarray(image)).float().clamp(0, 1) * hit[..., None]
        + 1
        - hit[..., None]
    )
    mask[part] = hit
    return View(picture, mask, side.camera)


def _part(surface: Surface, camera: Camera, margin: int = 8) -> tuple[tuple[int, int], Camera]:
    """Row and column where the part of a picture that holds the surface begins, and its camera."""
    pixels, _ = project(torch.from_numpy(surface.vertices).float(), camera)
    left, top = (max(0, int(low) - margin) for low in pixels.amin(0).tolist())
    right, bottom = (min(camera.width, int(high) + 1 + margin) for high in pixels.amax(0).tolist())
    return (top, left), window(camera, left, top, right, bottom)
