"""A z-buffer for triangle meshes on the CPU (numba): visible face, barycentric coordinates and depth of each
pixel."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float32, Int, Int32

NEAR = 1e-3  # metres; faces with a corner nearer than this are not drawn (there is no clipping)


def rasterize_mesh(
    vertices_uvz: Float32[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], height: int, width: int
) -> tuple[Int32[np.ndarray, "h w"], Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
    """Draw one mesh from one camera.

    Args:
        vertices_uvz: projected vertices: x and y in pixels (the first pixel's centre is 0.5), depth in
        metres. faces: vertex indices; both sides of a face are drawn.
        height, width: of the picture in pixels.

    Returns:
        face_id: the nearest face at each pixel centre, -1 where there is none.
        bary: perspective-correct barycentric coordinates in that face (0 where there is none), so that
            attributes are `(values[faces[face_id]] * bary[..., None]).sum(-2)`.
        depth: along the camera's axis in metres, 0 where there is no face.

    Raises:
        ValueError: a wrong shape, or a face that names no vertex.
    """
    face_id, bary, depth = rasterize_views(np.asarray(vertices_uvz)[None], faces, height, width)
    return face_id[0], bary[0], depth[0]


def rasterize_views(
    vertices_uvz: Float32[np.ndarray, "c v 3"], faces: Int[np.ndarray, "f 3"], height: int, width: int
) -> tuple[Int32[np.ndarray, "c h w"], Float32[np.ndarray, "c h w 3"], Float32[np.ndarray, "c h w"]]:
    """`rasterize_mesh` for several cameras (or poses) of one topology, in parallel over cameras and bands of
    rows."""
    vertices = np.ascontiguousarray(vertices_uvz, np.float32)
    triangles = np.ascontiguousarray(faces, np.int32)
    if vertices.ndim != 3 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices_uvz must be (cameras, vertices, 3), got {vertices.shape}")
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"faces must be (faces, 3), got {triangles.shape}")
    if triangles.size and not (triangles.min() >= 0 and triangles.max() < vertices.shape[1]):
        raise ValueError(
            f"faces name vertices {triangles.min()}..{triangles.max()}, but there are {vertices.shape[1]}"
        )
    shape = (vertices.shape[0], height, width)
    face_id, depth = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    bary = np.zeros((*shape, 3), np.float32)
    # every band goes through all faces: no more of them than the threads need
    bands = (
        min(height, -(-2 * numba.get_num_threads() // max(1, shape[0])))
        if shape[0] < numba.get_num_threads()
        else 1
    )
    _draw(vertices, triangles, max(1, bands), face_id, bary, depth)
    return face_id, bary, depth


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def _draw(vertices, faces, bands, face_id, bary, depth):  # pragma: no cover - compiled
    cameras, height, width = face_id.shape
    rows = (height + bands - 1) // bands
    for item in numba.prange(cameras * bands):
        camera, top = item // bands, item % bands * rows
        bottom = min(height, top + rows)
        draw_nearest(vertices[camera], faces, top, bottom, face_id[camera], depth[camera])
        for y in range(top, bottom):
            for x in range(width):
                if face_id[camera, y, x] >= 0:
                    bary[camera, y, x] = barycentric(vertices[camera], faces[face_id[camera, y, x]], x, y)


@numba.njit(cache=True, error_model="numpy", nogil=True, inline="always")
def edge(ax, ay, bx, by, px, py):
    """Twice the signed area of the triangle a, b, p; exactly opposite when a and b change places, so no
    cracks."""
    return (ax - px) * (by - py) - (ay - py) * (bx - px)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def draw_nearest(vertices, faces, top, bottom, face_id, depth):  # pragma: no cover - compiled
    """The nearest face and its depth at the pixel centres of rows top to bottom - 1; `face_id` starts with
    -1."""
    width = face_id.shape[1]
    for k in range(faces.shape[0]):
        i, j, m = faces[k, 0], faces[k, 1], faces[k, 2]
        az, bz, cz = vertices[i, 2], vertices[j, 2], vertices[m, 2]
        if min(az, bz, cz) < NEAR:
            continue
        # float64 from here on: the corners are exact, the edge functions nearly so
        ax, ay, bx, by = (
            np.float64(vertices[i, 0]),
            np.float64(vertices[i, 1]),
            np.float64(vertices[j, 0]),
            np.float64(vertices[j, 1]),
        )
        cx, cy = np.float64(vertices[m, 0]), np.float64(vertices[m, 1])
        y0, y1 = (
            max(np.float64(top), np.ceil(min(ay, by, cy) - 0.5)),
            min(np.float64(bottom - 1), np.floor(max(ay, by, cy) - 0.5)),
        )
        x0, x1 = (
            max(0.0, np.ceil(min(ax, bx, cx) - 0.5)),
            min(np.float64(width - 1), np.floor(max(ax, bx, cx) - 0.5)),
        )
        area = edge(ax, ay, bx, by, cx, cy)
        if not (y0 <= y1 and x0 <= x1) or area == 0:  # also true of NaN
            continue
        ra, rb, rc = 1.0 / (area * az), 1.0 / (area * bz), 1.0 / (area * cz)
        for y in range(int(y0), int(y1) + 1):
            for x in range(int(x0), int(x1) + 1):
                px, py = x + 0.5, y + 0.5
                wa, wb, wc = (
                    edge(bx, by, cx, cy, px, py),
                    edge(cx, cy, ax, ay, px, py),
                    edge(ax, ay, bx, by, px, py),
                )
                if (area > 0 and (wa < 0 or wb < 0 or wc < 0)) or (area < 0 and (wa > 0 or wb > 0 or wc > 0)):
                    continue
                z = np.float32(1.0 / (wa * ra + wb * rb + wc * rc))  # 1/z is linear on the screen
                if face_id[y, x] < 0 or z < depth[y, x]:
                    face_id[y, x] = k
                    depth[y, x] = z


@numba.njit(cache=True, error_model="numpy", nogil=True, inline="always")
def barycentric(vertices, face, x, y):  # pragma: no cover - compiled
    """Perspective-correct barycentric coordinates of the centre of pixel x, y in a face that covers it."""
    a, b, c = vertices[face[0]], vertices[face[1]], vertices[face[2]]
    ax, ay, bx, by, cx, cy = (
        np.float64(a[0]),
        np.float64(a[1]),
        np.float64(b[0]),
        np.float64(b[1]),
        np.float64(c[0]),
        np.float64(c[1]),
    )
    px, py, area = x + 0.5, y + 0.5, edge(ax, ay, bx, by, cx, cy)
    ra, rb, rc = 1.0 / (area * a[2]), 1.0 / (area * b[2]), 1.0 / (area * c[2])
    wa, wb, wc = (
        edge(bx, by, cx, cy, px, py) * ra,
        edge(cx, cy, ax, ay, px, py) * rb,
        edge(ax, ay, bx, by, px, py) * rc,
    )
    z = np.float32(1.0 / (wa + wb + wc))
    return np.float32(wa * z), np.float32(wb * z), np.float32(wc * z)
