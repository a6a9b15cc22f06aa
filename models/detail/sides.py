"""Pictures of the sides: what front and back show of them, and the ring between, which neither does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from models.detail.carrying import carried
from models.detail.panel import Panel
from models.detail.sight import Sight, look
from models.painting import spread
from models.silhouette.normals import vertex_normals
from models.surface import Surface, mean_of_neighbours
from pipeline.camera import framed, orbit_cameras, project
from pipeline.types import Camera, View


@dataclass(frozen=True)
class Side:
    """A picture of a side before its ring is filled."""

    sight: Sight
    image: Float[np.ndarray, "h w 3"]  # what is carried; elsewhere the surface's own colours; white off it
    known: Bool[np.ndarray, "h w"]  # where it is carried


Fill = Callable[[Side], Float[np.ndarray, "h w 3"]]


def close_camera(surface: Surface, azimuth: float, size: int) -> Camera:
    """A camera from an azimuth in degrees that the surface fills."""
    wide = orbit_cameras([azimuth], size)[0]
    pixels, _ = project(torch.from_numpy(surface.vertices).float(), wide)
    low, high = pixels.amin(0).tolist(), pixels.amax(0).tolist()
    return framed(wide, (low[0], low[1], high[0], high[1]), size)


def vertex_colors(
    panels: Sequence[Panel], surface: Surface, own: Float[np.ndarray, "v 3"], trust: float = 0.05
) -> Float[np.ndarray, "v 3"]:
    """Colours of the vertices as the pictures show them; those that none shows take their neighbours', the surface's own a little.

    Args:
        panels: pictures on the surface.
        surface: whose vertices.
        own: their colours so far.
        trust: weight of `own` beside a picture that looks straight on.
    """
    vertices = torch.from_numpy(surface.vertices).float()
    normals = vertex_normals(vertices, torch.from_numpy(np.ascontiguousarray(surface.faces, np.int64))).numpy()
    colors, weight = carried(panels, surface.vertices, normals)
    flowed = spread(colors * weight[:, None], weight, mean_of_neighbours(surface), rounds=200).numpy()
    far = weight < 1e-4
    return np.where(far[:, None], (1 - trust) * flowed + trust * own, flowed).astype(np.float32)


def side(panels: Sequence[Panel], surface: Surface, colors: Float[np.ndarray, "v 3"], camera: Camera) -> Side:
    """The picture from a camera as far as other pictures show it."""
    sight = look(surface, camera)
    hit = sight.hit
    image = np.ones((*hit.shape, 3))
    image[hit] = interpolated(sight, surface, colors)[hit]
    carried_colors, weight = carried(panels, sight.points()[hit], sight.normal[hit])
    known = np.zeros(hit.shape, bool)
    known[hit] = weight > 1e-4
    image[known] = carried_colors[weight > 1e-4]
    return Side(sight, image, known)


def as_view(side: Side, image: Float[np.ndarray, "h w 3"]) -> View:
    """A finished picture of a side as a view over white."""
    mask = torch.from_numpy(side.sight.hit).float()
    picture = torch.from_numpy(np.ascontiguousarray(image)).float().clamp(0, 1)
    return View(picture * mask[..., None] + 1 - mask[..., None], mask, side.sight.camera)


def interpolated(sight: Sight, surface: Surface, values: Float[np.ndarray, "v c"]) -> Float[np.ndarray, "h w c"]:
    """Vertex values at the pixels; meaningless off the surface."""
    return (values[surface.faces[sight.face]] * sight.bary[..., None]).sum(-2)
