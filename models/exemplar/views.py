"""Sheets of the pictures at hand: the photo, and what Gaussians show of a side that nobody has seen."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy import ndimage
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.exemplar.guidance import draw_guides
from turnaround.models.exemplar.sheet import Sheet
from turnaround.pipeline.values.types import Body, View

SOLID = 0.9  # of a photo's mask: what is less has some of the background's colour
COVER, STEEP, BLUR = (
    0.35,
    3.0,
    1.5,
)  # of a fog's mask: its outline, how much steeper it becomes, pixels at 1,024
FAINT = 1 / 160  # of the person's height: blur of a render's colours


def photo_sheet(view: View, body: Body, model: BodyModel) -> Sheet:
    """What a picture shows, all of it known: a source."""
    solid = view.mask.numpy() > SOLID
    guides = draw_guides(body, model, view.camera)
    picture = view.image.numpy()
    return Sheet(picture, picture, guides.position, guides.part, guides.normal, solid, solid)


def rendered_sheet(seen: View, body: Body, model: BodyModel) -> tuple[Sheet, Float[Tensor, "h w"]]:
    """What Gaussians show to a camera, none of it known: a target; and its mask with a narrow edge."""
    rgb, alpha = seen.image.numpy(), seen.mask.numpy()
    mask = sharpened(alpha)
    person = mask > 0
    guides = draw_guides(body, model, seen.camera)
    # colours as they are without the white that shines through
    inked = ((rgb - 1 + alpha[..., None]) / alpha[..., None].clip(0.05)).clip(0, 1)
    slow = blurred(inked, alpha, FAINT * _height(person))
    nobody = np.zeros(person.shape, bool)
    return Sheet(slow, slow, guides.position, guides.part, guides.normal, person, nobody), torch.from_numpy(
        mask
    )


def sharpened(alpha: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """A fog's opacity as a mask with a narrow edge."""
    smooth = ndimage.gaussian_filter(alpha, BLUR * alpha.shape[0] / 1024)
    return ((smooth - COVER) * STEEP + COVER).clip(0, 1).astype(np.float32)


def blurred(
    picture: Float32[np.ndarray, "h w 3"], weight: Float32[np.ndarray, "h w"], sigma: float
) -> Float32[np.ndarray, "h w 3"]:
    """Weighted means over a Gaussian window; where all weights vanish, the mean of all."""
    far = (picture * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    total = ndimage.gaussian_filter(weight, sigma)[..., None] + np.float32(1e-4)
    sums = np.stack(
        [ndimage.gaussian_filter((picture[..., c] - far[c]) * weight, sigma) for c in range(3)], -1
    )
    return (far + sums / total).astype(np.float32)


def _height(mask: np.ndarray) -> int:
    rows = np.flatnonzero(mask.any(1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 1
