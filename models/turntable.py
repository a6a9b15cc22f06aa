"""The result from all sides: a film of it turning, the photo in its corner, and a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from turnaround.models.film import as_bytes
from turnaround.models.mesh.view import mesh_pictures, textured_pictures
from turnaround.models.splat.fine import rasterize_fine
from turnaround.pipeline.formats.preview import contact_sheet, paste, person_cut_out, trimmed
from turnaround.pipeline.formats.video import encode
from turnaround.pipeline.values.close_orbit import close_orbit
from turnaround.pipeline.values.types import Camera, Gaussians, Mesh, TexturedMesh, View

CHUNK = 6  # frames that are in memory at a time


def film(
    gaussians: Gaussians,
    mesh: TexturedMesh,
    view: View,
    device: torch.device,
    *,
    frames: int,
    fps: int,
    size: int,
    inset: float,
    elevation: float,
    both: bool,
) -> bytes:
    """Encode one turn as MP4.

    Args:
        gaussians, mesh: the result, world frame, metres.
        view: the person in the photo, whose picture stands in the corner.
        device: where the Gaussians are drawn.
        frames, fps: of one turn, and a second.
        size: pixels of the square film, or of each of its halves.
        inset: share of the film's side that the photo has; 0: none.
        elevation: degrees from which the camera looks down.
        both: the mesh turns beside the Gaussians.
    """
    azimuths = [360.0 * k / frames for k in range(frames)]
    cameras = close_orbit(mesh.vertices, azimuths, size, elevation=elevation)
    person = person_cut_out(view.image, view.mask, round(inset * size))

    def pictures() -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for start in range(0, frames, CHUNK):
            some = cameras[start : start + CHUNK]
            halves = [paste(_splat(gaussians, some, device, 1), person)]  # fine enough at its size
            if both:
                halves.append(textured_pictures(mesh, some, supersample=1))
            yield from np.concatenate([as_bytes(half) for half in halves], 2) if both else as_bytes(halves[0])

    return encode(pictures(), fps=fps)


def sheet(
    gaussians: Gaussians,
    mesh: Mesh,
    textured: TexturedMesh,
    device: torch.device,
    *,
    size: int,
    views: int,
) -> Float[Tensor, "h w 3"]:
    """Draw rows of Gaussians, mesh in its texture, and its normals.

    Args:
        gaussians, mesh, textured: the result, world frame, metres.
        device: where the Gaussians are drawn.
        size: pixels of a cell before white is cut away.
        views: azimuths.
    """
    azimuths = [360.0 * k / views for k in range(views)]
    cameras = close_orbit(mesh.vertices, azimuths, size)
    rows = {
        "Gaussians": _splat(gaussians, cameras, device, 4),
        "mesh": textured_pictures(textured, cameras),
        "normals": mesh_pictures(mesh, cameras, "normals"),
    }
    labels = [f"{row} {azimuth:.0f}" for row in rows for azimuth in azimuths]
    return contact_sheet(list(trimmed(torch.cat(list(rows.values())))), labels, columns=views, tight=True)


def _splat(
    gaussians: Gaussians, cameras: Camera, device: torch.device, most: int
) -> Float[Tensor, "c h w 3"]:
    return rasterize_fine(gaussians.to(device), cameras.to(device), most=most).rgb.cpu()
