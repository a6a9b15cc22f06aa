"""Depth pictures without their uncertain pixels, and colours without their background, in one compiled pass
(numba)."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float32


def filter_depth(
    rgb: Float32[np.ndarray, "c h w 3"],
    alpha: Float32[np.ndarray, "c h w"],
    depth: Float32[np.ndarray, "c h w"],
    min_alpha: float,
    max_jump: float,
) -> tuple[Float32[np.ndarray, "c h w 3"], Float32[np.ndarray, "c h w"]]:
    """Colour and depth of what is certainly there.

    Args:
        rgb: over black, so that it is colour times alpha.
        alpha: opacity.
        depth: metres.
        min_alpha: pixels up to this opacity have no depth.
        max_jump: metres; a pixel whose 3 x 3 neighbours with depth differ by as much or more has none.

    Returns:
        Colour in [0, 1], 0 where nothing is; depth, 0 where it is not certain.
    """
    colors, certain = np.zeros_like(rgb), np.zeros_like(depth)
    rgb, alpha, depth = (np.ascontiguousarray(array, np.float32) for array in (rgb, alpha, depth))
    _filter(rgb, alpha, depth, np.float32(min_alpha), np.float32(max_jump), colors, certain)
    return colors, certain


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def _filter(rgb, alpha, depth, min_alpha, max_jump, colors, certain):  # pragma: no cover - compiled
    views, height, width = alpha.shape
    for view in numba.prange(views):
        for y in range(height):
            for x in range(width):
                opacity = alpha[view, y, x]
                if opacity <= 0:
                    continue
                scale = max(opacity, np.float32(1e-3))
                for k in range(3):
                    colors[view, y, x, k] = min(max(rgb[view, y, x, k] / scale, np.float32(0)), np.float32(1))
                if opacity <= min_alpha or depth[view, y, x] <= 0:
                    continue
                near, far = depth[view, y, x], depth[view, y, x]
                for v in range(max(0, y - 1), min(height, y + 2)):
                    for u in range(max(0, x - 1), min(width, x + 2)):
                        if alpha[view, v, u] > min_alpha and depth[view, v, u] > 0:
                            near, far = min(near, depth[view, v, u]), max(far, depth[view, v, u])
                if far - near < max_jump:
                    certain[view, y, x] = depth[view, y, x]
