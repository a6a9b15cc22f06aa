"""The vote: each pixel is the mean of what the windows over it would copy there (Wexler et al. 2007)."""

from __future__ import annotations

from functools import partial

import numba
import numpy as np
from jaxtyping import Float32

from turnaround.models.bands import in_bands
from turnaround.models.exemplar.patchmatch import Matches, Side


def vote(
    target: Side,
    source: Side,
    matches: Matches,
    unlike: Float32[np.ndarray, "h w"],
    window: Float32[np.ndarray, "k k"],
) -> Float32[np.ndarray, "h w3"]:
    """The target's picture with its wanted pixels voted for anew.

    A vote counts by its place in the window and by how alike the two pixels are, on the scale of the median.
    """
    wanted = unlike[target.there]
    scale = np.float32(np.median(wanted) + 1e-6) if len(wanted) else np.float32(1)
    voted = target.picture.copy()
    kernel = partial(_vote, target.there, source.there, source.picture, matches, unlike, window, scale, voted)
    in_bands(kernel, len(voted))
    return voted


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _vote(
    wanted, there, picture, matches, unlike, window, scale, voted, first, last
):  # pragma: no cover - compiled
    width = wanted.shape[1]
    side = window.shape[0]
    r = side // 2
    for y in range(first, last):
        for x in range(width):
            if not wanted[y, x]:
                continue
            total, red, green, blue = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for i in range(side):
                for j in range(side):
                    py, px = y + i - r, x + j - r
                    if not wanted[py, px]:
                        continue
                    v, u = matches[py, px, 0] - i + r, matches[py, px, 1] - j + r
                    if not there[v, u]:
                        continue
                    weight = window[i, j] / (scale + unlike[py, px])
                    total += weight
                    red += weight * picture[v, 3 * u]
                    green += weight * picture[v, 3 * u + 1]
                    blue += weight * picture[v, 3 * u + 2]
            voted[y, 3 * x], voted[y, 3 * x + 1], voted[y, 3 * x + 2] = (
                red / total,
                green / total,
                blue / total,
            )
