"""A z-buffer for triangle meshes on the CPU (numba): visible face, barycentric coordinates and depth of each pixel."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float32, Int32

BAND = 64  # rows of a picture that one thread takes at a time
NEAR = 1e-3  # metres; faces with a corner nearer than this are not drawn (there is no clipping)


def rasterize_mesh(
    vertices_uvz: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"], height: int, width: int
) -> tuple[Int32[np.ndarray, "h w"], Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
    """Draw one mesh from one camera.

    Args:
        vertices_uvz: projected vertices: x and y in pixels (the first pixel's centre is 0.5), depth in metres.
        faces: vertex indices; both sides of a face are drawn.
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
    vertices_uvz: Float32[np.ndarray, "c v 3"], faces: Int32[np.ndarray, "f 3"], height: int, width: int
) -> tuple[Int32[np.ndarray, "c h w"], Float32[np.ndarray, "c h w 3"], Float32[np.ndarray, "c h w"]]:
    """`rasterize_mesh` for several cameras (or poses) of one topology, in parallel over cameras and bands of rows."""
    vertices = np.ascontiguousarray(vertices_uvz, np.float32)
    triangles = np.ascontiguousarray(faces, np.int32)
    if vertices.ndim != 3 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices_uvz must be (cameras, vertices, 3), got {vertices.shape}")
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"faces must be (faces, 3), got {triangles.shape}")
    if triangles.size and not (triangles.min() >= 0 and triangles.max() < vertices.shape[1]):
        raise ValueError(f"faces name vertices {triangles.min()}..{triangles.max()}, but there are {vertices.shape[1]}")
    shape = (vertices.shape[0], height, width)
    face_id = np.full(shape, -1, np.int32)
    bary = np.zeros((*shape, 3), np.float32)
    depth = np.zeros(shape, np.float32)
    _draw(vertices, triangles, face_id, bary, depth)
    return face_id, bary, depth


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def _draw(vertices, faces, face_id, bary, depth):  # pragma: no cover - compiled
    cameras, height, _ = face_id.shape
    bands = (height + BAND - 1) // BAND
    for item in numba.prange(cameras * bands):
        camera, band = item // bands, item % bands
        top, bottom = band * BAND, min(height, (band + 1) * BAND)
        for k in range(faces.shape[0]):
            _draw_face(vertices[camera], faces[k], k, top, bottom, face_id[camera], bary[camera], depth[camera])


@numba.njit(cache=True, error_model="numpy", nogil=True, inline="always")
def edge(ax, ay, bx, by, px, py):
    """Twice the signed area of the triangle a, b, p; exactly opposite when a and b change places, so no cracks."""
    return (ax - px) * (by - py) - (ay - py) * (bx - px)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _draw_face(vertices, face, index, top, bottom, face_id, bary, depth):  # pragma: no cover - compiled
    a, b, c = vertices[face[0]], vertices[face[1]], vertices[face[2]]
    # float64 from here on: the corners are exact, the edge functions nearly so
    ax, ay, bx, by, cx, cy = np.float64(a[0]), np.float64(a[1]), np.float64(b[0]), np.float64(b[1]), np.float64(c[0]), np.float64(c[1])
    if min(a[2], b[2], c[2]) < NEAR:
        return
    y0 = max(np.float64(top), np.ceil(min(ay, by, cy) - 0.5))
    y1 = min(np.float64(bottom - 1), np.floor(max(ay, by, cy) - 0.5))
    x0 = max(0.0, np.ceil(min(ax, bx, cx) - 0.5))
    x1 = min(np.float64(face_id.shape[1] - 1), np.floor(max(ax, bx, cx) - 0.5))
    if not (y0 <= y1 and x0 <= x1):  # also true of NaN
        return
    area = edge(ax, ay, bx, by, cx, cy)
    if area == 0:
        return
    ra, rb, rc = 1.0 / (area * a[2]), 1.0 / (area * b[2]), 1.0 / (area * c[2])
    for y in range(int(y0), int(y1) + 1):
        for x in range(int(x0), int(x1) + 1):
            px, py = x + 0.5, y + 0.5
            wa, wb, wc = edge(bx, by, cx, cy, px, py), edge(cx, cy, ax, ay, px, py), edge(ax, ay, bx, by, px, py)
            if (area > 0 and (wa < 0 or wb < 0 or wc < 0)) or (area < 0 and (wa > 0 or wb > 0 or wc > 0)):
                continue
            wa, wb, wc = wa * ra, wb * rb, wc * rc  # weights of 1/z, linear on the screen
            z = np.float32(1.0 / (wa + wb + wc))
            if face_id[y, x] < 0 or z < depth[y, x]:
                face_id[y, x] = index
                depth[y, x] = z
                bary[y, x, 0], bary[y, x, 1], bary[y, x, 2] = wa * z, wb * z, wc * z
