"""Whom to believe: the network's slow colours of what nobody has seen, or those of the photo."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from turnaround.models.exemplar.guidance import nearest
from turnaround.models.exemplar.likeness import Likeness, guide_of, opponent
from turnaround.models.exemplar.parts import CRANIUM, FACE, PARTS, strangeness
from turnaround.models.exemplar.sheet import Sheet

REGION, SHADE, MOST = (
    0.08,
    0.7,
    1.15,
)  # of the picture's height; share of the network's light and shade, and the most they change
HAIR_DISTANCE, HAIR_SHARE = 0.15, 0.15  # colours from the skin of the face; share of the cranium that is seen


def believed(source: Sheet, target: Sheet, likeness: Likeness) -> Float32[np.ndarray, "h w 3"]:
    """The target's slow colours as a copy is to have them.

    Each pixel's colour is looked up among those of the source: where the network's is one of them, it
    chooses; where it is like none, place on the body does.
    """
    wanted, candidates = target.mask & ~target.known, source.mask & source.known
    if not wanted.any() or not candidates.any():
        return target.slow
    a, b = (
        opponent(sheet.slow, likeness.lightness)[m] for sheet, m in ((target, wanted), (source, candidates))
    )
    color = np.minimum(_squared_distances(a, b), np.float32(likeness.limit))
    unlike = color + np.sqrt(
        _squared_distances(guide_of(target, likeness)[wanted], guide_of(source, likeness)[candidates])
    )
    unlike += likeness.strange * strangeness()[target.part[wanted]][:, source.part[candidates]]
    unlike += likeness.oddity * oddity(source)[candidates]
    weight = np.exp((unlike.min(1, keepdims=True) - unlike) / np.float32(likeness.blend))
    chosen = target.slow.copy()
    chosen[wanted] = weight @ source.slow[candidates] / weight.sum(1, keepdims=True)
    lit = _lit(chosen, target, wanted.astype(np.float32))
    return nearest(wanted | (target.mask & target.known), lit)[
        0
    ]  # the outline's own blocks are hardly in the mask


def _lit(
    chosen: Float32[np.ndarray, "h w 3"], target: Sheet, weight: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    """The chosen hues with the network's light and shade, which is smooth; how light a region is in all, the
    photo says."""
    light, shade = chosen.mean(-1), target.slow.mean(-1)
    sigma = REGION * target.height
    gain = (ndimage.gaussian_filter(light * weight, sigma) + 1e-3) / (
        ndimage.gaussian_filter(shade * weight, sigma) + 1e-3
    )
    lit = np.where(weight > 0, SHADE * gain * shade + (1 - SHADE) * light, light)
    return (chosen * (lit / light.clip(0.02)).clip(1 / MOST, MOST)[..., None]).clip(0, 1).astype(np.float32)


def with_hair(sheet: Sheet) -> Sheet:
    """The sheet with what is skin on the cranium called face, where there is hair or a hat: then that covers
    the head from behind."""
    face, cranium = (sheet.mask & sheet.known & (sheet.part == part) for part in (FACE, CRANIUM))
    if not face.any() or not cranium.any():
        return sheet
    skin = np.median(sheet.slow[face], 0)
    from_skin = np.linalg.norm(sheet.slow - skin, axis=-1)
    covered = cranium & (from_skin > HAIR_DISTANCE)
    if covered.sum() < HAIR_SHARE * cranium.sum():
        return sheet
    hair = np.median(sheet.slow[covered], 0)
    bare = from_skin < 2.5 * np.linalg.norm(sheet.slow - hair, axis=-1)
    return sheet.replace(
        part=np.where(cranium & bare & (from_skin < 2.5 * HAIR_DISTANCE), np.int8(FACE), sheet.part)
    )


def oddity(sheet: Sheet) -> Float32[np.ndarray, "h w"]:
    """How far a pixel's contrast is beyond that which is usual on its part: 0 for most, 1 for a print."""
    grey = np.float32(1 / 3) * (sheet.picture[..., 0] + sheet.picture[..., 1] + sheet.picture[..., 2])
    sigma = max(sheet.height / 100, 0.7)
    mask = sheet.mask.astype(np.float32)
    weight = ndimage.gaussian_filter(mask, sigma) + 1e-4
    mean = ndimage.gaussian_filter(grey * mask, sigma) / weight
    contrast = np.sqrt(ndimage.gaussian_filter((grey - mean) ** 2 * mask, sigma) / weight)
    odd = np.zeros_like(contrast)
    for part in range(len(PARTS)):
        own = sheet.mask & (sheet.part == part)
        if own.any():
            usual = np.quantile(contrast[own], 0.7) + 0.02
            odd[own] = (contrast[own] / usual - 1).clip(0, 1)
    return odd.astype(np.float32)


def _squared_distances(
    a: Float32[np.ndarray, "n c"], b: Float32[np.ndarray, "m c"]
) -> Float32[np.ndarray, "n m"]:
    return ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T)).clip(0)
