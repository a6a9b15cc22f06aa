"""Gaussians as viser takes them: centers, covariances in 16 bits and colours, 32 bytes each."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float32, UInt32

from turnaround.pipeline.values.rotation import quat_to_matrix
from turnaround.pipeline.values.types import Gaussians

# metres of a unit of Gaussians: viser keeps covariances in 16 bits, in which those of .25 mm are 0 in square
# metres
UNIT = 0.01
# metres: viser leaves out what is under half a pixel; smaller Gaussians would be gone from the start camera
LEAST = 0.0025


def splat_arrays(gaussians: Gaussians) -> dict[str, Any]:
    """Gaussians as viser takes them: centers (n, 3) in UNIT, covariances (n, 3, 3), rgbs (n, 3) and opacities
    (n, 1) in [0, 1].

    Scales under LEAST become LEAST: what the detail stage makes is a little softer here than in the offline
    page.
    """
    axes = quat_to_matrix(gaussians.quats) * (gaussians.scales.clamp(min=LEAST) / UNIT)[:, None, :]
    return {
        "centers": (gaussians.means / UNIT).numpy(),
        "covariances": (axes @ axes.transpose(-1, -2)).numpy(),
        "rgbs": gaussians.colors.clamp(0, 1).numpy(),
        "opacities": gaussians.opacities[:, None].numpy(),
    }


def splat_buffer(gaussians: Gaussians) -> UInt32[np.ndarray, "n 8"]:
    """The buffer that viser makes of `splat_arrays`."""
    quats = torch.nn.functional.normalize(gaussians.quats, dim=-1)
    return SplatBuffer(gaussians).packed(*(np.ascontiguousarray(x.numpy()) for x in (gaussians.means, quats)))


class SplatBuffer:
    """Gaussians whose places and rotations change, packed as viser packs `splat_arrays`, but quickly."""

    def __init__(self, gaussians: Gaussians) -> None:
        self._scales = np.ascontiguousarray((gaussians.scales.clamp(min=LEAST) / UNIT).numpy(), np.float32)
        self._paint = np.zeros((len(gaussians), 4), np.uint8)
        self._paint[:, :3] = np.clip(gaussians.colors.clamp(0, 1).numpy() * 255, 0, 255)
        self._paint[:, 3] = np.clip(gaussians.opacities.numpy() * 255, 0, 255)

    def packed(
        self,
        means: Float32[np.ndarray, "n 3"],
        quats: Float32[np.ndarray, "n 4"],
        shown: Float32[np.ndarray, " m"] | None = None,
    ) -> UInt32[np.ndarray, "n 8"]:
        """The buffer of one pose; means in metres, unit quaternions wxyz, and the share of their opacity that
        the last m have."""
        buffer = np.zeros((len(means), 8), np.uint32)
        buffer[:, :3] = (means * np.float32(1 / UNIT)).view(np.uint32)
        covariances = np.empty((len(means), 6), np.float32)
        _spread(quats, self._scales, covariances)
        _halve(covariances.view(np.uint32), buffer)
        paint = self._paint
        if shown is not None and len(shown):
            paint = paint.copy()
            paint[-len(shown) :, 3] = paint[-len(shown) :, 3] * shown
        buffer[:, 7] = paint.view(np.uint32)[:, 0]
        return buffer


@numba.njit(cache=True, parallel=True)
def _spread(
    quats: Float32[np.ndarray, "n 4"], scales: Float32[np.ndarray, "n 3"], out: Float32[np.ndarray, "n 6"]
):  # pragma: no cover - compiled
    """Fill `out` with the upper triangles of covariances, row by row."""
    for i in numba.prange(len(quats)):
        w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        m = np.empty((3, 3), np.float32)
        m[0, 0], m[0, 1], m[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
        m[1, 0], m[1, 1], m[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
        m[2, 0], m[2, 1], m[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
        at = 0
        for r in range(3):
            for c in range(r, 3):
                total = np.float32(0)
                for k in range(3):
                    total += m[r, k] * m[c, k] * scales[i, k] * scales[i, k]
                out[i, at] = total
                at += 1


@numba.njit(cache=True, parallel=True)
def _halve(floats: UInt32[np.ndarray, "n 6"], out: UInt32[np.ndarray, "n 8"]):  # pragma: no cover - compiled
    """Write six float32 as float16 into the words 4 to 6, to the nearest: numpy takes ten times as long."""
    for i in numba.prange(len(floats)):
        for k in range(3):
            out[i, 4 + k] = _half(floats[i, 2 * k]) | (_half(floats[i, 2 * k + 1]) << np.uint32(16))


@numba.njit(cache=True, inline="always")
def _half(bits: Any) -> Any:  # pragma: no cover - compiled
    """Bits of a float16 from those of a float32 (uint32), ties to even."""
    sign, size = (bits >> np.uint32(16)) & np.uint32(0x8000), bits & np.uint32(0x7FFFFFFF)
    if size >= np.uint32(0x47800000):  # 65536: infinite
        return sign | np.uint32(0x7C00)
    if size < np.uint32(0x33000000):  # under half of the smallest
        return sign
    if size < np.uint32(0x38800000):  # smaller than what is kept in full
        shift = np.uint32(126) - (size >> np.uint32(23))
        whole = (size & np.uint32(0x7FFFFF)) | np.uint32(0x800000)
    else:
        shift, whole = np.uint32(13), size - np.uint32(0x38000000)
    kept, rest = whole >> shift, whole & ((np.uint32(1) << shift) - np.uint32(1))
    middle = np.uint32(1) << (shift - np.uint32(1))
    if rest > middle or (rest == middle and kept & np.uint32(1)):
        kept += np.uint32(1)
    return sign | kept
