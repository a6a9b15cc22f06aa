"""The photo's mirror image as the view from behind: what a copy without any search gives."""

from __future__ import annotations

from dataclasses import replace

import torch

from turnaround.models.detail.panel import own_colors
from turnaround.models.exemplar.views import sharpened
from turnaround.pipeline.values.crop import at_camera
from turnaround.pipeline.values.types import Camera, View


def mirrored(photo: View, seen: View) -> View:
    """The photo, left and right exchanged, in the outline of a view from behind; beyond the photo's mask its
    nearest colours.

    Args:
        photo: from azimuth 0, any lens.
        seen: from azimuth 180, any lens: its mask and camera are kept.
    """
    K = photo.camera.K.clone()
    K[0, 2] = photo.camera.width - K[0, 2]
    there = Camera(K, seen.camera.T_camera_world, photo.camera.width, photo.camera.height)
    turned = at_camera(
        View(photo.image.flip(1).contiguous(), photo.mask.flip(1).contiguous(), there), seen.camera
    )
    mask = torch.from_numpy(sharpened(seen.mask.numpy()))
    return replace(
        seen, image=torch.from_numpy(own_colors(turned)) * mask[..., None] + 1 - mask[..., None], mask=mask
    )
