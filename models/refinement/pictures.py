"""Pictures of a refinement: the mask that was fitted, the body before and after, view by view."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.refinement.evidence import circle, masks_of_gaussians
from turnaround.pipeline.values.types import Body, Camera, Gaussians

SIDES = {1: 30, 3: 90, 6: 180, 9: 270}  # of twelve cameras around the person: number -> azimuth in degrees
MASK, BEFORE, AFTER = (0.80, 0.80, 0.84), (0.86, 0.22, 0.18), (0.10, 0.55, 0.25)


def mask_pictures(
    model: BodyModel, camera: Camera, bodies: tuple[Body, Body], gaussians: Gaussians, size: int
) -> dict[str, Float[Tensor, "s s 3"]]:
    """Compare from SIDES, by azimuth: the Gaussians' mask in grey, the body before in red and after in green.

    Args:
        camera: the photo's.
        bodies: before and after.
        size: pixels of the pictures.
    """
    cameras = circle(camera, 12, size)[torch.tensor([*SIDES])]
    faces = model.skin_faces.cpu().numpy().astype(np.int32)
    with torch.no_grad():
        old, new = (body_masks(model(body).vertices, faces, cameras) for body in bodies)
    seen = masks_of_gaussians(lambda _body: gaussians)(bodies[1], cameras)
    return {
        f"{azimuth:03d}": compare_masks(seen[k], old[k], new[k]) for k, azimuth in enumerate(SIDES.values())
    }


def compare_masks(
    fitted: Float[Tensor, "h w"], before: Float[Tensor, "h w"], after: Float[Tensor, "h w"]
) -> Float[Tensor, "h w 3"]:
    """The fitted mask in grey, the outline of the body before in red and after in green, over white."""
    picture = _blend(fitted.new_ones(*fitted.shape, 3), fitted, MASK)
    picture = _blend(picture, outline(before), BEFORE)
    return _blend(picture, outline(after), AFTER)


def outline(mask: Float[Tensor, "h w"], width: int = 1) -> Float[Tensor, "h w"]:
    """1 at the pixels of `mask` >= 0.5 that are within `width` of a pixel outside it."""
    inside = (mask >= 0.5).float()[None, None]
    eroded = -F.max_pool2d(-inside, 2 * width + 1, 1, width)
    return (inside - eroded)[0, 0]


def _blend(
    picture: Float[Tensor, "h w 3"], alpha: Float[Tensor, "h w"], colour: tuple[float, float, float]
) -> Float[Tensor, "h w 3"]:
    return picture + alpha[..., None] * (torch.tensor(colour).to(picture) - picture)
