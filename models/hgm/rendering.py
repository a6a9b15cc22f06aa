"""Pictures of a reconstruction: the four views and the back view that stages write and networks read."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.splat import rasterize
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Camera, Gaussians, View

AZIMUTHS = (0, 90, 180, 270)  # degrees: front, the camera on the side of world +x, back, world -x


@torch.no_grad()
def orbit_views(
    gaussians: Gaussians, size: int, azimuths: tuple[int, ...] = AZIMUTHS
) -> dict[str, Float[Tensor, "h w 3"]]:
    """Render over white from level cameras around the person, named by azimuth in degrees (`000`, `090`)."""
    cameras = orbit_cameras(azimuths, size).to(gaussians.means.device)
    pictures = rasterize(gaussians, cameras, outputs=("rgb", "alpha")).rgb.clamp(0, 1)
    return {f"{azimuth:03d}": picture.cpu() for azimuth, picture in zip(azimuths, pictures, strict=True)}


def back_view(gaussians: Gaussians, size: int) -> View:
    """Render what the two-view model takes as its second picture: colours and soft mask from behind."""
    return view_from(gaussians, orbit_cameras([180.0], size)[0])


@torch.no_grad()
def view_from(gaussians: Gaussians, camera: Camera) -> View:
    """What one camera sees of the Gaussians, over white, on the CPU."""
    camera = camera.to(gaussians.means.device)
    render = rasterize(gaussians, camera, outputs=("rgb", "alpha"))
    return View(render.rgb[0].clamp(0, 1), render.alpha[0].clamp(0, 1), camera).to("cpu")
