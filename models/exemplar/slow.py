"""Slow colours: a picture without its detail, but with the edges of its cloths."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from turnaround.models.exemplar.pyramid import enlarged

REACH = 3  # pixels
ALIKE = 0.12  # sRGB: colours that differ by more belong to two cloths
STEP, PART = 3, 0.3  # pixels to either side, and sRGB between them, that make an edge
ROUND = 1.5  # pixels by which edges are rounded, so that those of a coarse grid show no steps


def slow_colors(
    picture: Float32[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    """Means of the mask's pixels over a window, each weighted by how alike it is (bilateral filter, Tomasi
    and Manduchi 1998)."""
    size = 2 * REACH + 1
    framed, there = (
        np.pad(picture, ((REACH, REACH), (REACH, REACH), (0, 0)), mode="edge"),
        np.pad(mask, REACH),
    )
    total, weights = np.zeros_like(picture), np.full(mask.shape, np.float32(1e-6))
    height, width = mask.shape
    for y in range(size):
        for x in range(size):
            other = framed[y : y + height, x : x + width]
            near = np.exp(-((y - REACH) ** 2 + (x - REACH) ** 2) / np.float32(REACH**2))
            unlike = ((other - picture) ** 2).sum(-1)
            weight = (
                there[y : y + height, x : x + width] * near * np.exp(unlike * np.float32(-0.5 / ALIKE**2))
            )
            total += weight[..., None] * other
            weights += weight
    return total / weights[..., None]


def enlarged_cloths(slow: Float32[np.ndarray, "i j 3"], factor: int) -> Float32[np.ndarray, "h w 3"]:
    """Slow colours at `factor` (a power of 2) times their size, where two cloths meet the one or the
    other."""
    while factor > 1:
        slow, factor = parted(ndimage.gaussian_filter(enlarged(slow, 2), (ROUND, ROUND, 0))), factor // 2
    return slow


def parted(slow: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Each pixel between two unlike colours as the more alike of the two (a shock filter, Osher and Rudin
    1990)."""
    height, width = slow.shape[:2]
    framed = np.pad(slow, ((STEP, STEP), (STEP, STEP), (0, 0)), mode="edge")
    best, chosen = np.full((height, width), np.float32(PART**2)), slow.copy()
    for y, x in ((0, STEP), (STEP, 0), (STEP, STEP), (STEP, -STEP)):
        a = framed[STEP + y : STEP + y + height, STEP + x : STEP + x + width]
        b = framed[STEP - y : STEP - y + height, STEP - x : STEP - x + width]
        across = ((a - b) ** 2).sum(-1)
        nearer = np.where((((a - slow) ** 2).sum(-1) < ((b - slow) ** 2).sum(-1))[..., None], a, b)
        chosen = np.where((across > best)[..., None], nearer, chosen)
        best = np.maximum(best, across)
    return chosen
