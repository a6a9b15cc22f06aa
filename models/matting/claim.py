"""The mask of one person: the pose network says who it is, the matting network where the edge is.

The pose network's mask (trained on photographs) is right about the person and coarse at the edge; the matting
network is sharp and takes whatever stands out for a person. Their log-odds are added, and the distance from
the pose network's mask says how much either may claim.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from turnaround.models.matting.guided import guided_upsample
from turnaround.models.matting.model import CLOSE_SIZES, MAX_SIZE, MaskNetwork, decided, look

MARGIN = 0.15  # of the box's longer side, around the pose network's mask: hats, hems and held things
POSE_WEIGHT = 0.5  # of the pose network's log-odds
MOST = 4.0  # log-odds that either network can give
# shares of the person's height; log-odds
CORE, CORE_ODDS = 0.03, 4.0  # this deep inside of the pose mask it is surely the person
NEAR, FAR, FAR_ODDS = 0.04, 0.16, 6.0  # outside of it doubt begins here, and is complete there
SPECK = 0.004  # of the largest piece's area: smaller ones are dropped
OTHERS = 3.0  # log-odds for each unit by which the pose mask of somebody else is the surer one

Mask = Float[np.ndarray, "h w"]


@torch.no_grad()
def told_mask(
    network: MaskNetwork, image: Float[Tensor, "h w 3"], pose: Mask, others: Sequence[Mask] = (),
) -> Float[Tensor, "h w"]:  # fmt: skip
    """Find the soft mask of the person whom the pose network's mask shows, at the photo's size.

    Args:
        pose: the pose network's mask of them at the photo's size.
        others: those of other people who may touch them.
    """
    result = torch.zeros(image.shape[:2], device=image.device)
    box = box_about(pose)
    if box is None:
        return result
    top, left, bottom, right = box
    picture = image[top:bottom, left:right].movedim(-1, 0)[None]
    seen = look(network, picture, CLOSE_SIZES)
    who, *rest = (_sized(mask[top:bottom, left:right], seen) for mask in (pose, *others))
    both = combined(seen[0, 0].cpu().numpy(), who, rest)
    fine = guided_upsample(torch.from_numpy(both).to(seen)[None, None], picture, MAX_SIZE)
    result[top:bottom, left:right] = decided(fine[0, 0])
    return result


def combined(seen: Mask, pose: Mask, others: Sequence[Mask] = ()) -> Mask:
    """Compute the probability of the person from both networks' at one small size.

    What is not joined to the part that the pose network is sure of is left out.
    """
    inside = pose > 0.5
    rows = np.flatnonzero(inside.any(1))
    columns = np.flatnonzero(inside.any(0))
    tall = max(float(np.ptp(rows)), float(np.ptp(columns))) + 1
    deep = np.asarray(ndimage.distance_transform_edt(inside)) / tall
    away = np.asarray(ndimage.distance_transform_edt(~inside)) / tall
    odds = _odds(seen) + POSE_WEIGHT * _odds(pose)
    odds += CORE_ODDS * (deep / CORE).clip(0, 1) * (pose > 0.9)
    odds -= FAR_ODDS * ((away - NEAR) / (FAR - NEAR)).clip(0, 1)
    for other in others:
        odds -= OTHERS * MOST * (other - pose).clip(0, 1)
    labels, count = ndimage.label(odds > 0, structure=np.ones((3, 3)))  # type: ignore[misc]
    pieces = np.asarray(labels, np.intp)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    theirs = np.unique(pieces[inside & (pieces > 0)])
    joined = np.isin(pieces, [k for k in theirs if areas[k - 1] >= SPECK * areas.max()])
    # a soft edge belongs to the piece that it surrounds
    kept = ndimage.binary_dilation(joined, iterations=2)
    return np.where(kept, 1 / (1 + np.exp(-odds)), 0).astype(np.float32)


def box_about(pose: Mask) -> tuple[int, int, int, int] | None:
    """Find top, left, bottom, right of the person with the margin; None where the mask is empty."""
    rows, columns = np.flatnonzero((pose > 0.5).any(1)), np.flatnonzero((pose > 0.5).any(0))
    if len(rows) == 0:
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    margin = round(MARGIN * max(bottom - top, right - left)) + 8
    low = min(pose.shape[0], bottom + margin)
    return max(0, top - margin), max(0, left - margin), low, min(pose.shape[1], right + margin)


def _sized(mask: Mask, like: Float[Tensor, "1 1 k l"]) -> Float[np.ndarray, "k l"]:
    values = torch.from_numpy(np.ascontiguousarray(mask))[None, None]
    return F.interpolate(values, like.shape[-2:], mode="bilinear", antialias=True)[0, 0].numpy()


def _odds(probability: Mask) -> Mask:
    least = 1 / (1 + np.exp(MOST))
    held = probability.clip(least, 1 - least)
    return np.log(held / (1 - held))
