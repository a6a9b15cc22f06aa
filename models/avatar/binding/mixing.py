"""Weights of points as the vertices near them have: a compiled pass (numba)."""

from __future__ import annotations

import numba
import numpy as np
import torch
from jaxtyping import Float, Int

from turnaround.pipeline.values.rig import INFLUENCES, SkinWeights


def mix(
    skin: SkinWeights,
    index: Int[np.ndarray, "n k"],
    share: Float[np.ndarray, "n k"],
    *,
    bones: int,
    alike: float = 0.0,
) -> SkinWeights:
    """The strongest bones of weighted means of rows of `skin`.

    Args:
        skin: weights of the vertices.
        index: vertices near each point, the nearest first.
        share: how much each counts; of any sum.
        bones: how many there are.
        alike: share of its weights that a vertex must have in common with the nearest one to count.
    """
    ids = np.empty((len(index), INFLUENCES), np.int64)
    weights = np.empty((len(index), INFLUENCES), np.float32)
    _mix(
        skin.bones.numpy(), skin.weights.double().numpy(), np.ascontiguousarray(index, np.int64),
        np.ascontiguousarray(share, np.float64), bones, alike, ids, weights,
    )  # fmt: skip
    return SkinWeights(torch.from_numpy(ids), torch.from_numpy(weights))


@numba.njit(cache=True, parallel=True, error_model="numpy")
def _mix(
    rows: Int[np.ndarray, "v 4"],
    values: Float[np.ndarray, "v 4"],
    index: Int[np.ndarray, "n k"],
    share: Float[np.ndarray, "n k"],
    bones: int,
    alike: float,
    ids: Int[np.ndarray, "n 4"],
    weights: Float[np.ndarray, "n 4"],
):  # pragma: no cover - compiled
    for i in numba.prange(len(index)):
        nearest, total = np.zeros(bones), np.zeros(bones)
        for c in range(4):
            nearest[rows[index[i, 0], c]] += values[index[i, 0], c]
        for k in range(index.shape[1]):
            own = index[i, k]
            common = 0.0
            for c in range(4):
                common += min(nearest[rows[own, c]], values[own, c])
            if common >= alike:
                for c in range(4):
                    total[rows[own, c]] += share[i, k] * values[own, c]
        whole = 0.0
        for c in range(4):
            best = 0
            for bone in range(1, bones):
                if total[bone] > total[best]:
                    best = bone
            kept = total[best]
            if kept <= 0 or (c > 0 and kept < 1e-4 * weights[i, 0]):
                best, kept = 0, 0.0
            ids[i, c], weights[i, c] = best, kept
            whole += kept
            if kept > 0:
                total[best] = -1.0
        for c in range(4):
            weights[i, c] /= whole
