"""Binning of splats into tiles of 16 x 16 pixels, front to back, in numba: all cores work on one camera
too."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64
from numba import njit, prange

from turnaround.models.splat.cpu.projection import TILE

PARTS = 16  # of the sorted splats of all cameras together at least, to be binned at the same time
DIGIT = 12  # bits of a pass of the radix sort


def bin_splats(
    depths: Float32[np.ndarray, "c n"], boxes: Int16[np.ndarray, "c n 4"], width: int, height: int
) -> tuple[Int64[np.ndarray, " tiles"], Int32[np.ndarray, "pairs 2"], Int64[np.ndarray, " splats"]]:
    """The splats of each tile by depth.

    Returns:
        starts: (c * tiles + 1,) the pairs of tile k (camera-major, then by rows) are starts[k]:starts[k + 1].
        pairs: (pairs, 2) the index of each pair's Gaussian, nearest first, equals by index; and the pair's
        slot. slots: (c * n + 1,) the slots of splat k, one a tile, are slots[k]:slots[k + 1]: what is stored
        at a pair's slot
            lies together with the splat's other pairs.
    """
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    views, count = depths.shape
    slots = np.empty(views * count + 1, np.int64)
    ranked, seen = np.empty((views, count), np.int32), np.empty(views, np.int64)
    _rank(depths.view(np.uint32), boxes, slots, ranked, seen)
    np.cumsum(slots, out=slots)
    parts = max(1, PARTS // views)
    cursors = np.empty((views * parts, across * down), np.int64)
    _count(boxes, ranked, seen, across, parts, cursors)
    starts = np.empty(views * across * down + 1, np.int64)
    _scan(cursors, parts, starts)
    packed = np.empty(starts[-1] + len(cursors), np.int64)
    _fill(boxes, ranked, seen, across, parts, starts[-1], cursors, slots, packed)
    return starts, packed.view(np.int32).reshape(-1, 2)[: starts[-1]], slots


def costly_first(starts: Int64[np.ndarray, " tiles"]) -> Int64[np.ndarray, " items"]:
    """Tiles by the number of their splats, most first: threads that take them in turn end at about the same
    time."""
    return np.argsort(starts[:-1] - starts[1:], kind="stable")


@njit(parallel=True, cache=True, nogil=True)
def _rank(keys, boxes, slots, ranked, seen):
    """Order each camera's splats by depth, and put each splat's number of tiles behind its place in
    `slots`."""
    count = keys.shape[1]
    slots[0] = 0
    for c in prange(keys.shape[0]):
        for i in range(count):
            across, down = (
                np.int64(boxes[c, i, 1]) - boxes[c, i, 0],
                np.int64(boxes[c, i, 3]) - boxes[c, i, 2],
            )
            slots[c * count + i + 1] = (across + 1) * (down + 1)
        seen[c] = _depth_order(keys, boxes, ranked, c)


@njit
def _depth_order(keys, boxes, ranked, c):
    """Fill ranked[c] with the indices of the splats that have a box, by depth, and return their number.

    A stable radix sort: the bits of positive floats are ordered like the floats. The bits that all have in
    common at the upper end cost nothing: with depths within a factor of two there are two passes.
    """
    n, low, high = 0, np.int64(0xFFFFFFFF), np.int64(0)
    source, target = np.empty(keys.shape[1], np.int32), np.empty(keys.shape[1], np.int32)
    for i in range(keys.shape[1]):
        if boxes[c, i, 1] >= boxes[c, i, 0] and boxes[c, i, 3] >= boxes[c, i, 2]:  # either may be empty alone
            source[n] = i
            n += 1
            low, high = min(low, np.int64(keys[c, i])), max(high, np.int64(keys[c, i]))
    shift, first = 0, np.empty((1 << DIGIT) + 1, np.int32)
    while n and (high - low) >> shift:
        for b in range(first.size):
            first[b] = 0
        for rank in range(n):
            first[((np.int64(keys[c, source[rank]]) - low >> shift) & ((1 << DIGIT) - 1)) + 1] += 1
        for b in range(1 << DIGIT):
            first[b + 1] += first[b]
        for rank in range(n):
            i = source[rank]
            b = (np.int64(keys[c, i]) - low >> shift) & ((1 << DIGIT) - 1)
            target[first[b]] = i
            first[b] += 1
        source, target, shift = target, source, shift + DIGIT
    for rank in range(n):
        ranked[c, rank] = source[rank]
    return n


@njit
def _part(item, parts, seen):
    """Camera, and first and last + 1 rank of a part of its splats."""
    c, k = item // parts, item % parts
    return c, seen[c] * k // parts, seen[c] * (k + 1) // parts


@njit
def _box(boxes, c, i, across):
    """The box's first tile, and how many more tiles it has to the right and below."""
    x, y = np.int64(boxes[c, i, 0]), np.int64(boxes[c, i, 2])
    return y * across + x, boxes[c, i, 1] - x, boxes[c, i, 3] - y


@njit(parallel=True, cache=True, nogil=True)
def _count(boxes, ranked, seen, across, parts, counts):
    """Number of splats of each part in each tile. Up to 2 x 2 tiles without a branch, whose outcome nobody
    could guess."""
    for item in prange(counts.shape[0]):
        c, begin, end = _part(item, parts, seen)
        for tile in range(counts.shape[1]):
            counts[item, tile] = 0
        for rank in range(begin, end):
            tile, right, below = _box(boxes, c, ranked[c, rank], across)
            if (right | below) < 2:
                counts[item, tile] += 1
                counts[item, tile + right] += right
                counts[item, tile + below * across] += below
                counts[item, tile + below * across + right] += right & below
            else:
                for y in range(below + 1):
                    for x in range(right + 1):
                        counts[item, tile + y * across + x] += 1


@njit(cache=True, nogil=True)
def _scan(cursors, parts, starts):
    """From counts to where each part begins in each tile, and where each tile begins."""
    tiles, total = cursors.shape[1], 0
    for c in range(cursors.shape[0] // parts):
        for tile in range(tiles):
            starts[c * tiles + tile] = total
            for item in range(c * parts, (c + 1) * parts):
                n = cursors[item, tile]
                cursors[item, tile] = total
                total += n
    starts[-1] = total


@njit
def _put(packed, cursors, item, tile, number, i, slot, waste):
    """Append the splat to the part's list of the tile if `number` is 1; else write where nobody looks."""
    place = cursors[item, tile]
    cursors[item, tile] = place + number
    packed[place if number else waste] = np.int64(i) | slot << 32


@njit(parallel=True, cache=True, nogil=True)
def _fill(boxes, ranked, seen, across, parts, total, cursors, slots, packed):
    """Put index and slot (upper half) of each splat into the lists of its tiles."""
    count = boxes.shape[1]
    for item in prange(cursors.shape[0]):
        c, begin, end = _part(item, parts, seen)
        waste = total + item
        for rank in range(begin, end):
            i = ranked[c, rank]
            tile, right, below = _box(boxes, c, i, across)
            slot = slots[c * count + i]
            if (right | below) < 2:
                _put(packed, cursors, item, tile, 1, i, slot, waste)
                _put(packed, cursors, item, tile + right, right, i, slot + 1, waste)
                _put(packed, cursors, item, tile + below * across, below, i, slot + 1 + right, waste)
                _put(packed, cursors, item, tile + below * across + right, right & below, i, slot + 3, waste)
            else:
                for y in range(below + 1):
                    for x in range(right + 1):
                        _put(packed, cursors, item, tile + y * across + x, 1, i, slot, waste)
                        slot += 1
