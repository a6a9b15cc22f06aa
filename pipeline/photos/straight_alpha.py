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
    soft = (alpha > 0) & (alpha < 250)
    around = _grown(soft, _REACH) & (alpha >= 250)
    if not around.any():
        return False
    usual = float(np.median(brightest[around]))
    telling = soft & (alpha < usual - _BRIGHTER)
    # a black shadow around a window keeps below its alpha, too, and has no colour to bring back
    kept = brightest[telling] * (255 / np.maximum(alpha[telling], 1).astype(np.float32))
    return kept.size >= _EVIDENCE and float(np.median(kept)) > usual / 2


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    """The mask and what lies at most `reach` pixels from it along rows and columns."""
    grown = mask.copy()
    for _ in range(reach):
        wide = grown.copy()
        wide[1:] |= grown[:-1]
        wide[:-1] |= grown[1:]
        wide[:, 1:] |= grown[:, :-1]
        wide[:, :-1] |= grown[:, 1:]
        grown = wide
    return grown
