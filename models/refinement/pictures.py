"""Pictures of a refinement: the mask that was fitted, the body before and after, view by view."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

MASK, BEFORE, AFTER = (0.80, 0.80, 0.84), (0.86, 0.22, 0.18), (0.10, 0.55, 0.25)


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
