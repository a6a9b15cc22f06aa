"""Binning of splats into tiles of 16 x 16 pixels, front to back, in numba."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numba import njit, prange

from models.splat.projection import TILE


def tile_grid(width: int, height: int) -> tuple[int, int]:
    """Tiles across and down."""
    return (width + TILE - 1) // TILE, (height + TILE - 1) // TILE


def bin_splats(
    depths: Float32[np.ndarray, "c n"], boxes: Int32[np.ndarray, "c n 4"], width: int, height: int
) -> tuple[Int64[np.ndarray, " tiles"], Int32[np.ndarray, " pairs"]]:
    """The splats of each tile by depth.

    Returns:
        starts: (c * tiles + 1,) the pairs of tile k (camera-major, then by rows) are starts[k]:starts[k + 1].
        ids: (pairs,) the index of each pair's Gaussian, nearest first, equals by index.
    """
    across, down = tile_grid(width, height)
    counts = np.zeros((boxes.shape[0], across * down), np.int64)
    _count(boxes, across, counts)
    starts = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.reshape(-1), out=starts[1:])
    ids = np.empty(starts[-1], np.int32)
    _fill(depths, boxes, across, starts, counts, ids)
    return starts, ids


@njit(parallel=True, cache=True, nogil=True)
def _count(boxes, across, counts):
    for c in prange(boxes.shape[0]):
        for i in range(boxes.shape[1]):
            for y in range(boxes[c, i, 2], boxes[c, i, 3] + 1):
                for x in range(boxes[c, i, 0], boxes[c, i, 1] + 1):
                    counts[c, y * across + x] += 1


@njit(cache=True, nogil=True)
def depth_order(depths, boxes):
    """Indices of the splats with a box, by depth: a stable radix sort, 11 bits a pass.

    The bits of positive floats are ordered like the floats.
    """
    keys = depths.view(np.uint32)
    order = np.empty(depths.size, np.int32)
    n = 0
    for i in range(depths.size):
        if boxes[i, 1] >= boxes[i, 0]:
            order[n] = i
            n += 1
    order = order[:n]
    other = np.empty(n, np.int32)
    for shift in (0, 11, 22):
        first = np.zeros(2049, np.int64)
        for i in order:
            first[((keys[i] >> np.uint32(shift)) & np.uint32(2047)) + 1] += 1
        for b in range(2048):
            first[b + 1] += first[b]
        for i in order:
            b = (keys[i] >> np.uint32(shift)) & np.uint32(2047)
            other[first[b]] = i
            first[b] += 1
        order, other = other, order
    return order


@njit(parallel=True, cache=True, nogil=True)
def _fill(depths, boxes, across, starts, counts, ids):
    tiles = counts.shape[1]
    for c in prange(boxes.shape[0]):
        cursor = starts[c * tiles : (c + 1) * tiles].copy()
        for i in depth_order(depths[c], boxes[c]):
            for y in range(boxes[c, i, 2], boxes[c, i, 3] + 1):
                for x in range(boxes[c, i, 0], boxes[c, i, 1] + 1):
                    ids[cursor[y * across + x]] = i
                    cursor[y * across + x] += 1
