"""Keeping a refined picture within the outline of the coarse one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

INK = 0.25  # a pixel that the refinement darkened by this much, in any channel, now belongs to the person


def within_outline(
    refined: Float[Tensor, "h w 3"], coarse: Float[Tensor, "h w 3"], mask: Float[Tensor, "h w"], margin: int
) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"]]:
    """The refined picture over white and its mask, which grows beyond the coarse one by at most `margin`
    pixels.

    Inside, the coarse mask stays as it is (clothes may be white); in the ring of `margin` pixels around it
    the mask grows where the refinement drew something; farther out everything is white.
    """
    allowed = dilate(mask, margin)
    drawn = ((coarse - refined).amax(-1) / INK).clamp(0, 1)
    grown = torch.where(mask < 0.5, torch.maximum(mask, torch.minimum(allowed, drawn)), mask)
    image = torch.where(allowed[..., None] > 1 / 255, refined, torch.ones_like(refined))
    return image.clamp(0, 1), grown


def dilate(mask: Float[Tensor, "h w"], radius: int) -> Float[Tensor, "h w"]:
    """The largest value within a square of `radius` pixels around each."""
    return F.max_pool2d(mask[None, None], 2 * radius + 1, 1, radius)[0, 0] if radius > 0 else mask
