"""Mesh to picture in one compiled pass: z-buffer, colour or normals, light and averaging, without a
picture-sized array between (numba)."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float32, Int32

from turnaround.models.mesh.zbuffer import barycentric, draw_nearest

COLOR, SHADED, NORMALS = 0, 1, 2
LIGHT = np.array([0.25, -0.45, -0.85]) / np.sqrt(
    0.25**2 + 0.45**2 + 0.85**2
)  # in the camera's frame: from above, a little from the right
AMBIENT, DIFFUSE = 0.72, 0.36


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def draw_pictures(
    uvz: Float32[np.ndarray, "c v 3"],
    faces: Int32[np.ndarray, "f 3"],
    values: Float32[np.ndarray, "v 3"],
    normals: Float32[np.ndarray, "v 3"],
    R_camera_world: Float32[np.ndarray, "c 3 3"],
    look: int,
    supersample: int,
    pictures: Float32[np.ndarray, "c h w 3"],
):  # pragma: no cover - compiled
    """Fill `pictures`: the mean of `supersample` x `supersample` samples a pixel, white where there is no
    face.

    uvz: projected vertices, in pixels of the samples. values: vertex colours. normals: of the vertices, world
    frame. look: COLOR, SHADED (colour times light) or NORMALS (camera's frame, y and z flipped).
    """
    height, width = pictures.shape[1] * supersample, pictures.shape[2] * supersample
    for camera in numba.prange(uvz.shape[0]):
        face_id, depth = np.full((height, width), -1, np.int32), np.empty((height, width), np.float32)
        draw_nearest(uvz[camera], faces, 0, height, face_id, depth)
        for y in range(height):
            for x in range(width):
                r, g, b = np.float32(1), np.float32(1), np.float32(1)
                if face_id[y, x] >= 0:
                    face = faces[face_id[y, x]]
                    r, g, b = _shade(
                        face,
                        barycentric(uvz[camera], face, x, y),
                        values,
                        normals,
                        R_camera_world[camera],
                        look,
                    )
                pixel = pictures[camera, y // supersample, x // supersample]
                pixel[0] += r
                pixel[1] += g
                pixel[2] += b
        for y in range(pictures.shape[1]):
            for x in range(pictures.shape[2]):
                for k in range(3):
                    pictures[camera, y, x, k] = min(
                        max(pictures[camera, y, x, k] / (supersample * supersample), 0.0), 1.0
                    )


@numba.njit(cache=True, error_model="numpy", nogil=True, inline="always")
def _interpolated(face, bary, values):  # pragma: no cover - compiled
    a, b, c = values[face[0]], values[face[1]], values[face[2]]
    return (
        bary[0] * a[0] + bary[1] * b[0] + bary[2] * c[0],
        bary[0] * a[1] + bary[1] * b[1] + bary[2] * c[1],
        bary[0] * a[2] + bary[1] * b[2] + bary[2] * c[2],
    )


@numba.njit(cache=True, error_model="numpy", nogil=True, inline="always")
def _shade(face, bary, values, normals, R, look):  # pragma: no cover - compiled
    """Colour of one sample."""
    if look == COLOR:
        return _interpolated(face, bary, values)
    n = _interpolated(face, bary, normals)
    length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
    if length < 1e-6 and look == NORMALS:
        return np.float32(1), np.float32(1), np.float32(1)
    scale = np.float32(1 / max(length, np.float32(1e-12)))
    x = (R[0, 0] * n[0] + R[0, 1] * n[1] + R[0, 2] * n[2]) * scale
    y = (R[1, 0] * n[0] + R[1, 1] * n[1] + R[1, 2] * n[2]) * scale
    z = (R[2, 0] * n[0] + R[2, 1] * n[1] + R[2, 2] * n[2]) * scale
    if look == NORMALS:
        return np.float32(0.5 + 0.5 * x), np.float32(0.5 - 0.5 * y), np.float32(0.5 - 0.5 * z)
    light = np.float32(AMBIENT + DIFFUSE * max(x * LIGHT[0] + y * LIGHT[1] + z * LIGHT[2], 0.0))
    color = _interpolated(face, bary, values)
    return color[0] * light, color[1] * light, color[2] * light
