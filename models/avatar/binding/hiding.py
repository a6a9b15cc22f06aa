"""Which Gaussians a camera sees: what is added to a person may not show where the photo has its own."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from turnaround.models.splat.rasterize import rasterize
from turnaround.pipeline.values.camera import resize
from turnaround.pipeline.values.types import Camera, Gaussians

FINER = 2  # times the camera's pixels: Gaussians of half a pixel are told from the gaps between them
INSIDE = 0.001  # pixels that a hidden Gaussian may make up of what is there without it
OUTSIDE = 1e-6  # pixels, where there is nothing without it


def hidden(gaussians: Gaussians, own: int, camera: Camera) -> Bool[Tensor, " n"]:
    """Whether a picture would be the same without each Gaussian; the first `own` are what it shows."""
    finer = resize(camera, camera.width * FINER)
    whole = rasterize(gaussians[torch.arange(own)], finer, outputs=("rgb", "alpha")).alpha
    inside, outside = shares(gaussians, finer, whole)
    return (inside <= INSIDE * FINER**2) & (outside <= OUTSIDE * FINER**2)


def shares(
    gaussians: Gaussians, camera: Camera, alpha: Float[Tensor, "1 h w"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """How many pixels of a picture each Gaussian makes up, where `alpha` is, and where it is not."""
    colors = gaussians.colors.detach().clone().requires_grad_()
    with torch.enable_grad():
        # a picture is linear in the colours: the gradient of its sum is each one's share of it
        picture = rasterize(replace(gaussians, colors=colors), camera, outputs=("rgb", "alpha")).rgb[..., 0]
        inside = torch.autograd.grad((picture * alpha).sum(), colors, retain_graph=True)[0]
        outside = torch.autograd.grad((picture * (1 - alpha)).sum(), colors)[0]
    return inside[:, 0], outside[:, 0]
