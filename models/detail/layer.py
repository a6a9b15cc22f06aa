"""The layer of the pictures' own pixels: photo and back view laid on the surface, the sides between them
filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.named import named_body
from turnaround.models.detail.assembly import assemble
from turnaround.models.detail.config import LayerConfig
from turnaround.models.detail.fit import fit
from turnaround.models.detail.panel import Panel, lay
from turnaround.models.detail.ring import fill
from turnaround.models.detail.sides import as_view, close_camera, side, vertex_colors
from turnaround.models.exemplar.views import photo_sheet
from turnaround.models.hgm.rendering import view_from
from turnaround.models.mesh.surface import Surface
from turnaround.models.previews import previews
from turnaround.models.splat.fine import rasterize_fine
from turnaround.pipeline.values.types import Body, Camera, Gaussians, Mesh, View

SIDES = (90, 270)  # degrees: the camera on the side of world +x, and the other
SAY = (3.5, 1.2, 1.0, 1.0)  # how much the cosines of photo, back and sides count where several show the same
AROUND = tuple(range(0, 360, 45))  # degrees of the previews


class NotLaid(ValueError):
    """A picture and the surface do not overlap."""


class Layered(NamedTuple):
    """What the pictures' own pixels make of Gaussians and mesh."""

    gaussians: Gaussians
    mesh: Mesh  # in the pictures' colours
    sides: list[View]  # close, from SIDES


def layered(
    photo: View, back: View, gaussians: Gaussians, mesh: Mesh, body: Body, config: LayerConfig
) -> Layered:
    """Lay photo and back view on the surface and make Gaussians of all that is then seen of it.

    Args:
        photo: whose mask nothing may leave.
        back: from behind, any lens.
        gaussians: the fused ones, which go on where `config.layer` is off.
        mesh: the surface, world frame, metres.
        body: posed, which tells the limbs apart where the ring between front and back is filled.

    Raises:
        NotLaid: a picture's mask and the surface do not overlap.
    """
    surface = Surface(mesh.vertices.double().numpy(), mesh.faces.numpy().astype(np.int64))
    if not config.layer:
        cameras = [close_camera(surface, azimuth, config.size) for azimuth in SIDES]
        return Layered(gaussians, mesh, [view_from(gaussians, camera) for camera in cameras])
    try:
        front, behind = lay(photo, surface), lay(back, surface, beyond=False)
    except ValueError as error:
        raise NotLaid(str(error)) from error
    colors = vertex_colors([front, behind], surface, mesh.colors.numpy())
    sides = _sides(front, behind, surface, colors, body, config)
    panels = [front, behind, *(lay(one, surface, beyond=False) for one in sides)]
    colors = vertex_colors(panels, surface, mesh.colors.numpy())
    made = _gaussians(panels, photo, surface, colors, config)
    return Layered(made, replace(mesh, colors=torch.from_numpy(colors)), sides)


def _gaussians(
    panels: Sequence[Panel],
    photo: View,
    surface: Surface,
    colors: Float[np.ndarray, "v 3"],
    config: LayerConfig,
) -> Gaussians:
    """Of all panels, photo and back first, those of these two fitted to their pictures."""
    made, (of_photo, of_back, *_) = assemble(
        panels, SAY, surface, colors, merge=config.merge, like=config.like
    )
    behind = panels[1].view
    made = fit(made, behind, of_back, steps=config.steps // 2, shape=False)  # what splats blur
    return fit(made, photo, of_photo, steps=config.steps)


def _sides(
    front: Panel,
    behind: Panel,
    surface: Surface,
    colors: Float[np.ndarray, "v 3"],
    body: Body,
    config: LayerConfig,
) -> list[View]:
    """What front and back show of the sides, the ring between them filled."""
    found = [
        side([front, behind], surface, colors, close_camera(surface, azimuth, config.size))
        for azimuth in SIDES
    ]
    if not config.ring:
        return [as_view(one, one.image) for one in found]
    model = named_body(config.body)
    sheets = [photo_sheet(panel.view, body, model) for panel in (front, behind)]
    filled = fill(found, sheets, body, model, seed=config.seed)
    return [as_view(one, image) for one, image in zip(found, filled, strict=True)]


def layer_previews(gaussians: Gaussians, mesh: Mesh, size: int) -> dict[str, Tensor]:
    """Draw the Gaussians from eight sides, from cameras that their mesh fills."""

    def draw(cameras: Camera) -> Tensor:
        return rasterize_fine(gaussians, cameras).rgb.clamp(0, 1)

    return previews(mesh.vertices, draw, size, AROUND)
