"""PatchMatch (Barnes et al. 2009) with guides, masks and parts: for each wanted pixel the most alike of the
source.

The likeness of a wanted pixel p and a source pixel q is a sum of four terms, the smaller the more alike:

- colours without detail, cut off at `limit`: beyond it a colour says nothing, and place decides;
- the distance of the other guides, which are scaled beforehand: not squared, so that a smooth map is kept in
small things;
- a table for their parts, and a fine of each source pixel;
- the mean squared difference of the two pictures over a window around both.

Threads share rows in fixed bands, and chance is a hash of seed, round and pixel: the result depends on
nothing else.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numba
import numpy as np
from jaxtyping import Bool, Float32, Int8, Int32

from turnaround.models.bands import in_bands

BAND = 16  # rows; matches spread within a band in one round, and over its edge in the next
LOYALTY = np.float32(
    0.95
)  # a match found by chance must be better than this share of what is there: seams are fewer


class Side(NamedTuple):
    """A picture with its guides, framed by `radius` pixels that are not `there`."""

    picture: Float32[np.ndarray, "h w3"]  # the channels of a row's pixels one after the other
    color: Float32[np.ndarray, "h w 3"]
    guide: Float32[np.ndarray, "h w g"]
    part: Int8[np.ndarray, "h w"]
    fine: Float32[np.ndarray, "h w"]  # of a source pixel
    there: Bool[np.ndarray, "h w"]  # a source's candidates; a target's wanted pixels


class Terms(NamedTuple):
    """How the terms of likeness are weighed."""

    strangeness: Float32[np.ndarray, "p p"]  # target's part, source's part; infinite: never
    limit: np.float32
    window: Float32[np.ndarray, "k k3"]  # weights of the channels of a window's pixels


Matches = Int32[np.ndarray, "h w 2"]  # row and column in the source


def search(
    target: Side, source: Side, terms: Terms, matches: Matches, *, rounds: int, reach: int, seed: int
) -> tuple[Matches, Float32[np.ndarray, "h w"]]:
    """Better matches than those given, which must be candidates of the source, and how unlike each still
    is."""
    found = np.array(matches, np.int32)
    unlike = np.full(target.there.shape, np.inf, np.float32)
    for count in range(rounds):
        state = (found.copy(), unlike.copy(), found, unlike)
        sweep = partial(_sweep, target, source, terms, *state, count, reach, np.uint64(seed))
        in_bands(sweep, -(-len(found) // BAND))
    return found, unlike


def closest(target: Side, source: Side, terms: Terms) -> Matches:
    """The most alike of all candidates by the guides alone, for each wanted pixel: exhaustive, for small
    pictures."""
    candidates = np.argwhere(source.there).astype(np.int32)
    if not len(candidates):
        raise ValueError("the source has no pixel that may be copied")
    matches = np.zeros((*target.there.shape, 2), np.int32)
    in_bands(partial(_closest, target, source, terms, candidates, matches), len(matches))
    return matches


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _guided(target, source, terms, y, x, v, u):  # pragma: no cover - compiled
    """The terms that need no window."""
    total = terms.strangeness[target.part[y, x], source.part[v, u]] + source.fine[v, u]
    color = np.float32(0)
    for c in range(3):
        e = target.color[y, x, c] - source.color[v, u, c]
        color += e * e
    total += min(color, terms.limit)
    place = np.float32(0)
    for c in range(target.guide.shape[2]):
        e = target.guide[y, x, c] - source.guide[v, u, c]
        place += e * e
    return total + np.sqrt(place)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _likeness(target, source, terms, y, x, v, u, best):  # pragma: no cover - compiled
    """All terms, or some number not below `best`."""
    total = _guided(target, source, terms, y, x, v, u)
    side = terms.window.shape[0]
    r = side // 2
    for i in range(side):
        if total >= best:
            break
        row = np.float32(0)
        for j in range(3 * side):
            e = target.picture[y + i - r, 3 * (x - r) + j] - source.picture[v + i - r, 3 * (u - r) + j]
            row += terms.window[i, j] * e * e
        total += row
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _chance(seed, y, x, k):  # pragma: no cover - compiled
    """A hash of four numbers, 64 bits (the finisher of SplitMix64)."""
    z = (
        seed
        + np.uint64(y) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(x) * np.uint64(0xC2B2AE3D27D4EB4F)
        + np.uint64(k) * np.uint64(0x165667B19E3779F9)
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sweep(
    target, source, terms, old, old_unlike, found, unlike, count, reach, seed, first, last
):  # pragma: no cover - compiled
    """One round: each wanted pixel tries what its neighbours found, and pixels by chance near its own
    match."""
    height, width = target.there.shape
    rows, columns = source.there.shape
    step = 1 if count % 2 == 0 else -1
    for band in range(first, last):
        top, bottom = band * BAND, min(height, band * BAND + BAND)
        for row in range(bottom - top):
            y = top + row if step > 0 else bottom - 1 - row
            for column in range(width):
                x = column if step > 0 else width - 1 - column
                if not target.there[y, x]:
                    continue
                v, u, best = old[y, x, 0], old[y, x, 1], old_unlike[y, x]
                if count == 0:
                    best = _likeness(target, source, terms, y, x, v, u, np.float32(np.inf))
                for k in range(2):
                    py, px = (y - step, x) if k == 0 else (y, x - step)
                    if not target.there[py, px]:
                        continue
                    beyond = py < top or py >= bottom
                    cv = (old[py, px, 0] if beyond else found[py, px, 0]) + y - py
                    cu = (old[py, px, 1] if beyond else found[py, px, 1]) + x - px
                    if (cv != v or cu != u) and source.there[cv, cu]:
                        new = _likeness(target, source, terms, y, x, cv, cu, best)
                        if new < best:
                            v, u, best = cv, cu, new
                radius, k = reach, 0
                while radius >= 1:
                    z = _chance(seed + np.uint64(count), y, x, k)
                    span = np.uint64(2 * radius + 1)
                    cv = v + np.int32(z % span) - radius
                    cu = u + np.int32((z >> np.uint64(32)) % span) - radius
                    if 0 <= cv < rows and 0 <= cu < columns and source.there[cv, cu]:
                        new = _likeness(target, source, terms, y, x, cv, cu, LOYALTY * best)
                        if new < LOYALTY * best:
                            v, u, best = cv, cu, new
                    radius //= 2
                    k += 1
                found[y, x, 0], found[y, x, 1], unlike[y, x] = v, u, best


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _closest(target, source, terms, candidates, matches, first, last):  # pragma: no cover - compiled
    width = target.there.shape[1]
    for y in range(first, last):
        for x in range(width):
            if not target.there[y, x]:
                continue
            best = np.float32(np.inf)
            for k in range(candidates.shape[0]):
                v, u = candidates[k, 0], candidates[k, 1]
                new = _guided(target, source, terms, y, x, v, u)
                if new < best or k == 0:
                    best = new
                    matches[y, x, 0], matches[y, x, 1] = v, u
