"""Closed rims filled with triangles of least area (Barequet and Sharir 1995, "Filling gaps in the boundary
of a
polyhedron", section 3): a rim that runs along an arm and down the side is sewn along both, not spanned
across."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float, Int

MOST = 700
"""Vertices of a rim; the time grows with their cube."""


def fill(rim: Float[np.ndarray, "r 3"]) -> Int[np.ndarray, "t 3"]:
    """The r - 2 triangles over the vertices of a closed rim whose areas have the least sum, in the rim's
    direction.

    Raises:
        ValueError: fewer than 3 vertices, or more than MOST.
    """
    count = len(rim)
    if not 3 <= count <= MOST:
        raise ValueError(f"a rim of 3 to {MOST} vertices can be filled, got {count}")
    middle = _middles(np.ascontiguousarray(rim, np.float64))
    found, todo = [], [(0, count - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        between = int(middle[first, last])
        found.append((first, between, last))
        todo += [(first, between), (between, last)]
    return np.array(found)


@numba.njit(cache=True, error_model="numpy")
def _middles(rim: Float[np.ndarray, "r 3"]):  # pragma: no cover - compiled
    """(r, r): the third vertex of the triangle on the chord from i to k in the best filling of that part."""
    count = len(rim)
    cost = np.zeros((count, count))
    middle = np.zeros((count, count), np.int32)
    for width in range(2, count):
        for i in range(count - width):
            k = i + width
            best = np.inf
            ax, ay, az = rim[k, 0] - rim[i, 0], rim[k, 1] - rim[i, 1], rim[k, 2] - rim[i, 2]
            for m in range(i + 1, k):
                before = cost[i, m] + cost[m, k]
                if before >= best:
                    continue
                bx, by, bz = rim[m, 0] - rim[i, 0], rim[m, 1] - rim[i, 1], rim[m, 2] - rim[i, 2]
                cx, cy, cz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
                whole = before + 0.5 * np.sqrt(cx * cx + cy * cy + cz * cz)
                if whole < best:
                    best, middle[i, k] = whole, m
            cost[i, k] = best
    return middle
