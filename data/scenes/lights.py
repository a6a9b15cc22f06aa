"""Light on a person: soft ambient light with occlusion, and a few coloured directional lights that cast
shadows.

Everything is computed at the vertices, once for a pose: the light does not depend on the camera, as the
Gaussians that are learned from it do not either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Float, Float32, Int32

SHADOW_SIZE = 160  # pixels of a shadow map over the person's extent
BIAS = 0.02  # metres: surfaces nearer than this to what the light sees count as lit
UP = np.array([0.0, -1.0, 0.0], np.float32)  # the world's y points down


@dataclass(frozen=True)
class Lights:
    """One set-up of lights, world frame."""

    sky: Float32[np.ndarray, "3"]  # ambient colour on surfaces that look up
    ground: Float32[np.ndarray, "3"]  # ... and down
    exposure: float  # light on the brighter parts of the person, after the photographer's choice of exposure
    directions: Float32[np.ndarray, "l 3"]  # unit, towards the light
    colors: Float32[np.ndarray, "l 3"]


def sample_lights(rng: np.random.Generator) -> Lights:
    """Ambient light and one to four directional ones, brighter in front and above, slightly coloured."""
    ambient = rng.uniform(0.55, 0.95)
    tint = rng.normal(1.0, 0.03, 3)
    sky, ground = ambient * tint, ambient * rng.uniform(0.65, 1.0) * rng.normal(1.0, 0.03, 3)
    count = int(rng.integers(1, 5))
    directions = rng.normal(size=(count, 3)) * (1.0, 0.6, 1.0)
    directions[:, 1] = -np.abs(directions[:, 1]) - 0.15
    directions[0, 2] = -np.abs(directions[0, 2]) - 0.2  # the key light is on the photographer's side
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    strength = rng.uniform(0.3, 1.0, count) * np.where(np.arange(count) == 0, 1.0, 0.6)
    strength *= rng.uniform(0.5, 1.1) * (1.25 - ambient) / strength.max()
    colors = strength[:, None] * np.clip(rng.normal(1.0, rng.choice([0.03, 0.12]), (count, 3)), 0.6, 1.4)
    sky, ground, directions, colors = (
        array.astype(np.float32) for array in (sky, ground, directions, colors)
    )
    return Lights(sky, ground, float(rng.uniform(0.92, 1.25)), directions, colors)


def vertex_light(
    lights: Lights,
    vertices: Float32[np.ndarray, "v 3"],
    normals: Float32[np.ndarray, "v 3"],
    faces: Int32[np.ndarray, "f 3"],
    *,
    rays: int = 12,
) -> Float32[np.ndarray, "v 3"]:
    """Factor on the texture's colour at each vertex.

    Args:
        rays: directions of the ambient occlusion.
    """
    up = (normals @ UP * 0.5 + 0.5)[:, None]
    light = (lights.ground + (lights.sky - lights.ground) * up) * _openness(vertices, normals, faces, rays)[
        :, None
    ]
    for direction, color in zip(lights.directions, lights.colors, strict=True):
        # "wrapped" by a fifth: cloth and skin scatter some light round the terminator
        lambert = np.clip((normals @ direction + 0.2) / 1.2, 0, None)
        light = light + (lambert * seen_from(direction, vertices, faces))[:, None] * color
    bright = np.percentile(light[::7].mean(1), 85)
    return (light * (lights.exposure / bright)).astype(np.float32)


def _openness(vertices, normals, faces, rays):
    """Share of the surrounding light that reaches each vertex, between 0.25 and 1."""
    k = np.arange(rays) + 0.5  # Fibonacci sphere
    y, angle = 1 - 2 * k / rays, np.pi * (1 + 5**0.5) * k
    radius = np.sqrt(1 - y * y)
    directions = np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], 1).astype(np.float32)
    seen, total = np.zeros(len(vertices), np.float32), np.full(len(vertices), 1e-3, np.float32)
    for direction in directions:
        weight = np.clip(normals @ direction, 0, None)
        total += weight
        seen += weight * seen_from(direction, vertices, faces, size=SHADOW_SIZE // 2)
    return 0.25 + 0.75 * seen / total


def seen_from(
    direction: Float[np.ndarray, "3"],
    vertices: Float32[np.ndarray, "v 3"],
    faces: Int32[np.ndarray, "f 3"],
    *,
    size: int = SHADOW_SIZE,
) -> Float32[np.ndarray, " v"]:
    """Share of light that reaches each vertex from far away in `direction` (a shadow map, bilinearly
    filtered)."""
    forward = -direction / np.linalg.norm(direction)
    right = np.cross(forward, (0.0, 0.0, 1.0) if abs(forward[1]) > 0.9 else (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    q = vertices @ np.stack([right, np.cross(forward, right), forward], 1).astype(np.float32)
    low, high = q[:, :2].min(0), q[:, :2].max(0)
    q[:, :2] = (q[:, :2] - low) * ((size - 2) / (high - low).max()) + 1
    depth = np.full((size, size), np.inf, np.float32)
    depth_map(q, faces, depth)
    seen = np.empty(len(q), np.float32)
    _filtered(q, depth, np.float32(BIAS + 1.2 / size), seen)
    return seen


@numba.njit(cache=True, error_model="numpy", nogil=True)
def depth_map(q, faces, depth):  # pragma: no cover - compiled
    """Orthographic depth of the nearest face at each pixel centre."""
    size = depth.shape[0]
    for k in range(faces.shape[0]):
        a, b, c = q[faces[k, 0]], q[faces[k, 1]], q[faces[k, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        y0, y1 = (
            max(0, int(np.ceil(min(a[1], b[1], c[1]) - 0.5))),
            min(size - 1, int(np.floor(max(a[1], b[1], c[1]) - 0.5))),
        )
        x0, x1 = (
            max(0, int(np.ceil(min(a[0], b[0], c[0]) - 0.5))),
            min(size - 1, int(np.floor(max(a[0], b[0], c[0]) - 0.5))),
        )
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = np.float32(x + 0.5), np.float32(y + 0.5)
                wa = ((b[0] - px) * (c[1] - py) - (b[1] - py) * (c[0] - px)) / area
                wb = ((c[0] - px) * (a[1] - py) - (c[1] - py) * (a[0] - px)) / area
                wc = 1 - wa - wb
                if wa >= 0 and wb >= 0 and wc >= 0:
                    depth[y, x] = min(depth[y, x], wa * a[2] + wb * b[2] + wc * c[2])


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _filtered(q, depth, bias, seen):  # pragma: no cover - compiled
    """Bilinear mix of the four comparisons around each point."""
    size = depth.shape[0]
    for k in range(q.shape[0]):
        x, y = q[k, 0] - np.float32(0.5), q[k, 1] - np.float32(0.5)
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        fx, fy, total = x - x0, y - y0, np.float32(0)
        for j in range(2):
            for i in range(2):
                weight = (fx if i else 1 - fx) * (fy if j else 1 - fy)
                yy, xx = min(max(y0 + j, 0), size - 1), min(max(x0 + i, 0), size - 1)
                if q[k, 2] <= depth[yy, xx] + bias:
                    total += weight
        seen[k] = total
