"""From Gaussians to a painted mesh: depth views, TSDF, decimation, the normals of both sides, the photo's
outline (HGM, section 3.5)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.detail.outline import snap_outline
from turnaround.models.mesh.config import ExtractionConfig
from turnaround.models.mesh.painting import paint
from turnaround.models.mesh.refine import NormalTargets, refine_to_normals
from turnaround.models.mesh.surface import (
    Surface,
    components,
    decimate,
    describe,
    largest_component,
    smooth,
)
from turnaround.models.mesh.tsdf import DepthViews, fuse_depth, render_depth_views
from turnaround.models.mesh.view import mesh_pictures
from turnaround.models.previews import previews
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.formats.normal_image import decode_normals
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Gaussians, Mesh, View

NormalPictures = tuple[Float[Tensor, "h w 4"], Float[Tensor, "h w 4"]]


class NoMesh(ValueError):
    """The Gaussians show no surface."""


def extract_mesh(
    gaussians: Gaussians, photo: View, normals: NormalPictures, config: ExtractionConfig
) -> tuple[Mesh, dict[str, Any]]:
    """Extract the person's surface, closed, decimated, refined and painted.

    Args:
        gaussians: of one person around the origin; the depth views are rendered where they are.
        photo: whose mask is the outline.
        normals: front and back as `encode_normals` writes them.
        config: the settings.

    Returns:
        the mesh, and a report: what was extracted, `describe` of the result, L1 of the normals before and
        after.

    Raises:
        NoMesh: no view shows a surface.
    """
    views = render_depth_views(gaussians, config.depth_size, layers=config.layers)
    surface, report = _extracted(views, config)
    if config.normals and config.iterations:
        targets = normal_targets(*normals)
        refined, trace = refine_to_normals(
            surface, targets, iterations=config.iterations, laplacian=config.laplacian
        )
        surface = smooth(refined, config.smoothing)  # what the normals' noise left
        report["normal_l1"] = [trace[0], trace[-1]]
    if config.outline:
        surface = snap_outline(surface, photo)
    mesh = Mesh(
        torch.from_numpy(surface.vertices).float(), torch.from_numpy(surface.faces), paint(surface, views)
    )
    return mesh, {**describe(surface), **report}


def _extracted(views: DepthViews, config: ExtractionConfig) -> tuple[Surface, dict[str, Any]]:
    try:
        raw = fuse_depth(views, voxel=config.voxel, truncation=config.truncation)
    except ValueError as error:
        raise NoMesh(str(error)) from error
    surface = smooth(largest_component(raw), config.smoothing)
    if len(surface.faces) > config.faces:  # decimation may part what hung by a thread
        surface = largest_component(decimate(surface, config.faces))
    return surface, {"extracted": {"faces": len(raw.faces), "components": int(components(raw).max()) + 1}}


def normal_targets(front: Tensor, back: Tensor) -> NormalTargets:
    """Read normal pictures, (h, w, 4), as seen by the cameras at 0 and 180 degrees; CallError for others."""
    if front.shape != back.shape or front.ndim != 3 or front.shape[-1] != 4:
        raise CallError(
            f"normal pictures must both be (h, w, 4), got {tuple(front.shape)} and {tuple(back.shape)}"
        )
    cameras = orbit_cameras([0.0, 180.0], front.shape[0])
    decoded = [
        decode_normals(picture, camera)
        for picture, camera in zip((front, back), (cameras[0], cameras[1]), strict=True)
    ]
    return NormalTargets(
        cameras,
        torch.stack([normals for normals, _ in decoded]),
        torch.stack([alpha for _, alpha in decoded]),
    )


def mesh_previews(mesh: Mesh, size: int) -> dict[str, Tensor]:
    """Draw colours and normals from four sides: `color_000` -> (size, size, 3)."""
    pictures: dict[str, Tensor] = {}
    for look in ("color", "normals"):
        draw = partial(mesh_pictures, mesh, look=look)
        pictures |= previews(mesh.vertices, draw, size, prefix=f"{look}_")
    return pictures
