"""Texels outside of all charts take the colour of the nearest one inside, so that no filter mixes in what is
between (numba)."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float32, Int32, Int64


def fill_gutters(texture: Float32[np.ndarray, "t t 3"], place: Int64[np.ndarray, " n"]) -> None:
    """Fill all texels but those at `place` (row * t + column), in the array itself; nothing to do without
    any."""
    if not len(place):
        return
    size = texture.shape[0]
    source = np.full(size * size, -1, np.int32)
    source[place] = place
    nearest(source.reshape(size, size))
    empty = np.ones(size * size, bool)
    empty[place] = False
    flat = texture.reshape(-1, 3)
    flat[empty] = flat[source[empty]]


@numba.njit(cache=True, error_model="numpy", nogil=True)
def nearest(source: Int32[np.ndarray, "h w"]):  # pragma: no cover - compiled
    """Fill -1 with the number (row * w + column) of the nearest place that has its own, in two passes
    (Danielsson 1980).

    Each takes the best of its neighbours' sources: the distance is exact but for a fraction of a texel.
    """
    height, width = source.shape
    for way in (1, -1):
        for i in range(height):
            y = i if way > 0 else height - 1 - i
            for j in range(width):
                x = j if way > 0 else width - 1 - j
                if source[y, x] == y * width + x:
                    continue
                best, least = source[y, x], np.int64(1) << 40
                if best >= 0:
                    least = np.int64(best // width - y) ** 2 + np.int64(best % width - x) ** 2
                for dy, dx in ((0, -way), (-way, -way), (-way, 0), (-way, way)):
                    v, u = y + dy, x + dx
                    if 0 <= v < height and 0 <= u < width and source[v, u] >= 0:
                        other = source[v, u]
                        far = np.int64(other // width - y) ** 2 + np.int64(other % width - x) ** 2
                        if far < least:
                            best, least = other, far
                source[y, x] = best
