"""Binning of splats into tiles of 16 x 16 pixels, front to back, in numba."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64
from numba import njit, prange

from models.splat.projection import TILE

PARTS = 16  # of the sorted splats of all cameras together at least, to be binned at the same time
DIGIT = 12  # bits of a pass of the radix sort


def tile_grid(width: int, height: int) -> tuple[int, int]:
    """Tiles across and down."""
    return (width + TILE - 1) // TILE, (height + TILE - 1) // TILE


def bin_splats(
    depths: Float32[np.ndarray, "c n"], boxes: Int16[np.ndarray, "c n 4"], width: int, height: int
) -> tuple[Int64[np.ndarray, " tiles"], Int32[np.ndarray, "pairs 2"], Int64[np.ndarray, " splats"]]:
    """The splats of each tile by depth.

    Returns:
        starts: (c * tiles + 1,) the pairs of tile k (camera-major, then by rows) are starts[k]:starts[k + 1].
        pairs: (pairs, 2) the index of each pair's Gaussian, nearest first, equals by index; and the pair's slot.
        slots: (c * n + 1,) the slots of splat k, one a tile, are slots[k]:slots[k + 1]: what is stored at a pair's slot
            lies together with the splat's other pairs.
    """
    across, down = tile_grid(width, height)
    views, count = depths.shape
    slots = np.empty(views * count + 1, np.int64)
    ranked, seen = np.empty((views, count), np.int32), np.empty(views, np.int64)
    _rank(depths, boxes, slots, ranked, seen)
    np.cumsum(slots, out=slots)
    parts = max(1, PARTS // views)
    cursors = np.empty((views * parts, across * down), np.int32)
    _count(boxes, ranked, seen, across, parts, cursors)
    starts = np.empty(views * across * down + 1, np.int64)
    _scan(cursors, parts, starts)
    pairs = np.empty((starts[-1], 2), np.int32)
    _fill(boxes, ranked, seen, across, parts, starts, cursors, slots, pairs)
    return starts, pairs, slots


def costly_first(starts: Int64[np.ndarray, " tiles"]) -> Int64[np.ndarray, " items"]:
    """Tiles by the number of their splats, most first: threads that take them in turn end at about the same time."""
    return np.argsort(starts[:-1] - starts[1:], kind="stable")


@njit(parallel=True, cache=True, nogil=True)
def _rank(depths, boxes, slots, ranked, seen):
    """Order each camera's splats by depth, and put each splat's number of tiles behind its place in `slots`."""
    count = depths.shape[1]
    slots[0] = 0
    for c in prange(depths.shape[0]):
        for i in range(count):
            box = boxes[c, i]
            slots[c * count + i + 1] = (np.int64(box[1]) - box[0] + 1) * (np.int64(box[3]) - box[2] + 1)
        seen[c] = _depth_order(depths[c].view(np.uint32), boxes[c], ranked[c])


@njit(cache=True, nogil=True)
def _depth_order(keys, boxes, order):
    """Fill `order` with the indices of the splats that have a box, by depth, and return their number.

    A stable radix sort: the bits of positive floats are ordered like the floats. The bits that all have in common
    at the upper end cost nothing: with depths within a factor of two there are two passes.
    """
    n, low, high = 0, np.uint32(0xFFFFFFFF), np.uint32(0)
    for i in range(keys.size):
        if boxes[i, 1] >= boxes[i, 0]:
            order[n] = i
            n += 1
            low, high = min(low, keys[i]), max(high, keys[i])
    source, target = order[:n], np.empty(n, np.int32)
    shift, span, swapped = 0, np.int64(high) - np.int64(low), False
    while n and span >> shift:
        first = np.zeros((1 << DIGIT) + 1, np.int32)
        for i in source:
            first[((np.int64(keys[i]) - low >> shift) & ((1 << DIGIT) - 1)) + 1] += 1
        for b in range(1 << DIGIT):
            first[b + 1] += first[b]
        for i in source:
            b = (np.int64(keys[i]) - low >> shift) & ((1 << DIGIT) - 1)
            target[first[b]] = i
            first[b] += 1
        source, target = target, source
        shift, swapped = shift + DIGIT, not swapped
    if swapped:
        order[:n] = source
    return n


@njit(cache=True)
def _part(item, parts, seen):
    """Camera, and first and last + 1 rank of a part of its splats."""
    c, k = item // parts, item % parts
    return c, seen[c] * k // parts, seen[c] * (k + 1) // parts


@njit(parallel=True, cache=True, nogil=True)
def _count(boxes, ranked, seen, across, parts, counts):
    """Number of splats of each part in each tile."""
    for item in prange(counts.shape[0]):
        c, begin, end = _part(item, parts, seen)
        mine = counts[item]
        mine[:] = 0
        for rank in range(begin, end):
            box = boxes[c, ranked[c, rank]]
            for y in range(box[2], box[3] + 1):
                for x in range(box[0], box[1] + 1):
                    mine[y * across + x] += 1


@njit(cache=True, nogil=True)
def _scan(cursors, parts, starts):
    """From counts to where each part begins in each tile, relative to the tile, and where each tile begins."""
    tiles, total = cursors.shape[1], 0
    for c in range(cursors.shape[0] // parts):
        for tile in range(tiles):
            starts[c * tiles + tile] = total
            inside = 0
            for item in range(c * parts, (c + 1) * parts):
                n = cursors[item, tile]
                cursors[item, tile] = inside
                inside += n
            total += inside
    starts[-1] = total


@njit(parallel=True, cache=True, nogil=True)
def _fill(boxes, ranked, seen, across, parts, starts, cursors, slots, pairs):
    count, tiles = boxes.shape[1], cursors.shape[1]
    for item in prange(cursors.shape[0]):
        c, begin, end = _part(item, parts, seen)
        mine = cursors[item]
        for rank in range(begin, end):
            i = ranked[c, rank]
            box, slot = boxes[c, i], slots[c * count + i]
            for y in range(box[2], box[3] + 1):
                for x in range(box[0], box[1] + 1):
                    tile = y * across + x
                    place = starts[c * tiles + tile] + mine[tile]
                    mine[tile] += 1
                    pairs[place, 0], pairs[place, 1] = i, slot
                    slot += 1
