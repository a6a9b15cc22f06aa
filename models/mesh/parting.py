"""A closed surface out of one that touches itself: where more than two faces meet at an edge, or fans of
faces at a vertex, its sheets are parted."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

_TRIES = 8


def part_sheets(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> tuple[Float[np.ndarray, "w 3"], Int[np.ndarray, "f 3"]]:
    """Give each sheet vertices of its own, where sheets touch; no place changes.

    Every half of an edge gets one opposite half as its twin, and corners that twins join become one vertex.
    Edges that as many faces pass in one direction as in the other have two faces afterwards; others are left
    open.

    Args:
        vertices: places.
        faces: vertex indices, counter-clockwise seen from outside.

    Returns:
        vertices (those that no face uses are gone) and faces, in the order of `faces`.
    """
    start, after = faces.reshape(-1), _following(np.arange(faces.size))
    end = start[after]
    key = np.minimum(start, end).astype(np.int64) * len(vertices) + np.maximum(start, end)
    forth, back = _twins(key, start < end)
    _, first, group, size = np.unique(key[forth], return_index=True, return_inverse=True, return_counts=True)
    rank = np.arange(len(forth)) - first[group]
    turn = np.zeros(len(size), np.int64)

    def corners() -> Int[np.ndarray, " c"]:
        twin = back[first[group] + (rank + turn[group]) % size[group]]
        return _joined(np.append(forth, after[forth]), np.append(after[twin], twin), faces.size)

    corner = corners()
    for _ in range(_TRIES):
        again = corner[forth].astype(np.int64) * faces.size + corner[after[forth]]
        _, same, often = np.unique(again, return_inverse=True, return_counts=True)
        met = np.unique(group[often[same] > 1])
        if len(met) == 0:
            break
        turn[met] += 1  # the sheets of these edges still share both ends: other twins part them
        corner = corners()
    places = np.empty((int(corner.max(initial=-1)) + 1, 3), vertices.dtype)
    places[corner] = vertices[start]
    return places, corner.reshape(-1, 3).astype(faces.dtype)


def _following(corners: Int[np.ndarray, " c"]) -> Int[np.ndarray, " c"]:
    """The next corner of the same face."""
    return np.roll(corners.reshape(-1, 3), -1, 1).reshape(-1)


def _twins(
    key: Int[np.ndarray, " c"], forward: np.ndarray
) -> tuple[Int[np.ndarray, " h"], Int[np.ndarray, " h"]]:
    """Forward and backward halves in the order of their edges, of edges that have as many of both."""
    edges, index = np.unique(key, return_inverse=True)
    balance = np.bincount(index, np.where(forward, 1, -1), len(edges))
    paired = balance[index] == 0
    forth, back = np.flatnonzero(forward & paired), np.flatnonzero(~forward & paired)
    return forth[np.argsort(key[forth], kind="stable")], back[np.argsort(key[back], kind="stable")]


def _joined(
    one: Int[np.ndarray, " e"], other: Int[np.ndarray, " e"], count: int
) -> Int[np.ndarray, " {count}"]:
    """Number of the set of each of `count` things, where `one` and `other` are in the same set."""
    graph = sparse.coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    return sparse.csgraph.connected_components(graph, directed=False)[1]
