"""A textured mesh to one picture: z-buffer, texture lookup and averaging in a compiled pass (numba)."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float32, Int32

from turnaround.models.mesh.zbuffer import barycentric, draw_nearest


@numba.njit(cache=True, error_model="numpy", nogil=True)
def draw_textured(
    uvz: Float32[np.ndarray, "v 3"],
    faces: Int32[np.ndarray, "f 3"],
    uv: Float32[np.ndarray, "v 2"],
    texture: Float32[np.ndarray, "t t 3"],
    supersample: int,
    picture: Float32[np.ndarray, "h w 3"],
):  # pragma: no cover - compiled
    """Fill `picture`: the mean of `supersample` x `supersample` samples a pixel, white where there is no
    face.

    uvz: projected vertices, in pixels of the samples. uv: their places in the texture, [0, 1]; it is read
    between four texels.
    """
    height, width, size = picture.shape[0] * supersample, picture.shape[1] * supersample, texture.shape[0]
    face_id, depth = np.full((height, width), -1, np.int32), np.empty((height, width), np.float32)
    draw_nearest(uvz, faces, 0, height, face_id, depth)
    share = np.float32(1 / (supersample * supersample))
    for y in range(height):
        for x in range(width):
            pixel = picture[y // supersample, x // supersample]
            if face_id[y, x] < 0:
                pixel += share
                continue
            face = faces[face_id[y, x]]
            wa, wb, wc = barycentric(uvz, face, x, y)
            s = (wa * uv[face[0], 0] + wb * uv[face[1], 0] + wc * uv[face[2], 0]) * size - np.float32(0.5)
            t = (wa * uv[face[0], 1] + wb * uv[face[1], 1] + wc * uv[face[2], 1]) * size - np.float32(0.5)
            left, top = int(np.floor(s)), int(np.floor(t))
            fx, fy = np.float32(s - left), np.float32(t - top)
            x0, x1 = min(max(left, 0), size - 1), min(max(left + 1, 0), size - 1)
            y0, y1 = min(max(top, 0), size - 1), min(max(top + 1, 0), size - 1)
            for k in range(3):
                upper = (1 - fx) * texture[y0, x0, k] + fx * texture[y0, x1, k]
                lower = (1 - fx) * texture[y1, x0, k] + fx * texture[y1, x1, k]
                pixel[k] += share * ((1 - fy) * upper + fy * lower)
