"""Discs on triangles: the Gaussians of what no picture has any for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from turnaround.models.detail.surfels import OPAQUE, flat
from turnaround.pipeline.values.types import Gaussians

_R2 = np.array([0.7548776662466927, 0.5698402909980532])
"""Steps of the R2 sequence (Roberts 2018), which covers a square evenly with any number of points."""


class Spread(NamedTuple):
    """Points spread evenly over triangles."""

    face: Int[np.ndarray, " g"]
    bary: Float[np.ndarray, "g 3"]


def spread(
    corners: Float[np.ndarray, "f 3 3"], step: float, *, density: Float[np.ndarray, " f"] | float = 1.0
) -> Spread:
    """Points about `step` metres apart, or `density` times as many; many small triangles share a point."""
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    # rounding the running sum keeps the density over many small triangles
    ends = np.round(np.cumsum(density * area) / step**2).astype(int)
    counts = np.diff(ends, prepend=0)
    face = np.repeat(np.arange(len(corners)), counts)
    number = np.arange(len(face)) - np.repeat(ends - counts, counts)
    u, v = ((0.5 + (number[:, None] + 1) * _R2) % 1).T
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    return Spread(face, np.stack([1 - u - v, u, v], 1))


def discs(
    corners: Float[np.ndarray, "f 3 3"],
    places: Spread,
    colors: Float[np.ndarray, "g 3"],
    step: float,
    *,
    sink: float = 0.0,
) -> Gaussians:
    """Round, opaque Gaussians at points of triangles, `sink` metres behind them."""
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = (across / (np.linalg.norm(across, axis=1, keepdims=True) + 1e-12))[places.face]
    points = (places.bary[..., None] * corners[places.face]).sum(1) - sink * normals
    count = len(points)
    eye = points + normals  # seen from straight above, so that the discs are round
    return flat(points, normals, eye, np.full(count, step), colors, np.full(count, OPAQUE))
