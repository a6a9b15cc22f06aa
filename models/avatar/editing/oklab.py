"""sRGB to OKLab and back: a space in which lightness, hue and colourfulness are what people see (Ottosson
2020)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)  # linear sRGB to cones
_OPPONENT = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)  # cube roots of the cones to lightness and two opponents


def to_oklab(colors: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
    """Lightness in [0, 1], green to red, blue to yellow, of sRGB in [0, 1]."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055).clip(0) ** 2.4)
    return np.cbrt(linear @ _CONES.T) @ _OPPONENT.T


def from_oklab(lab: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
    """sRGB, clipped to [0, 1]."""
    linear = (lab @ np.linalg.inv(_OPPONENT).T) ** 3 @ np.linalg.inv(_CONES).T
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
