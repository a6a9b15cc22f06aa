"""The zero level of a volume as a closed triangle mesh: a vertex in every cube that it passes (Gibson
1998)."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Float32, Int

from turnaround.models.mesh.signed_distance import Volume
from turnaround.models.mesh.surface import Surface

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
EDGES = np.array([(a, b) for a in range(8) for b in range(a) if np.abs(CORNERS[a] - CORNERS[b]).sum() == 1])


def zero_level(volume: Volume) -> Surface:
    """The surface between negative values (inside) and others, faces counter-clockwise seen from outside.

    Every edge has two faces. What touches the volume's border is closed there.
    """
    values = np.pad(volume.values, 1, constant_values=1.0)
    inside = _untouching(values < 0)
    values = np.where(inside, np.minimum(values, -1e-3), np.maximum(values, 1e-3))
    cells, index = _passed(inside)
    vertices = _crossings(values, cells)
    faces = np.concatenate([_faces(inside, index, vertices, axis) for axis in range(3)])
    return Surface(volume.origin + volume.voxel * (vertices - 1), faces)


def _untouching(inside: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """More is inside, until no four corners of a square are inside and outside crosswise: an edge there would
    have four faces."""
    inside = inside.copy()
    while True:
        found = False
        for axis, other in ((0, 1), (0, 2), (1, 2)):
            a, b, c, d = (_corner(inside, {axis: i, other: j}) for i, j in ((0, 0), (1, 1), (0, 1), (1, 0)))
            cross = (a == b) & (c == d) & (a != c)
            if cross.any():
                found = True
                a[cross] = b[cross] = c[cross] = d[cross] = True
        if not found:
            return inside


def _corner(grid: np.ndarray, steps: dict[int, int]) -> np.ndarray:
    """A view of the corners that lie so many steps along some axes from the first of their cube or square."""
    part = [slice(None)] * 3
    for axis, step in steps.items():
        part[axis] = slice(step, grid.shape[axis] - 1 + step)
    return grid[tuple(part)]


def _passed(inside: Bool[np.ndarray, "x y z"]) -> tuple[Int[np.ndarray, "n 3"], Int[np.ndarray, "x1 y1 z1"]]:
    """The cubes that the surface passes, and for every cube its number among them."""
    corners = [_corner(inside, dict(enumerate(place))) for place in CORNERS.tolist()]
    passed = np.logical_or.reduce(corners) & ~np.logical_and.reduce(corners)
    index = np.full(passed.shape, -1, np.int64)
    index[passed] = np.arange(int(passed.sum()))
    return np.argwhere(passed), index


def _crossings(values: Float32[np.ndarray, "x y z"], cells: Int[np.ndarray, "n 3"]) -> np.ndarray:
    """The mean of the points where a cube's edges cross zero, (n, 3) in steps of the grid."""
    at = values[tuple(np.moveaxis(cells[:, None] + CORNERS, -1, 0))].astype(np.float64)
    a, b = at[:, EDGES[:, 0]], at[:, EDGES[:, 1]]
    crossed = (a < 0) != (b < 0)
    share = np.where(crossed, a / np.where(crossed, a - b, 1.0), 0.0)
    start, way = CORNERS[EDGES[:, 0]], CORNERS[EDGES[:, 1]] - CORNERS[EDGES[:, 0]]
    points = crossed @ start + share @ way
    return cells + points / crossed.sum(1, keepdims=True)


def _faces(
    inside: Bool[np.ndarray, "x y z"], index: np.ndarray, vertices: np.ndarray, axis: int
) -> Int[np.ndarray, "f 3"]:
    """Two triangles for every edge along an axis that crosses zero, between the four cubes around it."""
    near, far = _corner(inside, {axis: 0}), _corner(inside, {axis: 1})
    at = np.argwhere(near != far)
    second, third = (axis + 1) % 3, (axis + 2) % 3
    around = []
    for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)):
        cell = at.copy()
        cell[:, second] += i - 1
        cell[:, third] += j - 1
        around.append(index[tuple(cell.T)])
    quads = np.stack(around, 1)
    outward = near[tuple(at.T)]
    quads = np.where(outward[:, None], quads, quads[:, ::-1])
    first, other = (np.linalg.norm(vertices[quads[:, k]] - vertices[quads[:, k + 2]], axis=1) for k in (0, 1))
    quads = np.where(
        (first <= other)[:, None], quads, np.roll(quads, -1, 1)
    )  # split along the shorter diagonal
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
