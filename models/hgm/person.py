"""The person of a photo by the Human Gaussian Model: from one view (HGM, section 3.3.1) or two (3.5); or by
GST, where its weight is asked for."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.hgm.rendering import back_view, orbit_views
from turnaround.models.person_model import gaussian_model
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.crop import NETWORKS, at_camera, networks_copy
from turnaround.pipeline.values.types import Body, Gaussians, View


class CoarsePerson(NamedTuple):
    """What one view tells; all on the CPU."""

    gaussians: Gaussians
    views: dict[str, Float[Tensor, "s s 3"]]  # `orbit_views`
    back: Float[Tensor, "s s 3"]  # the view from behind


class FusedPerson(NamedTuple):
    """What both views tell; all on the CPU."""

    gaussians: Gaussians
    views: dict[str, Float[Tensor, "s s 3"]]  # `orbit_views`


def coarse_person(
    view: View, body: Body | None, *, weights: str, body_model: str, size: int, device: torch.device
) -> CoarsePerson:
    """Make coarse Gaussians from the photo alone.

    Args:
        view: the photo, any lens.
        body: posed; None: from the picture alone.
        weights, body_model: by name or path.
        size: pixels of the views.
    """
    gaussians = gaussian_model(weights, body_model, device)([networks_copy(view)], body)
    back = back_view(gaussians, size).image
    return CoarsePerson(gaussians.to("cpu"), orbit_views(gaussians, size), back)


def fused_person(
    view: View,
    back: View | None,
    body: Body | None,
    *,
    weights: str,
    body_model: str,
    size: int,
    device: torch.device,
) -> FusedPerson:
    """Make Gaussians from the photo and the view from behind.

    Args:
        view, back: any lens; without the latter the network sees the front alone.
        body, weights, body_model, size: as of `coarse_person`.
    """
    pictures = [networks_copy(view)]
    if back is not None:
        pictures.append(at_camera(back, orbit_cameras([180.0], NETWORKS)[0]))
    gaussians = gaussian_model(weights, body_model, device)(pictures, body)
    return FusedPerson(gaussians.to("cpu"), orbit_views(gaussians, size))
