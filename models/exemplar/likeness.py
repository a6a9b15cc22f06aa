"""What counts as alike, and how alike: the scales of colours, places and parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from turnaround.models.exemplar.sheet import Sheet


@dataclass(frozen=True)
class Likeness:
    """Scales of all that is compared; colours are sRGB in [0, 1], their squared differences the unit."""

    lightness: float = 0.3  # share of a difference of lightness: the light from behind is another
    limit: float = 0.012  # a difference of slow colours beyond which it says nothing
    place: float = 0.2  # for a metre up the body or out from its middle
    side: float = 0.1  # for a metre from left to right: the other side is nearly as good
    depth: float = 0.03  # for a metre from front to back
    normal: float = 0.005  # for a normal's whole length
    strange: float = 0.045  # for parts that have nothing in common
    oddity: float = 0.03  # for a print
    blend: float = 0.0015  # difference of likeness within which slow colours of several pixels are mixed
    slow: float = 0.9  # share of the difference to the believed slow colours that is made good in the end


def guide_of(sheet: Sheet, likeness: Likeness) -> Float32[np.ndarray, "h w 6"]:
    """Place and normal on the scales of likeness."""
    x, y, z = np.moveaxis(sheet.position, -1, 0)
    place, side, depth = likeness.place, likeness.side, likeness.depth
    normal = likeness.normal * sheet.normal
    return np.stack(
        [place * np.abs(x), place * y, side * x, depth * z, normal[..., 0], normal[..., 1]], -1
    ).astype(np.float32)


def opponent(color: Float32[np.ndarray, "h w 3"], lightness: float) -> Float32[np.ndarray, "h w 3"]:
    """Colours in axes of lightness (scaled) and two of hue; with a scale of 1 distances are those of RGB."""
    grey = color.mean(-1, keepdims=True)
    return (color - grey + lightness * grey).astype(np.float32)
