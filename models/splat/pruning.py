"""Fewer Gaussians for the same picture: those that show least from all around go."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turnaround.models.splat import rasterize
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Camera, Gaussians

SIZE = 384  # pixels of the pictures that are counted
AZIMUTHS, ELEVATIONS = (
    12,
    (-20.0, 25.0),
)  # of the cameras: a ring from below, and one from above turned by half a step


def pruned(gaussians: Gaussians, count: int) -> Gaussians:
    """The `count` Gaussians that show most, in their order; all where there are no more. ValueError for a
    count below 1."""
    return gaussians if len(gaussians) <= count else gaussians[most_shown(gaussians, count, ring())]


def most_shown(gaussians: Gaussians, count: int, cameras: Camera) -> Int[Tensor, " k"]:
    """Which `count` Gaussians show most in those pictures, in their order; ValueError for a count below 1."""
    if count < 1:
        raise ValueError(f"{count} Gaussians show nothing: keep at least 1")
    if len(gaussians) <= count:
        return torch.arange(len(gaussians))
    kept = torch.argsort(importance(gaussians, cameras), descending=True, stable=True)[:count]
    return kept.sort().values


def importance(gaussians: Gaussians, cameras: Camera) -> Float[Tensor, " n"]:
    """Pixels that each Gaussian covers in all pictures together, by its share of each pixel's colour.

    That is opacity x footprint x what stands before it lets through: the gradient of the pictures' sum to its
    colour.
    """
    colors = torch.zeros_like(gaussians.colors, requires_grad=True)
    total = torch.zeros(len(gaussians), device=colors.device)
    for k in range(len(cameras.K)):
        picture = rasterize(
            dataclasses.replace(gaussians, colors=colors),
            cameras[k : k + 1],
            background=0.0,
            outputs=("rgb",),
        ).rgb
        total += torch.autograd.grad(picture[..., 0].sum(), colors)[0][:, 0]
    return total


def ring() -> Camera:
    """The cameras from which it is judged what shows."""
    step = 360.0 / AZIMUTHS
    azimuths = [step * (k + 0.5 * row) for row in range(len(ELEVATIONS)) for k in range(AZIMUTHS)]
    return orbit_cameras(azimuths, SIZE, elevation=[e for e in ELEVATIONS for _ in range(AZIMUTHS)])
