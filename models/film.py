"""Pictures to the bytes that an encoder takes, in one compiled pass (numba): torch writes a large picture
anew for each step."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from turnaround.models.bands import in_bands


def as_bytes(pictures: Float[Tensor, "c h w 3"]) -> UInt8[np.ndarray, "c h w 3"]:
    """Pictures in [0, 1] in 8 bits, rounded; values outside are clipped."""
    values = np.ascontiguousarray(pictures.numpy(), np.float32).ravel()
    found = np.empty(values.shape, np.uint8)
    in_bands(lambda start, stop: _round(start, stop, values, found), len(values))
    return found.reshape(pictures.shape)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _round(
    start: int, stop: int, values: Float32[np.ndarray, " n"], found: UInt8[np.ndarray, " n"]
):  # pragma: no cover - compiled
    for i in range(start, stop):
        found[i] = np.uint8(
            min(max(values[i], np.float32(0)), np.float32(1)) * np.float32(255) + np.float32(0.5)
        )
