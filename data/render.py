"""Renders textured meshes: colour, mask, depth, normals and part ids, antialiased by supersampling (numba,
one thread)."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64, UInt8

from turnaround.models.mesh.silhouette.face_normals import add_face_normals
from turnaround.models.mesh.zbuffer import edge

NEAR = 0.05  # metres
OPAQUE = 115  # of 255: texels below are holes (hair strands, the outlines of cut-out textures)


@dataclass(frozen=True)
class Atlas:
    """All textures of one person in one array."""

    texels: UInt8[np.ndarray, "n 4"]
    table: Int64[np.ndarray, "m 4"]  # of each material: first texel, height, width, 1 when it has holes

    @staticmethod
    def of(textures: list[UInt8[np.ndarray, "_ _ 4"]]) -> Atlas:
        """Pack textures; material k is textures[k]."""
        rows, start = [], 0
        for texture in textures:
            height, width = texture.shape[:2]
            rows.append((start, height, width, int((texture[..., 3] < OPAQUE).any())))
            start += height * width
        return Atlas(
            np.concatenate([texture.reshape(-1, 4) for texture in textures]), np.array(rows, np.int64)
        )


@dataclass(frozen=True)
class Surface:
    """Geometry and paint of a dressed person, still without a pose: what all of its pictures share."""

    faces: Int32[np.ndarray, "f 3"]
    uv: Float32[np.ndarray, "f 3 2"]  # per corner, v up, repeating
    material: Int16[np.ndarray, " f"]
    atlas: Atlas
    part: UInt8[np.ndarray, " f"] | None = None  # data/clothes/parts.py; None: 1 everywhere


@dataclass(frozen=True)
class Picture:
    """What one camera sees."""

    color: UInt8[np.ndarray, "h w 3"]  # straight (not composed over any background)
    alpha: UInt8[np.ndarray, "h w"]
    depth: Float32[
        np.ndarray, "h w"
    ]  # metres along the axis, at the sample nearest to the pixel's centre; 0 = none
    normal: Float32[np.ndarray, "h w 3"]  # unit, world frame, towards the camera; 0 = none
    part: UInt8[np.ndarray, "h w"]  # part id at the same sample as the depth; 0 = none

    def over_white(self) -> UInt8[np.ndarray, "h w 3"]:
        """The colours over white."""
        alpha = self.alpha[..., None].astype(np.uint16)
        return ((self.color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def render(
    surface: Surface,
    vertices: Float32[np.ndarray, "v 3"],
    normals: Float32[np.ndarray, "v 3"],
    light: Float32[np.ndarray, "v 3"],
    K: Float32[np.ndarray, "3 3"],
    T_camera_world: Float32[np.ndarray, "4 4"],
    size: int,
    *,
    samples: int = 3,
) -> Picture:
    """One square picture of `size` pixels.

    Args:
        vertices, normals: of the posed person in the world frame.
        light: linear factor on the texture's colour at each vertex.
        K: intrinsics of a picture of `size` pixels.
        samples: supersampling along each axis.
    """
    R, t = T_camera_world[:3, :3].astype(np.float32), T_camera_world[:3, 3].astype(np.float32)
    in_camera = vertices @ R.T + t
    pixels = in_camera @ K.T.astype(np.float32) * np.float32(samples)
    z = in_camera[:, 2:]
    uvz = np.concatenate([pixels[:, :2] / np.where(np.abs(z) < 1e-6, 1e-6, z), z], 1).astype(np.float32)
    fine = size * samples
    face_id, bary, depth = (
        np.full((fine, fine), -1, np.int32),
        np.empty((fine, fine, 2), np.float32),
        np.empty((fine, fine), np.float32),
    )
    atlas = surface.atlas
    _visible(
        uvz, surface.faces, surface.uv, surface.material, atlas.texels, atlas.table, face_id, bary, depth
    )
    color, alpha = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    near, normal = np.zeros((size, size), np.float32), np.zeros((size, size, 3), np.float32)
    paint = (
        surface.faces,
        surface.uv,
        surface.material,
        atlas.texels,
        atlas.table,
        light.astype(np.float32),
        normals.astype(np.float32),
    )
    part = np.zeros((size, size), np.uint8)
    ids = surface.part if surface.part is not None else np.ones(len(surface.faces), np.uint8)
    _shade(face_id, bary, depth, samples, *paint, ids, color, alpha, near, normal, part)
    return Picture(color, alpha, near, _towards_camera(normal, near, K, R), part)


def _towards_camera(normal, depth, K, R):
    """Turn the normals that look away (inner sides of cloth, hair) to the camera and make them unit."""
    size = depth.shape[0]
    x = (np.arange(size, dtype=np.float32) + np.float32(0.5) - np.float32(K[0, 2])) / np.float32(K[0, 0])
    rays = (
        np.stack(
            [
                np.broadcast_to(x, (size, size)),
                np.broadcast_to(x[:, None], (size, size)),
                np.ones((size, size), np.float32),
            ],
            -1,
        )
        @ R
    )
    away = (normal * rays).sum(-1) > 0
    length = np.sqrt((normal * normal).sum(-1))
    return (normal * (np.where(away, -1, 1) / np.maximum(length, 1e-6))[..., None]).astype(np.float32)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _texel(texels, table, material, u, v):  # pragma: no cover - compiled
    """Bilinear sample (r, g, b, a in 0..255) of a repeating texture; v points up."""
    start, height, width = table[material, 0], table[material, 1], table[material, 2]
    x, y = (u - np.floor(u)) * width - 0.5, (1.0 - (v - np.floor(v))) * height - 0.5
    xf, yf = np.floor(x), np.floor(y)
    fx, fy = np.float32(x - xf), np.float32(y - yf)
    x0, y0 = (int(xf) + width) % width, (int(yf) + height) % height
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    a, b = texels[start + y0 * width + x0], texels[start + y0 * width + x1]
    c, d = texels[start + y1 * width + x0], texels[start + y1 * width + x1]
    wa, wb, wc, wd = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    return (
        a[0] * wa + b[0] * wb + c[0] * wc + d[0] * wd,
        a[1] * wa + b[1] * wb + c[1] * wc + d[1] * wd,
        a[2] * wa + b[2] * wb + c[2] * wc + d[2] * wd,
        a[3] * wa + b[3] * wb + c[3] * wc + d[3] * wd,
    )


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _visible(uvz, faces, uv, material, texels, table, face_id, bary, depth):  # pragma: no cover - compiled
    """Like models.zbuffer, but texels below OPAQUE are holes; `bary` holds the weights of the corners a and
    b."""
    height, width = face_id.shape
    for k in range(faces.shape[0]):
        a, b, c = uvz[faces[k, 0]], uvz[faces[k, 1]], uvz[faces[k, 2]]
        if min(a[2], b[2], c[2]) < NEAR:
            continue
        ax, ay, bx, by, cx, cy = (
            np.float64(a[0]),
            np.float64(a[1]),
            np.float64(b[0]),
            np.float64(b[1]),
            np.float64(c[0]),
            np.float64(c[1]),
        )
        y0, y1 = max(0.0, np.ceil(min(ay, by, cy) - 0.5)), min(height - 1.0, np.floor(max(ay, by, cy) - 0.5))
        x0, x1 = max(0.0, np.ceil(min(ax, bx, cx) - 0.5)), min(width - 1.0, np.floor(max(ax, bx, cx) - 0.5))
        area = edge(ax, ay, bx, by, cx, cy)
        if not (y0 <= y1 and x0 <= x1) or area == 0:
            continue
        ra, rb, rc = 1.0 / (area * a[2]), 1.0 / (area * b[2]), 1.0 / (area * c[2])
        holes = table[material[k], 3]
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
                wa, wb, wc = wa * ra, wb * rb, wc * rc
                z = 1.0 / (wa + wb + wc)
                if face_id[y, x] >= 0 and z >= depth[y, x]:
                    continue
                wa, wb = wa * z, wb * z
                if holes:
                    q = uv[k]
                    wc = 1.0 - wa - wb
                    u, v = (
                        wa * q[0, 0] + wb * q[1, 0] + wc * q[2, 0],
                        wa * q[0, 1] + wb * q[1, 1] + wc * q[2, 1],
                    )
                    if _texel(texels, table, material[k], u, v)[3] < OPAQUE:
                        continue
                face_id[y, x], depth[y, x] = k, z
                bary[y, x, 0], bary[y, x, 1] = wa, wb


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _shade(
    face_id,
    bary,
    depth,
    samples,
    faces,
    uv,
    material,
    texels,
    table,
    light,
    normals,
    ids,
    color,
    alpha,
    near,
    normal,
    part,
):  # pragma: no cover - compiled
    """Average the lit texture over the samples of each pixel; depth and normal of the sample nearest to its
    centre."""
    middle = (samples - 1) / 2.0
    for y in range(color.shape[0]):
        for x in range(color.shape[1]):
            red, green, blue, count, best = 0.0, 0.0, 0.0, 0, 1e9
            for j in range(samples):
                for i in range(samples):
                    sy, sx = y * samples + j, x * samples + i
                    k = face_id[sy, sx]
                    if k < 0:
                        continue
                    wa, wb = bary[sy, sx, 0], bary[sy, sx, 1]
                    wc = np.float32(1) - wa - wb
                    q, a, b, c = uv[k], faces[k, 0], faces[k, 1], faces[k, 2]
                    u, v = (
                        wa * q[0, 0] + wb * q[1, 0] + wc * q[2, 0],
                        wa * q[0, 1] + wb * q[1, 1] + wc * q[2, 1],
                    )
                    r, g, bl, _ = _texel(texels, table, material[k], u, v)
                    red += min(r * (wa * light[a, 0] + wb * light[b, 0] + wc * light[c, 0]), 255.0)
                    green += min(g * (wa * light[a, 1] + wb * light[b, 1] + wc * light[c, 1]), 255.0)
                    blue += min(bl * (wa * light[a, 2] + wb * light[b, 2] + wc * light[c, 2]), 255.0)
                    count += 1
                    # ties of an even number of samples go to the first, a quarter of a pixel off the centre
                    distance = (j - middle) ** 2 + (i - middle) ** 2
                    if distance < best:
                        best = distance
                        near[y, x] = depth[sy, sx]
                        part[y, x] = ids[k]
                        for e in range(3):
                            normal[y, x, e] = wa * normals[a, e] + wb * normals[b, e] + wc * normals[c, e]
            if count:
                color[y, x, 0], color[y, x, 1], color[y, x, 2] = (
                    red / count + 0.5,
                    green / count + 0.5,
                    blue / count + 0.5,
                )
                alpha[y, x] = (255 * count) // (samples * samples)


def vertex_normals(
    vertices: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"]
) -> Float32[np.ndarray, "v 3"]:
    """Area-weighted unit normals."""
    normals = np.zeros(vertices.shape, np.float32)
    add_face_normals(np.ascontiguousarray(vertices, np.float32), faces, normals)
    _make_unit(normals)
    return normals


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _make_unit(normals):  # pragma: no cover - compiled
    for k in range(normals.shape[0]):
        length = np.sqrt(normals[k, 0] ** 2 + normals[k, 1] ** 2 + normals[k, 2] ** 2)
        for e in range(3):
            normals[k, e] /= max(length, np.float32(1e-12))
