"""Sheets at a fraction of their size."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from turnaround.models.exemplar.sheet import Sheet


def at_level(sheet: Sheet, factor: int) -> Sheet:
    """The sheet at 1 / `factor` of its size, which `factor` divides.

    Guides are those of a block's middle pixel, colours means over the person's pixels of the same part: a
    face does not stain the hair beside it. A pixel is the person's where half of it is, and known where all
    that is the person's is known.
    """
    if factor == 1:
        return sheet
    middle = (slice(factor // 2, None, factor),) * 2
    own = sheet.mask & (sheet.part == sheet.part[middle].repeat(factor, 0).repeat(factor, 1))
    inside = _blocks(sheet.mask[..., None].astype(np.float32), factor)[..., 0]
    unknown = _blocks((sheet.mask & ~sheet.known)[..., None].astype(np.float32), factor)[..., 0]
    return Sheet(
        picture=mean_of(sheet.picture, own, factor),
        slow=mean_of(sheet.slow, own, factor),
        position=sheet.position[middle],
        part=sheet.part[middle],
        normal=sheet.normal[middle],
        mask=inside >= 0.5,
        known=unknown == 0,
    )


def mean_of(
    picture: Float32[np.ndarray, "h w c"], mask: Bool[np.ndarray, "h w"], factor: int
) -> Float32[np.ndarray, "i j c"]:
    """Means of blocks of `factor` x `factor` pixels over the mask, over all where a block has none of it."""
    weight = mask[..., None].astype(np.float32) + np.float32(1e-6)
    return _blocks(picture * weight, factor) / _blocks(weight, factor)


def enlarged(values: Float32[np.ndarray, "i j c"], factor: int) -> Float32[np.ndarray, "h w c"]:
    """Bilinear enlargement; the inverse of means of blocks for what changes slowly."""
    return _doubled(_doubled(values, factor, 0), factor, 1)


def _doubled(values: np.ndarray, factor: int, axis: int) -> np.ndarray:
    count = values.shape[axis]
    place = ((np.arange(count * factor) + 0.5) / factor - 0.5).clip(0, count - 1)
    low = np.minimum(place.astype(np.int64), max(count - 2, 0))
    high = np.minimum(low + 1, count - 1)
    share = np.expand_dims(
        (place - low).astype(np.float32), tuple(k for k in range(values.ndim) if k != axis)
    )
    return values.take(low, axis) * (1 - share) + values.take(high, axis) * share


def _blocks(values: Float32[np.ndarray, "h w c"], factor: int) -> Float32[np.ndarray, "i j c"]:
    height, width, channels = values.shape
    rows = values.reshape(height // factor, factor, width * channels).mean(
        1, dtype=np.float32
    )  # long sums first: they are fast
    return rows.reshape(height // factor, width // factor, factor, channels).mean(2)
