"""Cut-outs whose colours were multiplied by their alpha, as many programs export them: seen for certain, and
divided again."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_ROUNDING = 1  # of 255: by so much a product may exceed its alpha
_BRIGHTER = 24  # of 255: so much more than its alpha would be a colour that was not multiplied
_EVIDENCE = 48  # pixels of the edge that must tell; an edge of one pixel around a small person has hundreds
_REACH = 3  # pixels between the edge and the colours that it should have


def straight(image: Image.Image) -> Image.Image | None:
    """The picture (RGBA or LA) with its colours divided by its alpha, where they were multiplied by it for
    certain; else None.

    Certain: no colour exceeds its alpha, though what is opaque beside the soft edge is brighter than the
    edge's alpha, so that colours that were not multiplied would. A photo before a black wall, cut out, is the
    same and is mended alike.
    """
    pixels = np.asarray(image.convert("RGBA"))
    if not _is_multiplied(pixels):
        return None
    alpha = pixels[..., 3:].astype(np.float32)
    divided = pixels[..., :3] * (255 / np.maximum(alpha, 1))
    colors = np.clip(np.round(divided), 0, 255).astype(np.uint8)
    result = Image.fromarray(np.concatenate([colors, pixels[..., 3:]], -1))
    result.info.update(image.info)
    return result if image.mode == "RGBA" else result.convert(image.mode)


def _is_multiplied(pixels: UInt8[np.ndarray, "h w 4"]) -> bool:
    brightest, alpha = pixels[..., :3].max(-1), pixels[..., 3]
    if np.any(brightest > np.minimum(alpha, 255 - _ROUNDING) + np.uint8(_ROUNDING)):
        return False
    soft, opaque = (alpha > 0) & (alpha < 250), alpha >= 250
    near = _brightest_near(np.where(opaque, brightest, 0), _REACH)
    around = near[soft & (near > 0)]
    if not around.size:
        return False
    expected = np.where(near > 0, near, np.uint8(np.median(around))).astype(np.int16)
    telling = soft & (alpha < expected - _BRIGHTER)
    # a black shadow around a window keeps below its alpha, too, and has no colour to bring back
    kept = brightest[telling] * (255 / alpha[telling].astype(np.float32)) / expected[telling]
    return kept.size >= _EVIDENCE and float(np.median(kept)) > 0.5


def _brightest_near(values: UInt8[np.ndarray, "h w"], reach: int) -> UInt8[np.ndarray, "h w"]:
    """The largest value that lies at most `reach` pixels from each along rows and columns."""
    for _ in range(reach):
        wide = values.copy()
        np.maximum(wide[1:], values[:-1], out=wide[1:])
        np.maximum(wide[:-1], values[1:], out=wide[:-1])
        np.maximum(wide[:, 1:], values[:, :-1], out=wide[:, 1:])
        np.maximum(wide[:, :-1], values[:, 1:], out=wide[:, :-1])
        values = wide
    return values
