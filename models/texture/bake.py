"""The base colour of a mesh from pictures around it: each texel takes what sees it best (numba)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numba
import numpy as np
import torch
from jaxtyping import Float32

from turnaround.models.bands import in_bands
from turnaround.models.texture.gutter import fill_gutters
from turnaround.models.texture.sight import seen_depth, trust
from turnaround.models.texture.texels import Texels, surface_texels
from turnaround.pipeline.values.camera import camera_center
from turnaround.pipeline.values.types import TexturedMesh, View

FALLBACK = 1e-3  # weight of the vertices' colours: they show where no picture is believed
SHARPNESS = (
    2.0  # power of the weights: what sees better takes nearly all, and two pictures mix in a narrow band
)
TOLERANCE = 0.01  # metres by which a texel may lie behind the surface that a picture shows
RIM = 6.0  # pixels, of 1,024, over which a picture's edge gains trust


def bake(mesh: TexturedMesh, views: Sequence[tuple[View, float]], size: int) -> TexturedMesh:
    """The mesh with a texture of `size` x `size` texels.

    A view's weight at a texel is its own (PSHuman's: photo 2, back 1, sides less) x the squared cosine
    between normal and ray x the trust in the pixel (`sight.trust`), all to the power of SHARPNESS; 0 where
    something stands before it.

    Args:
        mesh: with an atlas and vertex colours, which fill what no view sees; its texture is replaced.
        views: pictures with masks and cameras anywhere, of any size, each with its weight.
        size: texels of a side.
    """
    texels = surface_texels(mesh, size)
    total, weights = texels.colors * np.float32(FALLBACK), np.full(len(texels.place), FALLBACK, np.float32)
    for view, share in views:
        depth = seen_depth(mesh, view.camera)
        add_view(
            texels, view, share, depth, trust(view, depth, RIM * view.camera.width / 1024), total, weights
        )
    texture = np.ones((size, size, 3), np.float32)
    texture.reshape(-1, 3)[texels.place] = total / weights[:, None]
    fill_gutters(texture, texels.place)
    return dataclasses.replace(mesh, texture=torch.from_numpy(texture))


def add_view(
    texels: Texels,
    view: View,
    share: float,
    depth: Float32[np.ndarray, "h w"],
    believed: Float32[np.ndarray, "h w"],
    total: Float32[np.ndarray, "n 3"],
    weights: Float32[np.ndarray, " n"],
) -> None:
    """Add a view's colours x weights to `total`, and its weights to `weights`.

    depth: of the mesh from its camera (`sight.seen_depth`). believed: of each pixel, [0, 1].
    """
    camera = view.camera
    T = camera.T_camera_world.double().numpy()
    lens = np.concatenate(
        [(camera.K.double().numpy() @ T[:3]).ravel(), camera_center(camera).double().numpy()]
    )
    image = np.ascontiguousarray(view.image.numpy(), np.float32)
    # the third row of K [R t] is the depth: K's own is (0, 0, 1)
    in_bands(
        lambda a, b: _add(
            a, b, texels.points, texels.normals, lens, image, depth, believed, share, total, weights
        ),
        len(weights),
    )


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _add(
    start, stop, points, normals, lens, image, depth, believed, share, total, weights
):  # pragma: no cover - compiled
    """Texels start to stop - 1. lens: K [R t], row by row, then the camera's centre."""
    height, width = depth.shape
    for i in range(start, stop):
        px, py, pz = np.float64(points[i, 0]), np.float64(points[i, 1]), np.float64(points[i, 2])
        dx, dy, dz = lens[12] - px, lens[13] - py, lens[14] - pz
        nx, ny, nz = np.float64(normals[i, 0]), np.float64(normals[i, 1]), np.float64(normals[i, 2])
        facing = nx * dx + ny * dy + nz * dz
        if not facing > 0:
            continue
        z = lens[8] * px + lens[9] * py + lens[10] * pz + lens[11]
        u = (lens[0] * px + lens[1] * py + lens[2] * pz + lens[3]) / z
        v = (lens[4] * px + lens[5] * py + lens[6] * pz + lens[7]) / z
        if not (z > 0 and 0 <= u < width and 0 <= v < height):
            continue
        cosine2 = facing * facing / ((dx * dx + dy * dy + dz * dz) * (nx * nx + ny * ny + nz * nz))
        trusted, r, g, b = _between(u - 0.5, v - 0.5, z - TOLERANCE, depth, believed, image)
        weight = np.float32((share * cosine2 * trusted) ** SHARPNESS)
        total[i, 0] += weight * r
        total[i, 1] += weight * g
        total[i, 2] += weight * b
        weights[i] += weight


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _between(x, y, nearest, depth, believed, image):  # pragma: no cover - compiled
    """Trust and colour between the four pixels about x and y, which count from the first pixel's centre.

    Pixels count by their trust, and not at all where they show less than `nearest` metres away, or nothing of
    the mesh: so none of what stands before a place, or is not believed, is mixed in.
    """
    height, width = believed.shape
    left, top = int(np.floor(x)), int(np.floor(y))
    trusted, r, g, b = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for v in range(max(top, 0), min(top + 2, height)):
        for u in range(max(left, 0), min(left + 2, width)):
            if depth[v, u] == 0 or depth[v, u] < nearest:
                continue
            part = np.float32((1 - abs(x - u)) * (1 - abs(y - v))) * believed[v, u]
            trusted += part
            r += part * image[v, u, 0]
            g += part * image[v, u, 1]
            b += part * image[v, u, 2]
    share = 1 / max(trusted, np.float32(1e-9))
    return trusted, share * r, share * g, share * b
